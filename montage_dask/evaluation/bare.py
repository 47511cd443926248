"""A finished file that nobody knows anything about, as a timeline: its own shots, one after the other, on its own sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from montage_dask.evaluation.figures import Figures, figures_of
from montage_dask.records import Event, Music, Shot, Source, Timeline


def figures_of_file(source: Source, shots: Sequence[Shot], music: Music | None) -> Figures:
    """The figures that a file by itself tells: junk, repeats, cuts on beats. The rest is None.

    Args:
        source: the file.
        shots: its shots, with `unusable` and `duplicate_group`.
        music: its sound; None where it has none.
    """
    fps = source.frame_rate
    edges = [
        (
            s.start_frame if s.boundary is None else s.boundary.stop_frame,
            shots[k + 1].start_frame if k + 1 < len(shots) else source.frames,
        )
        for k, s in enumerate(shots)
    ]
    edges[0] = (0, edges[0][1])
    events = tuple(
        Event(
            start_frame=start,
            stop_frame=stop,
            source=source.identity,
            shot=shot.index,
            in_seconds=shot.start_seconds,
            speed=Fraction(1),
            beat_seconds=None,
        )
        for shot, (start, stop) in zip(shots, edges, strict=True)
        if stop > start
    )
    timeline = Timeline(
        fps=fps,
        width=source.width,
        height=source.height,
        events=events,
        music_path=source.path,
        music_start_seconds=Fraction(0),
        style="",
        seed=0,
        beats_seconds=music.beats_seconds if music else (),
    )
    silent = Music(
        path=source.path, identity="", duration_seconds=source.duration_seconds, tempo_bpm=0.0,
        confidence=0.0, alternatives=(), beats_seconds=(), beats_per_bar=0, downbeats=(), beat_energy=(),
        beat_strength=(), sections=(), energy_curve=(), loudness_lufs=0.0, true_peak_db=0.0, tracker="none",
    )  # fmt: skip
    found = figures_of(timeline, shots, {source.identity: source}, music or silent)
    return replace(
        found,
        takes_share=None,
        drop_ranks=None,
        fade_share=None,
        cut_error_ms=None,
        clips_shown=None,
        clips_given=None,
    )
