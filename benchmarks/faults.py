"""Faults at random moments of a job, and what comes of it: the same video, no orphan, no leftover, no long silence.

Each round is one small job in a folder of its own. It is disturbed once; where the run may end for that, the same command is
given again. Then the decoded pictures must be those of an undisturbed run. Rounds are kept in a file as they end: a benchmark
that was interrupted goes on where it was. A round is told by its fault and its seed: `--faults NAME --seed N --rounds 1`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Self

from benchmarks.fault_kinds import FAULTS, Fault, Hands
from benchmarks.fault_round import PATIENCE_SECONDS, Command, Hung, Job, Missed, gone, kill, marked
from benchmarks.fault_session import Session, Turn
from benchmarks.measure import say, table

TRIES = 8
"""A moment that came too late is chosen anew so often."""
NEVER = "the fault never hit"
DISK_BYTES = 16 << 20
"""Of the file system that becomes full."""
QUICK_TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}
"""A worker that hangs is given up so soon here."""


@dataclass(frozen=True)
class Result:
    """What became of one round."""

    fault: str
    seed: int
    same: bool
    """Whether the video is that of an undisturbed run."""
    as_told: bool
    """Whether a run that must survive did, and one that ended said why on one line."""
    orphans: int
    leftovers: int
    silence_seconds: float
    seconds: float
    note: str = ""

    @property
    def green(self) -> bool:
        """Whether nothing is wrong."""
        return self.same and self.as_told and not self.orphans and not self.leftovers


def main(arguments: Sequence[str]) -> int:
    """Disturb jobs, and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of each fault")
    parser.add_argument("--faults", default=",".join(FAULTS), help="their names")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "montage-faults"
    )
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round after")
    options = parser.parse_args(arguments)
    names = options.faults.split(",")
    unknown = [n for n in names if n not in FAULTS]
    if unknown:
        parser.error(f"no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the job under way is ended, too
    end = time.monotonic() + options.minutes * 60
    with Bench(options.folder) as bench:
        for seed in range(options.seed, options.seed + options.rounds):
            for name in names:
                if (name, seed) not in bench.known and time.monotonic() < end:
                    bench.record(bench.round(name, seed))
        found = [r for r in bench.results() if r.fault in names]
    print(_table(found))
    return 0 if all(r.green for r in found) else 1


class Bench:
    """Material, the undisturbed job, what stands from round to round, and the rounds that are done. Close it.

    Args:
        folder: of all that; what is there is used.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._kept = folder, folder / "rounds.jsonl"
        self.material = make_material(folder / "material")
        self._standing: Session | None = None
        self._hands: Hands | None = None
        self._whole = self._job("undisturbed", random.Random(0))
        try:
            self._undisturbed()
        except BaseException:
            self.close()
            raise

    def _undisturbed(self) -> None:
        """The hash of the pictures, a store that is whole, and how long a run takes: at first, and among others."""
        from montage_dask.render.verify import frames_hash

        job, took = self._whole, []
        for _ in range(2):
            job.remove()
            job.folder.mkdir()
            began = time.monotonic()
            job.start(self._session.start)
            code = job.wait()
            if code != 0:
                raise SystemExit("the undisturbed job fails:\n" + "\n".join(job.words[-20:]))
            took.append(time.monotonic() - began)
        self.hash = frames_hash(job.output)
        self._first_seconds, self._usual_seconds = took

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what stands."""
        self._hands = self._hands and self._hands.close()
        self._standing = self._standing and self._standing.close()

    @property
    def _session(self) -> Session:
        """A cluster with all its workers."""
        if self._standing is not None and not self._standing.whole():
            say("the cluster of the rounds is started anew")
            self._standing.close()
            self._standing = None
        if self._standing is None:
            self._standing = Session(QUICK_TTL)
        return self._standing

    def _job(self, name: str, rng: random.Random) -> Job:
        return Job(self.material, self.folder / name, rng)

    @property
    def known(self) -> set[tuple[str, int]]:
        """Rounds that are done."""
        return {(r.fault, r.seed) for r in self.results()}

    def results(self) -> list[Result]:
        """All rounds so far."""
        lines = self._kept.read_text().splitlines() if self._kept.exists() else []
        return [Result(**json.loads(line)) for line in lines]

    def record(self, result: Result) -> None:
        """Keep a round, and say what became of it."""
        with self._kept.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")
        how = "green" if result.green else "RED: " + json.dumps(asdict(result))
        say(f"{result.fault}, seed {result.seed}: {how} ({result.seconds:.1f} s)")

    def round(self, name: str, seed: int) -> Result:
        """One round; the moment is chosen anew when it came too late."""
        fault = FAULTS[name]
        usual = self._first_seconds if fault.own_cluster else self._usual_seconds
        for attempt in range(TRIES):
            rng = random.Random(f"{name} {seed} {attempt}")
            try:
                return self._round(name, seed, rng, usual / (1 + attempt / 2))
            except Missed:
                continue
            except Hung as error:
                return _failed(name, seed, str(error))
        return _failed(name, seed, NEVER)

    def _round(self, name: str, seed: int, rng: random.Random, within_seconds: float) -> Result:
        from montage_dask.render.verify import frames_hash

        fault, session = FAULTS[name], self._session
        job = self._job(f"{name}-{seed}", rng)
        job.remove()  # what an earlier try has done must not help this one
        job.folder.mkdir()
        where, busy = [], session.busy
        if fault.own_scheduler:
            self._hands = self._hands or Hands(self.folder / "scratch", QUICK_TTL)
            self._hands.whole()
            where, busy = ["--cluster", self._hands.address], self._hands.busy

        def again(arguments: Sequence[str], hear: Callable[[str], None]) -> Turn:
            return session.start(arguments, hear, fault.settings)

        began = time.monotonic()
        with _own_disk(job.folder, wanted=fault.own_disk), _ended(job):
            if fault.finished:
                shutil.copytree(self._whole.store, job.store)
                fault.inject(job, within_seconds)
                job.start(again)
            else:
                job.start((lambda a, h: Command(a, {}, h)) if fault.own_cluster else again, *where)
                if fault.own_cluster:
                    busy = partial(marked, job.run.mark)
                fault.inject(job, within_seconds)
            code = job.wait()
            as_told, note = _as_told(fault, code, job)
            orphans = gone(busy)
            if code != 0:
                job.start(again, *where)
                code = job.wait()
                orphans += gone(session.busy)
                if code:
                    note += f"; then exit code {code}: " + " | ".join(job.words[-2:])
            same = code == 0 and frames_hash(job.output) == self.hash
            left = gone(job.leftovers)
        note += "".join(f"; {o}" for o in [*orphans, *left][:3])
        result = Result(
            name, seed, same, as_told, len(orphans), len(left),
            round(job.longest_silence_seconds, 1), round(time.monotonic() - began, 1), note[:600].strip("; "),
        )  # fmt: skip
        if not result.green:  # what it said, to find out why
            self._hands = self._hands and self._hands.close()
            (self.folder / f"{name}-{seed}.txt").write_text("\n".join(job.words) + "\n")
        job.remove()
        return result


def _failed(name: str, seed: int, why: str) -> Result:
    return Result(name, seed, False, False, 0, 0, 0.0, 0.0, why)


@contextmanager
def _ended(job: Job) -> Iterator[None]:
    """A run that goes on behind the block, because the moment was missed or the bench is interrupted, is waited for or ended."""
    try:
        yield
    finally:
        if job.running:
            assert job.run is not None
            try:
                job.run.wait(PATIENCE_SECONDS if sys.exc_info()[0] is Missed else 0.01)
            except TimeoutError:
                kill(marked(job.run.mark))


def _as_told(fault: Fault, code: int, job: Job) -> tuple[bool, str]:
    """Whether the run ended as it should, and what it said if not."""
    last = " | ".join(job.words[-2:])
    if any("Traceback" in w for w in job.words):
        return False, f"a traceback, exit code {code}: {last}"
    if code == 0:
        return True, ""
    return not fault.survives, f"exit code {code}: {last}"


@contextmanager
def _own_disk(folder: Path, *, wanted: bool) -> Iterator[None]:
    """A small file system in memory; needs the right to mount one.

    Raises:
        Missed: there is no such right.
    """
    if not wanted:
        yield
        return
    options = f"size={DISK_BYTES}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "montage-faults", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missed from error
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)


