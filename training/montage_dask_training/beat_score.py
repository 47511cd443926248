"""Songs as scores: form, harmony, and what each part plays at which beat.

What a listener taps is known because the beat is where the song starts from: all notes are placed on a grid of beats,
which then gets its times (`beat_timing`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from montage_dask_training.beat_patterns import Pattern, Random, fill, grooves_of, riff, weights
from montage_dask_training.beat_styles import Style

Doubles = npt.NDArray[np.float64]

SCALES = (
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 3, 5, 7, 9, 10),
    (0, 2, 4, 5, 7, 9, 10),
)
ROLES = ("drums", "bass", "comp", "second", "pad", "lead", "voice")


class Note(NamedTuple):
    """One note of a score."""

    role: str
    beat: float
    """Place, in beats from the first."""
    length: float
    """Beats."""
    pitch: int
    """MIDI key."""
    loudness: float
    """0 … 1."""


@dataclass(slots=True)
class Score:
    """A song before anybody plays it."""

    style: Style
    bpm: float
    beats: int
    downbeats: list[int] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    programs: dict[str, int] = field(default_factory=dict)
    """Instrument of General MIDI per role."""


@dataclass(frozen=True, slots=True)
class _Section:
    bars: int
    roles: frozenset[str]
    groove: dict[int, Pattern]
    fills: bool


def compose(style: Style, random: Random, seconds: float) -> Score:
    """A song of about so many seconds."""
    bpm = float(np.exp(random.uniform(np.log(style.bpm[0]), np.log(style.bpm[1]))))
    score = Score(style, bpm, 0)
    for role, programs in (
        ("bass", style.basses),
        ("comp", style.comps),
        ("second", style.comps),
        ("pad", style.pads),
        ("lead", style.leads),
    ):
        score.programs[role] = int(random.choice(programs))
    sections = _form(style, random, max(4, round(seconds * bpm / 60 / style.metre)))
    bar_lengths: list[int] = []
    for section in sections:
        bar_lengths.extend([style.metre] * section.bars)
        # Now and then a bar is longer or shorter before a new section.
        if style.metre > 2 and random.random() < 0.05:
            bar_lengths[-1] += int(random.choice([-1, 1, -2, 2]))
            bar_lengths[-1] = max(2, bar_lengths[-1])
    starts = np.concatenate([[0], np.cumsum(bar_lengths)])
    score.downbeats = [int(s) for s in starts[:-1]]
    score.beats = int(starts[-1])
    _Band(score, random, starts.astype(float)).play(sections)
    return score


def _form(style: Style, random: Random, bars: int) -> list[_Section]:
    drumless = not style.grooves or random.random() < style.drumless
    grooves = grooves_of(style, random, int(random.choice([1, 2, 3])))
    voice = random.random() < style.vocals
    sections: list[_Section] = []
    done = 0
    while done < bars:
        length = min(int(random.choice([2, 4, 4, 4, 8])), max(2, bars - done))
        roles = {
            role
            for role, often in (
                ("bass", 0.88),
                ("comp", 0.85),
                ("second", 0.35),
                ("pad", 0.35),
                ("lead", 0.45),
            )
            if random.random() < often
        }
        if voice and random.random() < 0.7:
            roles.add("voice")
            roles.discard("lead")
        quiet = random.random() < (0.4 if done == 0 else 0.12)
        groove = grooves[int(random.integers(len(grooves)))] if grooves else {}
        if not drumless and not quiet:
            roles.add("drums")
        elif not drumless and random.random() < 0.4:
            roles.add("drums")
            groove = {k: v for k, v in groove.items() if k not in (36, 38)}
        if "drums" in roles and random.random() < 0.06:
            roles = {"drums"}  # drums alone
        if not roles & {"bass", "comp", "drums", "second"}:
            roles.add("comp")
        sections.append(_Section(length, frozenset(roles), groove, random.random() < 0.7))
        done += length
    return sections


class _Band:
    """Writes the parts of all sections into a score."""

    def __init__(self, score: Score, random: Random, starts: Doubles) -> None:
        self.score, self.random, self.starts = score, random, starts
        style = self.style = score.style
        self.step = 1.0 / style.steps
        self.key = int(random.integers(12))
        self.scale = SCALES[int(random.choice([0, 1, 1, 2, 3]))]
        self.loop = [
            0,
            *random.choice(
                [0, 3, 4, 5, 2, 1, 6, 3, 4, 5], int(random.choice([1, 3, 3, 7]))
            ).tolist(),
        ]
        self.every = float(
            random.choice([1, 1, 1, 2, 0.5]) if style.metre != 2 else random.choice([1, 2, 2, 4])
        )
        """Bars that a harmony lasts."""
        self.pushed = random.random() < 0.15
        """Harmonies come half a beat early, as in much pop and latin music."""
        self.bass = [str(random.choice(style.bass)) for _ in range(2)]
        self.comp = [str(random.choice(style.comp)) for _ in range(2)]
        self.motif = riff(style.metre, style.steps, random)
        self.other = riff(style.metre, style.steps, random)
        self.locked = random.random() < 0.3
        """The kick plays with the riff."""
        self.offset = int(random.integers(3))

    def play(self, sections: list[_Section]) -> None:
        bar = 0
        for number, section in enumerate(sections):
            for inside in range(section.bars):
                self._bar(bar, section, number, inside)
                bar += 1

    def _add(self, role: str, beat: float, length: float, pitch: int, loudness: float) -> None:
        if beat >= 0:
            self.score.notes.append(
                Note(role, beat, length, pitch, float(np.clip(loudness, 0.05, 1.0)))
            )

    def _tone(self, degree: int, low: int) -> int:
        """The key of a step of the scale, above the key `low`."""
        octave, step = divmod(degree, 7)
        base = (self.key + self.scale[step] - low) % 12 + low
        return int(base + 12 * octave)

    def _harmonies(self, bar: int) -> list[tuple[float, float, int]]:
        """(place in the bar, length, degree) of the harmonies of a bar."""
        metre = self.starts[bar + 1] - self.starts[bar]
        if self.every == 0.5 and metre >= 3:
            half = float(metre // 2) if metre != 3 else 2.0
            at = 2 * bar
            return [
                (0.0, half, self.loop[at % len(self.loop)]),
                (half, metre - half, self.loop[(at + 1) % len(self.loop)]),
            ]
        return [(0.0, metre, self.loop[int(bar / max(1.0, self.every)) % len(self.loop)])]

    def _bar(self, bar: int, section: _Section, number: int, inside: int) -> None:
        start, metre = float(self.starts[bar]), float(self.starts[bar + 1] - self.starts[bar])
        last = inside == section.bars - 1
        if "drums" in section.roles:
            self._drums(start, metre, section, inside, last and section.fills, bar)
        for place, length, degree in self._harmonies(bar):
            if "bass" in section.roles:
                self._bass(start, place, length, degree, self.bass[number % 2], section)
            if "comp" in section.roles:
                self._comp("comp", start, place, length, degree, self.comp[number % 2], bar)
            if "second" in section.roles:
                self._comp("second", start, place, length, degree, self.comp[(number + 1) % 2], bar)
            if "pad" in section.roles:
                for third in (0, 2, 4):
                    self._add(
                        "pad", start + place, length * 0.98, self._tone(degree + third, 55), 0.5
                    )
        for role in ("lead", "voice"):
            if role in section.roles:
                self._melody(role, start, metre, bar)

    def _drums(
        self, start: float, metre: float, section: _Section, inside: int, filled: bool, bar: int
    ) -> None:
        random, steps = self.random, round(metre * self.style.steps)
        fills = fill(int(metre), self.style.steps, random) if filled else []
        until = fills[0][0] if fills and random.random() < 0.8 else steps
        for key, pattern in section.groove.items():
            bars = max(1, len(pattern) // (self.style.metre * self.style.steps))
            begin = (inside % bars) * self.style.metre * self.style.steps
            if key == 36 and self.locked:
                pattern, begin = np.where(self.motif[0] > 0, 0.95, 0.0), 0
            for step in range(min(steps, until)):
                loud = pattern[(begin + step) % len(pattern)]
                if loud < 0:
                    loud = -loud if random.random() < 0.6 else 0.0
                if loud > 0:
                    self._add(
                        "drums",
                        start + step * self.step,
                        0.2,
                        key,
                        loud * random.uniform(0.85, 1.05),
                    )
        for step, key, loud in fills:
            self._add("drums", start + step * self.step, 0.2, key, loud)
        if inside == 0 and bar and random.random() < 0.65:
            self._add("drums", start, 1.0, int(random.choice([49, 57, 52])), 0.9)

    def _bass(
        self, start: float, place: float, length: float, degree: int, kind: str, section: _Section
    ) -> None:
        random, step = self.random, self.step
        root = self._tone(degree, 31)
        early = -0.5 if self.pushed and random.random() < 0.7 else 0.0
        begin = start + place
        if kind == "roots":
            self._add("bass", begin + early, length * 0.95, root, 0.85)
        elif kind in ("eighths", "quarters", "offbeat", "octaves"):
            size = {"eighths": 0.5, "quarters": 1.0, "offbeat": 1.0, "octaves": 0.5}[kind]
            if self.style.steps == 3 and size == 0.5:
                size = 1 / 3
            shift = 0.5 if kind == "offbeat" else 0.0
            for index, at in enumerate(np.arange(0, length - 1e-6, size)):
                up = 12 if kind == "octaves" and index % 2 else 0
                self._add(
                    "bass",
                    begin + at + shift,
                    size * random.uniform(0.6, 0.95),
                    root + up,
                    random.uniform(0.65, 0.85),
                )
        elif kind == "walk":
            for index, at in enumerate(np.arange(0, length - 1e-6, 1.0)):
                move = 0 if index == 0 else int(random.choice([1, 2, 3, 4, -1, 6]))
                self._add(
                    "bass",
                    begin + at,
                    0.9,
                    self._tone(degree + move, 31),
                    random.uniform(0.7, 0.85),
                )
        elif kind == "oompah":
            for index, at in enumerate(
                np.arange(0, length - 1e-6, 2.0 if self.style.metre % 2 == 0 else 3.0)
            ):
                self._add(
                    "bass",
                    begin + at,
                    0.9,
                    root if index % 2 == 0 else self._tone(degree + 4, 31),
                    0.85,
                )
        else:
            pattern, moves = self.motif
            if kind == "kick" and 36 in section.groove:
                pattern, moves = section.groove[36], np.zeros(len(section.groove[36]), np.int64)
            for at in range(round(length / step)):
                index = (round(place / step) + at) % len(pattern)
                if pattern[index] > 0:
                    self._add(
                        "bass",
                        begin + at * step,
                        step * random.choice([1, 2]),
                        self._tone(degree + int(moves[index % len(moves)]), 31),
                        0.8,
                    )

    def _comp(
        self, role: str, start: float, place: float, length: float, degree: int, kind: str, bar: int
    ) -> None:
        random, step, begin = self.random, self.step, start + place
        chord = [self._tone(degree + third, 52 if role == "comp" else 60) for third in (0, 2, 4)]
        if self.score.programs[role] in (29, 30):  # power chords
            root = self._tone(degree, 40)
            chord = [root, root + 7, root + 12]
        early = -0.5 if self.pushed and self.style.steps % 2 == 0 and random.random() < 0.7 else 0.0

        def strike(at: float, size: float, loud: float, roll: float = 0.0) -> None:
            for index, pitch in enumerate(chord):
                self._add(role, at + roll * index, size, pitch, loud * random.uniform(0.9, 1.0))

        if kind == "hold":
            strike(begin + early, length * 0.97, 0.65, 0.02 * random.integers(2))
        elif kind in ("eighths", "quarters"):
            size = 1.0 if kind == "quarters" else (1 / 3 if self.style.steps == 3 else 0.5)
            for at in np.arange(0, length - 1e-6, size):
                strike(begin + at, size * 0.8, 0.75 if abs(at - round(at)) < 1e-6 else 0.55)
        elif kind == "offbeat":
            for at in np.arange(0, length - 1e-6, 1.0):
                strike(begin + at + 0.5, 0.25, 0.7)
        elif kind == "oompah":
            for at in np.arange(0, length - 1e-6, 1.0):
                first = (place + at) % (2 if self.style.metre % 2 == 0 else 3) == 0
                if not first:
                    strike(begin + at, 0.5, 0.6)
        elif kind == "arpeggio":
            size = (
                step
                if random.random() < 0.5 and self.style.steps != 4
                else max(step, 0.5 if self.style.steps % 2 == 0 else step)
            )
            order = ([0, 1, 2, 1], [0, 1, 2, 3], [0, 2, 1, 2], [3, 2, 1, 0])[self.offset]
            tones = [*chord, chord[0] + 12]
            for index, at in enumerate(np.arange(0, length - 1e-6, size)):
                self._add(
                    role,
                    begin + at,
                    size * 1.3,
                    tones[order[index % 4]],
                    0.7 if index == 0 else 0.55,
                )
        elif kind == "gallop":
            for at in np.arange(0, length - 1e-6, 1.0):
                for shift, loud in ((0.0, 0.9), (0.5, 0.6), (0.75, 0.65)):
                    strike(begin + at + shift, 0.2, loud)
        else:  # strum, stabs, riff: the motif of the song
            pattern, moves = self.motif if kind == "riff" else self.other
            near = weights(self.style.metre, self.style.steps)
            for at in range(round(length / step)):
                index = (round(place / step) + at) % len(pattern)
                if pattern[index] > 0:
                    if kind == "riff":
                        shift = self._tone(degree + int(moves[index]), 40) - self._tone(degree, 40)
                        for pitch in chord if self.score.programs[role] in (29, 30) else chord[:1]:
                            self._add(
                                role,
                                begin + at * step,
                                step * random.choice([0.8, 1.6]),
                                pitch + shift,
                                0.5 + 0.4 * pattern[index],
                            )
                    else:
                        loud = 0.5 + 0.3 * near[index % len(near)]
                        strike(
                            begin + at * step,
                            step * (0.8 if kind == "stabs" else 1.8),
                            loud,
                            0.012 if kind == "strum" else 0.0,
                        )

    def _melody(self, role: str, start: float, metre: float, bar: int) -> None:
        random, step = self.random, self.step
        if random.random() < 0.2:
            return  # takes a breath
        size = step * float(random.choice([1, 2, 2] if self.style.steps != 3 else [1, 1, 3]))
        at, degree = float(random.choice([0, 0, 0, size, 2 * size])), int(random.integers(0, 8))
        while at < metre:
            length = size * float(random.choice([1, 1, 2, 3, 4]))
            if random.random() < 0.82:
                self._add(
                    role,
                    start + at,
                    length * 0.9,
                    self._tone(degree, 60),
                    random.uniform(0.55, 0.9),
                )
            degree = int(np.clip(degree + random.choice([-2, -1, -1, 0, 1, 1, 2, 4, -3]), -3, 10))
            at += length
