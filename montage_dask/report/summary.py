"""The JSON contracts: what `run --json` and `analyse --json` print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

from montage_dask.records import Event, Music, MusicFit, Shot, Source, Timeline, to_json
from montage_dask.report.left_out import left_out, never_shown
from montage_dask.schema_versions import KEY, VERSIONS
from montage_dask.store import Place
from montage_dask.timecode import starts_at


class Left(Protocol):
    """A file that was left out."""

    @property
    def path(self) -> str: ...
    @property
    def reason(self) -> str: ...


def cuts_of(timeline: Timeline, sources: Mapping[str, Source]) -> list[dict[str, Any]]:
    """Every cut between two events. Times count from the start of the output, those of beats too, so that
    error_ms = (time_seconds − beat_seconds) · 1000."""
    return [_begins(timeline, event, sources) for event in timeline.events[1:]]


def opening_of(timeline: Timeline, sources: Mapping[str, Source]) -> dict[str, Any]:
    """The first event, which no cut begins, as `cuts_of` tells the others."""
    return _begins(timeline, timeline.events[0], sources)


def _begins(timeline: Timeline, event: Event, sources: Mapping[str, Source]) -> dict[str, Any]:
    time = event.start_frame / timeline.fps
    beat = None
    if event.beat_seconds is not None:
        beat = event.beat_seconds - timeline.music_start_seconds
    error = timeline.error_ms(event)
    return {
        "frame": event.start_frame,
        "time_seconds": float(time),
        "beat_seconds": None if beat is None else float(beat),
        "error_ms": None if error is None else round(error, 3),
        "source": sources[event.source].path,
        "source_seconds": float(event.in_seconds),
        "transition": event.transition.kind,
        "reason": event.reason,
        "scores": dict(event.scores),
    }


def heard(timeline: Timeline, music: Music, waveform: Sequence[float]) -> dict[str, Any]:
    """What a timeline sounds like, for pictures: times count from the start of the output, in seconds.

    Args:
        timeline: the montage.
        music: under it.
        waveform: 0 … 1, equal parts over the length of the output; may be empty.
    """
    start, length = timeline.music_start_seconds, timeline.duration_seconds
    return {
        "waveform": list(waveform),
        "energy": [
            round(e, 3)
            for e in music.energy_curve[int(start * 10) : int((start + length) * 10) + 1]
        ],
        "downbeats_seconds": [
            round(float(b - start), 3)
            for b in (music.beats_seconds[i] for i in music.downbeats)
            if music.confidence > 0 and start <= b < start + length
        ],
        "sections": [
            {
                "start_seconds": round(max(0.0, float(s.start_seconds - start)), 3),
                "stop_seconds": round(float(min(s.stop_seconds - start, length)), 3),
                "label": s.label,
                "energy": round(s.energy, 3),
            }
            for s in music.sections
            if s.stop_seconds > start and s.start_seconds < start + length
        ],
    }


def fit_of(fit: MusicFit) -> dict[str, Any]:
    """Which pieces of a track are heard, and where they are joined, in seconds."""
    rate = fit.sample_rate
    return {
        "track": fit.track,
        "duration_seconds": float(Fraction(fit.samples, rate)),
        "sample_rate": rate,
        "pieces": [
            {
                **to_json(piece),
                "start_seconds": round(piece.start_sample / rate, 6),
                "stop_seconds": round(piece.stop_sample / rate, 6),
            }
            for piece in fit.pieces
        ],
        "joins_seconds": [round(float(at), 6) for at in fit.joins_seconds],
    }


def run_summary(
    timeline: Timeline,
    sources: Mapping[str, Source],
    music: Music,
    *,
    skipped: Sequence[Left],
    ran: Mapping[str, Any],
    output: Place,
    run_dir: Place,
) -> dict[str, Any]:
    """The object of `run --json`."""
    start = timeline.music_start_seconds
    return {
        KEY: VERSIONS["summary"],
        "output": str(output),
        "run_dir": str(run_dir),
        "fps": float(timeline.fps),
        "fps_exact": str(timeline.fps),
        "frames": timeline.frames,
        "duration_seconds": float(timeline.duration_seconds),
        "size": f"{timeline.width}x{timeline.height}",
        "style": timeline.style,
        "seed": timeline.seed,
        "music": music.path if music.fit is None else music.fit.track,
        "music_fit": None if music.fit is None else fit_of(music.fit),
        "tempo_bpm": round(music.tempo_bpm, 3),
        "tempo_confidence": round(music.confidence, 3),
        "beats_seconds": [round(float(b - start), 6) for b in timeline.beats_seconds],
        "opening": opening_of(timeline, sources),
        "cuts": cuts_of(timeline, sources),
        "skipped": [{"path": s.path, "reason": s.reason} for s in skipped],
        **ran,
    }


def analysis_summary(
    sources: Iterable[Source],
    shots: Sequence[Shot],
    music: Sequence[Music],
    skipped: Sequence[Left],
    ran: Mapping[str, Any],
) -> dict[str, Any]:
    """The object of `analyse --json`."""
    by_source: dict[str, list[Shot]] = {}
    for shot in shots:
        by_source.setdefault(shot.source, []).append(shot)
    clips = list(sources)
    table = {s.identity: s for s in clips}
    return {
        KEY: VERSIONS["output"],
        "footage": [_footage(s, by_source.get(s.identity, [])) for s in clips],
        "music": [_music(m) for m in music],
        "left_out": left_out(shots, table),
        "not_shown": never_shown(shots, table),
        "skipped": [{"path": s.path, "reason": s.reason} for s in skipped],
        **ran,
    }


def _footage(source: Source, shots: Sequence[Shot]) -> dict[str, Any]:
    return {
        "path": source.path,
        "fps": float(source.frame_rate),
        "fps_exact": str(source.frame_rate),
        "constant_frame_rate": source.constant_frame_rate,
        "frames": source.frames,
        "duration_seconds": float(source.duration_seconds),
        "width": source.width,
        "height": source.height,
        "codec": source.codec,
        "rotation_degrees": source.rotation_degrees,
        "timecode": source.timecode,
        "starts_at_seconds": str(starts_at(source)),
        "warnings": list(source.warnings),
        "shots": [
            {
                "start_frame": s.start_frame,
                "stop_frame": s.stop_frame,
                "start_seconds": float(s.start_seconds),
                "stop_seconds": float(s.stop_seconds),
                "quality": s.quality,
                "sharpness": s.sharpness,
                "exposure": s.exposure,
                "contrast": s.contrast,
                "colourfulness": s.colourfulness,
                "motion": s.motion,
                "perceptual_hash": s.perceptual_hash,
                "duplicate_group": s.duplicate_group,
                "unusable": [
                    {
                        "kind": u.kind,
                        "start_frame": u.start_frame,
                        "stop_frame": u.stop_frame,
                        "start_seconds": float(u.start_seconds),
                        "stop_seconds": float(u.stop_seconds),
                    }
                    for u in s.unusable
                ],
                "begins": "start" if s.boundary is None else s.boundary.kind,
            }
            for s in shots
        ],
        "transitions": [
            {
                "kind": s.boundary.kind,
                "start_frame": s.boundary.start_frame,
                "stop_frame": s.boundary.stop_frame,
                "start_seconds": float(s.boundary_seconds),
                "stop_seconds": float(s.start_seconds),
                "score": s.boundary.score,
            }
            for s in shots
            if s.boundary is not None and s.boundary_seconds is not None
        ],
    }


def _music(music: Music) -> dict[str, Any]:
    return {
        "path": music.path,
        "duration_seconds": float(music.duration_seconds),
        "tempo_bpm": music.tempo_bpm,
        "confidence": music.confidence,
        "alternatives": to_json(music.alternatives),
        "beats_per_bar": music.beats_per_bar,
        "beats_seconds": [round(float(b), 6) for b in music.beats_seconds],
        "downbeats_seconds": [round(float(music.beats_seconds[i]), 6) for i in music.downbeats],
        "sections": [
            {
                "start_seconds": float(s.start_seconds),
                "stop_seconds": float(s.stop_seconds),
                "label": s.label,
                "energy": s.energy,
            }
            for s in music.sections
        ],
        "energy_curve": list(music.energy_curve),
        "loudness_lufs": music.loudness_lufs,
        "true_peak_db": music.true_peak_db,
        "tracker": music.tracker,
        "warnings": list(music.warnings),
    }
