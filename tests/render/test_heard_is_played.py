"""What the analysis hears is what the montage plays, to the millisecond, whatever the clock and the format of the file do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from makers import write_wav

from montage_dask.analysis.music import analyse_music
from montage_dask.media.audio import decode_mono, stereo_blocks
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.loudness import measure_loudness
from montage_dask.records import Event, Timeline
from montage_dask.render.audio import render_audio

RATE = 48_000
SECONDS = 12
FIRST, PERIOD = 0.5, 0.5
"""Of the clicks: 120 a minute."""


def clicks(seconds=SECONDS, rate=44_100):
    """A kick on each beat, a soft tone of its own below each."""
    random = np.random.default_rng(1)
    sound = random.normal(0, 0.001, round(seconds * rate))
    for number, time in enumerate(np.arange(FIRST, seconds - 0.2, PERIOD)):
        t = np.arange(round(0.12 * rate)) / rate
        kick = np.sin(2 * np.pi * (60 * t + 4 * (1 - np.exp(-t * 25)))) * np.exp(-t * 18)
        tone = 0.2 * np.sin(2 * np.pi * (300 + 37 * number) * t) * np.exp(-t * 30)
        tap = random.normal(0, 0.3, len(t)) * np.exp(-t * 400)
        sound[round(time * rate) :][: len(t)] += 0.6 * kick + tone + tap
    return sound.clip(-1, 1)


class Maker:
    """Makes the kinds of files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reference = write_wav(folder / "reference.wav", clicks(), 44_100)

    def ff(self, name: str, *arguments: str) -> Path:
        path = self.folder / name
        run_ffmpeg([*arguments, str(path)], about=path)
        return path

    def stamped(self, name: str, stamps: str, codec: str = "pcm_s16le") -> Path:
        """The same samples under other time stamps."""
        frames = f"asetnsamples=1024,asetpts='{stamps}'"
        return self.ff(name, "-i", str(self.reference), "-c:a", codec, "-af", frames)

    def part(self, name: str, start: float, seconds: float, *options: str) -> Path:
        cut = ("-ss", str(start), "-t", str(seconds), "-i", str(self.reference))
        return self.ff(name, *cut, *options)

    def joined(self, name: str, *parts: Path) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(p.read_bytes() for p in parts))
        return path


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("clocks"))


LOW = ("-ac", "1", "-ar", "22050")
HIGH = ("-ac", "2", "-ar", "48000")
MP3 = ("-c:a", "libmp3lame")
OPUS, FLAC = ("-c:a", "libopus"), ("-c:a", "flac")
VORBIS = ("-c:a", "vorbis", "-strict", "-2", "-ac", "2")

KINDS = {
    "a gap": lambda m: m.stamped("gap.mka", "PTS+if(gte(T,5),0.08/TB,0)"),
    "a gap of 2 s": lambda m: m.stamped("gap2.mka", "PTS+if(gte(T,4),2/TB,0)"),
    "a gap of 90 s": lambda m: m.stamped("gap90.mka", "PTS+if(gte(T,5),90/TB,0)"),
    "a gap in a transport stream": lambda m: m.stamped(
        "gap.ts", "PTS+if(gte(T,5),12/TB,0)", "aac"
    ),
    "many gaps": lambda m: m.stamped("gaps.mka", "PTS+floor(T)*0.05/TB"),
    "a clock that stands still": lambda m: m.stamped("still.mka", "if(lt(T,3),PTS,max(3/TB,PTS-2/TB))"),
    "a clock that runs fast": lambda m: m.stamped("fast.mka", "PTS*1.01"),
    "a clock that runs slowly": lambda m: m.stamped("slow.mka", "PTS*0.97"),
    "a late start": lambda m: m.stamped("late.mka", "PTS+0.7/TB"),
    "a start before 0": lambda m: m.ff(
        "early.mkv", "-i", str(m.reference), *FLAC, "-output_ts_offset", "-1.5",
        "-avoid_negative_ts", "disabled",
    ),
    "a transport stream that begins again": lambda m: m.joined(
        "again.ts", m.part("a.ts", 0, 6, "-c:a", "aac"), m.part("b.ts", 6, 6, "-c:a", "aac")
    ),
    "a transport stream of two rates": lambda m: m.joined(
        "rates.ts", m.part("c.ts", 0, 5, "-c:a", "aac", *HIGH), m.part("d.ts", 5, 7, "-c:a", "aac", "-ar", "32000"),
    ),
    "MP3 of two rates": lambda m: m.joined(
        "rates.mp3", m.part("a.mp3", 0, 5, *MP3, "-ac", "2"), m.part("b.mp3", 5, 7, *MP3, *LOW)
    ),
    "MP3 of many rates": lambda m: m.joined(
        "many.mp3",
        *(m.part(f"m{n}.mp3", n, 1, *MP3, *(LOW, HIGH, ())[n % 3]) for n in range(SECONDS)),
    ),
    "bare AAC of two rates": lambda m: m.joined(
        "rates.aac", m.part("a.aac", 0, 5, *HIGH), m.part("b.aac", 5, 7, *LOW)
    ),
    "MP3 of a varying rate of bits without a header": lambda m: m.ff(
        "vbr.mp3", "-i", str(m.reference), *MP3, "-q:a", "6", "-write_xing", "0"
    ),
    "MP3 with a delay": lambda m: m.ff("lame.mp3", "-i", str(m.reference), *MP3),
    "AAC with an edit list": lambda m: m.ff("edit.m4a", "-i", str(m.reference)),
    "AAC cut by an edit list": lambda m: m.ff(
        "cut.m4a", "-ss", "1.3", "-i", str(m.ff("whole.m4a", "-i", str(m.reference))), "-c", "copy"
    ),
    "AAC behind an empty edit": lambda m: m.ff(
        "empty.m4a", "-itsoffset", "1.1", "-i", str(m.reference), "-c:a", "aac"
    ),
    "Opus": lambda m: m.ff("skip.opus", "-i", str(m.reference), *OPUS),
    "Opus in Matroska": lambda m: m.ff("skip.mka", "-i", str(m.reference), *OPUS),
    "a chain of Opus": lambda m: m.joined(
        "chain.opus", m.part("a.opus", 0, 6, *OPUS), m.part("b.opus", 6, 6, *OPUS)
    ),
    "a chain of Vorbis": lambda m: m.joined(
        "chain.ogg", m.part("a.ogg", 0, 6, *VORBIS), m.part("b.ogg", 6, 6, *VORBIS)
    ),
    "a chain of Vorbis of two rates": lambda m: m.joined(
        "rates.ogg", m.part("c.ogg", 0, 6, *VORBIS), m.part("d.ogg", 6, 6, *VORBIS, "-ar", "32000")
    ),
    "a chain of Opus and FLAC": lambda m: m.joined(
        "kinds.ogg", m.part("c.opus", 0, 6, *OPUS), m.part("e.oga", 6, 6, *FLAC, *LOW)
    ),
    "FLAC": lambda m: m.ff("plain.flac", "-i", str(m.reference), "-ar", "96000"),
    "5.1": lambda m: m.ff("six.m4a", "-i", str(m.reference), "-ac", "6"),
}  # fmt: skip


