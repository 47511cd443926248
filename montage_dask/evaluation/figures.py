"""The figures of a montage: what of it is junk, shown twice, off the beat, and what stands at its opening, drops and end.

All is worked out from the timeline and from what the analysis knows of footage and music; what is measured in the finished file
(sound, cuts) is given. What is not known is None, never a guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np

from montage_dask.edit.contents import TICKS_PER_SECOND, find_contents
from montage_dask.edit.phrases import phrase_starts
from montage_dask.edit.reframe import COVER, kept_share, seconds_of, window_of
from montage_dask.edit.roles import drops_of
from montage_dask.evaluation import view
from montage_dask.records import Event, Music, Shot, Source, Timeline

SYNCHRONY_SECONDS = 0.196
"""Of Mashup-Benchmark: a cut that is so far from its beat counts 1/e."""

CROPS = (COVER, "centre")
"""Fits that lose a part of pictures of other shapes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of one montage; None where a figure cannot be told."""

    junk_percent: float | None = None
    """Of the screen time that shows what is no footage (`Shot.unusable`, of any kind but fades)."""
    junk_places: tuple[str, ...] | None = None
    """Which of opening, drop and ending begin on junk."""
    mismatched_percent: float | None = None
    """Of the events whose pictures are not those that they claim to show."""
    subject_kept_percent: float | None = None
    """Of the area of the subjects' boxes that the crop leaves in the frame, mean over looks; None where nothing is cropped."""
    subject_kept_centre_percent: float | None = None
    """The same for a crop in the middle, to compare with."""
    repeated_percent: float | None = None
    """Of the screen time that shows a moment of content that was shown before, in this file or a duplicate of it."""
    subject_lost_percent: float | None = None
    """Of the events that show a subject, those in which it leaves the picture before the cut."""
    empty_percent: float | None = None
    """Of the screen time in which nobody is in view, nothing moves, and the camera stands."""
    weak_places: tuple[str, ...] | None = None
    """Which of opening, drop and ending show nothing for half of their time, or lose their subject."""
    takes_share: float | None = None
    """Takes that are shown for each event; 1 where none comes twice."""
    direction_flips_percent: float | None = None
    """Of the cuts with a moving subject on both sides, those at which its direction turns around."""
    drop_ranks: tuple[float, ...] | None = None
    """Of each drop's shot among those that are usable and long enough, by rise of action: 1 is the strongest, 0 the weakest."""
    end_seconds: float | None = None
    """From the end of the montage to the nearest bar line."""
    phrase_seconds: float | None = None
    """From the end of the montage to the nearest end of a phrase, or of the music."""
    fade_share: float | None = None
    """Of the last shot that fades out."""
    cut_error_ms: float | None = None
    """Mean distance of cuts from their beats."""
    synchrony: float | None = None
    """Mean of exp(−distance / 0.196 s) over all cuts, to the nearest beat."""
    clips_shown: int | None = None
    clips_given: int | None = None
    loudness_lufs: float | None = None
    true_peak_db: float | None = None


