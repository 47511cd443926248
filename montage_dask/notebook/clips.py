"""Footage and clips: a film strip each, from thumbnails that the analysis has left in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from montage_dask.media.discover import Skipped
from montage_dask.notebook.page import facts, film, folded, frame, lines, table, text, title
from montage_dask.records import Shot, Source
from montage_dask.report.left_out import left_out, left_out_lines, never_shown

if TYPE_CHECKING:
    from montage_dask.api.material import Material

MOST_CLIPS = 24
MOST_PICTURES = 8


def footage_html(name: str, material: Material | None, skipped: Sequence[Skipped]) -> str:
    """All clips, the first ones with their pictures."""
    if material is None:
        return frame(
            title(f"Footage {name}"),
            lines("muted", ["not analysed yet: .analyse() finds the shots"]),
        )
    sources = material.sources
    length = float(sum(s.duration_seconds for s in sources.values()))
    rows = []
    for identity, source in list(sources.items())[:MOST_CLIPS]:
        shots = material.shots_of(identity)
        rows.append(
            (
                source.path.rpartition("/")[2],
                f"{float(source.duration_seconds):.1f} s",
                f"{source.width}×{source.height}",
                f"{float(source.frame_rate):.4g}",
                str(len(shots)),
                _film(source, shots, material),
            )
        )
    left = len(sources) - len(rows)
    return frame(
        title(f"Footage {name}"),
        facts(
            {
                "clips": len(sources),
                "shots": len(material.shots),
                "length": f"{length:.1f} s",
                "skipped": len(skipped) or None,
            }
        ),
        lines("warn", (f"skipped {_name(s.path)}: {s.reason}" for s in skipped)),
        lines("muted", _left_out(material.shots, sources)),
        table(("clip", "length", "size", "fps", "shots", "its shots"), rows, numbers=(1, 3, 4)),
        lines("muted", [f"… and {left} more clips"] if left else []),
    )


def clip_html(source: Source, shots: Sequence[Shot], material: Material) -> str:
    """One clip: its shots with their measures."""
    rows = []
    for shot in shots[:40]:
        thumbnails = material.thumbnails(source.identity, _spread([shot], 3))
        rows.append(
            (
                str(shot.index),
                f"{float(shot.start_seconds):.2f} – {float(shot.stop_seconds):.2f} s",
                film(thumbnails, source.width / source.height, f"shot {shot.index}"),
                *(f"{v:.2f}" for v in (shot.quality, shot.sharpness, shot.motion, shot.exposure)),
                "" if shot.duplicate_group < 0 else f"looks like group {shot.duplicate_group}",
            )
        )
    head = ("shot", "time", "looks like", "quality", "sharpness", "motion", "exposure", "")
    left = len(shots) - len(rows)
    return frame(
        title(_name(source.path)),
        facts(
            {
                "length": f"{float(source.duration_seconds):.2f} s",
                "size": f"{source.width}×{source.height}",
                "rate": f"{float(source.frame_rate):.4g} fps",
                "codec": source.codec,
                "shots": len(shots),
            }
        ),
        lines("warn", source.warnings),
        lines("muted", _left_out(shots, {source.identity: source})),
        table(head, rows, numbers=(3, 4, 5, 6)),
        lines("muted", [f"… and {left} more shots"] if left else []),
        folded("where", Markup("<div>{}</div>").format(text(source.path, 400))),
    )


def _left_out(shots: Sequence[Shot], sources: Mapping[str, Source]) -> list[str]:
    """What no montage shows of the footage, and why."""
    found = {"left_out": left_out(shots, sources), "not_shown": never_shown(shots, sources)}
    return left_out_lines(found)


def _film(source: Source, shots: Sequence[Shot], material: Material) -> Markup:
    thumbnails = material.thumbnails(source.identity, _spread(shots, MOST_PICTURES))
    return film(thumbnails, source.width / source.height, f"shots of {_name(source.path)}")


def _spread(shots: Sequence[Shot], most: int) -> list[int]:
    """Frames to show: the middle of each shot; of one or two shots several each."""
    if not shots:
        return []
    if len(shots) > most:
        step = len(shots) / most
        shots = [shots[int(k * step)] for k in range(most)]
    each = max(1, min(4, most // len(shots)))
    found = []
    for shot in shots:
        frames = shot.stop_frame - shot.start_frame
        found += [shot.start_frame + frames * (2 * k + 1) // (2 * each) for k in range(each)]
    return found[:most]


def _name(path: str) -> str:
    return path.rpartition("/")[2]
