"""Made-up timelines over files that exist, for the tests of the exports."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st
from made_source import made_source

from montage_dask.records import CUT, Event, Music, Section, Source, Timeline, Transition

RATES = (
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(60000, 1001),
    Fraction(24000, 1001),
)
HOSTILE = (
    "a b'c\"d.mp4",
    "100%25 #1?.mp4",
    "new\nline.mp4",
    "concat:x.mp4",
    "-dash & <tag>.mp4",
    "😀 $x_1$ ü.mp4",
)


def source(
    path: Path, *, rate: Fraction = Fraction(25), seconds: Fraction = Fraction(100)
) -> Source:
    return made_source(
        str(path),
        f"{abs(hash(path.name)) % 16**8:08x}-{path.name.encode().hex()}",
        rate=rate,
        seconds=seconds,
        size=(1280, 720),
        time_base=Fraction(1, 90000),
    )


def sources_in(
    folder: Path, names: tuple[str, ...] = ("one.mp4", "two.mp4", "three.mov")
) -> dict[str, Source]:
    found = {}
    for number, name in enumerate(names):
        path = folder / name
        path.touch()
        made = source(path, rate=RATES[number % len(RATES)])
        found[made.identity] = made
    (folder / "music.ogg").touch()
    return found


def music(folder: Path, *, bpm: int = 120, seconds: int = 120) -> Music:
    beats = tuple(Fraction(1, 10) + Fraction(60 * k, bpm) for k in range(seconds * bpm // 60 - 1))
    return Music(
        path=str(folder / "music.ogg"),
        identity="music",
        duration_seconds=Fraction(seconds),
        tempo_bpm=float(bpm),
        confidence=0.9,
        alternatives=(),
        beats_seconds=beats,
        beats_per_bar=4,
        downbeats=tuple(range(0, len(beats), 4)),
        beat_energy=(0.5,) * len(beats),
        beat_strength=(0.5,) * len(beats),
        sections=(
            Section(Fraction(0), Fraction(8), "intro", 0.2),
            Section(Fraction(8), Fraction(seconds), "drop", 0.9),
        ),
        energy_curve=tuple(0.2 if k < 80 else 0.9 for k in range(seconds * 10)),
        loudness_lufs=-14.0,
        true_peak_db=-1.0,
        tracker="flux",
    )


def on_beats(
    sources: dict[str, Source],
    track: Music,
    *,
    fps: Fraction = Fraction(30),
    events: int = 8,
    beats_per_event: int = 2,
    kind: str = "cut",
    start: Fraction = Fraction(0),
) -> Timeline:
    """A timeline whose cuts are the frames nearest to every so many beats; every second one begins with `kind`."""
    inside = [b for b in track.beats_seconds if b >= start]
    frames = [0] + [
        round((inside[k * beats_per_event] - start) * fps) for k in range(1, events + 1)
    ]
    keys = list(sources)
    made = []
    for k in range(events):
        transition = Transition(kind, 8) if kind != "cut" and k % 2 else CUT
        made.append(
            Event(
                frames[k], frames[k + 1], keys[k % len(keys)], k, Fraction(5 + 3 * k, 7) + 1,
                transition=transition,
                beat_seconds=inside[k * beats_per_event] if k else None,
                reason=f"part {k}", scores={"quality": 0.1 * k},
            )
        )  # fmt: skip
    end = start + frames[-1] / fps
    return Timeline(
        fps=fps, width=1920, height=1080, events=tuple(made), music_path=track.path,
        music_start_seconds=start, style="music-video", seed=3,
        beats_seconds=tuple(b for b in inside if b < end),
    )  # fmt: skip


@st.composite
def timelines(draw, sources: dict[str, Source], music_path: str) -> Timeline:
    """Any timeline that can be rendered."""
    fps = draw(st.sampled_from(RATES))
    count = draw(st.integers(1, 8))
    # No file name holds a NUL, and OTIO ends a string at one.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    seconds = st.fractions(0, 40, max_denominator=90000)
    start, events = 0, []
    for k in range(count):
        frames = draw(st.integers(30, 200))
        kind = draw(st.sampled_from(["cut", "crossfade", "dip-to-black", "dip-to-white"]))
        half = draw(st.integers(1, 12))
        events.append(
            Event(
                start, start + frames, draw(st.sampled_from(sorted(sources))), draw(st.integers(0, 9)),
                draw(seconds) + 2, draw(st.fractions(Fraction(1, 4), 4, max_denominator=100)),
                CUT if kind == "cut" or k == 0 else Transition(kind, 2 * half),
                draw(st.none() | seconds), draw(text),
                draw(st.dictionaries(text.filter(bool), st.floats(allow_nan=False, allow_infinity=False), max_size=3)),
            )
        )  # fmt: skip
        start += frames
    return Timeline(
        fps=fps, width=draw(st.integers(8, 1000)) * 2, height=draw(st.integers(8, 1000)) * 2, events=tuple(events),
        music_path=music_path, music_start_seconds=draw(seconds), style=draw(text), seed=draw(st.integers(0, 2**31)),
        beats_seconds=tuple(sorted(draw(st.sets(seconds, max_size=5)))), grade=draw(text),
        fade_out_frames=draw(st.integers(0, 30)), notes=tuple(draw(st.lists(text, max_size=2))),
    )  # fmt: skip
