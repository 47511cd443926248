"""The whole analysis of a track: consistent records, given beats, music without a beat."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from made_music import (
    RATE,
    click_track,
    off_beat_track,
    quiet_tones,
    regular,
    share_met,
    without_beat,
)
from makers import write_wav

from montage_dask.analysis.beat_network import ACTIVATION_RATE
from montage_dask.analysis.decoding import rivalry
from montage_dask.analysis.music import _doubts, analyse_music
from montage_dask.errors import MediaError, UsageError
from montage_dask.records import Music, TempoAlternative, from_json, to_json

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


@pytest.mark.parametrize("length", [RATE // 2, RATE, 2 * RATE])
def test_what_is_too_short_shows_no_beat(tmp_path, length):
    samples = click_track(regular(120, 3), 3)[:length]
    music = consistent(analyse_music(write_wav(tmp_path / "x.wav", samples)))
    assert (music.confidence, music.tempo_bpm, music.beats_per_bar) == (0, 0, 0)
    assert music.warnings == (
        "the music is too short to show a beat: a grid of 120 BPM is used instead",
    )
    assert len(music.beats_seconds) >= 1


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "kind", ["silence", "noise", "pink", "tone", "drone", "click", "pad", "rain", "birds", "speech"]
)
def test_what_nobody_taps_to_is_cut_to_a_grid_that_is_called_one(tmp_path, kind, seed):
    """Neither the network nor the onsets: rain had a beat of 53 BPM, pads one of 120."""
    samples = without_beat(kind, seed=seed)
    music = consistent(analyse_music(write_wav(tmp_path / "x.wav", samples)))
    assert len(music.warnings) == 1
    if music.confidence:  # of rain a little is heard as a beat: then it is called unclear
        assert kind == "rain"
        assert "unclear" in music.warnings[0]
    else:
        assert music.tempo_bpm == 0
        assert "a grid of 120 BPM is used instead" in music.warnings[0]


OFF_BEAT = [
    ("metal", 100),
    ("metal", 150),
    ("metal", 180),
    ("polka", 100),
    ("polka", 125),
    ("ska", 185),
]


@pytest.mark.parametrize(("kind", "bpm"), OFF_BEAT)
def test_loud_off_beats_do_not_hide_the_beat(tmp_path, kind, bpm):
    """They made the network's sureness 0 though its beats were right, and the montage was cut to 120 BPM."""
    samples, truth = off_beat_track(kind, bpm)
    music = consistent(analyse_music(write_wav(tmp_path / "x.wav", samples)))
    assert music.tracker == "network"
    assert music.confidence > 0.2
    assert music.tempo_bpm == pytest.approx(bpm, rel=0.02)
    assert min(share_met(music.beats_seconds, truth, 0.07)) > 0.95


def test_where_the_network_hears_nothing_the_onsets_are_asked(tmp_path):
    samples, truth = quiet_tones(110)
    music = consistent(analyse_music(write_wav(tmp_path / "x.wav", samples)))
    assert music.tracker == "flux"
    assert music.warnings[0].startswith(
        "the network hears no beat: those of the onsets alone are taken"
    )
    assert min(share_met(music.beats_seconds, truth, 0.07)) > 0.9


def test_a_doubtful_octave_is_told_with_both_tempi():
    """A kick on every second beat and hats on all: 62 or 124, as one likes."""
    beats = regular(124, 30)
    logits = np.full((30 * 43 + 20, 2), -4.0, np.float32)
    for number, beat in enumerate(beats):
        logits[round(beat * ACTIVATION_RATE), 0] = 3.0 if number % 2 == 0 else -0.6
    doubts = _doubts(0.5, beats, (), rivalry(logits, beats))
    assert doubts == ("62 or 124 BPM? 124 is taken: if the cuts feel wrong, say it with --bpm",)
    doubts = _doubts(0.5, beats[::2], (), rivalry(logits, beats[::2]))
    assert doubts == ()
    logits[:, 0] = np.maximum(logits[:, 0], np.where(logits[:, 0] > -1, 1.0, -4.0))
    doubts = _doubts(0.5, beats[::2], (), rivalry(logits, beats[::2]))
    assert doubts == ("62 or 124 BPM? 62 is taken: if the cuts feel wrong, say it with --bpm",)


def test_an_unclear_beat_is_told_with_the_likeliest_other_tempo():
    alternatives = (TempoAlternative(186.0, 1.2), TempoAlternative(62.0, 0.8))
    assert _doubts(0.08, regular(124, 30), alternatives) == (
        "the beat is unclear (62 or 124 BPM?): say it with --bpm or --beats",
    )
    assert _doubts(0.08, regular(124, 30), ()) == (
        "the beat is unclear: say it with --bpm or --beats",
    )


def test_what_is_no_music_is_refused(tmp_path):
    with pytest.raises(MediaError, match="does not exist"):
        analyse_music(tmp_path / "none.mp3")
