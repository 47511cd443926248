"""Styles of the music that the beat network learns from and is judged by: grooves, tempi, metres and who plays.

A groove holds one pattern for each drum, a bar or two long, one character for each step: X accented, x played,
o now and then,
g softly and now and then, `.` silent. All patterns were written for this project.
"""

from __future__ import annotations

from dataclasses import dataclass

DRUMS = {
    "k": 36, "s": 38, "r": 37, "h": 42, "o": 46, "p": 44, "d": 51, "c": 49, "t": 48, "m": 45, "l": 41, "b": 39, "z": 70,
    "w": 56, "n": 54, "g": 63, "u": 64, "v": 75, "e": 53,
}  # fmt: skip
"""Letters of the patterns and their keys of General MIDI: kick, snare, rim, hats, ride, crash, toms, clap, shaker, …"""

PIANOS = (0, 1, 2, 3)
KEYS = (4, 5, 16, 17, 18, 7, 11)
GUITARS = (24, 25, 26, 27)
DRIVEN = (29, 30)
STRINGS = (48, 49, 44, 50)
BRASS = (61, 56, 57, 62)
WINDS = (65, 66, 71, 73, 68, 75)
SYNTHS = (80, 81, 87, 90, 84)
PADS = (88, 89, 91, 94, 95, 52)
PLUCKS = (46, 45, 12, 11, 108, 10)
SOLOS = (40, 42, 22, 21, 72)


@dataclass(frozen=True, slots=True)
class Style:
    """How a kind of music is played."""

    name: str
    bpm: tuple[float, float]
    metre: int = 4
    """Beats in a bar; 2 for 6/8, whose beat is the dotted quarter."""
    steps: int = 4
    """Steps of the patterns in a beat: 3 for triplets."""
    grooves: tuple[str, ...] = ()
    bass: tuple[str, ...] = ("kick", "eighths", "roots")
    """kick, eighths, quarters, roots, walk, offbeat, octaves, oompah, riff."""
    comp: tuple[str, ...] = ("hold", "eighths", "strum")
    """hold, eighths, quarters, offbeat, strum, arpeggio, oompah, riff, stabs, gallop."""
    basses: tuple[int, ...] = (32, 33, 34, 35)
    comps: tuple[int, ...] = PIANOS + GUITARS + KEYS
    leads: tuple[int, ...] = WINDS + SOLOS + SYNTHS + PIANOS
    pads: tuple[int, ...] = STRINGS + PADS
    swing: tuple[float, float] = (0.5, 0.5)
    """Place of the second half of the unit below."""
    swing_unit: float = 1.0
    """Beats: 1 swings eighths, 0.5 swings sixteenths."""
    drumless: float = 0.12
    """Share of songs without drums."""
    rubato: float = 0.0
    """Standard deviation of the tempo in players' hands (logarithm)."""
    electronic: bool = False
    """Machines play: exact, ducked under the kick."""
    vocals: float = 0.5
    """Share of songs with a voice."""


def _style(name: str, low: float, high: float, *grooves: str, **more: object) -> Style:
    return Style(name, (low, high), grooves=grooves, **more)  # type: ignore[arg-type]


_HARD = {"comps": DRIVEN, "leads": (*DRIVEN, 29, 30, 27, 81), "comp": ("riff", "gallop", "eighths", "hold"),
         "bass": ("riff", "kick", "eighths"), "drumless": 0.04, "vocals": 0.3}  # fmt: skip
_CLUB = {"electronic": True, "basses": (38, 39, 33, 36), "comps": (*SYNTHS, *KEYS, 0), "pads": PADS,
         "leads": SYNTHS, "drumless": 0.03, "vocals": 0.35}  # fmt: skip

