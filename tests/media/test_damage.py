"""Damage of any kind neither crashes nor hangs, and shows the same in every window; absurd sizes cost no memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import av
import pytest
from makers import film, hashes

import montage_dask
from montage_dask.errors import MediaError
from montage_dask.media.probe import probe

FRAMES = 60
H264 = ("-c:v", "libx264", "-preset", "fast", "-threads", "1", "-bf", "3", "-g", "15")
OPEN_265 = "keyint=15:min-keyint=15:bframes=3:open-gop=1:pools=1:log-level=error"

# Not VP8: FFmpeg's decoder itself is not repeatable on damaged data.
KINDS = {
    "a.mp4": H264,
    "a.mkv": H264,
    "a.ts": H264,
    "a.flv": H264,
    "open.mkv": (*H264, "-x264-params", "open-gop=1"),
    "hevc.mkv": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", OPEN_265),
    "a.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "5"),
    "a.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4"),
    "a.h264": H264,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


@pytest.mark.parametrize("name", KINDS)
def test_any_window_shows_the_same(folder, name):
    data = film(folder / name, *KINDS[name], frames=FRAMES).read_bytes()
    usable = 0
    for seed, flips in enumerate((1, 8, 60)):
        rng = random.Random(f"{name} {seed}")
        damaged = bytearray(data)
        for _ in range(flips):
            damaged[rng.randrange(len(data) // 10, len(data) * 9 // 10)] ^= 1 << rng.randrange(8)
        if seed == 1:
            start = rng.randrange(len(data) // 3, len(data) // 2)
            del damaged[start : start + rng.randrange(10, 2000)]
        path = folder / f"{seed}-{name}"
        path.write_bytes(damaged)
        try:
            source, index = probe(path)
            whole = hashes(source, index, 0, len(index))
        except MediaError:
            continue
        usable += 1
        for _ in range(5):
            start = rng.randrange(len(index))
            stop = min(len(index), start + rng.randint(1, 20))
            assert hashes(source, index, start, stop) == whole[start:stop], (seed, start, stop)
    assert usable


def test_a_group_that_is_lost_shows_the_last_picture_before_it(folder):
    whole = film(folder / "whole.ts", *H264, frames=FRAMES)
    source, index = probe(whole)
    good = hashes(source, index, 0, FRAMES)

    with av.open(str(whole)) as container:
        packets = [(p.pts, p.pos) for p in container.demux(video=0) if p.size]
    begin = next(at for pts, at in packets if pts == int(index.pts[15]))
    end = next(at for pts, at in packets if pts == int(index.pts[30]))
    # The bytes are wiped, but the index is that of the whole file: like a disk that fails after the probe.
    data = bytearray(whole.read_bytes())
    for packet in range(begin, end, 188):
        data[packet + 4 : packet + 188] = b"\xff" * 184
    whole.write_bytes(data)
    shown = hashes(source, index, 0, FRAMES)
    assert shown[:14] == good[:14]
    assert shown[30:] == good[30:]
    assert set(shown[15:30]) == {shown[14]}
    assert hashes(source, index, 22, 26) == shown[22:26]


def test_pictures_that_claim_to_be_huge_are_refused_before_memory_is_taken(folder):
    huge = 30_000
    movie = bytearray(film(folder / "p.avi", "-c:v", "mjpeg", frames=3).read_bytes())
    at = 0
    while (at := movie.find(b"\xff\xc0\x00\x11", at)) >= 0:
        movie[at + 5 : at + 9] = huge.to_bytes(2, "big") * 2
        at += 4
    gif = bytearray(film(folder / "p.gif", "-c:v", "gif", frames=3).read_bytes())
    gif[6:10] = huge.to_bytes(2, "little") * 2
    ivf = bytearray(film(folder / "p.ivf", "-c:v", "libvpx", frames=3).read_bytes())
    # 16,000 is near the most that VP8 can say; both the header of the file and that of the first frame say it.
    ivf[12:16] = (16_000).to_bytes(2, "little") * 2
    ivf[32 + 12 + 6 : 32 + 12 + 10] = (16_000).to_bytes(2, "little") * 2
    names = []
    for name, data in {"huge.avi": movie, "huge.gif": gif, "huge.ivf": ivf}.items():
        (folder / name).write_bytes(data)
        names.append(str(folder / name))
    program = """
import json, resource, sys
from montage_dask.errors import MediaError
from montage_dask.media.probe import probe
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = []
for name in sys.argv[1:]:
    try:
        probe(name)
        found.append("")
    except MediaError as error:
        found.append(error.reason)
print(json.dumps([found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", program, *names],
        capture_output=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(montage_dask.__file__).parents[1])},
    )
    reasons, grown_kb = json.loads(answer.stdout)
    assert all(reasons), reasons
    assert grown_kb < 300_000