def montage(start: float, seconds: float) -> Timeline:
    frames = round(seconds * 25)
    return Timeline(
        fps=Fraction(25),
        width=160,
        height=96,
        events=(Event(0, frames, "s", 0, Fraction(0)),),
        music_path="",
        music_start_seconds=Fraction(start).limit_denominator(1000),
        style="",
        seed=0,
    )


def played(music: Path, folder: Path, start: float, seconds: float) -> np.ndarray:
    """The sound of a montage as a player plays it, mono at 48 kHz."""
    output, raw = folder / "out.m4a", folder / "out.raw"
    render_audio(montage(start, seconds), str(music), {}, output, keep_audio=False)
    run_ffmpeg(
        ["-i", str(output), "-f", "f32le", "-ac", "1", "-ar", str(RATE), str(raw)], about=output
    )
    return np.fromfile(raw, np.float32)


def lag_seconds(heard: np.ndarray, sound: np.ndarray) -> float:
    """How much later a sound is than another."""
    both = np.fft.rfft(heard, 2 * len(heard)).conj() * np.fft.rfft(sound, 2 * len(heard))
    found = int(np.fft.irfft(both).argmax())
    return (found if found < len(heard) else found - 2 * len(heard)) / RATE


@pytest.mark.parametrize("kind", KINDS)
def test_heard_is_played(make, tmp_path, kind):
    music = KINDS[kind](make)
    heard = decode_mono(music, RATE)
    assert len(heard) / RATE > SECONDS - 1.5, "some of the music was lost"
    coarse = decode_mono(music)
    assert abs(len(coarse) / 22_050 - len(heard) / RATE) <= 1 / 22_050
    start, stop = 3.0, len(heard) / RATE - 0.2
    sound = played(music, tmp_path, start, stop - start)
    for at in np.arange(start, stop - 2, 1.5):
        here = heard[round(at * RATE) :][: 2 * RATE]
        there = sound[round((at - start) * RATE) :][: len(here)]
        assert abs(lag_seconds(here, there)) <= 0.001, at


@pytest.mark.parametrize(
    "kind", ["a gap", "a gap of 90 s", "a gap in a transport stream", "a clock that runs slowly"]
)
def test_jumping_stamps_do_not_tear_the_music_apart(make, kind):
    """The samples are those of the recording, so its beats are, too."""
    beats = np.array(
        [float(b) for b in analyse_music(KINDS[kind](make), tracker="flux").beats_seconds]
    )
    beats = beats[(beats > 1) & (beats < SECONDS - 1)]
    late = (beats - FIRST) % PERIOD
    assert np.minimum(late, PERIOD - late).max() < 0.06
    assert len(beats) >= 18


def test_loudness_is_that_of_all_that_is_played(make):
    """FFmpeg's filters begin again where the format changes, and would tell the loudness of the last part alone."""
    loud = make.part("loud.mp3", 0, 6, *MP3, "-ac", "2")
    soft = make.part("soft.mp3", 6, 6, *MP3, *LOW, "-af", "volume=-30dB")
    both = measure_loudness(make.joined("unequal.mp3", loud, soft))
    assert both.integrated_lufs == pytest.approx(measure_loudness(loud).integrated_lufs, abs=1)
    assert both.true_peak_db == pytest.approx(measure_loudness(loud).true_peak_db, abs=0.5)


def test_memory_does_not_grow_with_the_music(make):
    assert max(len(b) for b in stereo_blocks(make.reference, RATE)) < 80_000
