"""Beats of the own tracker against librosa.beat.beat_track as it comes: accuracy, CPU, memory.

Every run is a process of its own and includes decoding. The truth of given music is the `.beats`
file beside it (seconds per line); the rendered tracks know theirs exactly.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np

from benchmarks.measure import measure, say
from benchmarks.synth_music import RATE, STYLES, Style, render

TRACKERS = ("own", "librosa")
COLUMNS = ("F ±70 ms", "F ±35 ms", "offset ms", "CPU s, whole process", "peak MB")


def main(arguments: list[str]) -> None:
    """Run all and print a markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks beats", description=__doc__)
    parser.add_argument("music", nargs="*", type=Path, help="audio files with .beats beside them")
    parser.add_argument("--styles", action="store_true", help="also all rendered styles")
    parser.add_argument("--minutes", type=int, nargs="*", default=[3, 60], help="rendered tracks")
    parser.add_argument("--one", nargs=2, metavar=("TRACKER", "FILE"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(_one(*chosen.one)))
        return
    with tempfile.TemporaryDirectory() as folder:
        tracks = [
            (m.stem, m, np.loadtxt(m.with_suffix(".beats"), ndmin=2)[:, 0]) for m in chosen.music
        ]
        if chosen.styles:
            tracks.extend(_rendered([style], Path(folder), style.name) for style in STYLES)
        for minutes in chosen.minutes:
            styles = [STYLES[i % len(STYLES)] for i in range(minutes)]
            tracks.append(_rendered(styles, Path(folder), f"rendered, {minutes} min"))
        print("| music | tracker | " + " | ".join(COLUMNS) + " |")
        print("|---|---|" + "---:|" * len(COLUMNS))
        for name, path, truth in tracks:
            for tracker in TRACKERS:
                print(f"| {name} | {tracker} | " + " | ".join(_row(tracker, path, truth)) + " |")
                sys.stdout.flush()


def _rendered(styles: list[Style], folder: Path, name: str) -> tuple[str, Path, np.ndarray]:
    """Styles one after the other in one file, and the beats of all."""
    path = folder / f"{name}.wav".replace(" ", "_")
    truth, start = [], 0.0
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for seed, style in enumerate(styles):
            samples, beats, _ = render(style, seed)
            file.writeframes((samples * 32767).astype("<i2").tobytes())
            truth.append(beats + start)
            start += len(samples) / RATE
    return name, path, np.concatenate(truth)


def _row(tracker: str, path: Path, truth: np.ndarray) -> list[str]:
    import mir_eval.beat

    say(f"{path.stem}: {tracker}")
    used = measure([sys.executable, "-m", "benchmarks.beats", "--one", tracker, str(path)])
    result = json.loads(used.output.splitlines()[-1])
    beats = np.array(result["beats"])
    beats = beats[beats < truth[-1] + 0.2]
    errors = [1000 * float(min(truth - b, key=abs)) for b in beats]
    near = [-e for e in errors if abs(e) < 70]
    return [
        f"{mir_eval.beat.f_measure(truth, beats, 0.07):.3f}",
        f"{mir_eval.beat.f_measure(truth, beats, 0.035):.3f}",
        f"{statistics.median(near):+.1f}" if near else "-",
        f"{used.cpu_seconds:.2f}",
        f"{result['peak_mb']:.0f}",
    ]


def _one(tracker: str, path: str) -> dict[str, object]:
    """One tracker on one file."""
    if tracker == "own":
        from montage_dask.analysis.octave import settle_octave
        from montage_dask.analysis.onset import onset_envelopes
        from montage_dask.analysis.tempo import pulse, tempo_path
        from montage_dask.media.audio import mono_blocks

        envelopes = onset_envelopes(mono_blocks(path))
        strength = pulse(envelopes)
        _, beats = settle_octave(envelopes, strength, tempo_path(strength))
    else:
        import librosa
        from librosa.beat import beat_track

        samples, rate = librosa.load(path, sr=22050)
        _, beats = beat_track(y=samples, sr=rate, units="time")
    return {
        "beats": [float(b) for b in beats],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


if __name__ == "__main__":
    main(sys.argv[1:])
