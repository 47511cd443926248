"""The beat network: NumPy says what torch says, legs go on exactly, figures are the field's, own music is learnt, too."""

from __future__ import annotations

from pathlib import Path

import mir_eval
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_music import click_track, regular
from makers import write_wav

from montage_dask.analysis.beat_network import load_weights, network, save_weights
from montage_dask.errors import UsageError
from montage_dask_training.beat_data import Track, load_tracks, save_tracks
from montage_dask_training.beat_figures import f_measure, judged, mean, octave, offset_ms
from montage_dask_training.beats import RECIPE
from montage_dask_training.recipe import Input


def made_track(seed, downbeats=True):
    random = np.random.default_rng(seed)
    beats = np.arange(0.3, 11.5, 0.5)
    mel = random.integers(0, 20, (1030, 64)).astype(np.uint8)
    mel[np.round(beats * 86.13).astype(int)] += 90
    first = np.arange(len(beats)) % 4 == 0
    return Track(
        "made", mel, np.zeros(1030, np.float16), beats, first if downbeats else np.zeros(0, bool)
    )


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A part and the states of three legs of a tiny training, with their records."""
    folder = tmp_path_factory.mktemp("learnt")
    part = folder / "part.npz"
    save_tracks([made_track(0), made_track(1, downbeats=False)], part, "")
    states, records = [], []
    for leg in range(2):
        before = states[-1] if states else None
        states.append(folder / f"{leg}.pt")
        parameters = {"seed": 1, "size": "tiny", "leg": leg, "legs": 2}
        records.append(
            RECIPE.train(
                parameters, [part], before, states[-1], start=None, device="cpu", threads=1
            )
        )
    weights = folder / "weights.npz"
    chosen = RECIPE.export(states[-1], [part], weights)
    return {
        "part": part, "states": states, "records": records, "weights": weights, "chosen": chosen,
    }  # fmt: skip


def test_a_leg_gives_the_same_again(learnt, tmp_path):
    again = tmp_path / "again.pt"
    parameters = {"seed": 1, "size": "tiny", "leg": 1, "legs": 2}
    record = RECIPE.train(
        parameters,
        [learnt["part"]],
        learnt["states"][0],
        again,
        start=None,
        device="cpu",
        threads=1,
    )
    assert record == learnt["records"][1]
    assert again.read_bytes() == learnt["states"][1].read_bytes()  # whatever its name
    RECIPE.export(again, [learnt["part"]], tmp_path / "weights.npz")
    one, two = load_weights(learnt["weights"]), load_weights(tmp_path / "weights.npz")
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_numpy_says_what_torch_says(learnt):
    import torch

    from montage_dask_training.beat_network import BeatNetwork

    mel = made_track(2).mel
    net = BeatNetwork()
    net.load_state_dict(torch.load(learnt["states"][-1], weights_only=True)["mean"])
    with torch.no_grad():
        said = net.eval()(torch.from_numpy(mel / np.float32(32)).unsqueeze(0))[0].T.numpy()
    found = network(learnt["weights"])(mel)
    assert found.shape == said.shape
    np.testing.assert_allclose(found, said, atol=0.02)  # half precision


def test_weights_are_small_and_of_this_network(learnt, tmp_path):
    assert learnt["weights"].stat().st_size < 2_000_000
    (tmp_path / "bad.npz").write_bytes(b"PK no")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        network(tmp_path / "bad.npz")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        network(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", recipe=np.array("scenes"))
    with pytest.raises(UsageError, match="train beats"):
        network(tmp_path / "other.npz")


def test_fine_tuning_begins_with_the_weights(learnt, tmp_path):
    import torch

    from montage_dask_training import beat_network

    net = beat_network.BeatNetwork()
    beat_network._take(net, learnt["weights"])
    torch.save({"mean": net.state_dict(), "fonts": []}, tmp_path / "state.pt")
    folded = beat_network.folded(tmp_path / "state.pt")
    save_weights({**folded, "lift": np.float32(0)}, tmp_path / "weights.npz")
    one, two = load_weights(learnt["weights"]), load_weights(tmp_path / "weights.npz")
    for name in one.keys() - {"lift"}:
        np.testing.assert_allclose(one[name], two[name], rtol=2e-3, atol=1e-3)


def test_the_card_tells_figures_and_engines(learnt):
    figures = RECIPE.evaluate(learnt["weights"], [learnt["part"]])
    told = {
        "size": "tiny", "seed": 1, "steps": 6, "data": [], "start_weights": None, "size_bytes": 9, "recipe_version": 1,
        "legs": [{"cpu_seconds": 60.0}], "parts": {"training": 1, "validation": 1, "test": 1},
        "chosen": learnt["chosen"], "figures": figures,
    }  # fmt: skip
    text = RECIPE.card(told)
    assert "own synthesiser only" in text
    assert "| made | 2 |" in text


def test_own_music_is_learnt_and_every_fourth_kept(tmp_path):
    truth = regular(120, 6)
    paths = [write_wav(tmp_path / f"{n}.wav", click_track(truth, 6, seed=n)) for n in range(4)]
    inputs = [Input(str(n), p.name, "sound", str(p)) for n, p in enumerate(map(Path, paths))]
    with pytest.raises(UsageError, match=r"0\.wav: no 0\.beats"):
        RECIPE.parts(0, "tiny", inputs)
    lines = "".join(f"{t:.4f} {n % 4 + 1}\n" for n, t in enumerate(truth))
    for path in map(Path, paths):
        path.with_suffix(".beats").write_text(lines)
    own = [p for p in RECIPE.parts(0, "tiny", inputs) if p.inputs]
    assert [p.split for p in own] == ["training"] * 3 + ["test"]
    RECIPE.synthesise(own[0].parameters, {"0": str(paths[0])}, tmp_path / "part.npz")
    (track,) = load_tracks([tmp_path / "part.npz"])
    np.testing.assert_allclose(track.beats, truth, atol=1e-4)
    assert track.downbeats.sum() == -(-len(truth) // 4)
    assert track.weight > 0


@given(
    st.lists(st.floats(0, 20), min_size=1, max_size=30).map(sorted),
    st.lists(st.floats(0, 20), min_size=1, max_size=30).map(sorted),
)
def test_f_is_that_of_the_field(found, truth):
    found, truth = np.array(found), np.array(truth)
    assert f_measure(found, truth) == pytest.approx(mir_eval.beat.f_measure(truth, found, 0.07))


def test_octaves_and_offsets():
    truth = np.arange(0, 30, 0.5)
    assert octave(truth, truth) == "correct"
    assert octave(truth[::2], truth) == "half"
    assert octave(np.arange(0, 30, 0.25), truth) == "double"
    assert octave(np.arange(0, 30, 0.37), truth) == "other"
    assert octave(truth[:1], truth) == "other"
    assert offset_ms(truth + 0.012, truth) == pytest.approx(12)
    row = judged(truth + 0.012, truth[::4], truth, truth[::4])
    assert (row["beats"], row["downbeats"]) == (1.0, 1.0)
    unknown = {**row, "downbeats": None, "offset_ms": float("nan")}
    both = mean([row, unknown])
    assert both["downbeats"] == 1.0
    assert both["octaves"] == {"correct": 2, "double": 0, "half": 0, "other": 0}


def test_activations_do_not_depend_on_music_far_away(learnt):
    random = np.random.default_rng(3)
    mel = random.integers(0, 120, (4000, 64)).astype(np.uint8)
    net = network(learnt["weights"])
    whole, start = net(mel), net(mel[:2900])
    seen = 1450 - 510 - 4
    np.testing.assert_array_equal(whole[:seen], start[:seen])
    np.testing.assert_array_equal(whole, net(mel.copy()))
