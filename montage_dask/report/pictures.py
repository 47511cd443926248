"""Pictures of a run: what its cuts look like, and where they fall on the music."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import printable
from montage_dask.records import Music, Timeline
from montage_dask.store import writing

VERSION = 1

BACKGROUND, INK, FAINT = "#15181d", "#e8e6e1", "#6b7280"
SECTION_COLOURS: Mapping[str, str] = {
    "intro": "#3b5b7a", "low": "#3f6f5f", "build": "#8a6d2f", "high": "#a3552f", "drop": "#b03a48", "outro": "#5a4a78",
}  # fmt: skip
WAVE_RATE = 4000
"""Samples a second from which the waveform is drawn."""
THUMBNAIL_WIDTH = 320
MAXIMUM_THUMBNAILS = 120

Picture = NDArray[np.uint8]


def draw_run(
    timeline: Timeline,
    names: Mapping[str, str],
    music: Music,
    output: Path,
    *,
    contact_sheet_path: Path,
    timeline_path: Path,
) -> None:
    """Draw both pictures of a finished run.

    Args:
        timeline: of the run.
        names: file names of the sources, by identity.
        music: of the run.
        output: the finished file, which the thumbnails are taken from.
        contact_sheet_path: a .jpg to write.
        timeline_path: a .png to write.

    Raises:
        MediaError: the output cannot be read.
        StoreError: a picture cannot be written.
    """
    from montage_dask.media.audio import decode_mono
    from montage_dask.media.probe import probe
    from montage_dask.render.stills import pictures

    source, index = probe(output)
    # A cut is a keyframe: the first clean picture of an event costs one decoded frame.
    moments = [
        min(e.start_frame + e.transition.frames // 2, e.stop_frame - 1, len(index) - 1)
        for e in timeline.events
    ]
    stride = -(-len(moments) // MAXIMUM_THUMBNAILS)
    shown = dict(pictures(source, index, moments[::stride], max_width=THUMBNAIL_WIDTH))
    captioned = []
    for number in range(0, len(moments), stride):
        event = timeline.events[number]
        time = float(event.start_frame / timeline.fps)
        caption = f"{number + 1}  {time:.2f} s  {names[event.source]}"
        captioned.append((shown[moments[number]], caption))
    contact_sheet(captioned, contact_sheet_path)
    wave = decode_mono(timeline.music_path, sample_rate=WAVE_RATE)
    draw_timeline(timeline, music, timeline_path, waveform=wave, names=names)


def contact_sheet(
    images: Sequence[tuple[Picture, str]], path: Path, *, columns: int | None = None
) -> None:
    """One picture of many, each with a caption.

    Args:
        images: uint8 RGB [height, width, 3] and its caption.
        path: .jpg or .png.
        columns: about as wide as high when None.

    Raises:
        ValueError: there is no image.
        StoreError: it cannot be written.
    """
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    if not images:
        raise ValueError("a contact sheet needs images")
    columns = columns or max(1, min(8, math.ceil(math.sqrt(len(images) * 0.9))))
    width = max(i.shape[1] for i, _ in images)
    height = max(min(i.shape[0], width) for i, _ in images)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), max(9, width // 24))
    line, gap = max(13, width // 15), 8
    rows = -(-len(images) // columns)
    sheet = Image.new(
        "RGB", (gap + columns * (width + gap), gap + rows * (height + line + gap)), BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    for number, (picture, caption) in enumerate(images):
        left = gap + number % columns * (width + gap)
        top = gap + number // columns * (height + line + gap)
        image = Image.fromarray(picture)
        image.thumbnail((width, height))
        sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
        draw.text((left, top + height + 1), _short(caption, 44), fill=INK, font=font)
    with writing(path) as part:
        sheet.save(part, quality=88)


def _short(text: str, length: int) -> str:
    """A caption: one line, cut to a length, in letters that the font has."""
    drawn = _letters()
    clean = "".join(c if ord(c) in drawn else "□" for c in printable(text))
    return clean if len(clean) <= length else clean[: length - 1] + "…"


@cache
def _letters() -> frozenset[int]:
    """Code points of the font: matplotlib warns of every other one."""
    from matplotlib import font_manager

    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def draw_timeline(
    timeline: Timeline,
    music: Music,
    path: Path,
    *,
    waveform: NDArray[np.float32],
    names: Mapping[str, str],
) -> None:
    """Waveform, energy, sections, beats and cuts over the output's time.

    Args:
        timeline: what was cut.
        music: what it was cut to.
        path: a .png.
        waveform: mono samples of the whole track at WAVE_RATE.
        names: file names of the sources, by identity.

    Raises:
        StoreError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    length = float(timeline.duration_seconds)
    start = float(timeline.music_start_seconds)
    figure = Figure(figsize=(min(40.0, max(14.0, length / 5)), 5.6), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    top, events = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [2.2, 1], "hspace": 0.06}
    )
    _draw_music(top, timeline, music, waveform, start, length)
    _draw_events(events, timeline, names)
    errors = [abs(e) for e in (timeline.error_ms(x) for x in timeline.events[1:]) if e is not None]
    worst = f"cuts at most {max(errors):.1f} ms from their beats" if errors else "no cut on a beat"
    top.set_title(
        f"{len(timeline.events)} events, {length:.1f} s, {music.tempo_bpm:.1f} BPM "
        f"(confidence {music.confidence:.2f}), style {_short(timeline.style, 40)}: {worst}",
        color=INK, fontsize=11, loc="left", parse_math=False,
    )  # fmt: skip
    events.set_xlabel("seconds", color=INK)
    with writing(path) as part:
        figure.savefig(part, facecolor=BACKGROUND, bbox_inches="tight", format="png")