def make_material(folder: Path) -> Path:
    """Four clips and a click track, once."""
    import wave

    import numpy as np

    from montage_dask.media.ffmpeg import run_ffmpeg

    track, footage = folder / "track.wav", folder / "footage"
    if track.exists():
        return folder
    footage.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        picture = f"testsrc2=size=160x90:rate=25:duration=2.4,hue=h={60 * number}"
        path = footage / f"c{number}.mp4"
        run_ffmpeg(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", str(path)], about=path)  # fmt: skip
    rate = 44_100
    time_seconds = np.arange(6 * rate) / rate
    clicks = np.sin(2 * np.pi * 80 * time_seconds) * np.exp(-(time_seconds % 0.5) * 30)
    with wave.open(str(track), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((clicks * 20_000).astype("<i2").tobytes())
    return folder


def _table(results: Sequence[Result]) -> str:
    """The rounds of each fault together."""
    rows = []
    for name, fault in FAULTS.items():
        own = [r for r in results if r.fault == name]
        if own:
            count = len(own)
            rows.append(
                [
                    fault.what, f"{count}", f"{sum(r.same for r in own)}", f"{sum(r.as_told for r in own)}",
                    f"{sum(r.orphans for r in own)}", f"{sum(r.leftovers for r in own)}",
                    f"{max(r.silence_seconds for r in own):.0f}",
                ]
            )  # fmt: skip
    header = ["fault", "rounds", "same video", "ended as it should", "orphans", "leftovers", "longest silence, s"]  # fmt: skip
    return table(header, rows)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
