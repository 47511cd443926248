"""The guard tells wrong pictures from right ones, on really rendered segments."""

import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from montage_dask.analysis.steady import Steady
from montage_dask.analysis.strip import Strip, write_window
from montage_dask.errors import PictureMismatch, StoreError, VerificationError
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import CUT, Event, Focus, Match, Transition, Window
from montage_dask.render.expected import Steadied, shown_area
from montage_dask.render.grade import PRESETS
from montage_dask.render.guard import LOOKS, Claim, check_segment
from montage_dask.render.pictures import even_size, write_pictures
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.stabilise import stabilise
from montage_dask.render.verdict import Look, judge

FRAMES = 100
FPS = Fraction(25)
ENCODING = encoding("h264", "preview")


def scene(seed: int, number: int, size=(320, 180)) -> np.ndarray:
    """A picture of things that move over a background that pans: uint8 RGB."""
    rng = np.random.default_rng(seed)
    width, height = size
    wide = cv2.resize(rng.integers(40, 216, (12, 40, 3)).astype(np.uint8), (width * 3, height))
    picture = np.ascontiguousarray(wide[:, number * 2 : number * 2 + width])
    for _ in range(6):
        x, y, dx, dy = rng.uniform(0, 1, 4)
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        at = (
            int((x + (dx - 0.5) * number / 30) % 1 * width),
            int((y + (dy - 0.5) * number / 30) % 1 * height),
        )
        cv2.circle(picture, at, width // 12, colour, -1)
    return picture


def made(path: Path, seed: int, size=(320, 180), rotation: int = 0, options=None) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "18", "preset": "ultrafast", "g": "20", **(options or {})}
        for n in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(scene(seed, n, size), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation:
        turned = path.with_stem(path.stem + "-turned")
        run_ffmpeg(
            ["-display_rotation", str(-rotation), "-i", str(path), "-c", "copy", str(turned)],
            about=path,
        )
        return turned
    return path


def claim(path: Path, folder: Path) -> Claim:
    source, index = probe(path)
    write_window(source, index, Window(0, 0, len(index)), len(index), folder)
    return Claim(source, index, Strip(folder))


@pytest.fixture(scope="module")
def claims(tmp_path_factory):
    """Two clips and one that was filmed upright, with their strips, by identity."""
    folder = tmp_path_factory.mktemp("guarded")
    paths = [
        made(folder / "a.mp4", 1),
        made(folder / "b.mp4", 2),
        made(folder / "c.mp4", 3, rotation=90),
    ]
    found = [claim(p, folder / f"strip-{n}") for n, p in enumerate(paths)]
    return {c.source.identity: c for c in found}


def event(start, frames, claim, begin, speed=Fraction(1), transition=CUT, match=None):
    return Event(
        start, start + frames, claim.source.identity, 0, begin / FPS, speed, transition, match=match
    )


def plain(claims, count=2, begin=30, size=(320, 180)) -> Segment:
    events = [event(n * 25, 25, c, begin) for n, c in enumerate(list(claims.values())[:count])]
    return Segment(tuple(events), FPS, *size)


def render(segment, claims, path, *, fit="cover", grade="none", encoding=ENCODING, **changes):
    render_segment(
        segment,
        {k: changes.get(k, c).source for k, c in claims.items()},
        {k: changes.get(k, c).index for k, c in claims.items()},
        path,
        fit=fit,
        grade=grade,
        encoding=encoding,
        work=path.parent,
        tap=path.with_suffix(".tap"),
    )
    return path


def filtered(path: Path, filters: str) -> Path:
    """A rendered segment with something done to its pictures."""
    changed = path.with_stem("changed")
    run_ffmpeg(
        [
            "-i",
            str(path),
            "-vf",
            filters,
            "-c:v",
            "libx264",
            "-crf",
            "16",
            "-preset",
            "ultrafast",
            str(changed),
        ],
        about=path,
    )
    return changed


def check(segment, path, claims, *, tap=None, fit="cover", grade="none", closely=True):
    tap = tap or path.with_suffix(".tap")
    return check_segment(segment, path, tap, claims, fit=fit, grade=grade, closely=closely)


def varied(claims, seed, size) -> Segment:
    """Events of all speeds and transitions."""
    rng = random.Random(seed)
    kinds = ["cut", "crossfade", "dip-to-black", "dip-to-white"]
    speeds = [Fraction(1), Fraction(1, 2), Fraction(5, 4), Fraction(2)]
    rng.shuffle(kinds)
    rng.shuffle(speeds)
    events, at = [], 0
    for number in range(4):
        frames = rng.randint(14, 24)
        one = rng.choice(list(claims.values()))
        kind = kinds[number] if number else "cut"
        transition = Transition(kind, 2 * rng.randint(1, 3)) if kind != "cut" else CUT
        match = (
            Match((9000, 600, 0, 200, 10200, 0, 0, 0, 10800), (120, -90, 40))
            if number == 2
            else None
        )
        events.append(
            event(at, frames, one, rng.randint(12, 40), speeds[number], transition, match)
        )
        at += frames
    return Segment(tuple(events), FPS, *size, fade_out_frames=6)


GRADES = sorted(PRESETS)


@pytest.mark.parametrize("grade", GRADES)
def test_no_false_alarm(claims, tmp_path, grade):
    """All grades, each with another fit, shape of picture, quality, and all transitions and speeds."""
    number = GRADES.index(grade)
    fit = ("cover", "contain", "blur")[number % 3]
    size = ((320, 180), (180, 320), (240, 240))[number // 3 % 3]
    quality = ("preview", "standard")[number % 2]
    segment = varied(claims, number, size)
    path = render(
        segment,
        claims,
        tmp_path / "s.mp4",
        fit=fit,
        grade=grade,
        encoding=encoding("h264", quality),
    )
    record = check(segment, path, claims, fit=fit, grade=grade)
    assert record["events"] == 4
    assert record["frames"] == 4 * (LOOKS + 1)
    assert record["worst"] < 0.8


def test_colours_beyond_rgb_are_no_false_alarm(tmp_path):
    """A dip to white is laid on in R'G'B', where the colours of a bar, graded vividly, end; small pictures still have them."""
    path = tmp_path / "bars.mp4"
    run_ffmpeg(
        ["-f", "lavfi", "-i", f"testsrc2=size=160x90:rate=25,trim=end_frame={FRAMES}", "-c:v", "libx264", "-preset", "ultrafast",
         "-pix_fmt", "yuv420p", str(path)],
        about=path,
    )  # fmt: skip
    one = claim(path, tmp_path / "strip")
    claims = {one.source.identity: one}
    events = [
        event(0, 24, one, 5),
        event(24, 24, one, 50, transition=Transition("dip-to-white", 8)),
    ]
    segment = Segment(tuple(events), FPS, 160, 90)
    rendered = render(segment, claims, tmp_path / "s.mp4", grade="vibrant")
    assert check(segment, rendered, claims, grade="vibrant")["worst"] < 0.8


def test_a_cube_file_is_no_false_alarm(claims, tmp_path):
    cube = tmp_path / "grade.cube"
    rows = [f"{r} {0.8 * g} {1 - b}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    cube.write_text("LUT_3D_SIZE 2\n" + "\n".join(rows) + "\n")
    segment = plain(claims)
    path = render(segment, claims, tmp_path / "s.mp4", grade=str(cube))
    assert check(segment, path, claims, grade=str(cube))["worst"] < 0.8
    with pytest.raises(PictureMismatch):
        check(segment, path, claims, grade="none")


@pytest.mark.parametrize("late", [-3, 3, -2, 7])
def test_wrong_frames_are_told(claims, tmp_path, late):
    segment = plain(claims)
    path = render(plain(claims, begin=30 + late), claims, tmp_path / "s.mp4")
    with pytest.raises(PictureMismatch) as caught:
        check(segment, path, claims)
    assert [m.number for m in caught.value.found] == [0, 1]
    assert all("frames later" in m.what or "frames earlier" in m.what for m in caught.value.found)
    first = caught.value.found[0]
    assert first.source == segment.events[0].source
    shown = cv2.imdecode(np.frombuffer(first.picture, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[0] == 27 * 8


@pytest.mark.parametrize("late", [False, True])
def test_colours_that_are_a_little_off_hide_no_wrong_frames(late):
    """And are no wrong frames themselves: they are off in all frames alike."""
    rng = np.random.default_rng(4)
    shape = (27, 48, 3)
    off = rng.normal(0, 1.5, shape)
    looks = []
    for n in range(4):
        step = rng.normal(0, 3, shape) * (rng.random(shape) < 0.2) + off
        shown = off + late * step + rng.normal(0, 0.2, shape)
        looks.append(
            Look(n, n, shown, np.zeros(shape), np.ones(shape[:2], bool), np.ones(shape), {3: step}, {}, 2.0)
        )  # fmt: skip
    verdict = judge(looks)
    assert verdict is None if not late else "3 frames later" in verdict[1]


def test_one_wrong_event_of_two_is_named(claims, tmp_path):
    right, wrong = plain(claims), plain(claims, begin=36)
    mixed = replace(right, events=(right.events[0], wrong.events[1]))
    path = render(mixed, claims, tmp_path / "s.mp4")
    with pytest.raises(PictureMismatch) as caught:
        check(right, path, claims)
    assert [m.number for m in caught.value.found] == [1]


def test_a_swapped_file_is_told(claims, tmp_path):
    """Another file under the same name: its own pictures are right, and not those that were analysed."""
    one, other = list(claims.values())[:2]
    identity = one.source.identity
    segment = plain(claims, 1)
    path = render(segment, claims, tmp_path / "s.mp4", **{identity: other})
    swapped = {**claims, identity: replace(one, source=replace(one.source, path=other.source.path))}
    with pytest.raises(PictureMismatch):
        check(segment, path, claims)
    with pytest.raises(PictureMismatch, match="decodes otherwise"):
        check(segment, path, swapped)


@pytest.mark.parametrize(
    "filters",
    [
        "geq=lum=16:cb=16:cr=16",  # green
        "drawbox=0:ih*3/4:iw:ih/4:color=0x00ff00:t=fill:enable=gt(n\\,8)*lt(n\\,40)",  # torn
        "hue=h=40",
        "eq=saturation=0.4",
        "eq=gamma=1.5",
        "hflip",
        "vflip",
        "crop=iw*0.95:ih*0.95,scale=320:180",
        "crop=iw-12:ih:12:0,pad=320:180:0:0",  # moved by 4 %
        "tblend=all_mode=difference",
        "loop=loop=20:size=1:start=20,trim=end_frame=50",  # stands still
    ],
)
def test_wrong_pictures_are_told(claims, tmp_path, filters):
    segment = plain(claims)
    path = render(segment, claims, tmp_path / "s.mp4")
    with pytest.raises(PictureMismatch, match="as encoded"):
        check(segment, filtered(path, filters), claims, tap=path.with_suffix(".tap"))


@pytest.mark.parametrize(
    ("fit", "other"), [("cover", "contain"), ("contain", "blur"), ("cover", "blur")]
)
def test_another_fit_is_told_where_the_picture_is_another(claims, tmp_path, fit, other):
    segment = plain(claims, size=(180, 320))
    path = render(segment, claims, tmp_path / "s.mp4", fit=other)
    if {fit, other} == {"contain", "blur"}:
        # They differ beside the picture only, of which the guard does not know.
        assert check(segment, path, claims, fit=fit)["worst"] < 0.8
        return
    with pytest.raises(PictureMismatch):
        check(segment, path, claims, fit=fit)


def test_steadied_pictures_are_known(claims, tmp_path):
    """The guard knows how the pictures were moved: with the right path all is well, without it the crop is wrong."""
    one = next(iter(claims.values()))
    rng = np.random.default_rng(5)
    corrections = np.concatenate(
        [
            rng.uniform(-0.03, 0.03, (FRAMES, 2)),
            rng.uniform(-0.02, 0.02, (FRAMES, 1)),
            np.zeros((FRAMES, 1)),
        ],
        axis=1,
    )
    steady = Steady(corrections, 1.1)
    mezzanine = tmp_path / "m.mp4"
    write_pictures(
        one.source, one.index, 0, FRAMES, mezzanine,
        transform=stabilise([(0, FRAMES, steady)]), size=even_size(one.source),
    )  # fmt: skip
    source, index = probe(mezzanine)
    stand_in = replace(one, source=source, index=index)
    segment = plain(claims, 1)
    identity = one.source.identity
    path = render(segment, claims, tmp_path / "s.mp4", **{identity: stand_in})
    moved = replace(one, start_frame=0, moves=(Steadied(0, FRAMES, steady),))
    assert check(segment, path, {identity: moved})["worst"] < 0.8
    with pytest.raises(PictureMismatch):
        check(segment, path, {identity: one})


def test_a_picture_that_stands_still_says_nothing_of_time(tmp_path):
    """Honest about what cannot be told: wrong frames of a still picture look right."""
    path = tmp_path / "still.mp4"
    run_ffmpeg(
        ["-f", "lavfi", "-i", "mandelbrot=size=320x180:rate=25:end_pts=1", "-vf", "loop=loop=100:size=1,trim=end_frame=100",
         "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)],
        about=path,
    )  # fmt: skip
    one = claim(path, tmp_path / "strip")
    claims = {one.source.identity: one}
    rendered = render(plain(claims, 1, begin=36), claims, tmp_path / "s.mp4")
    assert check(plain(claims, 1), rendered, claims)["events"] == 1


def test_a_segment_that_is_none(claims, tmp_path):
    path = tmp_path / "s.mp4"
    path.write_bytes(b"nothing")
    tap = render(plain(claims), claims, tmp_path / "t.mp4").with_suffix(".tap")
    with pytest.raises(VerificationError, match="does not decode"):
        check(plain(claims), path, claims, tap=tap)
    with pytest.raises(VerificationError, match="tap"):
        check(plain(claims), tmp_path / "t.mp4", claims, tap=path)


def test_a_strip_with_a_hole(claims, tmp_path):
    from montage_dask.analysis.strip import create_strip

    segment = plain(claims, 1)
    path = render(segment, claims, tmp_path / "s.mp4")
    create_strip(tmp_path / "empty", FRAMES, FRAMES)
    one = next(iter(claims.values()))
    with pytest.raises(StoreError):
        check(segment, path, {one.source.identity: replace(one, strip=Strip(tmp_path / "empty"))})


@pytest.mark.parametrize(
    ("size", "fit", "area"),
    [
        ((320, 180), "cover", (320, 180, 0, 0)),
        ((180, 320), "cover", (568, 320, -194, 0)),
        ((180, 320), "contain", (180, 102, 0, 108)),
        ((240, 240), "blur", (240, 136, 0, 52)),
    ],
)
def test_where_the_picture_lies(claims, size, fit, area):
    source = replace(next(iter(claims.values())).source, width=320, height=180)
    found = shown_area(source, size, fit)
    assert (found[0, 0], found[1, 1]) == area[:2]
    assert (found[0, 2], found[1, 2]) == pytest.approx(area[2:], abs=1.01)


WAY = (Focus(-10, 1800, 5000), Focus(12, 2500, 5000), Focus(40, 8000, 5000))


@pytest.mark.parametrize(
    ("fps", "speed"), [(FPS, Fraction(1)), (Fraction(60), Fraction(1)), (Fraction(24), Fraction(2))]
)
def test_a_window_that_moves_is_followed(claims, tmp_path, fps, speed):
    one, two = list(claims.values())[:2]
    events = (
        replace(event(0, 30, one, 10, speed), focus=WAY),
        replace(event(30, 24, two, 40, speed, Transition("crossfade", 8)), focus=WAY[1:]),
    )
    segment = Segment(events, fps, 100, 180)
    path = render(segment, claims, tmp_path / "s.mp4")
    assert check(segment, path, claims)["events"] == 2
    elsewhere = tuple(replace(f, x=10_000 - f.x) for f in WAY)
    other = replace(segment, events=(replace(events[0], focus=elsewhere), events[1]))
    with pytest.raises(PictureMismatch):
        check(other, path, claims)
