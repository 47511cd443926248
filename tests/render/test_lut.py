"""Tables as numbers do what ffmpeg does with them; torch applies them to pictures within the tolerances it promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.records import Match
from montage_dask.render.grade import PRESETS, SIZE, graded, lattice, look_of, write_preset
from montage_dask.render.lut import apply_lut, look_up, matched, read_cube

PICTURES = np.random.default_rng(3).integers(0, 256, (2, 54, 96, 3)).astype(np.uint8)
WARMER = Match(matrix=(10400, 0, 0, 0, 10000, 0, 0, 0, 9500), offset=(100, 0, -120))


def table_of(grade, size=SIZE):
    return graded(grade, lattice(size)).reshape(size, size, size, 3)


def by_ffmpeg(pictures, cube: Path):
    """The same pictures through ffmpeg's lut3d, in float as the renderer does it."""
    count, height, width, _ = pictures.shape
    raw, out = cube.with_name("in.rgb"), cube.with_name("out.rgb")
    raw.write_bytes(pictures.tobytes())
    run_ffmpeg(
        [
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", raw.name),
            *("-vf", f"format=gbrpf32le,lut3d=file={cube.name}:interp=tetrahedral,format=rgb24"),
            *("-f", "rawvideo", out.name),
        ],
        about=raw,
        cwd=cube.parent,
    )
    return np.frombuffer(out.read_bytes(), np.uint8).reshape(count, height, width, 3)


def test_identity_changes_nothing():
    identity = table_of("none")
    for precision, tolerance in (("float32", 0), ("float16", 1)):
        same = apply_lut(PICTURES, identity, precision=precision).numpy().astype(int)
        assert np.abs(same - PICTURES).max() <= tolerance
    np.testing.assert_allclose(look_up(identity, PICTURES / 255.0), PICTURES / 255.0, atol=1e-12)


@pytest.mark.parametrize("name", ["teal-orange", "noir", "vintage", "moonlight"])
def test_torch_numpy_and_ffmpeg_agree(tmp_path, name):
    cube = tmp_path / "table.cube"
    write_preset(name, cube)
    table, first, last = read_cube(cube)
    assert (first == 0).all()
    assert (last == 1).all()
    np.testing.assert_allclose(table, table_of(name), atol=1e-6)
    shown = by_ffmpeg(PICTURES, cube).astype(int)
    tetrahedral = 255 * look_up(table, PICTURES / 255.0)
    # ffmpeg's rounding on the way to floats and back.
    assert np.abs(tetrahedral - shown).max() < 1.5
    assert np.abs(tetrahedral - shown).mean() < 0.3
    full = apply_lut(PICTURES, table).numpy().astype(int)
    assert np.abs(full - shown).max() <= 2
    assert np.abs(full - shown).mean() < 0.2
    for precision, tolerance in (("float16", 1), ("bfloat16", 4)):
        reduced = apply_lut(PICTURES, table, precision=precision).numpy().astype(int)
        assert np.abs(reduced - full).max() <= tolerance


def test_every_preset_stays_near_the_formula_it_samples():
    colours = np.random.default_rng(0).random((500, 3))
    for name in PRESETS:
        found = look_up(table_of(name), colours)
        assert np.abs(found - graded(name, colours)).max() < 4 / 255, name


def test_pictures_in_floats_stay_floats():
    values = (PICTURES[:1] / 255.0).astype(np.float32)
    result = apply_lut(values, table_of("warm"))
    assert result.dtype.is_floating_point
    np.testing.assert_allclose(result.numpy(), look_up(table_of("warm"), values), atol=2 / 255)


def test_a_match_is_baked_in_before_the_grade(tmp_path):
    look = look_of("noir", tmp_path, WARMER)
    assert isinstance(look, Path)
    table, _, _ = read_cube(look)
    colours = matched(lattice(), WARMER)
    assert np.abs(colours - lattice()).max() > 0.02
    np.testing.assert_allclose(table.reshape(-1, 3), graded("noir", colours), atol=1e-6)
    other = look_of("noir", tmp_path, Match(WARMER.matrix, (0, 0, 0)))
    assert other != look


def test_a_users_table_with_a_domain_and_a_match(tmp_path):
    """Where ffmpeg and we read the same file, the same comes out."""
    cube = tmp_path / "mine.cube"
    rows = "\n".join(
        f"{0.1 + 0.4 * r} {g * 0.5} {b * b * 0.25}" for b in (0, 1) for g in (0, 1) for r in (0, 1)
    )
    cube.write_text(f"LUT_3D_SIZE 2\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 2 1 1\n{rows}\n")
    shown = by_ffmpeg(PICTURES, cube).astype(int)
    ours = 255 * graded(str(cube), PICTURES / 255.0)
    assert np.abs(ours - shown).max() <= 0.6
    assert isinstance(look_of(str(cube), tmp_path, WARMER), Path)


@pytest.mark.gpu
def test_the_gpu_gives_what_the_processor_gives():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    table = table_of("teal-orange")
    expected = apply_lut(PICTURES, table).numpy().astype(int)
    for precision, tolerance in (("float32", 1), ("float16", 1), ("bfloat16", 4)):
        found = apply_lut(PICTURES, table, device="cuda", precision=precision)
        assert found.device.type == "cuda"
        assert np.abs(found.cpu().numpy().astype(int) - expected).max() <= tolerance
