"""An operation is done once: by address, atomically, whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.errors import MediaError
from montage_dask.graph import operation as room
from montage_dask.graph.operation import Operation, Request, finished, perform, register
from montage_dask.store import Store

CALLS: list[str] = []


def _write(request, context):
    CALLS.append(request.label)
    if request.parameters.get("broken"):
        raise MediaError("clip.mp4", "is broken")
    path = context.file(request, ".txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(request.parameters["n"]))
    return {"n": request.parameters["n"], "device": context.device}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(room, "_REGISTRY", dict(room._REGISTRY))
    register(Operation("write", "media.probe", _write, files=(".txt",)))
    CALLS.clear()


def test_a_finished_operation_is_not_run_again(tmp_path):
    store, request = Store(tmp_path), Request("write", {"n": 1})
    first = perform(request, store)
    assert perform(request, store) == first
    assert len(CALLS) == 1
    assert first["n"] == 1
    assert first["target"] == "cpu"
    assert first["seconds"] >= 0


def test_where_things_stand_does_not_change_the_address(tmp_path):
    a = Request("write", {"n": 1}, {"path": "/here"}, "a")
    b = Request("write", {"n": 1}, {"path": "/there"}, "b")
    assert a.key == b.key
    assert a.task_name == f"write-{a.key}"
    assert Request("write", {"n": 2}).key != a.key


def test_another_version_is_another_address(monkeypatch):
    before = Request("write", {"n": 1}).key
    monkeypatch.setattr("montage_dask.media.probe.VERSION", 99)
    assert Request("write", {"n": 1}).key != before


def test_a_lost_file_makes_it_run_again(tmp_path):
    store, request = Store(tmp_path), Request("write", {"n": 3})
    perform(request, store)
    store.file("write", request.key, ".txt").unlink()
    assert finished(request, store) is None
    perform(request, store)
    assert len(CALLS) == 2
    assert store.file("write", request.key, ".txt").read_text() == "3"


def test_a_failure_leaves_no_record(tmp_path):
    store, request = Store(tmp_path), Request("write", {"n": 1, "broken": True})
    with pytest.raises(MediaError, match="is broken"):
        perform(request, store)
    assert store.load("write", request.key) is None


def test_two_operations_cannot_share_a_name():
    with pytest.raises(ValueError, match="twice"):
        register(Operation("write", "media.probe", lambda r, c: {}))


def test_every_operation_of_the_product_has_a_version():
    import montage_dask.graph.operations

    del montage_dask.graph.operations
    names = [
        "probe",
        "strip",
        "scores",
        "shots",
        "beats",
        "encode",
        "guard",
        "audio",
        "assemble",
        "pictures",
        "stills",
        "transcode",
        "join",
    ]
    assert set(names) <= set(room._REGISTRY)
    assert all(room.operation(n).version >= 1 for n in names)


@given(
    st.dictionaries(
        st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=4
    )
)
def test_the_order_of_parameters_does_not_matter(parameters):
    turned = dict(reversed(list(parameters.items())))
    assert Request("write", parameters).key == Request("write", turned).key


def test_parameters_must_be_json():
    with pytest.raises((TypeError, ValueError)):
        _ = Request("write", {"n": float("nan")}).key
