"""Colours, sizes and shapes of what comes out, against values worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest
from made_footage import coloured, planes_of

from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import Event
from montage_dask.render.grade import PRESETS, Curves, write_preset
from montage_dask.render.segments import Segment, render_segment

PATCHES = np.array(
    [
        [0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0],
        [0.5, 0.5, 0.5],
        [0.75, 0.1, 0.1],
        [0.1, 0.7, 0.15],
        [0.15, 0.2, 0.8],
        [0.8, 0.6, 0.5],
        [0.9, 0.85, 0.2],
    ]
)
"""R'G'B' of eight columns."""
KR_KB = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
LOSSLESS = encoding("h264", "preview", crf=0)


def to_yuv(rgb, matrix="bt709", *, full=False, bits=8):
    """R'G'B' (0 … 1) as code values by the definition of the standard."""
    kr, kb = KR_KB[matrix]
    luma = rgb @ np.array([kr, 1 - kr - kb, kb])
    cb = (rgb[..., 2] - luma) / (2 * (1 - kb))
    cr = (rgb[..., 0] - luma) / (2 * (1 - kr))
    unit = 1 << (bits - 8)
    peak = (1 << bits) - 1
    if full:
        return luma * peak, cb * peak + 128 * unit, cr * peak + 128 * unit
    return (luma * 219 + 16) * unit, (cb * 224 + 128) * unit, (cr * 224 + 128) * unit


