"""Settings: the order of their sources, and what each may be."""

from __future__ import annotations

import os
from fractions import Fraction

import dask.config
import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.config import (
    ENVIRONMENT,
    KINDS,
    cluster_of,
    defaults,
    descriptions,
    rate,
    resolution,
    resolve,
    seconds,
    sections,
    size,
)
from montage_dask.errors import UsageError


@pytest.fixture(autouse=True)
def _bare(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def test_every_default_is_valid_and_says_so():
    settings = resolve()
    assert settings.keys() == KINDS.keys() == defaults().keys()
    assert {s.origin for s in settings.values()} == {"default"}


def test_the_order_of_the_sources(monkeypatch):
    """Command line, job file, environment, file, default."""
    with dask.config.set({"montage.n-workers": 2, "montage.seed": 2}):
        assert (resolve()["n-workers"].value, resolve()["n-workers"].origin) == (2, "file")
        monkeypatch.setenv("WORKER_CONCURRENCY", "3")
        found = resolve()["n-workers"]
        assert (found.value, found.origin) == (3, "environment WORKER_CONCURRENCY")
        assert resolve(None, {"n-workers": 4})["n-workers"].value == 4
        found = resolve({"n-workers": 5}, {"n-workers": 4, "seed": 9})
        assert (found["n-workers"].value, found["n-workers"].origin) == (5, "command line")
        assert (found["seed"].value, found["seed"].origin) == (9, "job file")


def test_dasks_own_environment_names(monkeypatch):
    monkeypatch.setenv("DASK_MONTAGE__WINDOW_FRAMES", "150")
    monkeypatch.setenv("DASK_MONTAGE__FPS", "25")
    with dask.config.set(dask.config.collect_env()):
        settings = resolve()
    assert settings["window-frames"].value == 150
    assert settings["window-frames"].origin == "environment DASK_MONTAGE__WINDOW_FRAMES"
    assert settings["fps"].value == 25


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("CGPU_BEAT_DETECT", "true", "cgpu-beat-detect", "true"),
        ("CGPU_SCENE_DETECT", "auto", "cgpu-scene-detect", "auto"),
        ("CGPU_ENCODE", "0", "cgpu-encode", "false"),
        ("CGPU_ENCODE_THRESHOLD", "60", "cgpu-encode-threshold", 60.0),
        ("CGPU_GPU_ENABLED", "1", "cgpu-enabled", "true"),
        ("LOCAL_GPU_ENCODE", "auto", "gpu-encode", "auto"),
        ("LOCAL_GPU_OPENCV", "off", "gpu-opencv", "false"),
        ("GPU_MEMORY_LIMIT", "8192", "gpu-memory-limit", 8192),
        ("DISTRIBUTED_MODE", "yes", "distributed-mode", True),
        ("WORKER_CONCURRENCY", "2", "n-workers", 2),
        ("COORDINATOR_URL", "tcp://a:8786", "coordinator-url", "tcp://a:8786"),
        ("WORKER_TYPE", "gpu", "worker-type", "gpu"),
    ],
)
def test_the_environment_contract(monkeypatch, variable, value, name, expected):
    monkeypatch.setenv(variable, value)
    assert resolve()[name].value == expected
    assert resolve()[name].origin == f"environment {variable}"


def test_a_setting_that_does_not_exist():
    with pytest.raises(UsageError, match=r"'bogus'.*command line"):
        resolve({"bogus": 1})
    with dask.config.set({"montage.bogus": 1}), pytest.raises(UsageError, match="bogus"):
        resolve()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("1:30", 90), ("0:01:30.5", Fraction(181, 2)), (2.5, Fraction(5, 2)), ("24:00:00", 86400), (" 7 ", 7)],
)  # fmt: skip
def test_times(text, expected):
    assert seconds(text) == expected


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_times_add_up(hours, minutes, secs, thousandths):
    text = f"{hours}:{minutes:02d}:{secs:02d}.{thousandths:03d}"
    assert seconds(text) == hours * 3600 + minutes * 60 + secs + Fraction(thousandths, 1000)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("29.97", "30000/1001"), ("23.976", "24000/1001"), (59.94, "60000/1001"), ("30000/1001", "30000/1001"),
        (25, "25"), ("12.5", "25/2"), ("24", "24"), ("119.88", "120000/1001"),
    ],
)  # fmt: skip
def test_rates(text, expected):
    assert rate(text) == Fraction(expected)


