"""What the guard tells: false alarms over random edits of real footage, wrong pictures of many kinds, and what it costs.

Each edit has its own fit, size, grade, quality, speeds, transitions and colour matches. It is rendered once; then its claims, or
its pictures, are changed. An event counts as told when the guard names it. Steps in time are told apart by what the thumbnails
show: where none of an event's frames differs by the step in more than the tolerance, nobody can tell it from them.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.measure import say, table
from montage_dask.analysis.strip import Strip, write_window
from montage_dask.errors import MediaError, PictureMismatch
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.media.windows import split_windows
from montage_dask.records import CUT, Event, Match, Transition
from montage_dask.render.grade import PRESETS
from montage_dask.render.guard import ENCODED_DEAD, Claim, check_segment
from montage_dask.render.mapping import shown_frames
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.verdict import LEAST_STEP

WINDOW_FRAMES = 500
SIZES = ((640, 360), (640, 360), (360, 640), (480, 480), (1280, 720))
KINDS = ("cut", "cut", "crossfade", "dip-to-black", "dip-to-white")
SPEEDS = (Fraction(1), Fraction(1), Fraction(1, 2), Fraction(3, 2), Fraction(2))
QUALITIES = (("h264", "preview"), ("h264", "preview"), ("h264", "standard"), ("h264", "high"))
FPS = Fraction(25)

FILTERS: Mapping[str, str] = {
    "hue by 20°": "hue=h=20",
    "hue by 60°": "hue=h=60",
    "half the saturation": "eq=saturation=0.5",
    "gamma 1.3": "eq=gamma=1.3",
    "crop by 5 %": "crop=iw*0.95:ih*0.95,scale=iw/0.95:ih/0.95",
    "moved by 4 %": "crop=iw*0.96:ih:iw*0.04:0,pad=iw/0.96:ih:0:0",
    "mirrored": "hflip",
    "green": "geq=lum=81:cb=90:cr=34",
    "torn: green below 3/4": "drawbox=0:ih*3/4:iw:ih/4:color=0x00c000:t=fill",
}
"""What is done to rendered pictures."""

Told = dict[str, list[bool]]


def main(arguments: Sequence[str]) -> int:
    """Measure, and print markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks guard", description=__doc__)
    parser.add_argument("footage", type=Path, help="a folder of clips")
    parser.add_argument("--segments", type=int, default=40)
    parser.add_argument("--attacked", type=int, default=10, help="segments that are changed, too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder), options.footage, options.segments, options.attacked, options.seed)
    return 0


def _claims(footage: Path, folder: Path) -> dict[str, Claim]:
    found: dict[str, Claim] = {}
    for path in sorted(p for p in footage.iterdir() if p.is_file()):
        try:
            source, index = probe(path)
        except MediaError as error:
            say(str(error))
            continue
        place = folder / source.identity
        for window in split_windows(source.frames, WINDOW_FRAMES):
            write_window(source, index, window, WINDOW_FRAMES, place)
        found[source.identity] = Claim(source, index, Strip(place))
    return found


def _edit(rng: random.Random, claims: Mapping[str, Claim], size: tuple[int, int]) -> Segment:
    events: list[Event] = []
    at = 0
    while len(events) < 5:
        claim = claims[rng.choice(list(claims))]
        frames, speed = rng.randint(12, 60), rng.choice(SPEEDS)
        room = claim.index.duration_seconds - (frames + 20) / FPS * speed
        if room <= 0:
            continue
        kind = rng.choice(KINDS) if events else "cut"
        transition = CUT if kind == "cut" else Transition(kind, 2 * rng.randint(1, frames // 6))
        begin = Fraction(rng.randint(0, 10_000), 10_000) * room + 10 / FPS * speed
        match = None
        if rng.random() < 0.2:
            match = Match(
                (rng.randint(8000, 11000), 300, 0, 0, 10000, 200, 0, 0, rng.randint(8000, 12000)),
                (rng.randint(-300, 300), 0, rng.randint(-300, 300)),
            )
        identity = claim.source.identity
        events.append(Event(at, at + frames, identity, 0, begin, speed, transition, match=match))
        at += frames
    return Segment(tuple(events), FPS, *size, fade_out_frames=rng.choice([0, 10]))


def _measure(folder: Path, footage: Path, count: int, attacked: int, seed: int) -> None:
    rng = random.Random(seed)
    say("strips")
    claims = _claims(footage, folder / "strips")
    sources = {k: c.source for k, c in claims.items()}
    indexes = {k: c.index for k, c in claims.items()}
    encode_seconds = guard_seconds = worst = 0.0
    events = suspected = alarms = 0
    told: Told = defaultdict(list)
    for number in range(count):
        size, fit = rng.choice(SIZES), rng.choice(["cover", "contain", "blur"])
        grade, quality = rng.choice(list(PRESETS)), rng.choice(QUALITIES)
        segment = _edit(rng, claims, size)
        path, tap = folder / f"{number}.mp4", folder / f"{number}.tap"
        before = os.times()
        render_segment(
            segment, sources, indexes, path,
            fit=fit, grade=grade, encoding=encoding(*quality), work=folder, tap=tap,
        )  # fmt: skip
        after = os.times()
        encode_seconds += sum(after[:4]) - sum(before[:4])

        def wrong(
            segment: Segment, path: Path, closely: bool = True, fit: str = fit, grade: str = grade,
            tap: Path = tap,
        ) -> set[int]:  # fmt: skip
            nonlocal worst
            try:
                record = check_segment(
                    segment, path, tap, claims, fit=fit, grade=grade, closely=closely
                )
            except PictureMismatch as error:
                return {m.number for m in error.found}
            worst = max(worst, record["worst"])
            return set()

        began = time.process_time()
        first = wrong(segment, path, False)
        guard_seconds += time.process_time() - began
        events += len(segment.events)
        suspected += len(first)
        if first and (last := wrong(segment, path)):
            alarms += len(last)
            say(
                f"FALSE ALARM: segment {number}, {fit}, {grade}, {quality}, {size}: events {sorted(last)}"
            )
        if number < attacked:
            say(f"segment {number}")
            _attack(segment, path, claims, wrong, grade, told)
        path.unlink()
    share = guard_seconds / encode_seconds
    print(
        f"{events} events of {count} segments, seed {seed}: {suspected} looked at closely, {alarms} false alarms,"
    )
    print(f"Encoding {encode_seconds:.1f} CPU s, guard {guard_seconds:.1f} ({share:.1%}).\n")
    rows = [[name, str(len(v)), f"{np.mean(v):.0%}"] for name, v in told.items()]
    print(table(["what is wrong", "events", "told"], rows))


def _attack(
    segment: Segment,
    path: Path,
    claims: Mapping[str, Claim],
    wrong: Callable[..., set[int]],
    grade: str,
    told: Told,
) -> None:
    numbers = range(len(segment.events))
    for frames in (1, 3, 10):
        for sign in (-1, 1):
            moved = [
                replace(
                    e, in_seconds=e.in_seconds + sign * frames / claims[e.source].source.frame_rate
                )
                for e in segment.events
            ]
            named = wrong(replace(segment, events=tuple(moved)), path, False)
            for n in numbers:
                can = _differs(segment, n, claims, sign * frames)
                told[
                    f"{frames} frames off, {'thumbnails differ' if can else 'thumbnails are alike'}"
                ].append(n in named)
    names = list(claims)
    other = [
        replace(e, source=names[(names.index(e.source) + 1) % len(names)], in_seconds=Fraction(1))
        for e in segment.events
    ]
    named = wrong(replace(segment, events=tuple(other)), path, False)
    told["another clip"] += [n in named for n in numbers]
    if grade != "none":
        named = wrong(segment, path, False, grade="none")
        told["its grade is none"] += [n in named for n in numbers]
    for name, filters in FILTERS.items():
        changed = path.with_stem("changed")
        run_ffmpeg(
            ["-i", str(path), "-vf", filters, "-c:v", "libx264", "-crf", "18", "-preset", "ultrafast",
             "-force_key_frames", "expr:" + "+".join(f"eq(n,{e.start_frame})" for e in segment.events), str(changed)],
            about=path,
        )  # fmt: skip
        named = wrong(segment, changed, False)
        told[name] += [n in named for n in numbers]


def _differs(segment: Segment, number: int, claims: Mapping[str, Claim], step: int) -> bool:
    """Whether thumbnails of an event tell a step in time, by the guard's tolerance."""
    event = segment.events[number]
    claim = claims[event.source]
    shown = shown_frames(claim.index, event, segment.fps)
    low, high = max(0, min(shown) - abs(step)), min(claim.strip.frames, max(shown) + abs(step) + 1)
    thumbnails = claim.strip.thumbnails(low, high).astype(np.int16)
    best = 0.0
    for frame in set(shown):
        if low <= frame + step < high:
            apart = np.abs(thumbnails[frame + step - low] - thumbnails[frame - low])
            best = max(
                best, float(np.sqrt(np.mean(np.where(apart > ENCODED_DEAD, apart, 0) ** 2.0)))
            )
    return best >= 2 * LEAST_STEP