TRAINING_STYLES = (
    _style(
        "rock", 80, 160,
        "k:X.....x.x.o..... s:....X.......X... h:X.x.X.x.X.x.X.x.",
        "k:X...o.x.X.x..... s:....X..g.g..X..g h:x.x.x.x.x.x.x.x.",
        "k:X.x.....x.x..o.. s:....X.......X..g d:x...x...x...x...",
        "k:X..x..x.X..x..o. s:....X.......X... o:x.x.x.x.x.x.x.x.",
        "k:X.x...x.x.x...x. s:....X.......X.oo c:x...x...x...x...",
        "k:X...x...X...x... l:x.x.x.xxx.x.x.xx m:..o...o...o...o.",
        comps=(*DRIVEN, *GUITARS, 29, 30, 18), leads=(*DRIVEN, 27, 26, 81),
        comp=("eighths", "riff", "strum", "hold", "quarters"),
    ),
    _style(
        "punk", 150, 205,
        "k:X...X.x.X...X.x. s:....X.......X... h:x.x.x.x.x.x.x.x.",
        "k:X...X...X...X... s:..X...X...X...X. h:x.x.x.x.x.x.x.x.",
        "k:X.x.....x.x..... s:....X.......X... c:x...x...x...x...",
        **_HARD,
    ),
    _style(
        "metal", 85, 200,
        "k:xxxxxxxxxxxxxxxx s:....X.......X... d:X...X...X...X...",
        "k:X.xxX.xxX.xxX.xx s:....X.......X... h:X...X...X...X...",
        "k:x.x.x.x.x.x.x.x. s:..x...x...x...x. d:x...x...x...x...",
        "k:X..x..x.....x.x. s:........X....... c:X...X...X...X...",
        "k:X..x..x..x..x.x. s:....X.......X... c:x...x...x...x...",
        "k:X.x.x.x.X.x.x.x. s:....X.......X... o:x...x...x...x...",
        "k:X.....xx..x.x... s:....X.......X..x o:x.x.x.x.x.x.x.x.",
        **_HARD,
    ),
    _style(
        "pop", 85, 135,
        "k:X..x..x.x..x..x. s:....X.......X... h:xxxxxxxxxxxxxxxx",
        "k:X...X...X...X... b:....X.......X... h:..x...x...x...x.",
        "k:X.....x.o.x..... b:....X.......X... h:x.x.x.x.x.x.x.xx z:xgxgxgxgxgxgxgxg",
        "k:X..o..x...x..... s:....X.......X..o n:..x...x...x...x.",
    ),
    _style(
        "house", 115, 132,
        "k:X...X...X...X... b:....X.......X... o:..X...X...X...X. h:o.o.o.o.o.o.o.o.",
        "k:X...X...X...X..o b:....X.......X..o h:x.xxx.xxx.xxx.xx z:xxxxxxxxxxxxxxxx",
        "k:X...X...X...X... o:..x...x...x...x. r:x..x..x...x..x.. g:..o..o.o..o..o..",
        comp=("stabs", "offbeat", "hold", "arpeggio"), bass=("offbeat", "octaves", "kick", "riff"), **_CLUB,
    ),
    _style(
        "techno", 125, 150,
        "k:X...X...X...X... h:..X...X...X...X. r:..x..x..x..x..x.",
        "k:X...X...X...X... h:xxxxxxxxxxxxxxxx b:....x.......x...",
        "k:X..xX...X..xX... o:..X...X...X...X. w:...o..o....o..o.",
        comp=("stabs", "riff", "arpeggio"), bass=("riff", "offbeat", "eighths"), **_CLUB,
    ),
    _style(
        "drum and bass", 160, 180,
        "k:X.........x..... s:....X..g.g..X... h:x.x.x.x.x.x.x.x.",
        "k:X.x.......xx.... s:....X..g....X.g. h:xxxxxxxxxxxxxxxx",
        "k:X.....x...x..... s:....X.......X..g d:x.x.x.x.x.x.x.x. z:xgxgxgxgxgxgxgxg",
        comp=("hold", "stabs", "arpeggio"), bass=("roots", "riff", "kick"), **_CLUB,
    ),
    _style(
        "hip-hop", 70, 104,
        "k:X..x...x..x..... s:....X.......X... h:x.x.x.x.x.x.x.x.",
        "k:X.x....o.xx..... s:....X.......X..g h:x.xxx.x.x.xxx.x.",
        "k:X......xx.x..... b:....X.......X... h:x.x.x.xxx.x.x.x. o:......x.........",
        swing=(0.5, 0.62), swing_unit=0.5, comp=("hold", "arpeggio", "stabs", "riff"),
        bass=("kick", "roots", "riff"), drumless=0.03,
    ),
    _style(
        "funk", 88, 122,
        "k:X..x..x...x..x.. s:....X..g.g.gX..g h:xxxxxxxxxxxxxxxx",
        "k:X.x...o..xx..... s:....X..g.g..X.g. h:x.x.x.x.x.xxx.x. o:..............x.",
        "k:X..x..o.x..x.... s:...xX..g.g..X..g h:xgxgxgxgxgxgxgxg",
        swing=(0.5, 0.57), swing_unit=0.5, comp=("stabs", "riff", "strum"), bass=("riff", "kick", "octaves"),
        comps=(27, 28, 7, 16, 4, 61), leads=(*BRASS, 65, 66),
    ),
    _style(
        "jazz swing", 90, 200,
        "d:X..x.xX..x.x p:...x.....x.. k:g..g..g..g.. s:..g....go..g",
        "d:X..X.xX..X.x p:...X.....X.. s:..o..g..o..g k:.....o.....o",
        "h:x..X.xx..X.x k:x..o..x..o.. r:...x.....x..",
        steps=3, bass=("walk", "walk", "quarters"), comp=("stabs", "hold", "strum"), comps=(0, 0, 4, 26, 16),
        leads=(65, 66, 56, 11, 0, 71),
        basses=(32, 32, 35), drumless=0.2,
    ),
    _style(
        "jazz waltz", 100, 180,
        "d:X..x.xx.. p:...x..x.. k:g.....o..",
        "d:X..x..x.x p:...X..... s:.....g..o k:X........",
        metre=3, steps=3, bass=("walk", "quarters", "roots"), comp=("stabs", "hold", "oompah"), comps=(0, 4, 26),
        leads=(65, 66, 73, 11),
    ),
    _style(
        "waltz", 84, 200,
        "k:X..... s:..x.x. h:o.o.o.", "k:X..... h:..x.x.", "k:X....o r:..x.x. d:x.x.x.",
        metre=3, steps=2, bass=("oompah", "roots", "quarters"), comp=("oompah", "arpeggio", "hold", "quarters"), drumless=0.5,
        rubato=0.03, comps=(0, 24, 25, 21, 48, 46), basses=(32, 43, 42, 33), leads=(40, 73, 71, 21, 22, 68),
    ),
    _style(
        "folk", 75, 140,
        "k:X...x...X...x... n:..x...x...x...x.", "k:X.......x....... s:....x.......x... z:x.x.x.x.x.x.x.x.",
        "k:X.....x.X....... b:....x.......x...",
        comp=("strum", "arpeggio", "eighths"), bass=("roots", "quarters", "oompah"),
        comps=(24, 25, 25, 24, 105, 22, 0), drumless=0.5,
        leads=(40, 73, 22, 21, 72, 105), rubato=0.015, vocals=0.7,
    ),
    _style(
        "bossa", 110, 160,
        "k:X..xX..x r:x..x..x...x..x.. h:xxxxxxxx", "k:x..xx..x r:x..x...x..x..x.. z:XxxxXxxx",
        "g:x.xx.xx. u:....x..x z:xxxxxxxx",
        steps=2, bass=("oompah", "roots", "quarters"), comp=("stabs", "strum", "riff"), comps=(24, 24, 0, 4), basses=(32, 33),
        leads=(73, 65, 66, 11, 0), drumless=0.25, vocals=0.5,
    ),
    _style(
        "reggae", 64, 92,
        "k:....X.......X... r:....X.......X... h:x.x.x.x.x.x.x.x.",
        "k:X...X...X...X... r:....x.......x... h:x.xxx.xxx.xxx.xx",
        "k:....X.......X..o s:............x..o h:..x...x...x...x.",
        swing=(0.5, 0.6), swing_unit=0.5, comp=("offbeat",), bass=("riff", "riff", "kick"),
        comps=(27, 27, 16, 0, 28), vocals=0.6,
    ),
    _style(
        "ballad", 52, 84,
        "k:X.......X.o..... s:....X.......X... h:x.x.x.x.x.x.x.x.",
        "k:X.....x.x....... r:....X.......X... h:x...x...x...x...",
        "k:X..x......xx.... s:....X.......X..g d:x.x.x.x.x.x.x.x.",
        comp=("arpeggio", "hold", "quarters", "eighths"), bass=("roots", "kick"), drumless=0.3, rubato=0.015, vocals=0.7,
    ),
    _style(
        "6/8 ballad", 44, 76,
        "k:X..... s:...X.. h:xxxxxx", "k:X....o s:...X.. h:x.xx.x", "k:X....xx..... s:...X.....X.o h:xxxxxxxxxxxx",
        metre=2, steps=3, comp=("arpeggio", "hold", "eighths"), bass=("roots", "kick", "eighths"), drumless=0.3,
        vocals=0.6, rubato=0.01,
    ),
    _style(
        "orchestral", 60, 160,
        "l:X.......x....... c:o...............", "l:X.x.x...X.x.x.xx s:x.xxx.xxx.xxx.xx",
        "k:X.......X....... l:x..x..x.x..x..x.",
        comp=("eighths", "hold", "arpeggio", "gallop", "quarters"), bass=("roots", "quarters", "eighths"),
        comps=(48, 44, 45, 61, 46, 49, 60),
        basses=(43, 42, 58, 32), leads=(40, 41, 56, 60, 68, 73, 71), drumless=0.6, rubato=0.04, vocals=0.05,
    ),
    _style(
        "piano", 55, 170,
        comp=("arpeggio", "oompah", "quarters", "eighths", "hold"), bass=("roots", "quarters", "octaves"),
        comps=PIANOS, basses=PIANOS, leads=PIANOS,
        pads=(0,), drumless=1.0, rubato=0.06, vocals=0.0,
    ),
    _style(
        "piano in three", 60, 180,
        comp=("oompah", "arpeggio", "quarters"), bass=("roots", "oompah"), comps=PIANOS, basses=PIANOS,
        leads=PIANOS, pads=(0,),
        metre=3, steps=4, drumless=1.0, rubato=0.05, vocals=0.0,
    ),
    _style(
        "ambient", 60, 120,
        "k:X.......X.......", "h:x...x...x...x... k:X...............", "r:x.....x...x..... z:x.x.x.x.x.x.x.x.",
        "k:X...X...X...X...",
        comp=("arpeggio", "hold", "eighths"), bass=("roots", "eighths"), pads=PADS, comps=(*PADS, *PLUCKS, *KEYS),
        leads=(*PLUCKS, 88, 73),
        electronic=True, drumless=0.35, vocals=0.1,
    ),
    _style(
        "march", 96, 132,
        "k:X...x... s:x.xxx.xx", "k:X...X... s:..x...x. c:o.......", "k:X....... s:..X.xxX.",
        metre=2, bass=("oompah", "quarters"), comp=("oompah", "quarters", "offbeat"), comps=(61, 60, 21, 71, 48),
        basses=(58, 43), leads=(56, 73, 72, 71),
        vocals=0.05, drumless=0.2,
    ),
    _style(
        "five", 80, 190,
        "k:X.....x.o. s:...x..X... h:x.x.x.x.x.", "d:X.xXx.X.x. k:X.....x... s:...g.g..X.",
        "k:X..x..X..x s:....X...X. h:xxxxxxxxxx",
        metre=5, steps=2, bass=("riff", "roots", "quarters"), comp=("riff", "stabs", "oompah", "arpeggio"),
    ),
    _style(
        "three in rock", 80, 180,
        "k:X.......x... s:....X...X... h:x.x.x.x.x.x.", "k:X.....x..... s:........X... h:x.x.x.x.x.x.",
        "k:X...o....... s:....x...x..g d:x...x...x...",
        metre=3, comps=(*DRIVEN, *GUITARS, 0), comp=("arpeggio", "strum", "eighths", "hold", "oompah"),
    ),
    _style(
        "twelve-eight", 55, 90,
        "k:X.....X..... s:...X.....X.. h:xxxxxxxxxxxx", "k:X....xX..... s:...X.....X.o h:x.xx.xx.xx.x",
        "k:X..o..x..x.. r:...X.....X.. d:x..x..x..x..",
        steps=3, comp=("eighths", "arpeggio", "hold", "stabs"), bass=("roots", "kick", "walk"), vocals=0.6,
    ),
    _style("any in four", 60, 190, "*", comp=("riff", "strum", "stabs", "hold", "arpeggio"),
    bass=("riff", "kick", "eighths", "roots")),
    _style("any in triplets", 60, 170, "*", steps=3, comp=("riff", "strum", "stabs", "hold"), bass=("riff", "kick", "walk")),
    _style("any in three", 75, 190, "*", metre=3, comp=("riff", "oompah", "stabs", "hold"), bass=("riff", "kick", "roots")),
)  # fmt: skip