def test_sizes_are_written_one_way():
    assert size("01920X1080") == "1920x1080"


@given(
    st.text(max_size=12) | st.floats() | st.integers() | st.none() | st.lists(st.none()),
    st.sampled_from(sorted(KINDS)),
)
def test_any_value_is_taken_or_refused_in_one_line(value, name):
    message = name
    try:
        resolve({name: value})
    except UsageError as error:
        message = str(error)
    assert name in message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["{strip: gpu}", '{"strip": "gpu"}', "strip: gpu"])
def test_placement_from_the_environment_is_yaml(monkeypatch, text):
    monkeypatch.setenv("DASK_MONTAGE__PLACEMENT", text)
    assert resolve()["placement"].value == {"strip": "gpu"}


@pytest.mark.parametrize("text", ["gpu", "{strip: tpu}", "{strip"])
def test_a_placement_that_is_none_is_an_error(monkeypatch, text):
    monkeypatch.setenv("DASK_MONTAGE__PLACEMENT", text)
    with pytest.raises(UsageError, match="placement"):
        resolve()


def test_defaults_outlive_a_context_of_dask(monkeypatch):
    resolution._announce.cache_clear()
    monkeypatch.delitem(dask.config.config, "montage", raising=False)
    with dask.config.set({"distributed.version": 2}):
        assert resolve()["seed"].value == 0
    assert resolve()["seed"].value == 0


def test_every_setting_is_explained_and_says_its_form():
    assert descriptions().keys() == KINDS.keys()
    assert sorted(n for names in sections().values() for n in names) == sorted(KINDS)
    assert all(k.form for k in KINDS.values())


@pytest.mark.parametrize("name", [n for n, k in KINDS.items() if k.form.startswith("`")])
def test_the_words_that_a_form_names_are_all_taken(name):
    words = KINDS[name].form.removesuffix("; or null").split()
    for word in words:
        assert str(KINDS[name](word.strip("`"))).lower() == word.strip("`")
    with pytest.raises(ValueError, match="must be"):
        KINDS[name]("something else")


@pytest.mark.parametrize(
    ("command_line", "job_file", "environment", "expected"),
    [
        ({}, {}, {}, "local"),
        ({}, {}, {"DISTRIBUTED_MODE": "true"}, "tcp://a:1"),
        ({"cluster": "local"}, {}, {"DISTRIBUTED_MODE": "true"}, "local"),
        ({}, {"cluster": "local"}, {"DISTRIBUTED_MODE": "true"}, "local"),
        ({"cluster": "tcp://b:2"}, {}, {"DISTRIBUTED_MODE": "true"}, "tcp://b:2"),
        ({}, {}, {"DISTRIBUTED_MODE": "true", "DASK_MONTAGE__CLUSTER": "local"}, "local"),
        ({}, {}, {"DISTRIBUTED_MODE": "false"}, "local"),
        ({"distributed-mode": True}, {"cluster": "tcp://b:2"}, {}, "tcp://a:1"),
        ({"distributed-mode": True, "cluster": "local"}, {}, {}, "local"),
    ],
)
def test_the_stronger_place_says_where_jobs_run(
    monkeypatch, command_line, job_file, environment, expected
):
    monkeypatch.setenv("COORDINATOR_URL", "tcp://a:1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with dask.config.set(dask.config.collect(env=os.environ, paths=[])):
        assert cluster_of(resolve(command_line, job_file)) == expected


def test_distributed_mode_without_an_address_is_an_error(monkeypatch):
    monkeypatch.setenv("DISTRIBUTED_MODE", "true")
    monkeypatch.delenv("COORDINATOR_URL", raising=False)
    with pytest.raises(UsageError, match=r"environment DISTRIBUTED_MODE.*COORDINATOR_URL"):
        cluster_of(resolve())
    assert cluster_of(resolve({"cluster": "local"})) == "local"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("reel", "1080x1920"), ("short", "1080x1920"), ("square", "1080x1080"), ("portrait", "1080x1350"),
        ("landscape", "1920x1080"), ("4k", "3840x2160"), ("4K", "3840x2160"), ("1280X720", "1280x720"),
    ],
)  # fmt: skip
def test_sizes_have_names(name, size):
    assert resolve({"size": name})["size"].value == size
