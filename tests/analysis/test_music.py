"""The whole analysis of a track: consistent records, given beats, music without a beat."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from made_music import RATE, click_track, regular, share_met
from makers import write_wav

from montage_dask.analysis.music import analyse_music
from montage_dask.errors import MediaError, UsageError
from montage_dask.records import Music, from_json, to_json

TRUTH = regular(123, 24)


@pytest.fixture(scope="module")
def track(tmp_path_factory):
    return write_wav(tmp_path_factory.mktemp("music") / "track.wav", click_track(TRUTH, 24))


def consistent(music):
    count = len(music.beats_seconds)
    assert count == len(music.beat_energy) == len(music.beat_strength)
    assert all(isinstance(b, Fraction) and b >= 0 for b in music.beats_seconds)
    assert all(a < b for a, b in zip(music.beats_seconds, music.beats_seconds[1:], strict=False))
    assert all(0 <= i < count for i in music.downbeats)
    for values in (music.beat_energy, music.beat_strength, music.energy_curve):
        assert all(0 <= v <= 1 for v in values)
    assert music.sections[0].start_seconds == 0
    assert music.sections[-1].stop_seconds == music.duration_seconds
    assert from_json(Music, to_json(music)) == music
    return music


def test_a_track(track):
    music = consistent(analyse_music(track))
    assert music.tracker == "network"
    assert music.tempo_bpm == pytest.approx(123, abs=0.5)
    assert music.confidence > 0.5
    assert music.beats_per_bar == 4
    assert share_met(music.beats_seconds, TRUTH) == (1.0, 1.0)
    assert music.duration_seconds == 24
    assert all(b * 22050 == int(b * 22050) for b in music.beats_seconds)
    assert music.warnings == ()
    assert analyse_music(track) == music


@pytest.mark.filterwarnings("ignore")
def test_librosa_is_on_time(track):
    music = consistent(analyse_music(track, tracker="librosa"))
    assert music.tracker == "librosa"
    error = [float(min(TRUTH - float(b), key=abs)) for b in music.beats_seconds[4:-4]]
    assert abs(np.median(error)) < 0.02


def test_a_given_tempo(track):
    music = consistent(analyse_music(track, bpm=123, beats_per_bar=3))
    assert (music.tracker, music.beats_per_bar, music.confidence) == ("bpm", 3, 1.0)
    assert share_met(music.beats_seconds, TRUTH) == (1.0, 1.0)


def test_given_beats(track, tmp_path):
    file = tmp_path / "x.beats"
    file.write_text("# by hand\n0.5 3\n1.0\t1\n\n1.5, 2\n2.0 3\n2.5 1\n99.0 2\n")
    music = consistent(analyse_music(track, beats_file=file))
    assert music.tracker == "file"
    assert [float(b) for b in music.beats_seconds] == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert music.downbeats == (1, 4)
    assert music.beats_per_bar == 3
    assert "1 beats of the file" in music.warnings[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5\nx\n", "line 2"),
        ("0.5\n0.4\n", "line 2.*increase"),
        ("0.5\nnan\n", "line 2"),
        ("-1\n2\n", "line 1"),
        ("1 0\n2 1\n", "line 1.*bar"),
        ("0.5\n", "fewer than two"),
        ("", "fewer than two"),
    ],
)
def test_bad_beats_are_refused(track, tmp_path, text, message):
    file = tmp_path / "x.beats"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        analyse_music(track, beats_file=file)


@pytest.mark.parametrize("options", [{"tracker": "x"}, {"bpm": 0}, {"beats_per_bar": 9}])
def test_bad_options_are_refused(track, options):
    with pytest.raises(UsageError):
        analyse_music(track, **options)
    with pytest.raises(UsageError, match="cannot be read"):
        analyse_music(track, beats_file="no/such.beats")


@pytest.mark.parametrize("kind", ["silence", "short", "shortest", "noise", "tone"])
def test_music_without_a_beat_gives_a_fallback(tmp_path, kind):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE * 15)
    samples = {
        "silence": np.zeros(RATE * 5),
        "short": click_track(regular(120, 2), 2),
        "shortest": np.full(100, 0.1),
        "noise": noise,
        "tone": 0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE * 15) / RATE),
    }[kind]
    music = consistent(analyse_music(write_wav(tmp_path / "x.wav", samples)))
    assert music.confidence < 0.15
    assert len(music.warnings) == 1
    assert len(music.beats_seconds) >= 1


def test_what_is_no_music_is_refused(tmp_path):
    with pytest.raises(MediaError, match="does not exist"):
        analyse_music(tmp_path / "none.mp3")
