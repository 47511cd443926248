"""The parts of shots that may be shown: what is between titles, cards, black and fades. A good shot is used around its title."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from montage_dask.records import Shot, Unusable

LEAST_SECONDS = Fraction(3, 5)
"""A part that is shorter than this between two others that are left out is left out, too."""

FADES_SECONDS: Mapping[str, tuple[Fraction, Fraction]] = {
    "text": (Fraction(4, 5), Fraction(1, 2)),
    "card": (Fraction(0), Fraction(1, 2)),
}
"""Before and behind a stretch of a kind: a title fades in and out, and what is half transparent is not yet told as one."""

WORDS: Mapping[str, str] = {
    "text": "text is laid over it",
    "card": "it shows cards or graphics",
    "black": "it is black",
    "white": "it is white",
    "empty": "it shows nothing",
    "frozen": "the picture stands still",
    "fade": "it fades",
    "blur": "it is out of focus",
}
"""What is said of each kind of `Unusable`."""

ALL = "all"
"""Allows every kind."""


@dataclass(frozen=True, slots=True)
class Usable:
    """What may be shown, and what is said about the rest."""

    shots: tuple[Shot, ...]
    """Parts of shots, in the order of the shots; whole shots where nothing is left out."""
    notes: tuple[str, ...] = ()


def usable_parts(shots: Sequence[Shot], allow: Collection[str] = ()) -> tuple[Shot, ...]:
    """The parts of shots without what is no footage.

    Args:
        shots: with `unusable`.
        allow: kinds that may be shown all the same.
    """
    return tuple(part for shot in shots for part in _parts(shot, allow))


def choose_usable(shots: Sequence[Shot], allow: Collection[str] = ()) -> Usable:
    """What an edit may choose from; all of it, with a word, where nothing would be left.

    Args:
        shots: what selectors leave.
        allow: kinds that may be shown all the same.
    """
    parts = usable_parts(shots, allow)
    if not parts:
        kinds = _kinds(shots, allow)
        return Usable(
            tuple(shots),
            (
                f"all of the footage is of a kind that is left out ({kinds}): it is shown all the same",
            ),
        )
    lost = sum((s.duration_seconds for s in shots), Fraction()) - sum(
        (p.duration_seconds for p in parts), Fraction()
    )
    note = f"{float(lost):.1f} s of the footage are left out: {_kinds(shots, allow)}"
    return Usable(parts, (note,) if lost > 0 else ())


def reason_of(shots: Sequence[Shot], allow: Collection[str] = ()) -> str:
    """Why no part of these shots may be shown, and how to have them all the same: by the kind that takes most of them."""
    most = max(_seconds(shots, allow).items(), key=lambda item: item[1], default=("", Fraction()))[
        0
    ]
    if most not in WORDS:
        return "no part of it is long enough"
    return f"{WORDS[most]} (--allow {most} takes it)"


def _kinds(shots: Sequence[Shot], allow: Collection[str]) -> str:
    seconds = _seconds(shots, allow)
    ordered = sorted(seconds, key=lambda kind: (-seconds[kind], kind))
    return ", ".join(f"{kind} {float(seconds[kind]):.1f} s" for kind in ordered)


def _seconds(shots: Sequence[Shot], allow: Collection[str]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for shot in shots:
        for span in refused(shot, allow):
            found.setdefault(span.kind, Fraction())
            found[span.kind] += span.stop_seconds - span.start_seconds
    return found


def refused(shot: Shot, allow: Collection[str] = ()) -> list[Unusable]:
    """The stretches of a shot that are left out."""
    if ALL in allow:
        return []
    return [span for span in shot.unusable if span.kind not in allow]


def _parts(shot: Shot, allow: Collection[str]) -> list[Shot]:
    left_out = sorted(refused(shot, allow), key=lambda s: s.start_frame)
    if not left_out:
        return [shot]
    parts = []
    frame, seconds = shot.start_frame, shot.start_seconds
    for span in left_out:
        before, behind = FADES_SECONDS.get(span.kind, (Fraction(0),) * 2)
        start, start_seconds = _moved(shot, span.start_frame, span.start_seconds, -before)
        stop, stop_seconds = _moved(shot, span.stop_frame, span.stop_seconds, behind)
        if start > frame:
            parts.append((frame, seconds, start, start_seconds))
        if stop > frame:
            frame, seconds = stop, stop_seconds
    if frame < shot.stop_frame:
        parts.append((frame, seconds, shot.stop_frame, shot.stop_seconds))
    return [_part(shot, *p) for p in parts if p[3] - p[1] >= LEAST_SECONDS]


def _moved(shot: Shot, frame: int, at: Fraction, by: Fraction) -> tuple[int, Fraction]:
    """A frame of a shot and its time, moved by so many seconds, within the shot."""
    rate = (shot.stop_frame - shot.start_frame) / shot.duration_seconds
    there = min(max(frame + round(by * rate), shot.start_frame), shot.stop_frame)
    return there, min(max(at + (there - frame) / rate, shot.start_seconds), shot.stop_seconds)


def _part(shot: Shot, start_frame: int, start: Fraction, stop_frame: int, stop: Fraction) -> Shot:
    step = shot.profile_step_frames
    first = round((start_frame - shot.start_frame) / step)
    count = -(-(stop_frame - start_frame) // step)

    def cut(profile: tuple[float, ...]) -> tuple[float, ...]:
        if not profile:
            return ()
        kept = profile[first : first + count] or profile[-1:]
        return kept + kept[-1:] * (count - len(kept))

    motion, quality = cut(shot.motion_profile), cut(shot.quality_profile)
    return replace(
        shot,
        start_frame=start_frame,
        stop_frame=stop_frame,
        start_seconds=start,
        stop_seconds=stop,
        motion_profile=motion,
        quality_profile=quality,
        motion=sum(motion) / len(motion) if motion else shot.motion,
        quality=sum(quality) / len(quality) if quality else shot.quality,
        boundary=shot.boundary if start_frame == shot.start_frame else None,
        boundary_seconds=shot.boundary_seconds if start_frame == shot.start_frame else None,
        unusable=(),
        subjects=tuple(s for s in shot.subjects if start_frame <= s.frame < stop_frame),
    )
