"""How long a montage is, and which music is under it: the same however the job is called."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import opentimelineio as otio
import pytest
from click.testing import CliRunner
from jobs import make_track
from made_small import SMALL

from montage_dask import Job, Timeline
from montage_dask.cli import cli
from montage_dask.media.audio import decode_mono, raw_sound
from montage_dask.report.otioz import write_otioz
from montage_dask.report.pictures import WAVE_RATE, peaks

RATE = 48_000
OPTIONS = {**SMALL, "allow": "all", "bpm": 240, "beats_per_bar": 4}


@pytest.fixture(scope="module")
def track(tmp_path_factory) -> Path:
    """16 bars of one second."""
    path = tmp_path_factory.mktemp("track") / "track.wav"
    make_track(path, 16.5, 240)
    return path


@pytest.fixture(scope="module")
def fitted(footage, track, cluster, tmp_path_factory):
    """A montage of nine seconds on a track of sixteen, with the track's own ending."""
    output = tmp_path_factory.mktemp("fitted") / "out.mp4"
    options = {**OPTIONS, "duration": 9, "music_fit": True}
    return Job(footage, track, output=output, **options).run()


def sound(path) -> np.ndarray:
    return np.frombuffer(b"".join(raw_sound(str(path), RATE)), np.float32).reshape(-1, 2)


def test_a_fitted_track_is_what_is_heard_and_shown(fitted, track):
    summary = fitted.summary
    fit = summary["music_fit"]
    assert abs(summary["duration_seconds"] - 9) <= 0.55
    assert abs(summary["duration_seconds"] - fit["duration_seconds"]) <= 0.5 / 25 + 1e-6
    assert summary["music"] == str(track)
    assert len(fit["pieces"]) == 2
    (note,) = [n for n in summary["notes"] if n.startswith("music 0:16")]
    assert "left out, join at 0:" in note
    music = fitted.run_dir / "music.wav"
    played = sound(music)
    assert len(played) == round(fit["duration_seconds"] * RATE)
    # Beats and bars of the result are those of the track, moved by as many samples as the sound was.
    moved = fit["pieces"][1]["start_sample"] - fit["pieces"][0]["stop_sample"]
    assert np.array_equal(
        played[-RATE:],
        sound(track)[fit["pieces"][1]["stop_sample"] - RATE : fit["pieces"][1]["stop_sample"]],
    )
    beats = np.array(summary["beats_seconds"])
    period = moved / RATE / 0.25
    assert abs(period - round(period)) * 0.25 < 0.026
    assert np.abs(np.diff(beats) - 0.25).max() < 0.026
    # What is drawn is what is played.
    count = int(summary["duration_seconds"] * WAVE_RATE)
    assert summary["heard"]["waveform"] == peaks(decode_mono(music, WAVE_RATE)[:count])
    assert summary["heard"]["waveform"] != peaks(decode_mono(track, WAVE_RATE)[:count])


