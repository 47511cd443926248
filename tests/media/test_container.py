"""Hostile and broken inputs: each is refused with its reason, and nothing that a file refers to is opened."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from makers import X264, film

import montage_dask
from montage_dask.errors import MediaError
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return film(tmp_path_factory.mktemp("good") / "good.mp4", *X264, "-g", "10", frames=20)


def refused(path) -> str:
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_what_is_no_file(tmp_path):
    (tmp_path / "clip.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    assert "folder" in refused(tmp_path / "clip.mp4")
    assert "not a regular file" in refused(tmp_path / "pipe.mp4")
    assert "does not exist" in refused(tmp_path / "none.mp4")
    assert refused(tmp_path / "loop.mp4")
    assert refused("a\0b.mp4")
    assert "not a regular file" in refused("/dev/zero")


def test_empty_text_and_noise(tmp_path):
    assert "empty" in refused(written(tmp_path / "empty.mp4", b""))
    assert "text" in refused(written(tmp_path / "text.mp4", b"Dear diary,\n" * 99))
    assert "text" in refused(written(tmp_path / "utf8.mp4", "Grüße, 你好\n".encode() * 99))
    assert refused(
        written(tmp_path / "noise.mp4", bytes((n * n * 7 + n) % 256 for n in range(9999)))
    )
    assert refused(written(tmp_path / "zeros.mp4", bytes(100_000)))
    assert refused(written(tmp_path / "one.mp4", b"\0"))


def test_an_mp4_without_its_index(good, tmp_path):
    half = good.read_bytes()[: good.stat().st_size // 2]
    assert "moov" in refused(written(tmp_path / "half.mp4", half))


def test_sound_only(tmp_path):
    path = film(tmp_path / "sound.mp4", "-vn", "-c:a", "aac", frames=5, sound=True)
    assert "no video" in refused(path)


def test_cover_art_is_no_video(tmp_path):
    cover = film(tmp_path / "cover.png", "-c:v", "png", frames=1)
    track = film(tmp_path / "track.m4a", "-vn", "-c:a", "aac", "-t", "1", sound=True)
    path = tmp_path / "song.m4a"
    run_ffmpeg(
        ["-i", str(track), "-i", str(cover), "-map", "0", "-map", "1", "-c", "copy",
         "-disposition:v:0", "attached_pic", "-f", "mp4", str(path)],
        about=path,
    )  # fmt: skip
    assert "no video" in refused(path)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("still.png", ("-c:v", "png")),
        ("still.jpg", ("-c:v", "mjpeg")),
        ("still.gif", ("-c:v", "gif")),
        ("still.bmp", ("-c:v", "bmp")),
        ("still.webp", ("-c:v", "libwebp")),
        ("still.tiff", ("-c:v", "tiff")),
    ],
)
@pytest.mark.parametrize("as_mp4", [False, True])
def test_stills(tmp_path, name, options, as_mp4):
    path = film(tmp_path / name, *options, frames=1)
    if as_mp4:
        path = path.rename(tmp_path / "clip.mp4")
    assert refused(path) == "is a still image, not a video"


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{name}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "pls": "[playlist]\nFile1={name}\n",
    "asx": "<asx><entry><ref href='{name}'/></entry></asx>",
    "smil": "<smil><body><video src='{name}'/></body></smil>",
    "mpd": "<?xml version='1.0'?>\n<MPD><Period><BaseURL>{name}</BaseURL></Period></MPD>",
}


@pytest.mark.parametrize("suffix", ["mp4", "own"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_playlists_are_not_followed(good, tmp_path, kind, suffix):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(good.read_bytes())
    text = PLAYLISTS[kind].format(name="secret.mp4").encode()
    path = written(tmp_path / f"clip.{kind if suffix == 'own' else suffix}", text)
    reason, opened = _opened_files(path)
    assert "is a playlist, which is not followed" in reason
    assert "clip." in opened
    assert "secret" not in opened


def _opened_files(path: Path) -> tuple[str, str]:
    """The refusal, and the names of all files that were opened while probing (Python's and C's: by access times)."""
    os.utime(path.parent / "secret.mp4", ns=(0, 0))
    code = (
        "import sys; names = []\n"
        "sys.addaudithook(lambda e, a: names.append(str(a[0])) if e == 'open' else None)\n"
        "from montage_dask.errors import MediaError\n"
        "from montage_dask.media.probe import probe\n"
        "names.clear()\n"
        "try: probe(sys.argv[1])\n"
        "except MediaError as e: print(e.reason)\n"
        "print('|'.join(names))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True, text=True, check=True, cwd=path.parent,
        env={**os.environ, "PYTHONPATH": str(Path(montage_dask.__file__).parents[1])},
    )  # fmt: skip
    assert (path.parent / "secret.mp4").stat().st_atime_ns == 0
    reason, _, opened = found.stdout.partition("\n")
    return reason, opened


def test_a_playlist_hidden_in_a_container_suffix_of_text(good, tmp_path):
    """White space and byte order marks before the head do not help."""
    text = b"\xef\xbb\xbf\n  #EXTM3U\n#EXTINF:1,\n" + str(good).encode() + b"\n"
    assert "playlist" in refused(written(tmp_path / "clip.mp4", text))


NAMES = [
    "with space.mp4",
    'it\'s "quoted".mp4',
    "two\nlines.mp4",
    "emoji 🎬.mp4",
    "-i.mp4",
    "frame%03d.mp4",
    "a:b.mp4",
    "concat:x|y.mp4",
    "file:x.mp4",
    "http:x.mp4",
    "[a];$(b)`c`&.mp4",
    "back\\slash.mp4",
    "no suffix",
    b"latin1-\xe9.mp4",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
@pytest.mark.parametrize("relative", [False, True])
def test_any_name_will_do(good, tmp_path, name, relative, monkeypatch):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(good.read_bytes())
    monkeypatch.chdir(tmp_path)
    source, index = probe(path.name if relative else path)
    assert source.frames == len(index) == 20
    assert source.path == str(path)
    path.write_bytes(b"no media at all " * 20)
    assert "text" in refused(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody without permission")
def test_no_permission(good):
    code = (
        "import os, sys; import montage_dask.media.probe as p; from montage_dask.errors import MediaError\n"
        "os.seteuid(65534)\n"
        "try: p.probe(sys.argv[1])\n"
        "except MediaError as e: print(e.reason)\n"
    )
    folder = Path("/tmp") / f"montage-permission-{os.getpid()}"
    folder.mkdir(mode=0o755)
    path = folder / "clip.mp4"
    try:
        path.write_bytes(good.read_bytes())
        path.chmod(0)
        found = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(Path(montage_dask.__file__).parents[1])},
        )  # fmt: skip
        assert found.stdout.strip() == "cannot be read: no permission"
    finally:
        path.unlink()
        folder.rmdir()


def test_huge_pictures_are_refused(good, tmp_path):
    """Headers that promise 65,000 × 65,000 pixels must not take the memory for them."""
    data = bytearray(good.read_bytes())
    at = data.rindex(b"avc1") + 4 + 24
    assert struct.unpack(">HH", data[at : at + 4]) == (160, 90)
    data[at : at + 4] = struct.pack(">HH", 65000, 65000)
    path = written(tmp_path / "huge.mp4", bytes(data))
    source, _ = probe(path)
    assert (source.width, source.height) == (160, 90)  # what the stream itself says counts
    head = b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n"
    assert refused(written(tmp_path / "huge.y4m", head + bytes(1000)))
