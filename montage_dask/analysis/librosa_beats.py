"""Beats by librosa's tracker with a tempo that may change, its lateness removed."""

from __future__ import annotations

import numpy as np

from montage_dask.analysis.tempo import Doubles
from montage_dask.errors import UsageError
from montage_dask.media.audio import ANALYSIS_RATE, Samples

LATE_SECONDS = 0.042
"""librosa's beats lie so far behind the attack; the median on rendered music with exact truth."""


def librosa_beats(samples: Samples) -> Doubles:
    """Beats in seconds, shape (beats,).

    Args:
        samples: the whole music, mono at ANALYSIS_RATE.

    Raises:
        UsageError: librosa is not installed.
    """
    try:
        from librosa.beat import beat_track
        from librosa.feature import tempo as read_tempo
        from librosa.onset import onset_strength
    except ImportError as error:
        raise UsageError(
            "tracker librosa needs its package: pip install 'montage-dask[librosa]'"
        ) from error
    onsets = onset_strength(y=samples, sr=ANALYSIS_RATE)
    tempo = read_tempo(onset_envelope=onsets, sr=ANALYSIS_RATE, aggregate=None)
    _, beats = beat_track(onset_envelope=onsets, sr=ANALYSIS_RATE, bpm=tempo, units="time")
    return np.asarray(np.maximum(np.asarray(beats, np.float64) - LATE_SECONDS, 0.0))
