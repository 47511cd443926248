"""What is made of a cut is what is made of the whole file: every operation, every kind of file, picture by picture."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pytest
from makers import X264, copied, film, network_file

from montage_dask.graph.operation import Request, perform
from montage_dask.media.cutting import cut_ranges
from montage_dask.media.probe import probe
from montage_dask.records import CUT, Event, Transition, from_json, to_json
from montage_dask.render.ranges import reading_cuts, readings
from montage_dask.render.segments import Segment
from montage_dask.store import Store

FRAMES = 96
OPEN_265 = "keyint=15:min-keyint=15:bframes=3:open-gop=1:pools=1:log-level=error"
VARY = "setpts='(N+0.4*mod(N\\,3)+gt(N\\,20)*7)/(25*TB)'"
KINDS: dict[str, tuple[str, ...]] = {
    "bframes.mp4": (*X264, "-bf", "3", "-g", "24"),
    "pyramid.mkv": ("-c:v", "libx264", "-preset", "fast", "-bf", "4", "-g", "17", "-threads", "1"),
    "bframes.ts": (*X264, "-bf", "2", "-g", "20"),
    "opengop.mp4": ("-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "15", "-threads", "1",
                    "-x264-params", "open-gop=1:scenecut=0"),
    "hevc.mp4": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", OPEN_265),
    "hevc.ts": ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", OPEN_265),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-deadline", "good", "-cpu-used", "5", "-b:v", "300k",
                 "-g", "20", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-threads", "1"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "13", "-g", "20", "-svtav1-params", "lp=1"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", "4"),
    "bframes.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "5"),
    "vfr.mp4": (*X264, "-bf", "2", "-g", "20", "-fps_mode", "vfr", "-enc_time_base", "1:1000"),
    "ten.mkv": (*X264, "-pix_fmt", "yuv420p10le", "-bf", "2", "-g", "20"),
    "full.mp4": (*X264, "-pix_fmt", "yuvj420p", "-color_range", "pc", "-colorspace", "smpte170m"),
    "rotated.mov": (*X264, "-bf", "2", "-g", "20"),
}  # fmt: skip
NTSC = ("mjpeg.avi", "bframes.avi", "pyramid.mkv", "hevc.mp4")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Name → (source, index, path of the index)."""
    folder, found = tmp_path_factory.mktemp("clips"), {}

    def clip(name):
        if name not in found:
            path = film(
                folder / name,
                *KINDS[name],
                frames=FRAMES,
                rate="30000/1001" if name in NTSC else "25",
                filters=VARY if name == "vfr.mp4" else "null",
                sound=name.endswith((".mp4", ".ts")),
            )
            if name == "rotated.mov":
                path = copied(path, folder / "turned.mov", before=("-display_rotation", "90"))
            source, index = probe(path)
            stands = path.with_name(f"{path.name}.npz")
            index.save(stands)
            found[name] = source, index, stands
        return found[name]

    return clip


def pictures(path: Path) -> list[tuple[int, bytes]]:
    """Time and planes of every frame of a result."""
    with av.open(str(path)) as container:
        return [(f.pts, f.to_ndarray().tobytes()) for f in container.decode(video=0)]


def made(request: Request, folder: Path) -> tuple[dict, list[tuple[int, bytes]]]:
    store = Store(folder)
    record = perform(request, store)
    times = ("seconds", "cpu_seconds", "size_bytes", "files")
    shown = pictures(store.file(request.operation, request.key, ".mp4"))
    return {k: v for k, v in record.items() if k not in times}, shown


@contextmanager
def hidden(files: Iterable[Path]) -> Iterator[None]:
    """Files are gone as long as the context lasts."""
    names = {f: f.with_name(f"{f.name}.hidden") for f in files}
    for before, after in names.items():
        before.rename(after)
    try:
        yield
    finally:
        for before, after in names.items():
            after.rename(before)


def check(request: Request, tmp_path: Path) -> None:
    """The same record and pictures from the whole files and, where these are gone, from their cuts."""
    whole = made(request, tmp_path / "whole")
    cuts = {}
    found = readings(request.operation, request.parameters, request.paths)
    assert found
    (tmp_path / "cuts").mkdir(parents=True)
    for number, reading in enumerate(found):
        _, index = probe(reading.source.path)
        output = tmp_path / "cuts" / str(number)
        cut = cut_ranges(reading.source, index, reading.ranges, output)
        assert cut.source.audio is None
        cuts[reading.source.identity] = cut
    paths = reading_cuts(request.operation, request.paths, cuts, tmp_path / "cuts")
    moved = Request(request.operation, request.parameters, paths)
    assert moved.key == request.key
    with hidden(Path(r.source.path) for r in found):
        assert made(moved, tmp_path / "cut") == whole


