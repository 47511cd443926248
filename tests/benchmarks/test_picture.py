"""The benchmark of the picture half: labels of the real clips, and figures by the truth."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip(
    "montage_dask_training", reason="the clips are drawn by it: pip install ./training"
)

from benchmarks.picture import LABELS, _share, box_at, clear_spans, labelled_clips
from benchmarks.picture_clips import COPIES, PLANS, RATE, Truth, _Clip


def test_labels_are_in_order():
    for name, label in json.loads(LABELS.read_text("utf-8")).items():
        assert label["bytes"] > 0, name
        for start, stop in [*(s[1:] for s in label["junk"]), *label["unclear"]]:
            assert 0 <= start < stop, name


def test_only_clips_of_the_labelled_size_are_taken(tmp_path):
    (tmp_path / "chaplin.mp4").write_bytes(b"another")
    with pytest.raises(SystemExit, match="none of the labelled clips"):
        labelled_clips(tmp_path)


def test_what_is_unclear_is_no_junk():
    truth = Truth((("text", 1.0, 4.0),), ((0.5, 1.5), (2.0, 2.5), (3.8, 5.0)))
    assert clear_spans(truth) == [("text", 1.5, 2.0), ("text", 2.5, 3.8)]
    assert _share([(0, 1), (0.5, 2)], 0, 4) == 0.5


@pytest.mark.parametrize("number", [0, 7, 10, 12])
def test_made_clips_show_what_their_truth_says(number):
    clip = _Clip(PLANS[number], number, (), 0)
    truth, frames = clip.truth(), list(clip.frames())
    assert len(frames) == round((PLANS[number].seconds + PLANS[number].before_seconds) * RATE)
    if number == 12:
        assert truth.junk == (("card", 0.0, 3.0),)
        assert np.array_equal(frames[0], frames[int(2.9 * RATE)])
    late = len(frames) / RATE - 1
    before, box = truth.boxes[0], box_at(truth, late)
    assert box is not None
    assert (before is None) == (number == 12)
    assert all(0 <= v <= 1 for v in box)


def test_copies_are_of_clips():
    assert set(COPIES.values()) <= {p.name for p in PLANS}
