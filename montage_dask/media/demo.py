"""Footage and music for `--demo`: made on the spot, small, varied and the same for a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from montage_dask.media import demo_music, demo_scenes, demo_shapes
from montage_dask.media.demo_scenes import Picture, Scene
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


def _rate(frames: int, per: int = 1) -> Fraction:
    return Fraction(frames, per)


# Sizes, rates and codecs differ on purpose; the encoders run at their cheapest settings.
_CLIPS = (
    _Clip("aurora.mp4", 1280, 720, _rate(24), "libx264", (_Shot(demo_scenes.aurora, 4.0),)),
    _Clip("city lights.webm", 854, 480, _rate(25), "libvpx-vp9", (_Shot(demo_scenes.city_lights, 4.0),)),
    _Clip("sunset drive.mp4", 960, 540, _rate(30), "libx264", (_Shot(demo_scenes.sunset, 5.0),)),
    _Clip("lanterns (vertical).mp4", 540, 960, _rate(30), "libx264", (_Shot(demo_scenes.lanterns, 4.0),)),
    _Clip("kaleidoscope.mkv", 720, 540, _rate(25), "libx265", (_Shot(demo_scenes.kaleidoscope, 4.0),)),
    _Clip("starfield.mov", 854, 480, _rate(50), "mjpeg", (_Shot(demo_scenes.starfield, 3.5),)),
    _Clip("neon knot.mp4", 960, 540, _rate(30000, 1001), "libx264", (_Shot(demo_shapes.wireframe, 4.5),)),
    _Clip("tunnel.mp4", 640, 360, _rate(30), "libx264", (_Shot(demo_shapes.tunnel, 4.0),)),
    _Clip("waves.mp4", 960, 540, _rate(25), "libx264", (_Shot(demo_shapes.waves, 4.5, 0.6),)),
    _Clip(
        "reel.mp4", 854, 480, _rate(25), "libx264",
        (_Shot(demo_shapes.dancing_shapes, 2.4), _Shot(demo_shapes.tiles, 2.4), _Shot(demo_shapes.lava, 3.2, 0.5)),
    ),
)  # fmt: skip

_OPTIONS = {
    "libx264": {"preset": "superfast", "crf": "21", "tune": "fastdecode"},
    "libx265": {"preset": "ultrafast", "crf": "24", "x265-params": "log-level=none:pools=none"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
    "mjpeg": {"q": "3"},
}


def make_demo(folder: Path, *, seed: int = 0) -> DemoMedia:
    """Make the demo's footage (10 clips, about 46 s) and music (about 23 s); files that are there are kept.

    Args:
        folder: where to; a sub-folder per version and seed is made in it.
        seed: another seed gives other pictures and another tune.

    Raises:
        StoreError: the folder cannot be written.
    """
    home = folder / f"demo-{VERSION}-{seed}"
    music = home / "music" / "demo.flac"
    footage = tuple(home / "footage" / clip.name for clip in _CLIPS)
    for number, (path, clip) in enumerate(zip(footage, _CLIPS, strict=True)):
        if not path.exists():
            with writing(path) as part:
                _encode(part, clip, seed=seed * 1000 + number)
    if not music.exists():
        with writing(music) as part:
            demo_music.write_track(part, seed=seed)
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
    from av.video.reformatter import ColorRange, Colorspace

    full = clip.codec == "mjpeg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(clip.codec, rate=clip.rate, options=_OPTIONS[clip.codec])
        stream.width, stream.height = clip.width, clip.height
        stream.pix_fmt = "yuvj420p" if full else "yuv420p"
        stream.codec_context.thread_count = 1
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = ColorRange.JPEG if full else ColorRange.MPEG
        for picture in _frames(clip, seed):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=stream.pix_fmt, dst_colorspace=Colorspace.ITU709
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
