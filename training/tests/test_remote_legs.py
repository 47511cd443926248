"""A leg of training on another machine that sees nothing but a bundle."""

from __future__ import annotations

import pytest
from far import NearLine

from montage_dask.graph import remote
from montage_dask.graph.operation import Request, perform
from montage_dask.graph.remote import Dispatcher, perform_remotely
from montage_dask.store import Store
from montage_dask_training.recipes import recipe_named

pytestmark = pytest.mark.job


@pytest.fixture
def line(tmp_path, monkeypatch):
    made = NearLine(tmp_path / "far")
    monkeypatch.setattr(remote._Process, "dispatcher", Dispatcher(made, gather_seconds=0.2))
    yield made
    remote._Process.dispatcher.close()


def test_a_leg_of_training_is_that_of_this_machine(tmp_path, line):
    (part, *_) = recipe_named("scenes").parts(0, "tiny", ())
    made = tmp_path / "part.npz"
    recipe_named("scenes").synthesise({**part.parameters, "sequences": 1}, {}, made)
    request = Request(
        "train",
        {"recipe": "scenes", "seed": 0, "size": "tiny", "leg": 0, "legs": 1},
        {"parts": [str(made)], "state": None, "start": None},
    )
    a, b = Store(tmp_path / "a"), Store(tmp_path / "b")
    far, here = perform_remotely(request, a), perform(request, b)
    assert far["losses"] == here["losses"]
    files = [s.file("train", request.key, ".pt").read_bytes() for s in (a, b)]
    assert files[0] == files[1]