def _style(axes: Any) -> None:
    axes.set_facecolor(BACKGROUND)
    axes.tick_params(colors=INK, labelsize=8)
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _draw_music(
    axes: Any,
    timeline: Timeline,
    music: Music,
    waveform: NDArray[np.float32],
    start: float,
    length: float,
) -> None:
    _style(axes)
    for section in music.sections:
        left = float(section.start_seconds) - start
        right = min(float(section.stop_seconds) - start, length)
        if right <= max(0.0, left):
            continue
        colour = SECTION_COLOURS.get(section.label, FAINT)
        axes.axvspan(max(0.0, left), right, color=colour, alpha=0.35, lw=0)
        axes.text(max(0.0, left) + 0.1, 1.18, section.label, color=INK, fontsize=8, clip_on=True)
    samples = waveform[int(start * WAVE_RATE) : int((start + length) * WAVE_RATE)]
    bins = min(2400, max(1, len(samples) // 8))
    if len(samples) >= bins:
        cut = samples[: len(samples) // bins * bins].reshape(bins, -1)
        time = np.linspace(0, len(samples) / WAVE_RATE, bins)
        scale = float(np.abs(samples).max()) or 1.0
        axes.fill_between(
            time, cut.min(1) / scale, cut.max(1) / scale, color="#8fb8de", alpha=0.55, lw=0
        )
    energy = np.asarray(music.energy_curve, np.float32)
    times = np.arange(len(energy)) / 10 - start
    axes.plot(times, energy * 2 - 1, color="#f2c14e", lw=1.4, label="energy")
    strong = {music.beats_seconds[i] for i in music.downbeats}
    for beat in timeline.beats_seconds:
        down = beat in strong
        axes.axvline(
            float(beat) - start, ymin=0, ymax=0.12 if down else 0.07,
            color=INK if down else FAINT, lw=1.4 if down else 0.9,
        )  # fmt: skip
    for event in timeline.events[1:]:
        axes.axvline(float(event.start_frame / timeline.fps), color="#ff6b5e", lw=0.9, alpha=0.9)
    axes.plot([], [], color="#ff6b5e", lw=1.2, label="cut")
    axes.plot([], [], color=INK, lw=1.4, label="downbeat")
    axes.plot([], [], color=FAINT, lw=0.9, label="beat")
    axes.set_xlim(0, length)
    axes.set_ylim(-1.15, 1.35)
    axes.legend(
        loc="upper right",
        fontsize=8,
        ncols=4,
        facecolor=BACKGROUND,
        edgecolor="none",
        labelcolor=INK,
    )


def _draw_events(axes: Any, timeline: Timeline, names: Mapping[str, str]) -> None:
    from matplotlib import colormaps

    _style(axes)
    order = list(dict.fromkeys(e.source for e in timeline.events))
    palette = colormaps["tab20"]
    per_second = figure_characters(timeline)
    for event in timeline.events:
        left = float(event.start_frame / timeline.fps)
        width = float(event.frames / timeline.fps)
        colour = palette(order.index(event.source) % 20)
        axes.barh(0.5, width, left=left, height=0.9, color=colour, edgecolor=BACKGROUND, lw=0.8)
        room = int(width * per_second)
        if room >= 4:
            stem = Path(names[event.source]).stem
            axes.text(
                left + width * 0.06,
                0.5,
                _short(stem, room),
                color="#101010",
                fontsize=7,
                va="center",
                clip_on=True,
                parse_math=False,
            )
    axes.set_ylim(0, 1)


def figure_characters(timeline: Timeline) -> float:
    """Letters of a caption that fit into a second of the picture."""
    length = float(timeline.duration_seconds)
    return min(40.0, max(14.0, length / 5)) * 14.5 / length
