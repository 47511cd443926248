"""A timeline, and a finished montage: the music with its cuts, a picture of every event, and why it is there."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from montage_dask.errors import MediaError, MontageError
from montage_dask.job import seen_here
from montage_dask.notebook.page import (
    data_url,
    facts,
    film,
    folded,
    frame,
    lines,
    table,
    text,
    title,
)
from montage_dask.records import Event, Timeline
from montage_dask.report.chart import chart
from montage_dask.report.html import GOLDEN_DEGREES
from montage_dask.report.left_out import left_out, left_out_lines
from montage_dask.report.summary import heard
from montage_dask.store import place_of

if TYPE_CHECKING:
    from montage_dask.api.material import Material
    from montage_dask.api.music import Music

MOST_EVENTS = 300
"""Of a longer timeline the picture shows the beginning."""
MOST_PICTURES = 48
EMBEDDED_BYTES = 3_000_000
"""A video up to this size stands in the notebook itself."""


def timeline_html(
    timeline: Timeline, material: Material, music: Music, allow: Collection[str] = ()
) -> str:
    """The timeline over the music, with pictures; kinds that are allowed are not told as left out."""
    sources = material.sources
    events = timeline.events[:MOST_EVENTS]
    errors = [abs(e) for e in (timeline.error_ms(x) for x in timeline.events[1:]) if e is not None]
    shown = int(events[-1].stop_frame / timeline.fps * 10) / 10 if events else 0.0
    found = {
        "duration_seconds": shown,
        "fps": float(timeline.fps),
        "beats_seconds": [
            t
            for t in (float(b - timeline.music_start_seconds) for b in timeline.beats_seconds)
            if t < shown
        ],
        "heard": heard(timeline, music.record, _waveform(timeline, music)),
    }
    order = {k: n for n, k in enumerate(dict.fromkeys(e.source for e in timeline.events))}
    rows = [
        _row(timeline, n, e, _name(sources[e.source].path), order) for n, e in enumerate(events)
    ]
    left = len(timeline.events) - len(events)
    return frame(
        title("Timeline", f"style {timeline.style}, seed {timeline.seed}"),
        facts(
            {
                "events": len(timeline.events),
                "length": f"{float(timeline.duration_seconds):.1f} s",
                "picture": f"{timeline.width}×{timeline.height} at {float(timeline.fps):.4g} fps",
                "cuts off their beats": f"at most {max(errors):.1f} ms" if errors else None,
                "grade": timeline.grade if timeline.grade != "none" else None,
                "clips": len(order),
            }
        ),
        _notes(timeline.notes),
        _left_out({"left_out": left_out(material.shots, sources, allow)}),
        Markup('<div class="wide">{}</div>').format(chart(found, rows, alone=False)),
        _pictures(timeline, material),
        folded(
            "every event, and why it is there",
            table(
                ("event", "from", "to", "shows", "from", "off its beat", "why"),
                (_cells(timeline, n, e, sources[e.source].path) for n, e in enumerate(events)),
                numbers=(0, 1, 2, 4, 5),
            ),
        ),
        lines("muted", [f"… and {left} more events"] if left else []),
    )


def _waveform(timeline: Timeline, music: Music) -> list[float]:
    """The part of the music that is heard, in as many parts as there are."""
    try:
        whole = music.waveform
    except MediaError:
        return []
    length = music.duration_seconds
    start = float(timeline.music_start_seconds) / length * len(whole)
    stop = start + float(timeline.duration_seconds) / length * len(whole)
    part = list(whole[int(start) : int(stop)])
    loudest = max(part, default=0.0) or 1.0
    return [round(p / loudest, 3) for p in part]


def _row(
    timeline: Timeline, number: int, event: Event, name: str, order: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "number": number,
        "anchor": "",
        "name": name,
        "begin": float(event.start_frame / timeline.fps),
        "end": float(event.stop_frame / timeline.fps),
        "colour": f"hsl({order[event.source] * GOLDEN_DEGREES % 360:.0f} 45% 46%)",
        "error_ms": timeline.error_ms(event),
        "reason": event.reason[:200],
    }


def _cells(timeline: Timeline, number: int, event: Event, path: str) -> tuple[str, ...]:
    error = timeline.error_ms(event)
    return (
        str(number),
        f"{float(event.start_frame / timeline.fps):.2f} s",
        f"{float(event.stop_frame / timeline.fps):.2f} s",
        _name(path),
        f"{float(event.in_seconds):.2f} s",
        "" if error is None else f"{error:+.1f} ms",
        event.reason,
    )


def _pictures(timeline: Timeline, material: Material) -> Markup:
    """The middle of every event, or of every so many."""
    stride = -(-len(timeline.events) // MOST_PICTURES)
    figures = []
    for number in range(0, len(timeline.events), max(1, stride)):
        event = timeline.events[number]
        source = material.sources[event.source]
        middle = event.seconds_at(Fraction(event.frames, 2), timeline.fps)
        found = material.thumbnails(event.source, [int(middle * source.frame_rate)])
        if not found:
            return Markup("")
        figures.append(
            Markup("<figure>{}<figcaption>{} · {}</figcaption></figure>").format(
                film(found, source.width / source.height, f"event {number}"),
                number,
                text(_name(source.path), 40),
            )
        )
    return Markup('<div class="strip">{}</div>').format(Markup("").join(figures))


def montage_html(summary: Mapping[str, Any]) -> str:
    """A finished montage: the video, what it is, and where the rest stands."""
    output = place_of(summary["output"])
    folder = seen_here(place_of(summary["run_dir"]))
    errors = [abs(c["error_ms"]) for c in summary["cuts"] if c["error_ms"] is not None]
    files = [folder / "report.html", folder / "timeline.otio", folder / "contact_sheet.jpg"]
    return frame(
        title(output.name, f"style {summary['style']}, seed {summary['seed']}"),
        facts(
            {
                "length": f"{summary['duration_seconds']:.1f} s",
                "events": len(summary["cuts"]) + 1,
                "cuts off their beats": f"at most {max(errors):.1f} ms" if errors else None,
                "made in": f"{summary.get('wall_seconds', 0):.1f} s",
                "size": _size(output) if isinstance(output, Path) else None,
            }
        ),
        lines("warn", (f"skipped {_name(s['path'])}: {s['reason']}" for s in summary["skipped"])),
        _notes(summary.get("notes", ())),
        _left_out(summary),
        _video(output)
        if isinstance(output, Path)
        else Markup('<div class="muted">{}</div>').format(text(output, 400)),
        folded(
            "where it stands",
            *(
                Markup("<div>{}</div>").format(text(p, 400))
                for p in (output, *files)
                if not isinstance(p, Path) or p.exists()
            ),
        ),
    )


def _notes(notes: Sequence[str]) -> Markup:
    """Notes: the first ones at once, all of them to unfold."""
    rest = folded("all notes", lines("muted", notes, len(notes))) if len(notes) > 4 else Markup("")
    return lines("warn", notes, 4) + rest


def _left_out(summary: Mapping[str, Any]) -> Markup:
    told = left_out_lines(summary)
    if not told:
        return Markup("")
    return folded("what of the footage was left out", lines("muted", told, 40))


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "gone"


def _video(path: Path) -> Markup:
    """The video itself when it is small; else a sign of where it is."""
    try:
        if path.suffix.lower() != ".mp4" or path.stat().st_size > EMBEDDED_BYTES:
            return Markup('<div class="muted">{} – .play() shows it here</div>').format(
                text(path, 400)
            )
        data = base64.b64encode(path.read_bytes()).decode()
    except OSError:
        return Markup("")
    return Markup(
        '<video controls loop preload="metadata" width="640" poster="{}" src="data:video/mp4;base64,{}"></video>'
    ).format(_poster(path), data)


def _poster(path: Path) -> str:
    """A frame from the first third: many montages begin with black."""
    from montage_dask.media.probe import probe
    from montage_dask.render.stills import pictures

    try:
        source, index = probe(path, deinterlace=None)
        ((_, shown),) = pictures(source, index, [len(index) // 3], max_width=640, own=True)
    except (MontageError, ValueError):
        return ""
    return data_url(shown)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