def windowed(operation: str, clip, start: int, stop: int, parameters, paths) -> Request:
    source, _, index = clip
    return Request(
        operation,
        {
            "identity": source.identity,
            "stream_index": source.stream_index,
            "start_frame": start,
            "stop_frame": stop,
            **parameters,
        },
        {"source": to_json(source), "index": str(index), **paths},
    )


def transcode(clip, start: int, stop: int) -> Request:
    how = {"codec": "h264", "quality": "preview", "crf": 20, "size": None, "threads": 1}
    return windowed("transcode", clip, start, stop, {**how, "grade": "none"}, {"grade": "none"})


def encode(chosen, seed: int, joined: bool) -> Request:
    rng, events, at = random.Random(seed), [], 0
    for number in range(4):
        source, index, _ = rng.choice(chosen)
        frames, speed = rng.randint(9, 20), rng.choice((Fraction(1), Fraction(3, 4), Fraction(2)))
        begin = Fraction(rng.random()) * (index.duration_seconds - frames / 25 * speed)
        transition = Transition("crossfade", 6) if joined and number else CUT
        event = Event(at, at + frames, source.identity, 0, begin, speed, transition=transition)
        events.append(event)
        at += frames
    segment = Segment(tuple(events), Fraction(25), 160, 90)
    used = [c for c in chosen if any(e.source == c[0].identity for e in events)]
    return Request(
        "encode",
        {
            "segment": to_json(segment), "fit": "contain", "grade": "none",
            "codec": "h264", "quality": "preview", "crf": 20, "threads": 1,
        },
        {
            "sources": {s.identity: to_json(s) for s, _, _ in used},
            "indexes": {s.identity: str(i) for s, _, i in used},
            "stand_ins": {}, "grade": "none", "stall_seconds": 60,
        },
    )  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_window_is_transcoded_from_its_cut(clips, tmp_path, name):
    rng = random.Random(name)
    start = rng.randrange(1, FRAMES - 10)
    check(transcode(clips(name), start, rng.randint(start + 1, FRAMES)), tmp_path)


@pytest.mark.parametrize("name", ["opengop.mp4", "hevc.mp4", "hevc.ts"])
def test_pictures_before_a_keyframe_that_follow_it_in_the_file(clips, tmp_path, name):
    """They are decoded with the group before, from a file of either length."""
    key = int(clips(name)[1].keyframes[2])
    for start in range(key - 3, key + 1):
        check(transcode(clips(name), start, key + 9), tmp_path / str(start))


@pytest.mark.parametrize("name", KINDS)
def test_a_segment_is_encoded_from_cuts(clips, tmp_path, name):
    check(encode([clips(name)], len(name), joined=False), tmp_path)


@pytest.mark.parametrize("seed", range(3))
def test_a_segment_with_crossfades_of_several_sources(clips, tmp_path, seed):
    chosen = [clips(n) for n in ("hevc.ts", "rotated.mov", "vfr.mp4", "mjpeg.avi")]
    check(encode(chosen, seed, joined=True), tmp_path)


@pytest.mark.parametrize("name", ["opengop.mp4", "hevc.ts", "bframes.avi", "vfr.mp4", "ten.mkv"])
def test_effects_read_the_cut(clips, tmp_path, name):
    own = {"encoding": None, "mezzanine_version": 1}
    still = windowed("stabilise", clips(name), 33, 52, {**own, "paths": []}, {"paths": []})
    check(still, tmp_path / "still")
    model = str(network_file(tmp_path / "network.pth"))
    large = windowed(
        "upscale", clips(name), 50, 54,
        {**own, "input": None, "model": "test", "scale": 2, "precision": "float32"},
        {"input": None, "model": model, "memory_limit_mb": 4096},
    )  # fmt: skip
    check(large, tmp_path)


def test_what_cannot_be_cut_is_told(clips):
    clip = clips("bframes.mp4")
    assert readings("assemble", {}, {}) is None
    parameters = {"input": "a mezzanine", "start_frame": 0, "stop_frame": 9}
    assert readings("upscale", parameters, {}) == ()
    source, _, index = clip
    paths = {"source": to_json(source), "index": str(index)}
    (reading,) = readings("motion", parameters | {"input": None}, paths) or ()
    assert reading.ranges == ((0, 9),)
    assert from_json(type(source), to_json(reading.source)) == source
