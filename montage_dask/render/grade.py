"""Colour grades: presets made by code, or a user's .cube file.

A preset that treats luma and chroma apart (`Curves`) needs no 3-D table: one small table per plane does the same at a tenth
of the cost. All presets can be written as .cube files.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from montage_dask.errors import UsageError, printable
from montage_dask.received import read_bytes
from montage_dask.records import Match
from montage_dask.render.lut import look_up, matched, read_cube
from montage_dask.store import writing

SIZE = 33
MAXIMUM_SIZE = 129
MAXIMUM_BYTES = 200 << 20

Colours = NDArray[np.float64]
"""[..., 3] R'G'B', 0 … 1."""

LUMA = np.array([0.2126, 0.7152, 0.0722])


def _saturate(c: Colours, amount: float) -> Colours:
    grey = (c @ LUMA)[..., None]
    return grey + (c - grey) * amount


def _contrast(c: Colours, amount: float, pivot: float = 0.45) -> Colours:
    """A smooth S-curve around the pivot; 0 leaves all as it is, and black and white stay."""
    curve = np.where(
        c < pivot,
        pivot * (np.clip(c, 0, None) / pivot) ** (1 + amount),
        1 - (1 - pivot) * (np.clip(1 - c, 0, None) / (1 - pivot)) ** (1 + amount),
    )
    return curve


def _tint(c: Colours, shadows: tuple[float, ...], highlights: tuple[float, ...]) -> Colours:
    """Add a colour to the dark and another to the bright parts."""
    luma = np.clip(c @ LUMA, 0, 1)[..., None]
    return c + np.array(shadows) * (1 - luma) ** 2 + np.array(highlights) * luma**2


def _lift(c: Colours, black: float, white: float = 1.0) -> Colours:
    return black + c * (white - black)


@dataclass(frozen=True, slots=True)
class Curves:
    """A look on luma (an S-curve, then black and white points) and on chroma (a gain), each for itself."""

    saturation: float = 1.0
    contrast: float = 0.0
    pivot: float = 0.45
    black: float = 0.0
    white: float = 1.0

    def __call__(self, c: Colours) -> Colours:
        """The look of R'G'B' values, [..., 3]."""
        luma = (c @ LUMA)[..., None]
        graded = _lift(_contrast(luma, self.contrast, self.pivot), self.black, self.white)
        return graded + (c - luma) * self.saturation

    def luma_expression(self, depth: int) -> str:
        """ffmpeg's expression of a luma code value (`val`, limited range) of a bit depth."""
        step = 1 << (depth - 8)
        p, power = repr(self.pivot), repr(1 + self.contrast)
        below = f"{p}*pow(ld(0)/{p},{power})"
        above = f"1-(1-{p})*pow((1-ld(0))/(1-{p}),{power})"
        curve = f"if(lt(ld(0),{p}),{below},{above})"
        graded = f"{self.black!r}+({self.white!r}-{self.black!r})*{curve}"
        return f"st(0,clip((val-{16 * step})/{219 * step},0,1));round({16 * step}+{219 * step}*({graded}))"

    def chroma_expression(self, depth: int) -> str:
        """The same for a chroma code value."""
        step = 1 << (depth - 8)
        gained = f"round({128 * step}+(val-{128 * step})*{self.saturation!r})"
        return f"clip({gained},{16 * step},{240 * step})"


PRESETS: Mapping[str, Callable[[Colours], Colours]] = {
    "none": lambda c: c,
    "vibrant": Curves(saturation=1.38, contrast=0.12),
    "warm": lambda c: _tint(c, (0.012, 0.0, -0.015), (0.045, 0.012, -0.05)),
    "cool": lambda c: _tint(c, (-0.012, 0.0, 0.03), (-0.04, 0.0, 0.035)),
    "teal-orange": lambda c: _saturate(
        _contrast(_tint(c, (-0.045, 0.012, 0.035), (0.06, 0.012, -0.06)), 0.1), 1.1
    ),
    "noir": Curves(saturation=0.0, contrast=0.35, pivot=0.42),
    "filmic-warm": lambda c: _lift(
        _contrast(_saturate(_tint(c, (0.01, 0.0, 0.012), (0.035, 0.012, -0.035)), 0.94), 0.15),
        0.02,
        0.98,
    ),
    "high-contrast": Curves(saturation=1.2, contrast=0.32),
    "desaturated": Curves(saturation=0.55),
    "bleach": Curves(saturation=0.55, contrast=0.35, pivot=0.5),
    "vintage": lambda c: _lift(
        _saturate(_tint(c, (0.03, 0.005, 0.025), (0.04, 0.02, -0.07)), 0.8), 0.05, 0.96
    ),
    "faded": Curves(saturation=0.75, black=0.07, white=0.95),
    "moonlight": lambda c: _contrast(
        _saturate(_tint(c, (-0.03, -0.01, 0.05), (-0.05, -0.01, 0.05)), 0.7) * 0.93, 0.1
    ),
}
"""Grade of each preset, on R'G'B' (Rec.709) values."""


Look = Curves | Path | None
"""How a grade is applied: by plane, by a .cube file, or not at all."""


