"""The timeline of a report as inline SVG: sections, waveform, energy, beats, events, and how far each cut is off its beat.

Everything has a tooltip (`title`), and each event leads to its row in the table; none of it needs a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from montage_dask.errors import printable

NARROWEST, WIDEST, PER_SECOND = 1000.0, 12_000.0, 16.0
"""Width in units, and how many of them a second gets: text has a fixed size in units."""
SECTIONS, WAVE, BEATS, EVENTS, ERRORS = (4, 20), (28, 116), (118, 130), (136, 172), (186, 246)
"""Top and bottom of the rows."""
HEIGHT = 266
TICKS_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)


def clock(seconds: float) -> str:
    """A time for people: 1:02.5."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f}:{rest:04.1f}"


def chart(
    summary: Mapping[str, Any], events: Sequence[Mapping[str, Any]], *, alone: bool = True
) -> Markup:
    """The picture of a summary.

    Args:
        summary: of a run.
        events: number, name, begin, end (seconds), colour (a CSS colour), error_ms, reason, anchor.
        alone: it is the only one on its page: its events lead to their rows, and a playhead may move over it.
    """
    length = float(summary["duration_seconds"])
    if length <= 0:
        return Markup("")
    width = min(WIDEST, max(NARROWEST, length * PER_SECOND))
    scale = width / length
    heard = summary.get("heard", {})
    parts = [
        *_sections(heard.get("sections", ()), scale),
        *_wave(heard.get("waveform", ()), width),
        *_energy(heard.get("energy", ()), scale),
        *_beats(summary.get("beats_seconds", ()), heard.get("downbeats_seconds", ()), scale),
        *_events(events, scale, linked=alone),
        *_errors(events, scale, width, 500 / float(summary["fps"])),
        *_axis(length, scale),
    ]
    if alone:
        playhead = Markup('<line id="playhead" class="playhead" y1="{}" y2="{}" x1="-9" x2="-9"/>')
        parts.append(playhead.format(SECTIONS[0], ERRORS[1]))
    frame = Markup(
        '<svg class="chart" {id} viewBox="0 0 {w:.0f} {h}" style="width:max(100%,{w:.0f}px)" data-seconds="{s}" role="img" '
        'aria-label="Sections, waveform, energy, beats, events and cut errors over time">{inside}</svg>'
    )
    name = Markup('id="chart"') if alone else ""
    return frame.format(id=name, w=width, h=HEIGHT, s=length, inside=Markup("\n").join(parts))


def music_chart(heard: Mapping[str, Any], beats: Sequence[float], length_seconds: float) -> Markup:
    """A track: sections, waveform, energy and beats.

    Args:
        heard: as in a summary: waveform, energy (ten values a second), downbeats_seconds, sections.
        beats: in seconds.
        length_seconds: of the track.
    """
    if length_seconds <= 0:
        return Markup("")
    width = min(WIDEST, max(NARROWEST, length_seconds * PER_SECOND))
    scale = width / length_seconds
    parts = [
        *_sections(heard["sections"], scale),
        *_wave(heard["waveform"], width),
        *_energy(heard["energy"], scale),
        *_beats(beats, heard["downbeats_seconds"], scale),
        *_axis(length_seconds, scale, BEATS[1]),
    ]
    frame = Markup(
        '<svg class="chart" viewBox="0 0 {w:.0f} {h}" style="width:max(100%,{w:.0f}px)" role="img" '
        'aria-label="Sections, waveform, energy and beats over time">{inside}</svg>'
    )
    return frame.format(w=width, h=BEATS[1] + 20, inside=Markup("\n").join(parts))


def _titled(text: str) -> Markup:
    return Markup("<title>{}</title>").format(printable(text))


def _sections(sections: Sequence[Mapping[str, Any]], scale: float) -> Iterator[Markup]:
    top, bottom = SECTIONS
    for section in sections:
        left, right = section["start_seconds"] * scale, section["stop_seconds"] * scale
        label = printable(str(section["label"]))
        told = f"{label}, {clock(section['start_seconds'])} – {clock(section['stop_seconds'])}, energy {section['energy']:.2f}"
        yield Markup(
            '<g class="section s-{}"><rect x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>{}{}</g>'
        ).format(
            "".join(c for c in label if c.isalnum()),
            left,
            top,
            max(0.0, right - left - 1),
            bottom - top,
            _titled(told),
            _text(left + 5, bottom - 4, label) if right - left > 9 * len(label) else "",
        )


def _text(x: float, y: float, text: str, kind: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}">{}</text>').format(x, y, kind, text)


