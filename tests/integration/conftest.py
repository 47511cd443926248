"""The material of the integration tests."""

from __future__ import annotations

import pytest
from jobs import Material, make_clip, make_track


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    footage = folder / "footage"
    footage.mkdir()
    make_clip(footage / "a stars.mp4", "testsrc2=size=320x180:rate=25")
    make_clip(footage / "b mandel.mp4", "mandelbrot=size=320x240:rate=30", 5, "30")
    make_clip(
        footage / "c life.mkv",
        "life=size=160x90:rate=24:mold=10:death_color=#C83232:life_color=#00ff00,scale=320:180:flags=neighbor",
        5,
        "24",
    )
    make_clip(
        footage / "d gradients.webm",
        "gradients=size=320x180:rate=25:speed=0.05:seed=3",
        4,
        "25",
        "-c:v",
        "libvpx",
        "-b:v",
        "600k",
        "-cpu-used",
        "8",
        "-deadline",
        "realtime",
        "-pix_fmt",
        "yuv420p",
    )
    make_clip(footage / "e bars.mp4", "smptehdbars=size=180x320:rate=50,hue=H=t*2", 4, "50")
    return Material(footage, folder / "track.wav", make_track(folder / "track.wav"))
