"""Joined without loss, checked, atomic."""

import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from made_footage import HEIGHT, WIDTH, luma_frames, number_of, numbered
from test_audio_render import noise, timeline, write_sound

from montage_dask.errors import MediaError, UsageError, VerificationError
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import Event
from montage_dask.render.assemble import assemble
from montage_dask.render.audio import render_audio
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.verify import check, facts, find_cuts, frames_hash

LENGTHS = (30, 1, 17, 45)


def segments(folder, fps, codec="h264", lengths=LENGTHS):
    """Segments that show the numbers 0 … n of one source."""
    source, index = probe(numbered(folder / "source.mp4", sum(lengths), rate=fps, b_frames=2))
    parts, at = [], 0
    for n, frames in enumerate(lengths):
        parts.append(folder / f"part{n}.mp4")
        event = Event(0, frames, source.identity, 0, at / fps)
        render_segment(
            Segment((event,), fps, WIDTH, HEIGHT),
            {source.identity: source},
            {source.identity: index},
            parts[-1],
            fit="contain",
            grade="none",
            encoding=encoding(codec, "preview"),
            work=folder,
        )
        at += frames
    return parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return segments(tmp_path_factory.mktemp("parts"), Fraction(25))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    music = write_sound(folder / "m.wav", noise(5))
    render_audio(timeline(sum(LENGTHS)), str(music), {}, folder / "sound.m4a", keep_audio=False)
    return folder / "sound.m4a"


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".m4v"])
def test_joined_frame_by_frame_with_sound(tmp_path, parts, sound, suffix):
    output = tmp_path / f"it's a 100% [montage]{suffix}"
    record = assemble(
        parts, sound, output, frames=93, fps=Fraction(25), metadata={"title": "a=b;c 🎬"}
    )
    assert record["frames"] == 93
    assert [number_of(f) for f in luma_frames(output)] == list(range(93))
    found = facts(output)
    assert (found.frames, found.fps, found.start_seconds) == (93, 25, 0)
    assert found.audio_start_seconds is not None
    assert abs(found.audio_start_seconds) < Fraction(1, 25)
    with av.open(str(output)) as container:
        assert container.metadata.get("title") == "a=b;c 🎬"
    assert [p.name for p in tmp_path.iterdir()] == [output.name]


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(144)])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_frames_are_evenly_spaced_to_the_tick(tmp_path, fps, codec):
    parts = segments(tmp_path, fps, codec, (20, 7, 11))
    output = tmp_path / "out.mp4"
    assemble(parts, None, output, frames=38, fps=fps, metadata={})
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        times = sorted(p.pts * stream.time_base for p in container.demux(stream) if p.size)
    assert times == [n / fps for n in range(38)]
    assert [number_of(f) for f in luma_frames(output)] == list(range(38))


def test_joined_pictures_are_those_of_the_parts(tmp_path, parts):
    assemble(parts, None, tmp_path / "out.mp4", frames=93, fps=Fraction(25), metadata={})
    joined = luma_frames(tmp_path / "out.mp4")
    alone = [f for p in parts for f in luma_frames(p)]
    assert all(np.array_equal(a, b) for a, b in zip(joined, alone, strict=True))
    again = tmp_path / "again.mp4"
    assemble(parts, None, again, frames=93, fps=Fraction(25), metadata={})
    assert again.read_bytes() == (tmp_path / "out.mp4").read_bytes()
    assert frames_hash(again) == frames_hash(tmp_path / "out.mp4")
    assert frames_hash(again) != frames_hash(parts[0])


@pytest.mark.parametrize(("frames", "fps"), [(92, 25), (94, 25), (93, 24)])
def test_nothing_appears_when_it_is_not_as_promised(tmp_path, parts, frames, fps):
    output = tmp_path / "out.mp4"
    output.write_text("an earlier montage")
    with pytest.raises(VerificationError):
        assemble(parts, None, output, frames=frames, fps=Fraction(fps), metadata={})
    assert output.read_text() == "an earlier montage"
    assert list(tmp_path.iterdir()) == [output]