def preset_names() -> tuple[str, ...]:
    """Names of the presets; "none" first."""
    return tuple(PRESETS)


def lattice(size: int = SIZE) -> Colours:
    """The grid of a table, red fastest: [size³, 3]."""
    axis = np.linspace(0, 1, size)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    return np.stack([red.ravel(), green.ravel(), blue.ravel()], axis=-1)


def write_preset(name: str, path: Path) -> None:
    """Write a preset as a .cube file.

    Raises:
        UsageError: there is no such preset.
    """
    write_table(name, graded(name, lattice()), path)


def write_table(title: str, values: Colours, path: Path) -> None:
    """Write the colours [SIZE³, 3] of `lattice` as a .cube file."""
    rows = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in values)
    with writing(path) as part:
        part.write_text(f'TITLE "{title}"\nLUT_3D_SIZE {SIZE}\n{rows}\n', encoding="ascii")


def check_cube(path: Path) -> int:
    """Check a user's .cube file, which goes to ffmpeg as it is.

    Returns:
        The size of its table.

    Raises:
        UsageError: it is no usable 3-D table; says where.
    """
    name = printable(str(path))
    try:
        lines = read_bytes(path, MAXIMUM_BYTES).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise UsageError(f"{name}: cannot read the .cube file: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{name}: no .cube file: {error}") from error
    size, values = 0, 0
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words or words[0] == "TITLE":
            continue
        if words[0] == "LUT_3D_SIZE":
            if len(words) != 2 or not words[1].isdigit() or not 2 <= int(words[1]) <= MAXIMUM_SIZE:
                raise UsageError(
                    f"{name}, line {number}: LUT_3D_SIZE must lie between 2 and {MAXIMUM_SIZE}"
                )
            if size:
                raise UsageError(f"{name}, line {number}: LUT_3D_SIZE is there twice")
            size = int(words[1])
        elif words[0] == "LUT_1D_SIZE":
            raise UsageError(f"{name}: a 1-D table; only 3-D tables are grades")
        elif not words[0][0].isalpha():
            try:
                row = [float(w) for w in words]
            except ValueError:
                row = []
            if len(row) != 3 or not np.isfinite(row).all() or not size:
                raise UsageError(
                    f"{name}, line {number}: must be three finite numbers behind LUT_3D_SIZE"
                )
            values += 1
    if not size or values != size**3:
        raise UsageError(f"{name}: holds {values} colours instead of {size or '?'}³")
    return size


def graded(grade: str, colours: Colours) -> Colours:
    """Colours in a grade, 0 … 1.

    Args:
        grade: name of a preset, or a .cube file.
        colours: [..., 3] R'G'B', 0 … 1.

    Raises:
        UsageError: no such preset, or a broken file.
    """
    check_grade(grade)
    if grade.lower().endswith(".cube"):
        table, first, last = read_cube(Path(grade))
        return np.clip(look_up(table, (colours - first) / (last - first)), 0, 1)
    return np.clip(PRESETS[grade](colours), 0, 1)


def check_grade(grade: str) -> None:
    """Check the name of a preset or a .cube file before any work begins.

    Raises:
        UsageError: no such preset, or a broken file.
    """
    if grade.lower().endswith(".cube"):
        check_cube(Path(grade))
    elif grade not in PRESETS:
        close = difflib.get_close_matches(grade, list(PRESETS), 1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"no grade {printable(grade)!r}: {meant}a .cube file, or one of {', '.join(PRESETS)}"
        )


def identity_of(grade: str) -> str:
    """What tells grades apart: the name of a preset, or a hash of a .cube file's content.

    Raises:
        UsageError: the file cannot be read.
    """
    if not grade.lower().endswith(".cube"):
        return grade
    try:
        return hashlib.sha256(read_bytes(grade, MAXIMUM_BYTES)).hexdigest()[:32]
    except OSError as error:
        raise UsageError(
            f"{printable(grade)}: cannot read the .cube file: {error.strerror}"
        ) from error
    except ValueError as error:
        raise UsageError(f"{printable(grade)}: no .cube file: {error}") from error


def look_of(grade: str, work: Path, match: Match | None = None) -> Look:
    """How a grade is applied: its curves, or its table as a file in the work folder under a safe name.

    Args:
        grade: name of a preset, or a .cube file.
        work: where to put it.
        match: done before the grade, in one table with it.

    Raises:
        UsageError: no such preset, or a broken file.
    """
    if match is not None:
        digest = hashlib.sha256(repr(match).encode()).hexdigest()[:16]
        target = work / f"match-{digest}.cube"
        write_table("match", graded(grade, matched(lattice(), match)), target)
        return target
    if grade == "none":
        return None
    preset = PRESETS.get(grade)
    if isinstance(preset, Curves):
        return preset
    if grade.lower().endswith(".cube"):
        check_cube(Path(grade))
        target = work / "grade.cube"
        with writing(target) as part:
            part.write_bytes(read_bytes(grade, MAXIMUM_BYTES))
        return target
    target = work / f"grade-{grade if grade in PRESETS else 'x'}.cube"
    write_preset(grade, target)
    return target
