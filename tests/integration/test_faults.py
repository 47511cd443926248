"""Three rounds of each fault of `python -m benchmarks faults`: the same video, nothing left behind, no long silence."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.fault_kinds import FAULTS
from benchmarks.faults import NEVER, Bench

ROUNDS = int(os.environ.get("MONTAGE_FAULT_ROUNDS", "3"))

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(sys.platform != "linux", reason="finds and stops processes by /proc"),
]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("faults")) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(1, ROUNDS + 1))
@pytest.mark.parametrize("name", FAULTS)
def test_the_video_is_the_same_whatever_happens(bench: Bench, name: str, seed: int):
    result = bench.round(name, seed)
    if result.note == NEVER and name == "disk-full":
        pytest.skip("needs the right to mount a file system")
    assert result.green, result
    assert result.silence_seconds < 45, result
