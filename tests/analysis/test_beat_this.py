"""Beat This with a checkpoint of the user's own; here random weights in its own format."""

from __future__ import annotations

import builtins
from pathlib import Path

import numpy as np
import pytest
from made_music import click_track, regular
from makers import write_wav

from montage_dask.analysis import beat_this
from montage_dask.analysis.beat_network import ACTIVATION_RATE
from montage_dask.analysis.music import analyse_music
from montage_dask.errors import UsageError

SAMPLES = click_track(regular(120, 8), 8)


def test_a_checkpoint_is_needed(tmp_path):
    with pytest.raises(UsageError, match="--beat-this-checkpoint"):
        beat_this.beat_this_logits(SAMPLES, None)
    with pytest.raises(UsageError, match="no such checkpoint"):
        beat_this.beat_this_logits(SAMPLES, tmp_path / "none.ckpt")


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.ckpt").write_bytes(b"x")
    real = builtins.__import__

    def refuse(name, *args, **more):
        if name.startswith("beat_this"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UsageError, match="pip install"):
        beat_this.beat_this_logits(SAMPLES, tmp_path / "a.ckpt")


@pytest.mark.filterwarnings("ignore")
def test_its_network_is_run(tmp_path):
    pytest.importorskip("beat_this")
    import torch
    from beat_this.model.beat_tracker import BeatThis

    torch.manual_seed(0)
    shape = {"transformer_dim": 32, "n_layers": 1, "head_dim": 8, "stem_dim": 8}
    held = {f"model.{k}": v for k, v in BeatThis(**shape).state_dict().items()}
    path = tmp_path / "random.ckpt"
    torch.save({"hyper_parameters": shape, "state_dict": held}, path)
    logits = beat_this.beat_this_logits(SAMPLES, path)
    assert logits.shape == (int(8 * ACTIVATION_RATE) + 1, 2)
    assert np.isfinite(logits).all()
    track = write_wav(tmp_path / "track.wav", SAMPLES)
    music = analyse_music(track, tracker="beat-this", checkpoint=Path(path))
    assert music.tracker in (
        "beat-this",
        "flux",
    )  # a random network hears no beat: then the onsets are asked
    assert len(music.beats_seconds) > 4
    # Another one at the same place is another network.
    torch.save({"hyper_parameters": shape, "state_dict": {k: v / 2 for k, v in held.items()}}, path)
    assert not np.array_equal(beat_this.beat_this_logits(SAMPLES, path), logits)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(UsageError, match="no checkpoint of Beat This"):
        beat_this.beat_this_logits(SAMPLES, path)
