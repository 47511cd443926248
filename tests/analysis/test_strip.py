"""The strip of real files: equal for any windows, right for any format, size and rotation."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from made_strips import detect_cuts, hard

from montage_dask.analysis import features
from montage_dask.analysis.shots import describe_shots
from montage_dask.analysis.strip import Strip, strip_folder, write_window
from montage_dask.errors import StoreError
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.media.windows import split_windows
from montage_dask.store import Store


def made(path, *arguments: str):
    run_ffmpeg([*arguments, "-an", str(path)], about=path)
    return path


def strip_of(path, store, window_frames):
    source, index = probe(path)
    folder = strip_folder(Store(store), source, window_frames)
    for window in reversed(split_windows(len(index), window_frames)):
        record = write_window(source, index, window, window_frames, folder)
        assert record == {"window": window.index, "frames": window.frames}
    return source, index, Strip(folder)


PARTS = ("testsrc2", "mandelbrot", "smptehdbars", "gradients=seed=3:speed=0.02", "rgbtestsrc")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Five scenes of 42 frames with B-frames and keyframes that do not fall on cuts or windows."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    inputs = []
    for part in PARTS:
        name = part + (":" if "=" in part else "=") + "size=320x180:rate=25"
        inputs += ["-f", "lavfi", "-i", name]
    chain = "".join(f"[{i}]trim=end_frame=42,setsar=1[v{i}];" for i in range(len(PARTS)))
    chain += "".join(f"[v{i}]" for i in range(len(PARTS))) + f"concat=n={len(PARTS)}"
    return made(
        path, *inputs, "-filter_complex", chain, "-pix_fmt", "yuv420p", "-c:v", "libx264",
        "-preset", "fast", "-g", "70", "-sc_threshold", "0", "-crf", "28",
    )  # fmt: skip


def test_windows_leave_no_trace(clip, tmp_path):
    results = [strip_of(clip, tmp_path, size) for size in (50, 100, 1000)]
    _, index, reference = results[-1]
    assert reference.frames == len(index) == 210
    for source, index, strip in results[:-1]:
        assert np.array_equal(strip.thumbnails(0, 210), reference.thumbnails(0, 210))
        for name in (*features.COLUMNS, "histogram", "hash"):
            assert np.array_equal(strip.feature(name), reference.feature(name)), name
        for detector in ("fast", "content", "adaptive", "hash", "histogram"):
            cuts = [
                detect_cuts(s, detector=detector, frame_rate=source.frame_rate)
                for s in (strip, reference)
            ]
            assert cuts[0] == cuts[1], detector
        cuts = detect_cuts(strip, detector="fast", frame_rate=source.frame_rate)
        assert cuts == (42, 84, 126, 168)
        assert describe_shots(source, index, strip, hard(cuts)) == describe_shots(
            source, index, reference, hard(cuts)
        )


def test_thumbnails_show_the_frames(clip, tmp_path):
    _, _, strip = strip_of(clip, tmp_path, 100)
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 30 == 0:
                expected = frame.to_ndarray(format="rgb24", width=48, height=27)
                shown = strip.thumbnails(number, number + 1)[0]
                # Another scaler and the skipped loop filter leave small differences.
                assert np.abs(expected.astype(int) - shown).mean() < 8


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("444-10.mkv", ["-pix_fmt", "yuv444p10le", "-c:v", "libx264"]),
        ("422.mov", ["-pix_fmt", "yuv422p10le", "-c:v", "prores_ks"]),
        ("grey.mkv", ["-pix_fmt", "gray", "-c:v", "ffv1"]),
        ("rgb.mkv", ["-pix_fmt", "bgr0", "-c:v", "ffv1"]),
        ("full-range.mp4", ["-pix_fmt", "yuvj420p", "-c:v", "libx264"]),
        ("vp9.webm", ["-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-cpu-used", "8"]),
    ],
)
def test_pixel_formats(tmp_path, name, arguments):
    path = made(
        tmp_path / name, "-f", "lavfi", "-i", "color=white:size=64x36:rate=10:duration=0.6",
        "-vf", "drawbox=w=32:h=36:color=black:t=fill", *arguments,
    )  # fmt: skip
    _, _, strip = strip_of(path, tmp_path / "store", 50)
    thumbnail = strip.thumbnails(3, 4)[0]
    assert thumbnail[:, :22].max() < 25
    assert thumbnail[:, 26:].min() > 230


@pytest.mark.parametrize(
    ("degrees", "dark"),
    [
        (90, np.s_[:13]),
        (180, np.s_[:, 25:]),
        (270, np.s_[15:]),
    ],
)
def test_rotation(tmp_path, degrees, dark):
    """The left half is dark; rotated clockwise by 90° for showing, the top is."""
    plain = made(
        tmp_path / "plain.mp4", "-f", "lavfi", "-i", "color=white:size=96x54:rate=10:duration=0.5",
        "-vf", "drawbox=w=48:h=54:color=black:t=fill", "-c:v", "libx264", "-pix_fmt", "yuv420p",
    )  # fmt: skip
    path = tmp_path / "rotated.mp4"
    run_ffmpeg(
        ["-display_rotation", str(-degrees), "-i", str(plain), "-c", "copy", str(path)], about=path
    )
    source, _, strip = strip_of(path, tmp_path / "store", 50)
    assert source.rotation_degrees == degrees
    thumbnail = strip.thumbnails(2, 3)[0].astype(int)
    mask = np.zeros((27, 48), bool)
    mask[dark] = True
    assert thumbnail[mask].mean() < 25
    assert thumbnail[~mask].mean() > 215


def test_a_size_that_changes_in_the_middle(tmp_path):
    parts = []
    for number, size in enumerate(("320x180", "160x120")):
        part = made(
            tmp_path / f"{number}.ts", "-f", "lavfi", "-i",
            f"testsrc2=size={size}:rate=25:duration=1", "-c:v", "libx264", "-pix_fmt", "yuv420p",
            "-output_ts_offset", str(number),
        )  # fmt: skip
        parts.append(part.read_bytes())
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(parts))
    source, index = probe(path)
    folder = strip_folder(Store(tmp_path / "store"), source, 50)
    (window,) = split_windows(len(index), 50)
    write_window(source, index, window, 50, folder)
    strip = Strip(folder)
    assert strip.frames >= 45
    before, after = strip.thumbnails(3, 4)[0], strip.thumbnails(strip.frames - 22, strip.frames)[0]
    # The same moving test picture in both parts; the second one is narrower, whole, with black beside it.
    assert after[:, :5].max() < 8
    assert after[:, -5:].max() < 8
    middle = cv2.resize(np.ascontiguousarray(after[:, 6:42]), (48, 27))
    assert features.likeness(before, middle) > 0.8


def test_sharpness_sees_blur_and_upscaling(tmp_path):
    def sharpness(name, filters):
        path = made(
            tmp_path / name, "-f", "lavfi", "-i", "mandelbrot=size=640x360:rate=10",
            "-frames:v", "6", "-vf", filters, "-c:v", "libx264", "-crf", "12",
            "-pix_fmt", "yuv420p",
        )  # fmt: skip
        _, _, strip = strip_of(path, tmp_path / "store", 50)
        return float(strip.feature("sharpness").mean())

    sharp = sharpness("sharp.mp4", "null")
    soft = sharpness("soft.mp4", "gblur=sigma=2")
    small = sharpness("small.mp4", "scale=160:90")
    assert sharp > soft + 0.1
    assert sharp > small + 0.1


def test_the_address_depends_on_content_stream_and_windows_only(clip, tmp_path):
    import dataclasses

    source, _ = probe(clip)
    store = Store(tmp_path)
    here = strip_folder(store, source, 100)
    elsewhere = dataclasses.replace(source, path="/elsewhere.mp4", frame_rate=Fraction(1))
    assert strip_folder(store, elsewhere, 100) == here
    assert strip_folder(store, source, 150) != here
    other_stream = dataclasses.replace(source, stream_index=7)
    assert strip_folder(store, other_stream, 100) != here


def test_a_window_that_was_not_written_is_missed(clip, tmp_path):
    source, index = probe(clip)
    folder = strip_folder(Store(tmp_path), source, 100)
    with pytest.raises(StoreError, match=r"thumbnails/zarr\.json is missing"):
        Strip(folder)
    write_window(source, index, split_windows(len(index), 100)[0], 100, folder)
    strip = Strip(folder)
    assert len(strip.thumbnails(90, 100)) == 10
    with pytest.raises(StoreError, match="is missing"):
        strip.thumbnails(90, 101)
    with pytest.raises(StoreError, match="is missing"):
        detect_cuts(strip, detector="fast", frame_rate=source.frame_rate)
