"""Sources, music and random timelines for the tests of the reports."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from hypothesis import strategies as st

from montage_dask.records import (
    CUT,
    AudioStream,
    Event,
    Music,
    Section,
    Source,
    Timeline,
    Transition,
)

HOSTILE = (
    "plain.mp4", "<script>alert(1);<b>.mp4", "a & b ]]> \"q\".mp4", "new\nline\ttab\x01\x1b[31m.mp4",
    "émoji 🎬.mp4", "100%20d#?x=1.mp4", "$a$_{b.mp4", "=cmd|' calc'!A0.mp4", "concat:x.mp4", "broken\udcff.mp4",
)  # fmt: skip
"""File names that a careless writer lets out of their place."""

RATES = tuple(
    Fraction(r) for r in ("24", "25", "30", "60", "24000/1001", "30000/1001", "60000/1001")
)
SPEEDS = tuple(Fraction(s) for s in ("1", "1/2", "4/5", "2", "999/1000"))
SECONDS = 600


def identity(number: int) -> str:
    """A made-up fingerprint; its first eight digits tell sources apart."""
    return f"{number:08x}" * 4


def source(folder: Path, number: int, name: str, rate: Fraction = Fraction(25)) -> Source:
    """A source of ten minutes."""
    return Source(
        path=str(folder / name), identity=identity(number), size_bytes=1, format_name="mov", stream_index=0,
        codec="h264", coded_width=640, coded_height=360, width=640, height=360, rotation_degrees=0,
        sample_aspect=Fraction(1), pixel_format="yuv420p", bit_depth=8, color_space="bt709",
        color_primaries="bt709", color_transfer="bt709", color_range="tv", time_base=1 / rate,
        frame_rate=rate, constant_frame_rate=True, frames=int(SECONDS * rate), start_pts=0,
        duration_seconds=Fraction(SECONDS), audio=AudioStream(1, "aac", 48_000, 2) if number % 2 else None,
    )  # fmt: skip


def media(folder: Path, names: tuple[str, ...] = HOSTILE) -> dict[str, Source]:
    """A source for each name, by identity, with files that exist."""
    made = {}
    for number, name in enumerate(names):
        (folder / name).touch()
        one = source(folder, number, name, RATES[number % len(RATES)])
        made[one.identity] = one
    return made


def music(folder: Path, name: str = "trück & <b>.mp3", beats: int = 40) -> Music:
    """A track at 120 BPM."""
    (folder / name).touch()
    times = tuple(Fraction(i, 2) for i in range(beats))
    return Music(
        path=str(folder / name), identity="f" * 32, duration_seconds=Fraction(beats, 2), tempo_bpm=120.0,
        confidence=0.9, alternatives=(), beats_seconds=times, beats_per_bar=4,
        downbeats=tuple(range(0, beats, 4)), beat_energy=(0.5,) * beats, beat_strength=(0.5,) * beats,
        sections=(
            Section(Fraction(0), Fraction(beats, 4), "intro", 0.2),
            Section(Fraction(beats, 4), Fraction(beats, 2), "drop", 0.9),
        ),
        energy_curve=(0.5,) * (beats * 5), loudness_lufs=-14.0, true_peak_db=-1.0, tracker="flux",
    )  # fmt: skip


def timeline(
    folder: Path, lengths: list[int], fps: Fraction = Fraction(25), **more: object
) -> Timeline:
    """Events of these lengths in frames, one source after another, every second of them used from 7 s on."""
    events, start = [], 0
    for number, length in enumerate(lengths):
        events.append(
            Event(start, start + length, identity(number % len(HOSTILE)), number, Fraction(7 + number), beat_seconds=start / fps)
        )  # fmt: skip
        start += length
    fields = {
        "fps": fps, "width": 640, "height": 360, "events": tuple(events), "style": "test", "seed": 3,
        "music_path": str(folder / "trück & <b>.mp3"), "music_start_seconds": Fraction(1, 2),
        "beats_seconds": tuple(Fraction(i, 2) for i in range(1, 10)),
    }  # fmt: skip
    return Timeline(**{**fields, **more})  # type: ignore[arg-type]


fractions = st.fractions(1, 300, max_denominator=90_000)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@st.composite
def events(draw: st.DrawFn) -> tuple[Event, ...]:
    """Contiguous events with speeds and transitions."""
    made, start = [], 0
    for _ in range(draw(st.integers(1, 8))):
        length = draw(st.integers(12, 200))
        kind = draw(st.sampled_from(["cut", "crossfade", "dip-to-black", "dip-to-white"]))
        frames = 2 * draw(st.integers(1, 6))
        made.append(
            Event(
                start, start + length, identity(draw(st.integers(0, len(HOSTILE) - 1))), draw(st.integers(0, 99)),
                draw(fractions), draw(st.sampled_from(SPEEDS)),
                CUT if kind == "cut" else Transition(kind, frames),
                draw(st.none() | fractions), draw(text), {"total": draw(st.integers(-999, 999)) / 1000, "variety": 0.25},
            )
        )  # fmt: skip
        start += length
    return tuple(made)


@st.composite
def timelines(draw: st.DrawFn, folder: Path) -> Timeline:
    """Timelines as an edit makes them, and odder ones."""
    return timeline(
        folder, [], draw(st.sampled_from(RATES)), events=draw(events()), style=draw(text), grade=draw(text),
        seed=draw(st.integers(0, 2**31 - 1)), music_start_seconds=draw(fractions), fade_out_frames=draw(st.integers(0, 12)),
        beats_seconds=tuple(sorted(draw(st.sets(fractions, max_size=8)))), notes=tuple(draw(st.lists(text, max_size=2))),
    )  # fmt: skip
