"""The beat is where it is loud: a soft kick is not outvoted by hi-hats between the beats."""

from __future__ import annotations

import mir_eval
import numpy as np
import pytest

from montage_dask.analysis.octave import settle_octave
from montage_dask.analysis.onset import onset_envelopes
from montage_dask.analysis.tempo import pulse, tempo_path

RATE = 22_050


@pytest.mark.parametrize("bpm", [70, 90, 120, 150])
def test_beats_are_on_the_kick_and_not_on_the_hats(bpm):
    time = np.arange(int(0.2 * RATE)) / RATE
    kick = np.sin(2 * np.pi * (50 + 60 * np.exp(-time * 40)) * time) * np.exp(-time * 18)
    hat = np.random.default_rng(1).standard_normal(len(time)) * np.exp(-time * 90) * 0.15
    sound = np.zeros(20 * RATE, np.float32)
    beats = np.arange(0.1, 19.5, 60 / bpm)
    for beat in beats:
        for at, drum in ((beat, kick), (beat + 30 / bpm, hat)):
            part = sound[int(at * RATE) :][: len(drum)]
            part += drum[: len(part)].astype(np.float32)
    envelopes = onset_envelopes(iter([0.5 * sound]))
    strength = pulse(envelopes)
    _, found = settle_octave(envelopes, strength, tempo_path(strength))
    assert mir_eval.beat.f_measure(beats, found[found >= 0], 0.035) > 0.95
