"""The way of a crop's window, as ffmpeg reads it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from montage_dask.records import Focus


def window_expressions(focus: Sequence[Focus], fps: Fraction, lead: int) -> tuple[str, str] | None:
    """Left and upper edge of the window for ffmpeg's crop, by the time of each output frame; None: the middle."""
    if not focus:
        return None
    frame = f"(round(t*{fps.numerator}/{fps.denominator})-{lead})"

    def along(values: Sequence[int]) -> str:
        terms = [str(values[0])]
        for a, b, low, high in zip(focus, focus[1:], values, values[1:], strict=False):
            if high != low:
                share = f"clip(({frame}-({a.frame}))/{b.frame - a.frame},0,1)"
                terms.append(f"({high - low})*{share}")
        return "+".join(terms)

    unit = Focus.UNIT
    x, y = along([f.x for f in focus]), along([f.y for f in focus])
    return (
        f"clip(({x})/{unit}*iw-ow/2,0,iw-ow)",
        f"clip(({y})/{unit}*ih-oh/2,0,ih-oh)",
    )
