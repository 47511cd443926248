"""The effects that pictures may have on beats, as styles and people ask for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from montage_dask.errors import UsageError

EFFECTS = ("punch", "flash", "shake", "ramp")
BEATS = ("none", "drops", "downbeats", "beats")
"""Where an effect comes; each also where the ones before it do."""

OFF = "off"

_PART = re.compile(r"([a-z]+)=([a-z]+)(?::(\d*\.?\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class BeatEffect:
    """Where one effect comes, and how strong it is."""

    at: str = "none"
    """One of `BEATS`."""
    strength: float = 0.0
    """0 … 1."""


NO_EFFECT = BeatEffect()


def parse_beat_effects(text: str, own: Mapping[str, BeatEffect]) -> dict[str, BeatEffect]:
    """The effects that a person asks for in place of those of a style.

    Args:
        text: "off", or parts such as "punch=downbeats:0.5" with commas between; without a strength that of the style counts.
        own: the style's, by name.

    Raises:
        UsageError: it is none of these.
    """
    if text.strip() == OFF:
        return dict.fromkeys(EFFECTS, NO_EFFECT)
    found = dict(own)
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        strength = float(match[3]) if match is not None and match[3] else None
        if (
            match is None
            or match[1] not in EFFECTS
            or match[2] not in BEATS
            or not 0 <= (strength or 0) <= 1
        ):
            raise UsageError(
                f"beat effects must be {OFF}, or EFFECT=WHERE[:STRENGTH] with commas between; effects: "
                f"{', '.join(EFFECTS)}; where: {', '.join(BEATS)}; strength 0 to 1"
            )
        if strength is None:
            strength = own[match[1]].strength or 0.5
        found[match[1]] = BeatEffect(match[2], strength)
    return found