def patches(matrix, *, full=False, bits=8, width=640, height=360, rgb=PATCHES):
    """Planes of the columns in 4:4:4."""
    columns = np.repeat(np.arange(len(rgb)), width // len(rgb))
    dtype = np.uint8 if bits == 8 else np.uint16
    return [
        np.tile(np.clip(np.round(v), 0, (1 << bits) - 1).astype(dtype)[columns], (height, 1))
        for v in to_yuv(rgb, matrix, full=full, bits=bits)
    ]


def rendered(path, tmp_path, size=(640, 360), fit="contain", grade="none", quality=LOSSLESS):
    """Y, U, V of frame 2 of a render of a file."""
    source, index = probe(path)
    output = tmp_path / "out.mp4"
    render_segment(
        Segment((Event(0, 4, source.identity, 0, Fraction(0)),), Fraction(25), *size),
        {source.identity: source},
        {source.identity: index},
        output,
        fit=fit,
        grade=grade,
        encoding=quality,
        work=tmp_path,
    )
    return planes_of(output, 2)


def columns(plane, count=8):
    """The value in the middle of each column."""
    step = plane.shape[1] / count
    row = plane[plane.shape[0] // 2].astype(float)
    return np.array([row[round((n + 0.5) * step)] for n in range(count)])


def assert_patches(planes, tolerance=3.0, rgb=PATCHES):
    for plane, wanted in zip(planes, to_yuv(rgb), strict=True):
        np.testing.assert_allclose(columns(plane, len(rgb)), wanted, atol=tolerance)


@pytest.mark.parametrize(
    ("matrix", "full", "bits", "tags", "size"),
    [
        ("bt709", False, 8, dict(space=1, primaries=1, transfer=1, range_=1), (640, 360)),
        ("bt709", True, 8, dict(space=1, primaries=1, transfer=1, range_=2), (640, 360)),
        ("bt601", False, 8, dict(space=6, primaries=6, transfer=6, range_=1), (640, 360)),
        ("bt601", False, 8, dict(), (640, 360)),  # untagged SD
        ("bt709", False, 8, dict(), (1280, 720)),  # untagged HD
        ("bt601", True, 8, dict(space=5, range_=2), (640, 360)),
        ("bt709", False, 10, dict(space=1, primaries=1, transfer=1, range_=1), (640, 360)),
        ("bt601", True, 10, dict(space=5, range_=2), (640, 360)),
    ],
)
@pytest.mark.parametrize("grade", ["none", "identity"])
def test_any_yuv_becomes_rec709(tmp_path, matrix, full, bits, tags, size, grade):
    pixels = "yuv444p" if bits == 8 else "yuv444p10le"
    planes = patches(matrix, full=full, bits=bits, width=size[0], height=size[1])
    path = coloured(tmp_path / "in.mkv", planes, pixels, **tags)
    if grade == "identity":
        grade = str(tmp_path / "identity.cube")
        corners = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
        (tmp_path / "identity.cube").write_text(f"LUT_3D_SIZE 2\n{corners}\n")
    planes = rendered(path, tmp_path, grade=grade)
    assert_patches(planes, 2.0)


@pytest.mark.parametrize(
    ("size", "pixels", "range_"),
    [
        ((640, 360), "yuv420p", 1),
        ((640, 360), "yuv420p10le", 1),
        ((640, 360), "yuv422p", 2),
        ((639, 359), "yuv420p", 1),
    ],
)
def test_an_identity_table_changes_no_code_value_by_more_than_one(tmp_path, size, pixels, range_):
    """Through R'G'B' and back, chroma made finer and coarser again, on a picture of colours that flow into each other."""
    width, height = size
    deep = pixels.endswith("10le")
    kind, unit = (np.uint16, 4) if deep else (np.uint8, 1)
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    luma = 80 + 80 * across + 20 * np.sin(9 * down)
    blue, red = 128 + 30 * np.cos(5 * across), 128 + 30 * np.sin(4 * down + across)
    rows = slice(None) if "422" in pixels else slice(None, None, 2)
    chroma = (c[rows, ::2] for c in (blue, red))
    planes = [np.round(p * unit).astype(kind) for p in (luma, *chroma)]
    tags = dict(space=1, primaries=1, transfer=1, range_=range_)
    path = coloured(tmp_path / "in.mkv", planes, pixels, codec="ffv1", **tags)
    corners = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (tmp_path / "identity.cube").write_text(f"LUT_3D_SIZE 2\n{corners}\n")
    plain = rendered(path, tmp_path)
    through = rendered(path, tmp_path, grade=str(tmp_path / "identity.cube"))
    for a, b in zip(plain, through, strict=True):
        assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


@pytest.mark.parametrize("pixels", ["gbrp", "bgra", "rgb24", "gbrap"])
def test_rgb_and_alpha(tmp_path, pixels):
    image = np.tile(
        np.repeat(np.round(PATCHES * 255).astype(np.uint8), 80, axis=0)[None], (360, 1, 1)
    )
    raw = tmp_path / "raw.rgb"
    raw.write_bytes(image.tobytes() * 5)
    path = tmp_path / "in.mkv"
    run_ffmpeg(
        [
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            "640x360",
            "-r",
            "25",
            "-i",
            str(raw),
            "-c:v",
            "ffv1" if pixels != "rgb24" else "qtrle",
            "-pix_fmt",
            pixels,
            str(path.with_suffix(".mov") if pixels == "rgb24" else path),
        ],
        about=path,
    )
    if pixels == "rgb24":
        path = path.with_suffix(".mov")
    assert_patches(rendered(path, tmp_path), 2.0)
    assert_patches(rendered(path, tmp_path, size=(480, 270), grade="none"), 2.0)


def test_bt2020_colours_come_back_as_rec709(tmp_path):
    """Colours inside Rec.709, written in BT.2020 terms, come out as they were."""
    to_2020 = np.array(
        [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    )
    wide = (PATCHES**2.4 @ to_2020.T) ** (1 / 2.4)  # display light, BT.1886
    planes = patches("bt2020", bits=10, rgb=wide)
    path = coloured(
        tmp_path / "in.mkv",
        planes,
        "yuv444p10le",
        space=9,
        primaries=9,
        transfer=14,
        range_=1,
    )
    assert_patches(rendered(path, tmp_path), 6.0)


def pq(nits):
    """ST 2084 code, 0 … 1, of absolute light."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    y = (nits / 10000) ** m1
    return ((c1 + c2 * y) / (1 + c3 * y)) ** m2


def hlg(light):
    """ARIB STD-B67 code of scene light, 0 … 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(
        light <= 1 / 12, np.sqrt(3 * light), a * np.log(np.maximum(12 * light - b, 1e-9)) + c
    )


@pytest.mark.parametrize("tags", [dict(space=9, primaries=9), dict()])
@pytest.mark.parametrize("curve", ["pq", "hlg"])
def test_hdr_is_tone_mapped(tmp_path, curve, tags):
    """Greys stay grey, keep their order, paper white is bright, and highlights are not all clipped."""
    if curve == "pq":
        codes = pq(np.array([0.0, 1.0, 10.0, 50.0, 100.0, 203.0, 600.0, 1000.0]))
    else:
        codes = hlg(np.array([0.0, 0.005, 0.02, 0.08, 0.15, 0.26, 0.6, 1.0]))
    rgb = np.repeat(codes[:, None], 3, axis=1)
    path = coloured(
        tmp_path / "in.mkv",
        patches("bt2020", bits=10, rgb=rgb),
        "yuv444p10le",
        transfer=16 if curve == "pq" else 18,
        range_=1,
        **tags,
    )
    luma, u, v = (columns(p) for p in rendered(path, tmp_path))
    assert (np.diff(luma) > 0).all(), luma
    assert luma[0] <= 18
    assert 150 <= luma[5] <= 225, luma
    assert luma[7] <= 236, luma
    assert np.abs(u - 128).max() <= 2
    assert np.abs(v - 128).max() <= 2


def test_contain_centres_the_picture_on_black(tmp_path):
    planes = patches("bt601", width=320, height=240)
    luma = rendered(coloured(tmp_path / "in.mkv", planes, "yuv444p"), tmp_path)[0]
    assert luma.shape == (360, 640)
    assert (luma[:, :78] <= 17).all()
    assert (luma[:, -78:] <= 17).all()
    inside = luma[:, 80:560]
    np.testing.assert_allclose(columns(inside), to_yuv(PATCHES)[0], atol=3)


def test_cover_fills_the_frame_and_crops(tmp_path):
    planes = patches("bt601", width=320, height=240)
    planes[0][:30], planes[0][-30:] = 235, 235  # cut away
    luma = rendered(coloured(tmp_path / "in.mkv", planes, "yuv444p"), tmp_path, fit="cover")[0]
    wanted = to_yuv(PATCHES)[0]
    np.testing.assert_allclose(columns(luma), wanted, atol=3)
    np.testing.assert_allclose(columns(luma[2:6]), wanted, atol=3)


def test_blur_keeps_the_picture_and_fills_the_rest_with_it(tmp_path):
    red = np.array([[0.75, 0.1, 0.1]])
    planes = patches("bt601", width=240, height=240, rgb=red)
    path = coloured(tmp_path / "in.mkv", planes, "yuv444p")
    for grade in ("none", "high-contrast"):
        luma, _, v = rendered(path, tmp_path, fit="blur", grade=grade)
        assert luma.shape == (360, 640)
        inside, outside = luma[:, 150:490], luma[:, :130]
        assert inside.std() < 2
        assert 20 < outside.mean() < inside.mean()
        assert v[:, :60].mean() > 140  # red too
    luma = rendered(path, tmp_path, fit="blur")[0]
    assert abs(luma[:, 150:490].mean() - to_yuv(red)[0][0]) < 2


def test_blur_of_a_tall_picture_at_ten_bits(tmp_path):
    planes = patches("bt709", width=240, height=426, bits=10)
    path = coloured(tmp_path / "in.mkv", planes, "yuv444p10le", space=1, range_=1)
    master = encoding("hevc", "master")
    source, index = probe(path)
    output = tmp_path / "out.mp4"
    record = render_segment(
        Segment((Event(0, 4, source.identity, 0, Fraction(0)),), Fraction(25), 320, 180),
        {source.identity: source},
        {source.identity: index},
        output,
        fit="blur",
        grade="warm",
        encoding=master,
        work=tmp_path,
    )
    assert record["frames"] == 4
    made = probe(output)[0]
    assert made.bit_depth == 10
    tags = (made.color_space, made.color_primaries, made.color_transfer, made.color_range)
    assert tags == ("bt709", "bt709", "bt709", "tv")
    assert (made.width, made.height, made.sample_aspect) == (320, 180, 1)


def test_sample_aspect_makes_anamorphic_pictures_wide(tmp_path):
    planes = patches("bt601", width=320, height=360)
    path = coloured(tmp_path / "in.mkv", planes, "yuv444p", aspect=Fraction(2))
    assert probe(path)[0].width == 640
    luma = rendered(path, tmp_path)[0]
    np.testing.assert_allclose(columns(luma), to_yuv(PATCHES)[0], atol=3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path, degrees):
    """A file marked to be turned shows its left edge where players show it."""
    planes = patches("bt601", width=320, height=320, rgb=PATCHES[[1, 0, 0, 0]])
    still = coloured(tmp_path / "still.mp4", planes, "yuv444p")
    path = tmp_path / "turned.mp4"
    run_ffmpeg(
        # -display_rotation counts anticlockwise
        ["-display_rotation", str(360 - degrees), "-i", str(still), "-c", "copy", str(path)],
        about=path,
    )
    assert probe(path)[0].rotation_degrees == degrees
    luma = rendered(path, tmp_path, size=(320, 320))[0].astype(float)
    assert probe(tmp_path / "out.mp4")[0].rotation_degrees == 0
    edges = {
        90: luma[:40],  # the left edge turned clockwise is the top
        180: luma[:, -40:],
        270: luma[-40:],
    }
    assert edges[degrees].mean() > 220
    assert sum(e.mean() > 150 for e in edges.values()) == 1


@pytest.mark.parametrize("size", [(321, 181), (35, 17), (9, 6), (640, 362)])
@pytest.mark.parametrize("fit", ["contain", "cover", "blur"])
def test_odd_and_tiny_sizes(tmp_path, size, fit):
    rgb = np.array([[0.5, 0.5, 0.5]])
    planes = patches("bt601", width=size[0], height=size[1], rgb=rgb)
    path = coloured(tmp_path / "in.mkv", planes, "yuv444p", codec="ffv1")
    luma = rendered(path, tmp_path, size=(320, 180), fit=fit, grade="warm")[0]
    assert luma.shape == (180, 320)
    assert abs(luma[88:92, 158:162].mean() - 126) < 6


def test_interlaced_like_high_rates_and_small_outputs(tmp_path):
    path = coloured(tmp_path / "in.mkv", patches("bt709", width=1280, height=720), "yuv444p")
    luma = rendered(path, tmp_path, size=(16, 16), fit="blur")[0]
    assert luma.shape == (16, 16)


SOFT = 0.25 + 0.4 * PATCHES  # no grade drives these out of gamut


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize(("matrix", "space"), [("bt601", 6), ("bt709", 1)])
@pytest.mark.parametrize("name", [n for n, look in PRESETS.items() if isinstance(look, Curves)])
def test_a_preset_looks_the_same_by_planes_and_by_its_table(tmp_path, name, matrix, space, bits):
    pixels = "yuv444p" if bits == 8 else "yuv444p10le"
    planes = patches(matrix, bits=bits, rgb=SOFT)
    path = coloured(tmp_path / "in.mkv", planes, pixels, space=space)
    table = tmp_path / "same.cube"
    write_preset(name, table)
    assert_patches(rendered(path, tmp_path, grade=name), 2.0, PRESETS[name](SOFT))
    assert_patches(rendered(path, tmp_path, grade=str(table)), 2.0, PRESETS[name](SOFT))


def test_a_preset_of_a_picture_larger_than_the_output(tmp_path):
    path = coloured(tmp_path / "in.mkv", patches("bt601", rgb=SOFT), "yuv444p", space=6)
    planes = rendered(path, tmp_path, size=(320, 180), grade="vibrant")
    assert_patches(planes, 2.0, PRESETS["vibrant"](SOFT))
