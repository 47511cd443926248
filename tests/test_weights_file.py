"""Weights files that are damaged, or none: one line says so, whoever reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from montage_dask import models
from montage_dask.analysis import beat_network, scene_network
from montage_dask.errors import UsageError
from montage_dask.named_files import recipe_of_weights

READERS = (scene_network.network, beat_network.network, recipe_of_weights)
SHIPPED = scene_network.WEIGHTS


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def altered(path: Path) -> None:
    data = bytearray(SHIPPED.read_bytes())
    for place in range(3000, len(data), 5000):
        data[place] ^= 0xFF
    path.write_bytes(data)


DAMAGED = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "an array": npy,
    "cut": lambda path: path.write_bytes(SHIPPED.read_bytes()[:-2000]),
    "its beginning": lambda path: path.write_bytes(SHIPPED.read_bytes()[:3]),
    "altered": altered,
    "text": lambda path: path.write_text("no weights"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("way", DAMAGED)
def test_damaged_weights_are_named_in_one_line(tmp_path, way, reader):
    path = tmp_path / "bad.npz"
    DAMAGED[way](path)
    with pytest.raises(UsageError, match=r"bad\.npz: cannot be read as weights: ") as caught:
        reader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("network", "recipe"), [(scene_network.network, "scenes"), (beat_network.network, "beats")]
)
def test_weights_that_lack_arrays_or_have_others(tmp_path, network, recipe):
    path = tmp_path / "bad.npz"
    own = {"recipe": recipe, "format": 1, "thresholds": np.zeros(5)}
    for held in (own, {**own, "lift": np.zeros(7)}, {**own, "thresholds": "x", "format": "x"}, {}):
        np.savez(path, **held)
        with pytest.raises(UsageError, match=r"bad\.npz.* no weights of "):
            network(path)


def test_a_former_version_of_a_file_is_let_go(tmp_path):
    path, made = tmp_path / "file", iter("abc")
    path.write_text("1")
    assert [models.of_file(("made",), path, lambda: next(made)) for _ in range(2)] == ["a", "a"]
    path.write_text("22")
    assert models.of_file(("made",), path, lambda: next(made)) == "b"
    assert [v for k, v in models._loaded.items() if k[0] == "made"] == ["b"]
