"""What the picture half does on footage whose truth is known: what is found, what an edit shows, and what looking costs.

Clips are made with walkers and faces whose boxes are known, titles, cards, black and blur whose times are known, and one copy.
With `--media` the labelled real clips join them. The edits are those of `Job.edit`; their figures are those of the judge, with
the truth in place of what the analysis says. Nothing is rendered.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.measure import say, table
from benchmarks.picture_clips import RATE, Box, Truth, make_clips
from montage_dask.api.job import Job
from montage_dask.api.timeline import Timeline
from montage_dask.edit.reframe import reframed, seconds_of
from montage_dask.evaluation.figures import Figures, figures_of
from montage_dask.records import Shot, Source, Subject, Unusable

LABELS = Path(__file__).parents[1] / "tests" / "benchmarks" / "real_clips.json"
GRAPHICS = ("text", "card")
SLOT_SECONDS = 0.5
LOOK_FRAMES = 12


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks picture", description=__doc__)
    parser.add_argument("--media", type=Path, help="folder with the labelled real clips")
    parser.add_argument(
        "--music", nargs="*", type=Path, default=[], help="tracks; else one is made"
    )
    parser.add_argument("--pictures", type=Path, help="folder of photographs for what is made")
    parser.add_argument("--styles", nargs="*", default=["music-video", "travel"])
    parser.add_argument("--keep", type=Path, help="folder for clips and their analysis, used again")
    parser.add_argument("--duration", type=float, default=30.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        pictures = sorted(options.pictures.glob("*.jpg")) if options.pictures else []
        say("making clips")
        sets = {"made": make_clips(folder / "made", pictures)}
        if options.media:
            sets["real"] = labelled_clips(options.media)
        tracks = options.music or [_track(folder)]
        for name, clips in sets.items():
            edits = _edits(clips, tracks, options, folder)
            truth = {str(p.resolve()): t for p, t in clips.items()}
            print(f"\n**{name}**: {len(clips)} clips\n")
            print(_detected(edits[0][1], truth))
            print(_subjects(edits[0][1], truth))
            print(_edited(edits, truth))
        print(_cost([p for clips in sets.values() for p in clips]))
    return 0


def labelled_clips(folder: Path) -> dict[Path, Truth]:
    """The real clips of a folder that are labelled, by path: those whose size is the one that was labelled.

    Raises:
        SystemExit: there is none of them.
    """
    found = {}
    for name, label in json.loads(LABELS.read_text("utf-8")).items():
        path = folder / name
        if path.is_file() and path.stat().st_size == label["bytes"]:
            junk = tuple((str(k), float(a), float(b)) for k, a, b in label["junk"])
            unclear = tuple((float(a), float(b)) for a, b in label["unclear"])
            found[path] = Truth(junk, unclear, content=label["content"])
    if not found:
        raise SystemExit(f"{folder}: none of the labelled clips is there")
    return found


def _track(folder: Path) -> Path:
    from montage_dask.media.demo_music import write_track

    path = folder / "track.wav"
    if not path.exists():
        write_track(path)
    return path


def _edits(
    clips: Mapping[Path, Truth], tracks: Sequence[Path], options: argparse.Namespace, folder: Path
) -> list[tuple[str, Timeline]]:
    made = []
    for style in options.styles:
        for track in tracks:
            for size in ("640x360", "360x640"):
                say(f"{style}, {track.name}, {size}")
                job = Job(
                    [str(p) for p in clips], track, output=folder / "montage.mp4", style=style, size=size,
                    store=folder / "store", fit="cover", duration=options.duration, n_workers=1, performance_report=False,
                )  # fmt: skip
                made.append((f"{style} {track.stem} {size}", job.edit()))
    return made


def clear_spans(truth: Truth) -> list[tuple[str, float, float]]:
    """The junk of a clip without what is unclear."""
    spans = list(truth.junk)
    for first, last in truth.unclear:
        left = [(k, a, min(b, first)) for k, a, b in spans if a < first]
        spans = left + [(k, max(a, last), b) for k, a, b in spans if b > last]
    return [s for s in spans if s[2] - s[1] > 1e-6]


def true_shot(shot: Shot, truth: Truth) -> Shot:
    """A shot with the truth in place of what the analysis says of junk and subjects."""
    start, stop = float(shot.start_seconds), float(shot.stop_seconds)
    rate = (shot.stop_frame - shot.start_frame) / max(1e-9, stop - start)
    spans = []
    for kind, a, b in clear_spans(truth):
        a, b = max(a, start), min(b, stop)
        if b > a:
            frames = (shot.start_frame + round((v - start) * rate) for v in (a, b))
            spans.append(Unusable(kind, *frames, Fraction(a), Fraction(b)))
    subjects = []
    for frame in range(shot.start_frame, shot.stop_frame, LOOK_FRAMES):
        box = box_at(truth, seconds_of(shot, frame))
        if box is not None:
            subjects.append(Subject(frame, "face" if truth.face else "moving", *box, 1.0))
    return replace(shot, unusable=tuple(spans), subjects=tuple(subjects))


def box_at(truth: Truth, seconds: float) -> Box | None:
    """Where the subject is at a time, within the picture; None where it is not known or mostly outside."""
    frame = round(seconds * RATE)
    if (
        truth.boxes is None
        or not 0 <= frame < len(truth.boxes)
        or (box := truth.boxes[frame]) is None
    ):
        return None
    x, y = max(0.0, box[0]), max(0.0, box[1])
    wide, high = min(1.0, box[0] + box[2]) - x, min(1.0, box[1] + box[3]) - y
    inside = wide > 0 and high > 0 and wide * high >= 0.6 * box[2] * box[3]
    return (x, y, wide, high) if inside else None


def _detected(timeline: Timeline, truth: Mapping[str, Truth]) -> str:
    """By half seconds that lie in a shot and are clear."""
    counts = {kind: np.zeros(3, int) for kind in ("text and cards", "any kind")}
    slots = 0
    for shot in timeline.material.shots:
        true = truth[timeline.material.sources[shot.source].path]
        junk = clear_spans(true)
        at = float(shot.start_seconds)
        while at + SLOT_SECONDS <= float(shot.stop_seconds):
            a, b = at, at + SLOT_SECONDS
            at = b
            if any(x < b and y > a for x, y in true.unclear):
                continue
            slots += 1
            for name, kinds in (("text and cards", GRAPHICS), ("any kind", None)):
                there = _share([(x, y) for k, x, y in junk if kinds is None or k in kinds], a, b)
                said = _share(
                    [
                        (float(u.start_seconds), float(u.stop_seconds))
                        for u in shot.unusable
                        if kinds is None or u.kind in kinds
                    ],
                    a,
                    b,
                )
                if 0.2 < there < 0.8:
                    continue
                counts[name] += [
                    there >= 0.8 and said >= 0.5,
                    there <= 0.2 and said >= 0.5,
                    there >= 0.8 and said < 0.5,
                ]
    rows = [
        [
            name,
            str(right + missed),
            f"{right / max(1, right + wrong):.3f}",
            f"{right / max(1, right + missed):.3f}",
        ]
        for name, (right, wrong, missed) in counts.items()
    ]
    return table([f"found, of {slots} half seconds", "with it", "precision", "recall"], rows)


def _share(spans: Sequence[tuple[float, float]], start: float, stop: float) -> float:
    """Of [start, stop) that lies in spans."""
    total, end = 0.0, start
    for a, b in sorted(spans):
        a, b = max(a, end), min(b, stop)
        if b > a:
            total, end = total + b - a, b
    return total / (stop - start)


def _subjects(timeline: Timeline, truth: Mapping[str, Truth]) -> str:
    """A subject counts as found where the middle of a box that was found within half a second lies in the true one."""
    counts: dict[bool, list[bool]] = {True: [], False: []}
    for shot in timeline.material.shots:
        true = truth[timeline.material.sources[shot.source].path]
        blank = clear_spans(true)
        for wanted in true_shot(shot, true).subjects:
            at = seconds_of(shot, wanted.frame)
            if any(a <= at < b for _, a, b in blank):
                continue
            near = min(shot.subjects, key=lambda s: abs(s.frame - wanted.frame), default=None)
            counts[true.face].append(near is not None and _within(near, wanted))
    names = {True: "faces", False: "moving subjects"}
    rows = [[names[k], str(len(v)), f"{np.mean(v):.3f}"] for k, v in counts.items() if v]
    return table(["subjects", "looks with one", "recall"], rows) if rows else ""


def _within(found: Subject, wanted: Subject) -> bool:
    x, y = found.x + found.width / 2, found.y + found.height / 2
    near = abs(found.frame - wanted.frame) <= LOOK_FRAMES
    return near and 0 <= x - wanted.x <= wanted.width and 0 <= y - wanted.y <= wanted.height


def _edited(edits: Sequence[tuple[str, Timeline]], truth: Mapping[str, Truth]) -> str:
    rows = []
    for name, timeline in edits:
        figures, repeated, unseen = figures_by_truth(timeline, truth)
        rows.append(
            [
                name, f"{figures.junk_percent:.2f} %", ", ".join(figures.junk_places or ()) or "none",
                f"{repeated:.2f} %", f"{unseen:.0f} s", _or_dash(figures.subject_kept_percent, " %"),
                _or_dash(figures.subject_kept_centre_percent, " %"),
                ", ".join(f"{r:.2f}" for r in figures.drop_ranks or ()) or "–",
                _or_dash(None if figures.end_seconds is None else 1000 * figures.end_seconds, " ms"),
                _or_dash(figures.fade_share, ""), f"{figures.clips_shown}/{figures.clips_given}",
            ]
        )  # fmt: skip
    header = [
        "edit", "junk", "on junk", "repeated", "unseen", "subject kept", "in the centre", "drop ranks", "end off", "fade",
        "clips",
    ]  # fmt: skip
    return table(header, rows)


def _or_dash(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:.3g}{unit}"


def figures_by_truth(
    timeline: Timeline, truth: Mapping[str, Truth]
) -> tuple[Figures, float, float]:
    """The judge's figures by what is true; percent of the screen time that repeats content; usable seconds never shown.

    Args:
        timeline: of `Job.edit`.
        truth: by resolved path.
    """
    sources = timeline.material.sources
    true = {identity: truth[source.path] for identity, source in sources.items()}
    shots = [true_shot(s, true[s.source]) for s in timeline.material.shots]
    # As rendering does it: the crop follows what the analysis has found, and is measured by what is there.
    record = reframed(timeline.record, timeline.material.shots, sources, fit="cover")
    figures = figures_of(record, shots, sources, timeline.music.record, fit="cover")
    repeated, unseen = _repeated(timeline, sources, true)
    return figures, repeated, unseen


def _repeated(
    timeline: Timeline, sources: Mapping[str, Source], true: Mapping[str, Truth]
) -> tuple[float, float]:
    shown: dict[str, list[tuple[float, float]]] = {}
    again = 0.0
    for event in timeline.record.events:
        start = float(event.in_seconds)
        stop = start + float(event.frames / timeline.record.fps * event.speed)
        spans = shown.setdefault(true[event.source].content, [])
        twice = (stop - start) * _share(spans, start, stop)
        # Neighbouring parts that meet in one frame show nothing twice.
        again += twice / float(event.speed) if twice > 0.05 else 0.0
        spans.append((start, stop))
    usable: dict[str, float] = {}
    for identity, one in true.items():
        length = float(sources[identity].duration_seconds)
        gone = [(a, b) for _, a, b in one.junk] + list(one.unclear) + shown.get(one.content, [])
        usable[one.content] = length * (1 - _share(gone, 0.0, length))
    return 100 * again / float(timeline.record.duration_seconds), sum(usable.values())


def _cost(paths: Sequence[Path]) -> str:
    """Of looking, without decoding and scaling, on one thread."""
    from montage_dask.analysis import looks
    from montage_dask.analysis.small_pictures import SmallPictures
    from montage_dask.media.decode import decode_frames
    from montage_dask.media.probe import probe

    rows, total, all_frames = [], 0.0, 0
    for path in paths:
        source, index = probe(path)
        scale, look, spent = SmallPictures(source), looks.Looks(source), 0.0
        for number, frame in decode_frames(source, index, 0, len(index), one_field=True):
            if number % looks.step(source.frame_rate) == 0:
                still, thumbnail = scale.still(frame), scale.thumbnail(frame)
                began = time.process_time()
                look(number, still, thumbnail)
                spent += time.process_time() - began
        total, all_frames = total + spent, all_frames + len(index)
        rows.append([path.name, str(len(index)), f"{1000 * spent / max(1, len(index)):.3f}"])
    rows.append(["**all**", str(all_frames), f"**{1000 * total / max(1, all_frames):.3f}**"])
    return table(["looking", "frames", "CPU-ms a frame"], rows)
