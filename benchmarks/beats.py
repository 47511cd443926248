"""Beats of the network, of the flux tracker and of librosa.beat.beat_track as it comes: accuracy, octaves, CPU, memory.

Every run is a process of its own and includes decoding. The truth of given music is the `.beats`
file beside it (seconds per line, and the place in the bar where it is known); the rendered tracks know theirs exactly.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import fretsonfire
from benchmarks.measure import measure, say
from benchmarks.synth_music import RATE, STYLES, Style, render
from montage_dask_training.beat_figures import AROUND_SECONDS, judged, mean

TRACKERS = ("network", "flux", "librosa")
COLUMNS = (
    "F ±70 ms",
    "F ±35 ms",
    "downbeats F",
    "offset ms",
    "tempo",
    "CPU s, whole process",
    "warm",
    "peak MB",
)

Truth = tuple[np.ndarray, np.ndarray | None]
"""Beats, and first beats of bars where they are known, in seconds."""


def main(arguments: list[str]) -> None:
    """Run all and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks beats", description=__doc__)
    parser.add_argument("music", nargs="*", type=Path, help="audio files with .beats beside them")
    parser.add_argument("--fretsonfire", type=Path, help="folder of songs: see fretsonfire.py")
    parser.add_argument("--styles", action="store_true", help="also all rendered styles")
    parser.add_argument("--minutes", type=int, nargs="*", default=[3, 60], help="rendered tracks")
    parser.add_argument("--one", nargs=2, metavar=("TRACKER", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(_one(*chosen.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        tracks = [(m.stem, m, _read(m.with_suffix(".beats"))) for m in chosen.music]
        if chosen.fretsonfire:
            found = fretsonfire.songs(chosen.fretsonfire, Path(folder))
            tracks.extend((name, path, (beats, None)) for name, path, beats in found)
        if chosen.styles:
            tracks.extend(_rendered([style], Path(folder), style.name) for style in STYLES)
        for minutes in chosen.minutes:
            styles = [STYLES[i % len(STYLES)] for i in range(minutes)]
            tracks.append(_rendered(styles, Path(folder), f"rendered, {minutes} min"))
        print("| music | tracker | " + " | ".join(COLUMNS) + " |")
        print("|---|---|" + "---:|" * len(COLUMNS))
        rows: dict[str, list[dict[str, Any]]] = {tracker: [] for tracker in TRACKERS}
        for name, path, truth in tracks:
            for tracker in TRACKERS:
                row, shown = _row(tracker, path, truth)
                rows[tracker].append(row)
                print(f"| {name} | {tracker} | " + " | ".join(shown) + " |")
                sys.stdout.flush()
    print(
        "\n| all | tracks | F ±70 ms | downbeats F | offset ms | correct tempo | double | half | other |"
    )
    print("|---|" + "---:|" * 8)
    for tracker, found in rows.items():
        all_ = mean(found)
        down = "-" if all_["downbeats"] is None else f"{all_['downbeats']:.3f}"
        counts = " | ".join(str(n) for n in all_["octaves"].values())
        print(
            f"| {tracker} | {len(found)} | {all_['beats']:.3f} | {down} | {all_['offset_ms']} | {counts} |"
        )


def _read(path: Path) -> Truth:
    rows = np.loadtxt(path, ndmin=2)
    return rows[:, 0], rows[rows[:, 1] == 1, 0] if rows.shape[1] > 1 else None


def _rendered(styles: list[Style], folder: Path, name: str) -> tuple[str, Path, Truth]:
    """Styles one after the other in one file, and the beats of all."""
    path = folder / f"{name}.wav".replace(" ", "_")
    truth, first, start = [], [], 0.0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for seed, style in enumerate(styles):
            samples, beats, places = render(style, seed)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
            truth.append(beats + start)
            first.append(beats[places == 1] + start)
            start += len(samples) / RATE
    return name, path, (np.concatenate(truth), np.concatenate(first))


def _row(tracker: str, path: Path, truth: Truth) -> tuple[dict[str, Any], list[str]]:
    """Figures of one tracker on one track, and how they are shown."""
    import mir_eval.beat

    say(f"{path.stem}: {tracker}")
    used = measure([sys.executable, "-m", "benchmarks.beats", "--one", tracker, str(path)])
    result = json.loads(used.output.splitlines()[-1])
    beats, first = np.array(result["beats"]), np.array(result["first"])
    inside = beats[(beats > truth[0][0] - AROUND_SECONDS) & (beats < truth[0][-1] + AROUND_SECONDS)]
    row = judged(beats, first, *truth)
    if tracker == "librosa":
        row["downbeats"] = None  # it finds none
    return row, [
        f"{mir_eval.beat.f_measure(truth[0], inside, 0.07):.3f}",
        f"{mir_eval.beat.f_measure(truth[0], inside, 0.035):.3f}",
        "-" if row["downbeats"] is None else f"{row['downbeats']:.3f}",
        f"{row['offset_ms']:+.1f}",
        row["octave"],
        f"{used.cpu_seconds:.2f}",
        f"{result['warm_cpu_seconds']:.2f}",
        f"{result['peak_mb']:.0f}",
    ]


def _one(tracker: str, path: str) -> dict[str, object]:
    """One tracker on one file, twice: the second time all is loaded."""
    beats, first = _tracked(tracker, path)
    began = time.process_time()
    _tracked(tracker, path)
    return {
        "beats": [float(b) for b in beats],
        "first": [float(b) for b in first],
        "warm_cpu_seconds": time.process_time() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def _tracked(tracker: str, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Beats and first beats of bars, seconds."""
    if tracker == "librosa":
        import librosa
        from librosa.beat import beat_track

        samples, rate = librosa.load(path, sr=22050)
        return beat_track(y=samples, sr=rate, units="time")[1], np.zeros(0)
    from montage_dask.analysis.onset import onset_envelopes
    from montage_dask.analysis.tempo import pulse, tempo_path
    from montage_dask.media.audio import mono_blocks

    envelopes = onset_envelopes(mono_blocks(path))
    strength = pulse(envelopes)
    if tracker == "network":
        from montage_dask.analysis.beat_network import network
        from montage_dask.analysis.decoding import decode_bars, decode_beats

        net = network()
        logits = net(envelopes.mel)
        beats = decode_beats(
            logits[:, 0] + np.float32(net.lift), strength, envelopes.samples, envelopes
        )
        return beats, beats[decode_bars(logits, beats).downbeats]
    from montage_dask.analysis.bars import find_bars
    from montage_dask.analysis.octave import settle_octave

    _, beats = settle_octave(envelopes, strength, tempo_path(strength))
    return beats, beats[find_bars(envelopes, beats).downbeats]


if __name__ == "__main__":
    main(sys.argv[1:])