def test_a_part_that_broke_is_found(tmp_path, parts):
    broken = tmp_path / "broken.mp4"
    data = bytearray(parts[2].read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin : begin + 2000] = b"\xff" * min(2000, len(data) - begin)
    broken.write_bytes(data)
    output = tmp_path / "out.mp4"
    with pytest.raises((VerificationError, MediaError)):
        assemble(
            [*parts[:2], broken, parts[3]], None, output, frames=93, fps=Fraction(25), metadata={}
        )
    assert not output.exists()


def test_sound_that_is_too_short_is_found(tmp_path, parts):
    music = write_sound(tmp_path / "m.wav", noise(5))
    short = tmp_path / "short.m4a"
    render_audio(timeline(60), str(music), {}, short, keep_audio=False)
    with pytest.raises(VerificationError, match="differ in length"):
        assemble(parts, short, tmp_path / "out.mp4", frames=93, fps=Fraction(25), metadata={})


def test_unknown_container(tmp_path, parts):
    with pytest.raises(UsageError, match="must end in"):
        assemble(parts, None, tmp_path / "out.exe", frames=93, fps=Fraction(25), metadata={})


def test_a_full_disk(tmp_path, parts):
    """A tiny file system of our own, where the kernel lets us mount one."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["unshare", "--mount", "--map-root-user", "true"]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no private mounts here")
    import sys

    code = (
        "import sys\nfrom fractions import Fraction\nfrom pathlib import Path\n"
        "from montage_dask.render import assemble as a\n"
        "from montage_dask.errors import StoreError\n"
        "a.free_bytes = lambda folder: 1 << 40  # the check before the work must not hide the one at work\n"
        "out = Path(sys.argv[1])\n"
        "try:\n    a.assemble([Path(p) for p in sys.argv[2:]], None, out / 'o.mp4', frames=93,"
        " fps=Fraction(25), metadata={})\n"
        "except StoreError as error:\n    print('refused:', error)\n"
        "print('left:', [p.name for p in out.iterdir()])\n"
    )
    script = (
        f'mount -t tmpfs -o size=4k none "$0" && exec "{sys.executable}" -c "$1" "$0" "${{@:2}}"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "bash", "-c", script, str(small), code]
        + [str(p) for p in parts],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount:" in done.stderr:
        pytest.skip("no tmpfs here")
    assert "refused:" in done.stdout, done.stderr
    assert "disk is full" in done.stdout
    assert "left: []" in done.stdout


def test_cuts_are_found_again(tmp_path):
    """Hard cuts between moving pictures, and nothing else."""
    looks = ["testsrc2", "mandelbrot", "rgbtestsrc", "gradients=seed=4", "smptebars"]
    chain, cuts, at = [], [], 0
    for n, look in enumerate(looks):
        name, _, rest = look.partition("=")
        length = 20 + 7 * n
        text = f"{name}={rest + ':' if rest else ''}size=320x180:rate=25"
        chain.append(
            f"{text},format=yuv420p,setsar=1,trim=end_frame={length},setpts=PTS-STARTPTS[v{n}]"
        )
        at += length
        cuts.append(at)
    graph = ";".join(chain) + ";" + "".join(f"[v{n}]" for n in range(len(looks)))
    path = tmp_path / "cuts.mp4"
    run_ffmpeg(["-filter_complex", f"{graph}concat=n={len(looks)}", str(path)], about=path)
    assert find_cuts(path) == tuple(cuts[:-1])


def test_uneven_frames_and_no_video_are_refused(tmp_path):
    path = numbered(
        tmp_path / "vfr.mkv", 20, pts=[n * n * 7 for n in range(20)], time_base=Fraction(1, 1000)
    )
    with pytest.raises(VerificationError, match="evenly"):
        check(path, frames=20, fps=Fraction(25))
    with pytest.raises(MediaError):
        facts(write_sound(tmp_path / "m.wav", noise(1)))
