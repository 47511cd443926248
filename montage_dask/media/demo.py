"""Footage and music for `--demo`: made on the spot, small, varied and the same for a seed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from montage_dask.media import demo_music, demo_scenes, demo_shapes
from montage_dask.media.demo_draw import Picture, Scene
from montage_dask.store.artefacts import writing

VERSION = 1
"""Raised when the same seed gives other files; part of the folder name, so that old files are not reused."""


@dataclass(frozen=True, slots=True)
class DemoMedia:
    """Where the demo's files stand."""

    footage: tuple[Path, ...]
    music: Path


@dataclass(frozen=True, slots=True)
class _Shot:
    scene: Scene
    seconds: float
    fade_seconds: float = 0.0
    """Fades in from black and out to black for this long."""


@dataclass(frozen=True, slots=True)
class _Clip:
    name: str
    width: int
    height: int
    rate: Fraction
    codec: str
    shots: tuple[_Shot, ...]


# Sizes, rates and codecs differ on purpose; the encoders run at their cheapest settings.
_CLIPS = (
    _Clip("aurora.mp4", 1280, 720, Fraction(24), "libx264", (_Shot(demo_scenes.aurora, 3.5),)),
    _Clip("city lights.mkv", 640, 360, Fraction(24), "libx265", (_Shot(demo_scenes.city_lights, 3.5),)),
    _Clip("sunset drive.mp4", 960, 540, Fraction(30), "libx264", (_Shot(demo_scenes.sunset, 4.0),)),
    _Clip("lanterns (vertical).mp4", 540, 960, Fraction(30), "libx264", (_Shot(demo_scenes.lanterns, 3.5),)),
    _Clip("kaleidoscope.mp4", 640, 480, Fraction(25), "libx264", (_Shot(demo_shapes.kaleidoscope, 4.0),)),
    _Clip("starfield.mov", 854, 480, Fraction(50), "mjpeg", (_Shot(demo_scenes.starfield, 3.0),)),
    _Clip("neon knot.mp4", 960, 540, Fraction(30000, 1001), "libx264", (_Shot(demo_shapes.wireframe, 4.0),)),
    _Clip("tunnel.webm", 640, 360, Fraction(30), "libvpx-vp9", (_Shot(demo_shapes.tunnel, 3.5),)),
    _Clip("waves.mp4", 960, 540, Fraction(25), "libx264", (_Shot(demo_shapes.waves, 4.0, 0.4),)),
    _Clip(
        "reel.mp4", 854, 480, Fraction(25), "libx264",
        (_Shot(demo_shapes.dancing_shapes, 2.4), _Shot(demo_shapes.tiles, 2.4), _Shot(demo_shapes.lava, 2.8, 0.4)),
    ),
)  # fmt: skip

_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libx265": {"preset": "ultrafast", "crf": "24", "x265-params": "log-level=none:pools=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
    "mjpeg": {"flags": "+qscale", "global_quality": str(4 * 118)},
}


def make_demo(folder: Path, *, seed: int = 0) -> DemoMedia:
    """Make the demo's footage (10 clips, about 41 s) and music (about 24 s); files that are there are kept.

    Args:
        folder: where to; a sub-folder per version and seed is made in it.
        seed: another seed gives other pictures and another tune.

    Raises:
        StoreError: the folder cannot be written.
    """
    home = folder / f"demo-{VERSION}-{seed}"
    music = home / "music" / "demo.flac"
    footage = tuple(home / "footage" / clip.name for clip in _CLIPS)

    def make(number: int) -> None:
        path = footage[number] if number < len(footage) else music
        if path.exists():
            return
        with writing(path) as part:
            if path is music:
                demo_music.write_track(part, seed=seed)
            else:
                _encode(part, _CLIPS[number], seed=seed * 1000 + number)

    # Drawing and encoding leave the interpreter's lock, so that two threads keep two cores busy.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(make, range(len(footage) + 1)))
    return DemoMedia(footage=footage, music=music)


def _frames(clip: _Clip, seed: int) -> Iterator[Picture]:
    fps = float(clip.rate)
    for number, shot in enumerate(clip.shots):
        count = round(shot.seconds * clip.rate)
        rng = np.random.default_rng([seed, number])
        fade = round(shot.fade_seconds * fps)
        for k, picture in enumerate(shot.scene(rng, clip.width, clip.height, count, fps)):
            light = min(1.0, k / fade, (count - 1 - k) / fade) if fade else 1.0
            yield picture if light == 1.0 else (picture * light).astype(np.uint8)


def _encode(path: Path, clip: _Clip, seed: int) -> None:
    import av
    import cv2
    from av.video.reformatter import ColorRange

    full = clip.codec == "mjpeg"
    pixels = "yuvj420p" if full else "yuv420p"
    # Without bitexact, Matroska would get a random identifier each time.
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(clip.codec, rate=clip.rate, options=_OPTIONS[clip.codec])
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, pixels
        context = stream.codec_context
        context.thread_count = 1
        context.color_primaries = context.color_trc = 1  # BT.709
        context.colorspace = 6  # the matrix of BT.601, which OpenCV's conversion is
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        for picture in _frames(clip, seed):
            planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            container.mux(stream.encode(frame.reformat(format=pixels) if full else frame))
        container.mux(stream.encode())