def test_the_sound_of_the_file_is_the_fitted_track_with_its_own_ending(fitted):
    """Up to its loudness: no fade at the end, though the picture fades."""
    file, music = sound(fitted.summary["output"]), sound(fitted.run_dir / "music.wav")
    assert fitted.timeline.record.fade_out_frames > 0
    count = min(len(file), len(music))
    size = RATE // 10
    loud = [
        np.sqrt((x[:count].mean(1)[: count // size * size].reshape(-1, size) ** 2).mean(1))
        for x in (file, music)
    ]
    kept = loud[1] > 0.02 * loud[1].max()
    gain = 20 * np.log10(loud[0][kept] / loud[1][kept])
    assert np.abs(gain - np.median(gain))[-5:].max() < 3


def test_other_programs_find_the_fitted_track(fitted, track):
    folder = fitted.run_dir
    document = otio.adapters.read_from_file(str(folder / "timeline.otio"))
    (clip,) = [c for t in document.audio_tracks() for c in t]
    assert clip.media_reference.target_url.endswith("music.wav")
    assert clip.source_range.start_time.value == 0
    for name in ("timeline.xml", "timeline.fcpxml"):
        text = (folder / name).read_text(encoding="utf-8")
        assert "music.wav" in text
        assert track.name not in text
    bundle = write_otioz(folder / "timeline.otio")
    assert bundle.stat().st_size > (folder / "music.wav").stat().st_size
    assert str(track).encode() not in bundle.read_bytes()


def test_the_same_again_from_its_timeline(fitted, cluster, tmp_path):
    """Beats and sections are not guessed again, and neither is the sound."""
    loaded = Timeline.load(fitted.run_dir / "timeline.otio", **OPTIONS)
    before, after = fitted.timeline.music.record, loaded.music.record
    same = {"path": "", "loudness_lufs": 0.0, "true_peak_db": 0.0}
    assert replace(after, **same) == replace(before, **same)
    assert replace(loaded.record, music_path="") == replace(fitted.timeline.record, music_path="")
    saved = loaded.save(tmp_path / "mine.otio")
    assert (tmp_path / "mine.music.wav").read_bytes() == (fitted.run_dir / "music.wav").read_bytes()
    again = Timeline.load(saved, **OPTIONS)
    assert again.music.record.beats_seconds == before.beats_seconds


def test_a_changed_file_is_heard_as_it_is(fitted, tmp_path):
    """Pieces of a track say nothing about music that somebody put in its place."""
    saved = fitted.timeline.save(tmp_path / "mine.otio")
    make_track(tmp_path / "mine.music.wav", 10, 150)
    loaded = Timeline.load(saved, **{**OPTIONS, "bpm": 150})
    assert loaded.music.record.fit is None
    assert loaded.music.duration_seconds == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(
    "pieces",
    [[], [{"start_sample": 9, "stop_sample": 3}], [{"start_sample": 0, "stop_sample": 10**14}], 7],
)
def test_damaged_pieces_are_refused(fitted, tmp_path, pieces):
    from montage_dask.errors import UsageError

    saved = fitted.timeline.save(tmp_path / "mine.otio")
    data = json.loads(saved.read_text(encoding="utf-8"))
    text = json.dumps(data)
    start = text.index('"pieces"')
    old = text[start : text.index("]", start) + 1]
    saved.write_text(text.replace(old, f'"pieces": {json.dumps(pieces)}'), encoding="utf-8")
    with pytest.raises(UsageError, match="damaged timeline"):
        Timeline.load(saved, **OPTIONS)


@pytest.mark.parametrize(
    "more",
    [{"duration": 11}, {"duration": 11, "exact": True}, {"duration": 9, "start": "auto"},
     {"duration": 9, "music_fit": True}],
)  # fmt: skip
def test_all_ways_of_calling_agree(footage, track, cluster, tmp_path, more):
    """Python, a job file and the command line: one length, one start, the same notes; and `plan` says them before."""
    options = {**OPTIONS, **more}
    job = Job(footage, track, output=tmp_path / "out.mp4", **options)
    timeline = job.edit()
    frames = timeline.record.frames
    plan = job.plan()
    assert plan["montage"]["frames"] == frames
    assert set(plan["notes"]) <= set(timeline.notes)
    assert bool(plan["notes"]) == ("music_fit" in more or "start" in more or frames != 11 * 25)
    if "exact" in more:
        assert frames == 11 * 25
    elif "music_fit" not in more:
        bars = timeline.music.downbeats_seconds
        end = float(timeline.record.music_start_seconds) + frames / 25
        assert min(abs(end - b) for b in bars) <= 0.05
        assert timeline.record.fade_out_frames <= timeline.events[-1].frames / 2
    if "start" in more:
        assert any(n.startswith("--start auto: from ") for n in plan["notes"])
    file = tmp_path / "job.yaml"
    given = {k.replace("_", "-"): v for k, v in options.items() if k != "performance_report"}
    given |= {"footage": footage.patterns[0], "music": str(track), "output": "out.mp4"}
    file.write_text(json.dumps({k: str(v) if isinstance(v, Path) else v for k, v in given.items()}))
    store = str(job.spec.store)
    by_file = Job(file, store=store, trust_job=True, performance_report=False)
    assert by_file.edit().record == timeline.record
    words = [
        "plan",
        str(footage.patterns[0]),
        "--music",
        str(track),
        "-o",
        str(tmp_path / "out.mp4"),
    ]
    for name, value in given.items():
        if name not in ("footage", "music", "output"):
            words += [f"--{name}"] if value is True else [f"--{name}={value}"]
    words += ["--store", store, "--json", "-q"]
    told = CliRunner().invoke(cli, words, standalone_mode=False)
    assert not told.exception, told.output
    by_words = json.loads(told.stdout)
    assert (by_words["montage"], by_words["notes"]) == (plan["montage"], list(plan["notes"]))


def test_plan_says_what_it_cannot_know_yet(footage, track, cluster, tmp_path):
    plain = Job(
        footage, track, output=tmp_path / "o.mp4", **{**OPTIONS, "duration": 11, "bpm": 239}
    )
    assert "will end with a phrase" in plain.plan()["notes"][0]
    assert "half a bar" in plain.but(music_fit=True).plan()["notes"][0]
    rows = {o["operation"] for o in plain.but(music_fit=True).plan()["operations"]}
    assert "music_fit" in rows
    assert "when the music is analysed" in plain.but(start="auto").plan()["notes"][0]


def test_what_cannot_be_fitted_is_said(footage, track, cluster, tmp_path):
    def notes(**options):
        given = {**OPTIONS, "music_fit": True, **options}
        return Job(footage, track, output=tmp_path / "o.mp4", **given).edit().notes

    assert any("intro and ending alone" in n for n in notes(duration=Fraction(3, 2)))
    whole = {k: v for k, v in OPTIONS.items() if k != "duration"}
    timeline = Job(footage, track, output=tmp_path / "o.mp4", music_fit=True, **whole).edit()
    assert any("without --duration" in n for n in timeline.notes)
