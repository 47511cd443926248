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
from montage_dask.records import Event, Music, Timeline
from montage_dask.store import Place, writing

VERSION = 4

BACKGROUND, INK, FAINT, CUT = "#15181d", "#e8e6e1", "#8b94a3", "#7df0c8"
SECTION_COLOURS: Mapping[str, str] = {
    "intro": "#3b5b7a", "low": "#3f6f5f", "build": "#8a6d2f", "high": "#a3552f", "drop": "#b03a48", "outro": "#5a4a78",
}  # fmt: skip
WAVE_RATE = 4000
"""Samples a second from which the waveform is drawn."""
PEAKS = 900
"""Parts of the waveform that a report shows: about as many as a screen has columns for it."""
THUMBNAIL_WIDTH = 320
MAXIMUM_THUMBNAILS = 120
BAR = 0.12
"""Part of an event's box that shows the colour of its source."""
LEGEND_SOURCES = 23

Picture = NDArray[np.uint8]


def draw_run(
    timeline: Timeline,
    names: Mapping[str, str],
    music: Music,
    output: Path,
    *,
    contact_sheet_path: Path,
    timeline_path: Path,
) -> tuple[list[float], list[list[float]]]:
    """Draw both pictures of a finished run.

    Args:
        timeline: of the run.
        names: file names of the sources, by identity.
        music: of the run.
        output: the finished file, which the thumbnails are taken from.
        contact_sheet_path: a .jpg to write.
        timeline_path: a .png to write.

    Returns:
        The waveform that is heard, coarsely (see `peaks`), and the cells of the contact sheet: the number of the event;
        left, top, width and height of its picture in shares of the sheet.

    Raises:
        MediaError: the output cannot be read.
        StoreError: a picture cannot be written.
    """
    from montage_dask.media.audio import decode_mono
    from montage_dask.media.probe import probe
    from montage_dask.render.stills import pictures

    source, index = probe(output, deinterlace=None)
    # A cut is a keyframe: the first clean picture of an event costs one decoded frame.
    moments = [min(moment_of(e), len(index) - 1) for e in timeline.events]
    stride = -(-len(moments) // MAXIMUM_THUMBNAILS)
    shown = dict(pictures(source, index, moments[::stride], max_width=THUMBNAIL_WIDTH, own=True))
    captioned = []
    for number in range(0, len(moments), stride):
        event = timeline.events[number]
        time = float(event.start_frame / timeline.fps)
        caption = f"{number + 1}  {time:.2f} s  {names[event.source]}"
        captioned.append((shown[moments[number]], caption))
    areas = contact_sheet(captioned, contact_sheet_path)
    numbers = range(0, len(moments), stride)
    cells = [[float(n), *area] for n, area in zip(numbers, areas, strict=True)]
    wave = decode_mono(timeline.music_path, sample_rate=WAVE_RATE)
    thumbnails = {n: shown[moments[n]] for n in range(0, len(moments), stride)}
    draw_timeline(timeline, music, timeline_path, waveform=wave, names=names, thumbnails=thumbnails)
    start = int(timeline.music_start_seconds * WAVE_RATE)
    return peaks(wave[start : start + int(timeline.duration_seconds * WAVE_RATE)]), cells


def moment_of(event: Event) -> int:
    """The output frame that stands for an event: the first one that shows it more than the one before."""
    return min(event.start_frame + event.transition.frames // 2, event.stop_frame - 1)


def peaks(wave: NDArray[np.float32], count: int = PEAKS) -> list[float]:
    """The loudest sample of each of so many equal parts, 0 … 1 of the loudest of all; empty for less sound than that."""
    if len(wave) < count:
        return []
    loudest = np.abs(wave[: len(wave) // count * count]).reshape(count, -1).max(1)
    scale = float(loudest.max()) or 1.0
    return [round(float(p) / scale, 3) for p in loudest]


def contact_sheet(
    images: Sequence[tuple[Picture, str]], path: Place, *, columns: int | None = None
) -> list[tuple[float, float, float, float]]:
    """One picture of many, each with a caption.

    Args:
        images: uint8 RGB [height, width, 3] and its caption.
        path: .jpg or .png.
        columns: about as wide as high when None.

    Returns:
        Left, top, width and height of each, in shares of the sheet.

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
    areas = []
    for number, (picture, caption) in enumerate(images):
        left = gap + number % columns * (width + gap)
        top = gap + number // columns * (height + line + gap)
        image = Image.fromarray(picture)
        image.thumbnail((width, height))
        x, y = left + (width - image.width) // 2, top + (height - image.height) // 2
        sheet.paste(image, (x, y))
        areas.append(
            (
                x / sheet.width,
                y / sheet.height,
                image.width / sheet.width,
                image.height / sheet.height,
            )
        )
        draw.text((left, top + height + 1), _short(caption, 44), fill=INK, font=font)
    with writing(path) as part:
        sheet.save(part, quality=88)
    return areas


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
    thumbnails: Mapping[int, Picture] | None = None,
) -> None:
    """Waveform, energy, sections, beats and cuts over the output's time.

    Args:
        timeline: what was cut.
        music: what it was cut to.
        path: a .png.
        waveform: mono samples of the whole track at WAVE_RATE.
        names: file names of the sources, by identity.
        thumbnails: uint8 RGB [height, width, 3] by number of the event.

    Raises:
        StoreError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    length = float(timeline.duration_seconds)
    start = float(timeline.music_start_seconds)
    figure = Figure(figsize=(min(40.0, max(14.0, length / 5)), 6.2), dpi=110, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.015, right=0.985, top=0.93, bottom=0.2)
    top, events = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [2.4, 1], "hspace": 0.05}
    )
    _draw_music(top, timeline, music, waveform, start, length)
    sources = _draw_events(events, timeline, names, thumbnails or {})
    errors = [abs(e) for e in (timeline.error_ms(x) for x in timeline.events[1:]) if e is not None]
    worst = f"cuts at most {max(errors):.1f} ms from their beats" if errors else "no cut on a beat"
    tempo = f"{music.tempo_bpm:.1f} BPM (confidence {music.confidence:.2f})"
    if music.confidence <= 0:
        tempo = "no beat in the music"
    top.set_title(
        f"{len(timeline.events)} events, {length:.1f} s, {tempo}, style {_short(timeline.style, 40)}: {worst}",
        color=INK, fontsize=11, loc="left", parse_math=False,
    )  # fmt: skip
    look = {"fontsize": 8, "facecolor": BACKGROUND, "edgecolor": "none", "labelcolor": INK}
    lines, _ = top.get_legend_handles_labels()
    figure.legend(handles=lines, loc="upper right", bbox_to_anchor=(0.985, 0.165), ncols=4, **look)
    legend = figure.legend(
        handles=sources, loc="upper left", bbox_to_anchor=(0.01, 0.125), ncols=8, **look
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    with writing(path) as part:
        # Packing harder saves a tenth of the size and costs as long as the drawing.
        packing = {"compress_level": 3}
        figure.savefig(part, facecolor=BACKGROUND, format="png", pil_kwargs=packing)


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
        axes.axvline(float(event.start_frame / timeline.fps), color=CUT, lw=0.9, alpha=0.8)
    axes.plot([], [], color=CUT, lw=1.2, label="cut")
    axes.plot([], [], color=INK, lw=1.4, label="downbeat")
    axes.plot([], [], color=FAINT, lw=0.9, label="beat")
    axes.set_xlim(0, length)
    axes.set_ylim(-1.15, 1.35)


def _draw_events(
    axes: Any, timeline: Timeline, names: Mapping[str, str], thumbnails: Mapping[int, Picture]
) -> list[Any]:
    """A box per event: its picture, over a bar in the colour of its source. Returns the legend of the sources."""
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    _style(axes)
    length = float(timeline.duration_seconds)
    order = list(dict.fromkeys(e.source for e in timeline.events))
    colours = {k: colormaps["tab20"](n % 20) for n, k in enumerate(order)}
    extent = axes.get_window_extent()
    for number, event in enumerate(timeline.events):
        left, width = float(event.start_frame / timeline.fps), float(event.frames / timeline.fps)
        picture = thumbnails.get(number)
        foot = BAR if picture is not None else 1.0
        axes.barh(
            0, width, left=left, height=foot, align="edge",
            color=colours[event.source], edgecolor=BACKGROUND, lw=0.8,
        )  # fmt: skip
        if picture is not None:
            shape = (extent.width * width / length) / (extent.height * (1 - BAR))
            axes.imshow(
                _middle(picture, shape), extent=(left, left + width, BAR, 1), aspect="auto",
                interpolation="bilinear",
            )  # fmt: skip
            axes.axvline(left, color=BACKGROUND, lw=1.2)
    axes.set_xlim(0, length)
    axes.set_ylim(0, 1)
    # A label that begins with an underscore would be left out.
    labels = [
        Patch(color=colours[k], label=" " + _short(names[k], 24)) for k in order[:LEGEND_SOURCES]
    ]
    if len(order) > LEGEND_SOURCES:
        labels.append(
            Patch(color=BACKGROUND, label=f"… and {len(order) - LEGEND_SOURCES} more sources")
        )
    return labels


def _middle(picture: Picture, aspect: float) -> Picture:
    """The middle of a picture, cut to width / height = aspect."""
    height, width = picture.shape[:2]
    w, h = min(width, max(1, round(height * aspect))), min(height, max(1, round(width / aspect)))
    left, top = (width - w) // 2, (height - h) // 2
    return picture[top : top + h, left : left + w]
