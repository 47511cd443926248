"""How well transitions are found: the network of `--detector auto` against TransNetV2 and the cheap rule, on material held out.

Transitions are made from the given clips and pictures, which the network must never have seen, by the generator of the training
with another seed, its held-out scenes and, for half of the wipes, shapes of which it knows none. Then the false alarms in the
clips themselves, where they have no cut; and what the network costs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.measure import measure, say, table
from montage_dask.analysis import scene_network, transnet
from montage_dask.analysis.features import Bytes
from montage_dask.analysis.scenes import detect_boundaries
from montage_dask.analysis.strip import Strip, create_strip, write_frames, write_window
from montage_dask.records import Boundary, Window
from montage_dask_training.matching import Counts, cells, matched
from montage_dask_training.scene_sequences import sequence, shooters
from montage_dask_training.scenes import HELD_OUT_DEMOS, HELD_OUT_DRAWN, TEST_KINDS

RATE = Fraction(25)


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks transitions", description=__doc__)
    parser.add_argument("--footage", nargs="*", default=[], help="clips without cuts")
    parser.add_argument("--pictures", nargs="*", default=[])
    parser.add_argument("--sequences", type=int, default=5, help="of each kind")
    parser.add_argument("--seed", type=int, default=2026, help="of what is made")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--without-accurate", action="store_true")
    parser.add_argument("--keep", type=Path, help="folder for strips and scores, used again")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.load:
        return _load()
    detectors = ("auto", "fast") if options.without_accurate else ("auto", "accurate", "fast")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        strips = [_strip_of(Path(c), folder / str(n)) for n, c in enumerate(options.footage)]
        print(_made(folder, strips, options, detectors))
        if strips:
            print(_uncut(strips, options, detectors))
    print(_cost())
    return 0


def _strip_of(path: Path, folder: Path) -> tuple[str, Strip, Fraction]:
    """The strip of a clip."""
    from montage_dask.media.probe import probe

    say(f"strip of {path.name}")
    source, index = probe(path)
    frames = len(index)
    if not (folder / "thumbnails" / "c").exists():
        create_strip(folder, frames, frames)
        write_window(source, index, Window(0, 0, frames), frames, folder)
    return path.name, Strip(folder), source.frame_rate


def _written(folder: Path, frames: Bytes) -> Strip:
    if not (folder / "thumbnails" / "c").exists():
        create_strip(folder, len(frames), len(frames))
        write_frames(folder, 0, frames, np.zeros(len(frames), np.float32), len(frames))
    return Strip(folder)


def _found(
    detector: str, strip: Strip, rate: Fraction, weights: Path | None
) -> tuple[Boundary, ...]:
    scores = strip.folder / transnet.scores_name(transnet.default_precision()) / "c"
    if detector == "accurate" and not scores.exists():
        transnet.write_scores(strip, Window(0, 0, strip.frames))
    mine = weights if detector == "auto" else None
    return detect_boundaries(strip, detector=detector, frame_rate=rate, weights=mine)


def _made(
    folder: Path,
    strips: Sequence[tuple[str, Strip, Fraction]],
    options: argparse.Namespace,
    detectors: Sequence[str],
) -> str:
    sources = [{"drawn": d} for d in HELD_OUT_DRAWN] + [{"demo": d} for d in HELD_OUT_DEMOS]
    inputs = {f"p{n}": str(p) for n, p in enumerate(options.pictures)}
    sources += [{"picture": name} for name in inputs]
    for number, (_, strip, _rate) in enumerate(strips):
        inputs[f"v{number}"] = str(strip.folder)
        # Half of the shots or more are real footage.
        sources += [{"video": f"v{number}", "segments": [[0, strip.frames]]}] * 4
    shoot = shooters(sources, inputs)
    rows = []
    counts = {(k, d): Counts() for k in TEST_KINDS for d in detectors}
    for place, kind in enumerate(TEST_KINDS):
        for number in range(options.sequences):
            say(f"{kind} {number + 1}")
            rng = np.random.default_rng([options.seed, place, number])
            frames, truth = sequence(rng, shoot, held_out_shapes=True, only=kind)
            strip = _written(folder / f"{kind}{number}", frames)
            told = [(t.kind, t.start, t.stop) for t in truth]
            for detector in detectors:
                found = _found(detector, strip, RATE, options.weights)
                counts[kind, detector] += matched(found, told, strip.frames)
    for (kind, detector), count in counts.items():
        rows.append([kind, detector, *cells(count.told())])
    head = (
        "made of",
        "detector",
        "there",
        "precision",
        "recall",
        "F1",
        "right kind",
        "overlap",
        "false / 1000",
    )
    return table(head, rows)


def _uncut(
    strips: Sequence[tuple[str, Strip, Fraction]],
    options: argparse.Namespace,
    detectors: Sequence[str],
) -> str:
    rows = []
    for name, strip, rate in strips:
        found = [_found(d, strip, rate, options.weights) for d in detectors]
        say(
            f"{name}: {[[(b.kind, b.start_frame, b.stop_frame, b.score) for b in f] for f in found]}"
        )
        rows.append([name, str(strip.frames), *(str(len(f)) for f in found)])
    return table(("uncut clip", "frames", *(f"boundaries by {d}" for d in detectors)), rows)


def _cost() -> str:
    """CPU time of a frame, and what loading takes, in a process of its own."""
    # One thread, as in the workers.
    alone = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    usage = measure([sys.executable, "-m", "benchmarks.transitions", "--load"], environment=alone)
    told = json.loads(usage.output)
    rows = [[f"{told[k]:g}" for k in ("ms_per_frame", "load_seconds", "megabytes", "kilobytes")]]
    return table(
        ("CPU-ms a frame", "import and load, CPU-s", "memory for it, MB", "weights, kB"), rows
    )


def _load() -> int:
    import psutil

    process = psutil.Process()
    memory, began = process.memory_info().rss, time.process_time()
    network = scene_network.network()
    loaded = time.process_time() - began
    frames = np.random.default_rng(1).integers(0, 255, (640, 27, 48, 3)).astype(np.uint8)
    network(frames)
    times = []
    for _ in range(5):
        began = time.process_time()
        network(frames)
        times.append((time.process_time() - began) / scene_network.BLOCK * 1000)
    told = {
        "ms_per_frame": round(min(times), 3),
        "load_seconds": round(loaded, 4),
        "megabytes": round((process.memory_info().rss - memory) / 1e6, 1),
        "kilobytes": round(scene_network.WEIGHTS.stat().st_size / 1e3),
        "torch": "torch" in sys.modules,
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
