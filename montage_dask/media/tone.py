"""Pictures in high dynamic range or wide gamut as Rec.709, in NumPy: what the render's filters make of them, for small pictures.

The steps are those of `render.filters`: to linear light (SMPTE ST 2084, ARIB STD-B67 with the system gamma of BT.2100, or
BT.1886), to the primaries of Rec.709, tone-mapped by Hable's curve on the brightest component, and back by BT.1886.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from montage_dask.records import Source

Floats = NDArray[np.floating[Any]]

WIDE_PRIMARIES = frozenset(["bt2020", "smpte431", "smpte432"])

REFERENCE_WHITE_NITS = 100.0
"""What linear light of 1 is, as in `zscale=npl=100`."""

PEAK = 10.0
"""The brightest linear light that is told apart, which ffmpeg's `tonemap` takes where no metadata says another."""

ROWS = 64
"""So many are worked on at once."""

CHROMATICITIES = {
    "bt709": ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), (0.3127, 0.3290)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    "smpte431": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
"""x and y of red, green, blue and white (H.273, table 2)."""


def is_wide(source: Source) -> bool:
    """Whether the colours of its pictures, and not only their coding, must be converted: HDR and wide gamut."""
    untagged = source.color_primaries == "unspecified" and source.color_space.startswith("bt2020")
    return source.hdr or untagged or source.color_primaries in WIDE_PRIMARIES


def primaries_of(source: Source) -> str:
    """The primaries of a wide source; what it does not say are those of BT.2020."""
    told = source.color_primaries
    return told if told in WIDE_PRIMARIES else "bt2020"


def to_rec709(rgb: Floats, source: Source) -> Floats:
    """R'G'B' of a wide source in Rec.709.

    Args:
        rgb: float32 […, 3], 0 … 1, in the source's transfer curve and primaries.
        source: says which; must be wide.

    Returns:
        float32 […, 3], 0 … 1.
    """
    matrix = _primaries_matrix(primaries_of(source))
    if not source.hdr:
        return _display(np.maximum(rgb, 0) ** 2.4 @ matrix.T)
    light = _from_pq if source.color_transfer == "smpte2084" else _from_hlg
    linear: Floats = light(rgb) @ matrix.T
    brightest = np.maximum(linear.max(-1, keepdims=True), np.float32(1e-6))
    return _display(linear * (_hable(brightest) / _hable(PEAK) / brightest))


def picture_in_rec709(codes: NDArray[np.uint16], source: Source) -> NDArray[np.uint8]:
    """A picture of a wide source in Rec.709.

    Args:
        codes: uint16 [height, width, 3], full-range R'G'B'.
        source: of which it is; must be wide.

    Returns:
        uint8 [height, width, 3].
    """
    result = np.empty(codes.shape, np.uint8)
    # A picture of 4K in floating point takes 100 MB, several times over.
    for top in range(0, len(codes), ROWS):
        part = codes[top : top + ROWS].astype(np.float32) / np.float32(65535)
        result[top : top + ROWS] = np.rint(to_rec709(part, source) * 255)
    return result


def _display(linear: Floats) -> Floats:
    result: Floats = np.clip(linear, 0, 1) ** np.float32(1 / 2.4)
    return result.astype(np.float32)


def _from_pq(codes: Floats) -> Floats:
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = np.clip(codes, 0, 1).astype(np.float64) ** (1 / m2)
    light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return (light * (10_000 / REFERENCE_WHITE_NITS)).astype(np.float32)


def _from_hlg(codes: Floats) -> Floats:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    codes = np.clip(codes, 0, 1)
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    # The system gamma of a display of 1,000 cd/m², on each component, as zscale approximates it unless told otherwise.
    light: Floats = scene**1.2 * (1_000 / REFERENCE_WHITE_NITS)
    return light.astype(np.float32)


def _hable(light: Any) -> Any:
    a, b, c, d, e, f = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
    curve = (light * (light * a + b * c) + d * e) / (light * (light * a + b) + d * f)
    return curve - e / f


def _primaries_matrix(name: str) -> Floats:
    """From linear light in some primaries to that in Rec.709's: float32 [3, 3]."""
    ours, theirs = _to_xyz("bt709"), _to_xyz(name)
    matrix: Floats = (np.linalg.inv(ours) @ theirs).astype(np.float32)
    return matrix


def _to_xyz(name: str) -> NDArray[np.float64]:
    *primaries, white = CHROMATICITIES[name]
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = white
    scale = np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
    scaled: NDArray[np.float64] = columns * scale
    return scaled