def figures_of(
    timeline: Timeline,
    shots: Sequence[Shot],
    sources: Mapping[str, Source],
    music: Music,
    *,
    mismatched: int | None = None,
    fit: str | None = None,
) -> Figures:
    """The figures of a montage that this project made.

    Args:
        timeline: the montage.
        shots: all of its footage, with `unusable` and `duplicate_group`.
        sources: by identity, of all clips that could be used.
        music: under it.
        mismatched: events that the guard found to show something else.
        fit: how pictures of other shapes were fitted; None: not known.
    """
    table = {(s.source, s.index): s for s in shots}
    known = [(e, table[e.source, e.shot]) for e in timeline.events if (e.source, e.shot) in table]
    whole = len(known) == len(timeline.events)
    errors = [abs(x) for e in timeline.events[1:] if (x := timeline.error_ms(e)) is not None]
    beats = music.confidence > 0
    following, middle = _subjects_kept(known, timeline, sources, fit)
    places = _places(known, timeline, music) if whole else {}
    return Figures(
        junk_percent=_percent(_junk(known, timeline), timeline) if whole else None,
        junk_places=tuple(n for n, one in places.items() if _junk([one], timeline) > 0.1)
        if whole
        else None,
        mismatched_percent=None
        if mismatched is None
        else round(100 * mismatched / len(timeline.events), 2),
        subject_kept_percent=following,
        subject_kept_centre_percent=middle,
        repeated_percent=_percent(_repeated(known, timeline), timeline) if whole else None,
        subject_lost_percent=view.lost_percent(known, timeline) if whole else None,
        empty_percent=view.empty_percent(known, timeline) if whole else None,
        weak_places=view.weak_places(places, timeline) if whole else None,
        takes_share=view.takes_share(known) if whole else None,
        direction_flips_percent=view.flips_percent(known, timeline) if whole else None,
        drop_ranks=_drop_ranks(known, timeline, shots, music) if whole and beats else None,
        end_seconds=_end(timeline, [*_bars(music), music.duration_seconds]) if beats else None,
        phrase_seconds=_end(timeline, [*phrase_starts(music), music.duration_seconds])
        if beats and music.downbeats
        else None,
        fade_share=round(timeline.fade_out_frames / timeline.events[-1].frames, 3),
        cut_error_ms=round(float(np.mean(errors)), 2) if errors and beats else None,
        synchrony=_synchrony(timeline, music) if beats else None,
        clips_shown=len({e.source for e in timeline.events}),
        clips_given=len(sources),
    )


def told(figures: Figures) -> dict[str, Any]:
    """Figures as JSON."""
    found: dict[str, Any] = {}
    for field in fields(figures):
        value = getattr(figures, field.name)
        found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def _percent(seconds: float, timeline: Timeline) -> float:
    return round(100 * seconds / float(timeline.duration_seconds), 2)


def _span(event: Event, timeline: Timeline) -> tuple[Fraction, Fraction]:
    """What an event shows of its source, in seconds of it."""
    return event.in_seconds, event.in_seconds + event.frames / timeline.fps * event.speed


def _junk(known: Sequence[tuple[Event, Shot]], timeline: Timeline) -> float:
    """Screen seconds on junk."""
    total = 0.0
    for event, shot in known:
        start, stop = _span(event, timeline)
        end = start
        for span in sorted(shot.unusable, key=lambda s: s.start_seconds):
            if span.kind == "fade":
                continue
            first, last = max(span.start_seconds, end), min(span.stop_seconds, stop)
            if last > first:
                shown = event.frame_at(last, timeline.fps) - event.frame_at(first, timeline.fps)
                total += float(shown / timeline.fps)
                end = last
    return total


def _subjects_kept(
    known: Sequence[tuple[Event, Shot]],
    timeline: Timeline,
    sources: Mapping[str, Source],
    fit: str | None,
) -> tuple[float | None, float | None]:
    """Percent of the subjects' boxes in the frame as it is cropped, and as it were in the middle."""
    following, middle = [], []
    shape = Fraction(timeline.width, timeline.height)
    for event, shot in known:
        window = window_of(sources[event.source], shape)
        if window is None or fit not in CROPS:
            continue
        for subject in shot.subjects:
            at = Fraction(seconds_of(shot, subject.frame))
            frame = float(event.frame_at(at, timeline.fps))
            if 0 <= frame < event.frames:
                centre = event.centre_at(frame) if fit == COVER else (0.5, 0.5)
                following.append(kept_share(subject, centre, window))
                middle.append(kept_share(subject, (0.5, 0.5), window))
    if not following:
        return None, None
    return round(100 * float(np.mean(following)), 2), round(100 * float(np.mean(middle)), 2)


def _places(
    known: Sequence[tuple[Event, Shot]], timeline: Timeline, music: Music
) -> dict[str, tuple[Event, Shot]]:
    """Opening, drops and ending, and what they show."""
    places = {"opening": known[0], "ending": known[-1]}
    for number, frame in enumerate(_drops(timeline, music)):
        places[f"drop {number + 1}"] = _at(known, frame)
    return places