def _wave(peaks: Sequence[float], width: float) -> Iterator[Markup]:
    if not peaks:
        return
    top, bottom = WAVE
    middle, half, step = (top + bottom) / 2, (bottom - top) / 2, width / len(peaks)
    up = " ".join(f"{k * step:.1f},{middle - half * p:.1f}" for k, p in enumerate(peaks))
    down = " ".join(
        f"{k * step:.1f},{middle + half * p:.1f}" for k, p in reversed(list(enumerate(peaks)))
    )
    yield Markup('<polygon class="wave" points="{} {}">{}</polygon>').format(
        up, down, _titled("waveform of the music")
    )


def _energy(energy: Sequence[float], scale: float) -> Iterator[Markup]:
    if not energy:
        return
    top, bottom = WAVE
    points = " ".join(
        f"{k / 10 * scale:.1f},{bottom - (bottom - top) * min(1.0, max(0.0, e)):.1f}"
        for k, e in enumerate(energy)
    )
    yield Markup('<polyline class="energy" points="{}">{}</polyline>').format(
        points, _titled("energy of the music, 0 at the bottom, 1 at the top")
    )


def _beats(beats: Sequence[float], downbeats: Sequence[float], scale: float) -> Iterator[Markup]:
    strong = {round(b, 2) for b in downbeats}
    for beat in beats:
        first = round(beat, 2) in strong
        yield Markup('<line class="{}" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}">{}</line>').format(
            "downbeat" if first else "beat",
            BEATS[0] if first else BEATS[0] + 5,
            BEATS[1],
            _titled(f"{'first beat of a bar' if first else 'beat'} at {beat:.3f} s"),
            x=beat * scale,
        )


def _events(events: Sequence[Mapping[str, Any]], scale: float, *, linked: bool) -> Iterator[Markup]:
    frame = Markup(
        '<a href="#{}" class="seek" data-t="{}"><rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" fill="{}"/>{}{}</a>'
    )
    if not linked:
        frame = Markup(
            '<g><rect x="{2:.1f}" y="{3}" width="{4:.1f}" height="{5}" fill="{6}"/>{7}{8}</g>'
        )
    top, bottom = EVENTS
    for e in events:
        left, wide = e["begin"] * scale, (e["end"] - e["begin"]) * scale
        told = f"{e['number']}. {e['name']}\n{clock(e['begin'])} – {clock(e['end'])}\n{e['reason']}"
        title = Markup("<title>{}</title>").format(
            "\n".join(printable(line) for line in told.split("\n"))
        )
        yield frame.format(
            e["anchor"], round(e["begin"], 3), left, top, max(0.5, wide - 1), bottom - top, e["colour"], title,
            _text(left + 4, bottom - 6, str(e["number"]), "on") if wide > 26 else "",
        )  # fmt: skip


def _errors(
    events: Sequence[Mapping[str, Any]], scale: float, width: float, half_frame_ms: float
) -> Iterator[Markup]:
    top, bottom = ERRORS
    middle = (top + bottom) / 2
    worst = max((abs(e["error_ms"]) for e in events if e["error_ms"] is not None), default=0.0)
    per_ms = (bottom - top) / 2 / max(half_frame_ms * 1.25, worst)
    band = half_frame_ms * per_ms
    yield Markup(
        '<rect class="band" x="0" y="{:.1f}" width="{:.0f}" height="{:.1f}">{}</rect>'
    ).format(middle - band, width, 2 * band, _titled(f"half a frame: ±{half_frame_ms:.1f} ms"))
    yield Markup('<line class="zero" x1="0" x2="{:.0f}" y1="{m}" y2="{m}"/>').format(
        width, m=middle
    )
    for e in events[1:]:
        x, error = e["begin"] * scale, e["error_ms"]
        if error is None:
            yield Markup('<circle class="off" cx="{:.1f}" cy="{}" r="2.5">{}</circle>').format(
                x, middle, _titled(f"cut {e['number']} at {e['begin']:.3f} s: on no beat")
            )
            continue
        y = middle - error * per_ms
        told = f"cut {e['number']} at {e['begin']:.3f} s: {error:+.1f} ms"
        yield Markup(
            '<g class="cut"><line x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{y:.1f}"/>'
            '<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>{}</g>'
        ).format(middle, _titled(told), x=x, y=y)


def _axis(length: float, scale: float, below: float = ERRORS[1]) -> Iterator[Markup]:
    step = next((t for t in TICKS_SECONDS if t * scale >= 70), TICKS_SECONDS[-1])
    for number in range(int(length // step) + 1):
        x = number * step * scale
        minutes, seconds = divmod(number * step, 60)
        yield Markup('<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{}" y2="{}"/>').format(
            below + 2, below + 6, x=x
        )
        if length * scale - x > 30:
            yield _text(x + 2, below + 16, f"{minutes}:{seconds:02d}", "faint")