HELD_OUT_STYLES = (
    _style(
        "disco", 108, 128,
        "k:X...X...X...X... s:....X.......X... o:..X...X...X...X. h:x...x...x...x...",
        "k:X...X...X...X... s:....X.......X..o h:xxXxxxXxxxXxxxXx",
        bass=("octaves",), comp=("stabs", "strum"), comps=(27, 28, 4), leads=(48, 61, 56), drumless=0.0,
    ),
    _style(
        "blues shuffle", 72, 140,
        "k:X..o.xX..o.x s:...X.....X.. h:x.xx.xx.xx.x", "k:X..X..X..X.. s:...X.....X.. d:x.xx.xx.xx.x",
        steps=3, bass=("walk", "octaves"), comp=("strum", "stabs"), comps=(26, 27, 16, 0),
        leads=(22, 26, 27, 65), drumless=0.0,
    ),
    _style(
        "country", 90, 132,
        "k:X...x...X...x... s:g.Xgg.Xgg.Xgg.Xg", "k:X.......X....... s:....X.......X... h:x.x.x.x.x.x.x.x.",
        bass=("oompah",), comp=("oompah", "strum"), comps=(25, 24, 27), leads=(105, 40, 22, 27), vocals=0.7, drumless=0.1,
    ),
    _style(
        "jig", 96, 132,
        "k:X..x.. n:x.xx.x", "l:X.xX.x", metre=2, steps=3, bass=("roots", "quarters"),
        comp=("strum", "oompah", "eighths"), comps=(24, 25, 21, 105),
        leads=(40, 72, 73, 109), drumless=0.4, vocals=0.1,
    ),
    _style(
        "tango", 108, 132,
        "k:X.......x....... s:......x.....x.x.", bass=("quarters", "oompah"),
        comp=("quarters", "stabs"), comps=(0, 21, 45), leads=(40, 21, 23), basses=(43, 32), drumless=0.7,
        rubato=0.03, vocals=0.2,
    ),
    _style(
        "synthwave", 80, 118,
        "k:X...X...X...X... s:....X.......X...", "k:X.....x.X....... s:....X.......X... h:xxxxxxxxxxxxxxxx",
        bass=("eighths", "octaves"),
        comp=("arpeggio", "hold"), **{**_CLUB, "basses": (38, 81), "drumless": 0.0},
    ),
    _style(
        "trap", 62, 82,
        "k:X.....x..x..x... s:....X.......X... h:x.x.xxx.x.x.x.xx",
        "k:X..x......x..... b:....X.......X... h:xxxxxxxxxxxxxxxx",
        comp=("arpeggio", "hold"), bass=("kick", "roots"), **{**_CLUB, "basses": (38, 39)},
    ),
    _style(
        "hard rock in six", 48, 80,
        "k:X.x..x s:...X.. o:xxxxxx", "k:X..x.. s:...X.x c:x..x..", metre=2, steps=3, **_HARD,
    ),
    _style(
        "minuet", 100, 150, metre=3, steps=2, bass=("quarters", "roots"), comp=("quarters", "arpeggio"),
        comps=(6, 48, 0), basses=(43, 6, 42),
        leads=(6, 73, 40, 68), drumless=1.0, rubato=0.02, vocals=0.0,
    ),
    _style(
        "grunge", 95, 145,
        "k:X.x..x..x.x..... s:....X.......X... o:x...x...x...x...",
        "k:X....xx...x..x.. s:....X..x....X... c:x...x...x...x...", **_HARD,
    ),
)  # fmt: skip
