"""What the package computes without torch is what the network learnt here."""

from __future__ import annotations

import numpy as np
import torch
from made_strips import scene

from montage_dask.analysis import scene_features, scene_network
from montage_dask_training.scene_network import SceneNetwork


def test_the_scene_network():
    own = scene_network.network()
    network = SceneNetwork()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in own.arrays().items()})
    frames = np.concatenate([scene(1, 80), scene(2, 90)])
    reach = scene_features.REACH
    given = scene_features.features(scene_features.padded(frames, reach, reach))
    with torch.no_grad():
        learnt = network(torch.from_numpy(frames[None]), torch.from_numpy(given[None]))[0].numpy()
    context = scene_network.CONTEXT
    assert np.abs(own(frames) - learnt[context:-context]).max() < 1e-3
