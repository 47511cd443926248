"""Presets are sane tables; users' tables are checked before ffmpeg sees them."""

from pathlib import Path

import numpy as np
import pytest

from montage_dask.errors import UsageError
from montage_dask.render.grade import (
    PRESETS,
    SIZE,
    check_cube,
    lattice,
    look_of,
    preset_names,
    write_preset,
)


def table(path):
    rows = [line.split() for line in path.read_text().splitlines() if line[0].isdigit()]
    return np.array(rows, float)


def test_there_are_at_least_ten_and_none_is_first():
    assert preset_names()[0] == "none"
    assert len(preset_names()) >= 10


def test_none_needs_no_table(tmp_path):
    assert look_of("none", tmp_path) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [n for n in PRESETS if n != "none"])
def test_a_preset_is_monotone_and_its_own(tmp_path, name):
    path = tmp_path / "preset.cube"
    write_preset(name, path)
    assert check_cube(path) == SIZE
    values = table(path)
    grid = lattice()
    assert values.min() >= 0
    assert values.max() <= 1
    assert np.abs(values - grid).max() > 0.02  # it does something
    greys = values[np.ptp(grid, axis=1) < 1e-9] @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(greys) > 0).all()  # brighter stays brighter
    others = [np.clip(f(grid), 0, 1) for n, f in PRESETS.items() if n not in (name, "none")]
    assert min(np.abs(values - o).max() for o in others) > 0.02


def test_identity_is_exact_on_the_grid():
    grid = lattice(5)
    np.testing.assert_array_equal(PRESETS["none"](grid), grid)
    assert grid[1].tolist() == [0.25, 0, 0]  # red fastest


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds 0 colours"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 7, "7 colours instead of 2"),
        ("LUT_3D_SIZE 2\n" + "0 0 0\n" * 9, "9 colours instead of 2"),
        ("LUT_3D_SIZE 2\n0 0 nan\n" + "0 0 0\n" * 7, "line 2"),
        ("LUT_3D_SIZE 2\n0 0 inf\n" + "0 0 0\n" * 7, "line 2"),
        ("LUT_3D_SIZE 2\n0 0 1 1\n" + "0 0 0\n" * 7, "line 2"),
        ("LUT_3D_SIZE 2\n0 0 1;0\n" + "0 0 0\n" * 7, "line 2"),
        ("LUT_3D_SIZE 1\n0 0 0\n", "between 2 and"),
        ("LUT_3D_SIZE 999999\n0 0 0\n", "between 2 and"),
        ("LUT_3D_SIZE -2\n0 0 0\n", "between 2 and"),
        ("LUT_3D_SIZE 2\nLUT_3D_SIZE 3\n" + "0 0 0\n" * 27, "twice"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "1-D"),
        ("hello world\n", "holds 0 colours"),
    ],
)
def test_broken_tables_are_refused(tmp_path, text, complaint):
    path = tmp_path / "my grade.cube"
    path.write_text(text)
    with pytest.raises(UsageError, match=complaint) as caught:
        look_of(str(path), tmp_path)
    assert "my grade.cube" in str(caught.value)


def test_a_good_table_is_copied_under_a_safe_name(tmp_path):
    path = tmp_path / "it's: 50%,\n.CUBE"
    rows = "\n".join(f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    path.write_text(f'# made by\nTITLE "x"\nDOMAIN_MIN 0 0 0\n\nLUT_3D_SIZE 2\n{rows}\n')
    copy = look_of(str(path), tmp_path)
    assert isinstance(copy, Path)
    assert copy.name == "grade.cube"
    assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["nope", "", "../warm", "warm:x", "/dev/zero.cube", "no.cube"])
def test_unknown_names(tmp_path, name):
    with pytest.raises(UsageError):
        look_of(name, tmp_path)


def test_binary_and_huge_files(tmp_path):
    path = tmp_path / "x.cube"
    path.write_bytes(bytes(range(256)) * 50)
    with pytest.raises(UsageError):
        look_of(str(path), tmp_path)
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(UsageError, match="too large"):
        look_of(str(path), tmp_path)