def _drops(timeline: Timeline, music: Music) -> list[Fraction]:
    """Output frames on which drops begin."""
    frames = ((at - timeline.music_start_seconds) * timeline.fps for at in drops_of(music))
    return [at for at in frames if 0 <= at < timeline.frames]


def _at(known: Sequence[tuple[Event, Shot]], frame: Fraction) -> tuple[Event, Shot]:
    """The event whose begin is nearest to a frame."""
    return min(known, key=lambda one: (abs(one[0].start_frame - frame), one[0].start_frame))


def _repeated(known: Sequence[tuple[Event, Shot]], timeline: Timeline) -> float:
    """Screen seconds that show content again."""
    shots = list(dict.fromkeys(shot for _, shot in known))
    contents = find_contents(shots)
    base = dict(zip(shots, contents.base.tolist(), strict=True))
    number = dict(zip(shots, contents.number.tolist(), strict=True))
    shown: dict[int, list[tuple[float, float]]] = {}
    total = 0.0
    for event, shot in known:
        start, stop = (
            float(s - shot.start_seconds) + base[shot] / TICKS_PER_SECOND
            for s in _span(event, timeline)
        )
        spans = shown.setdefault(number[shot], [])
        again = sum(max(0.0, min(stop, b) - max(start, a)) for a, b in _joined(spans))
        # Neighbouring parts that meet in one frame show nothing twice.
        total += again / float(event.speed) if again > 0.05 else 0.0
        spans.append((start, stop))
    return total


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined


def action_of(shot: Shot) -> float:
    """How much a shot rises: its strongest quarter of a second, against its own calm and as such."""
    profile = shot.motion_profile or (shot.motion,)
    return float(max(profile) + 0.5 * (max(profile) - min(profile)))


def _drop_ranks(
    known: Sequence[tuple[Event, Shot]], timeline: Timeline, shots: Sequence[Shot], music: Music
) -> tuple[float, ...]:
    ranks = []
    for frame in _drops(timeline, music):
        event, shot = _at(known, frame)
        need = event.frames / timeline.fps * event.speed
        pool = [action_of(s) for s in shots if s.duration_seconds >= need and _clean(s) >= need]
        if not pool:
            continue
        below = sum(a < action_of(shot) for a in pool)
        ranks.append(round(below / max(1, len(pool) - 1), 3) if len(pool) > 1 else 1.0)
    return tuple(min(1.0, r) for r in ranks)


def _clean(shot: Shot) -> Fraction:
    """The longest stretch of a shot without junk, seconds."""
    longest, end = Fraction(), shot.start_seconds
    for span in sorted(shot.unusable, key=lambda s: s.start_seconds):
        longest = max(longest, span.start_seconds - end)
        end = max(end, span.stop_seconds)
    return max(longest, shot.stop_seconds - end)


def _bars(music: Music) -> list[Fraction]:
    return [music.beats_seconds[k] for k in music.downbeats]


def _end(timeline: Timeline, near: Sequence[Fraction]) -> float:
    """Seconds from the end of the montage to the nearest of some music times."""
    end = timeline.music_start_seconds + timeline.duration_seconds
    return round(float(min(abs(end - b) for b in near)), 3)


def _synchrony(timeline: Timeline, music: Music) -> float | None:
    if not music.beats_seconds or len(timeline.events) < 2:
        return None
    beats = np.array([float(b) for b in music.beats_seconds])
    start = float(timeline.music_start_seconds)
    values = []
    for event in timeline.events[1:]:
        at = start + float(event.start_frame / timeline.fps)
        values.append(math.exp(-float(np.abs(beats - at).min()) / SYNCHRONY_SECONDS))
    return round(float(np.mean(values)), 4)


def figures_from(data: Mapping[str, Any]) -> Figures:
    """Figures that `told` wrote; what an older version did not write is None."""
    names = {f.name for f in fields(Figures)}
    known: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in data.items()
        if name in names
    }
    return Figures(**known)
