from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from montage_dask.media import demo_music
from montage_dask.media.audio import decode_mono
from montage_dask.media.decode import decode_frames, show_rgb
from montage_dask.media.demo import make_demo
from montage_dask.media.probe import probe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def media(folder):
    return make_demo(folder)


def test_footage_differs_in_size_rate_codec_and_holds_no_dull_frame(media):
    sources = [probe(path) for path in media.footage]
    assert len(sources) == 10
    assert len({s.codec for s, _ in sources}) >= 4
    assert len({(s.width, s.height) for s, _ in sources}) >= 5
    assert any(s.height > s.width for s, _ in sources)
    rates = {s.frame_rate for s, _ in sources}
    assert {Fraction(24), Fraction(25), Fraction(30), Fraction(30000, 1001)} <= rates
    assert all(s.warnings == () for s, _ in sources)
    looks = []
    for source, index in sources:
        middle = source.frames // 2
        _, frame = next(iter(decode_frames(source, index, middle, middle + 1)))
        picture = show_rgb(frame, source, 64, 64)
        assert picture.std() > 8, source.path
        looks.append(picture.mean(axis=(0, 1)))
    spread = [np.abs(a - b).sum() for i, a in enumerate(looks) for b in looks[:i]]
    assert np.median(spread) > 60  # colours differ from clip to clip


def test_missing_files_are_made_again_and_equal_and_others_stay(media, folder):
    lost = [media.footage[1], media.music]
    before = {p: p.read_bytes() for p in lost}
    kept = media.footage[0].stat().st_mtime_ns
    for path in lost:
        path.unlink()
    assert make_demo(folder) == media
    assert {p: p.read_bytes() for p in lost} == before
    assert media.footage[0].stat().st_mtime_ns == kept
    assert not list(folder.rglob("*.part*"))


def test_music_has_its_beats_where_it_says(media):
    samples = decode_mono(media.music, sample_rate=demo_music.SAMPLE_RATE)
    expected = demo_music.beat_seconds(demo_music.BEATS) + demo_music.TAIL_SECONDS
    assert len(samples) == pytest.approx(expected * demo_music.SAMPLE_RATE, abs=2)

    # In the build, each kick starts a burst of level: find where it jumps.
    for beat in range(8, 20):
        at = round(demo_music.beat_seconds(beat) * demo_music.SAMPLE_RATE)
        before = np.abs(samples[at - 441 : at - 5]).mean()
        after = np.abs(samples[at + 5 : at + 441]).mean()
        assert after > 1.5 * before


def test_the_drop_is_louder_than_the_intro_and_seeds_differ():
    track = demo_music.make_track(seed=1)
    rate = demo_music.SAMPLE_RATE

    def level(first_bar: int, last_bar: int) -> float:
        part = track[
            :,
            int(demo_music.beat_seconds(4 * first_bar) * rate) : int(
                demo_music.beat_seconds(4 * last_bar) * rate
            ),
        ]
        return float(np.sqrt((part**2).mean()))

    assert np.abs(track).max() == pytest.approx(0.89)  # loud, and never clipped
    assert level(6, 10) > 2 * level(0, 2)
    assert not np.array_equal(track, demo_music.make_track(seed=2))
