"""Where phrases of the music end: what a montage of about a given length should end with."""

from __future__ import annotations

from fractions import Fraction

from montage_dask.edit.roles import drops_of
from montage_dask.records import Music

PHRASE_BARS = 4

DROP_BARS = 2
"""Of a drop are heard, at least, where the length reaches it."""

REACH_BARS = 2
"""So far from the wish, at most."""

LEAST_BARS = 8
"""A montage that is shorter ends on the nearest bar line: two bars are a quarter of it."""

FEWEST_BARS = Fraction(13, 2)
"""One that is shorter still keeps its length."""


def phrase_end(music: Music, start: Fraction, length: Fraction) -> Fraction | None:
    """Music time where a phrase ends, near start + length; a bar line where no phrase does; None without bars.

    Sections begin phrases, and every fourth bar from there. It does not end where a drop begins.

    Args:
        music: bars and sections.
        start: music time of the first frame.
        length: the wish, seconds.
    """
    bars = [music.beats_seconds[k] for k in music.downbeats]
    if music.confidence <= 0 or len(bars) < 2:
        return None
    bar = (bars[-1] - bars[0]) / (len(bars) - 1)
    if length < FEWEST_BARS * bar:
        return None
    wish = start + length
    if length < LEAST_BARS * bar:
        end = min((b for b in bars if b > start), key=lambda b: (abs(b - wish), b), default=None)
        return end if end is not None and abs(end - wish) <= bar / 2 else None
    near = [b for b in bars if abs(b - wish) <= REACH_BARS * bar and b > start]
    if not near:
        return None
    phrases = phrase_starts(music)
    drops = [d for d in drops_of(music) if d <= wish - bar / 2]

    def cut_off(end: Fraction) -> bool:
        """Whether a drop that the wish reaches is left out, or has just begun."""
        return any(end - d < (DROP_BARS - Fraction(1, 2)) * bar for d in drops)

    return min(near, key=lambda b: (cut_off(b), b not in phrases, abs(b - wish), b))


def phrase_starts(music: Music) -> frozenset[Fraction]:
    """Bar lines that phrases begin on."""
    bars = [music.beats_seconds[k] for k in music.downbeats]
    found: set[Fraction] = set()
    edges = [s.start_seconds for s in music.sections[1:]]
    section = iter([*edges, None])
    following = next(section)
    count = 0
    for bar, after in zip(bars, [*bars[1:], None], strict=True):
        # The bar line nearest to the start of a section begins it.
        if following is not None and (after is None or following < (bar + after) / 2):
            count = 0
            while following is not None and (after is None or following < (bar + after) / 2):
                following = next(section, None)
        if count % PHRASE_BARS == 0:
            found.add(bar)
        count += 1
    return frozenset(found)
