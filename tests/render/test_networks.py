"""Weights of upscaling networks: files of ncnn read exactly, a user's file checked, damage named."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from makers import compact_state
from torch.nn import functional

from montage_dask import models
from montage_dask.errors import UsageError
from montage_dask.render.ncnn import read_ncnn
from montage_dask.render.networks import load_network, weight_files

HALF = np.array([0x01306B47], "<u4").tobytes()
SINGLE = bytes(4)


def written(folder, data, *, weights=27):
    """A network of one convolution and a PReLU."""
    lines = [
        "7767517", "3 3", "Input in 0 1 data",
        f"Convolution conv 1 1 data a 0=1 1=3 4=1 5=1 6={weights} -23310=1,0.1", "PReLU act 1 1 a out 0=1",
    ]  # fmt: skip
    (folder / "n.param").write_text("\n".join(lines) + "\n")
    (folder / "n.bin").write_bytes(data)
    return folder / "n.param", folder / "n.bin"


VALUES = np.linspace(-1, 1, 27)
ENDS = np.array([0.5, 0.25], "<f4").tobytes()


@pytest.mark.parametrize(
    ("tag", "block"),
    [(HALF, VALUES.astype("<f2").tobytes() + bytes(2)), (SINGLE, VALUES.astype("<f4").tobytes())],
)
def test_both_forms_of_weights(tmp_path, tag, block):
    _, convolution, rectifier = read_ncnn(*written(tmp_path, tag + block + ENDS))
    assert convolution.weight.shape == (1, 3, 3, 3)
    assert np.allclose(convolution.weight.ravel(), VALUES, atol=1e-3)
    assert convolution.bias.tolist() == [0.5]
    assert rectifier.weight.tolist() == [0.25]


GOOD = SINGLE + VALUES.astype("<f4").tobytes() + ENDS


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD[:-1], "cut short"),
        (GOOD + b"\0", "1 bytes too many"),
        (b"\1" + GOOD[1:], "unknown form"),
        (GOOD[:4] + np.array([np.nan], "<f4").tobytes() + GOOD[8:], "no numbers"),
    ],
)
def test_damaged_weights_are_named(tmp_path, data, reason):
    with pytest.raises(UsageError, match=rf"n\.bin .*{reason}.*install the package"):
        read_ncnn(*written(tmp_path, data))


def test_damaged_descriptions_are_named(tmp_path):
    param, binary = written(tmp_path, GOOD, weights=26)
    with pytest.raises(UsageError, match="odd size"):
        read_ncnn(param, binary)
    for text, reason in (
        ("PK\n", "no network|not an ncnn"), ("7767517\n9 9\n", "cut short"), ("7767517\n1 1\nx y\n", "line"),
    ):  # fmt: skip
        param.write_text(text)
        with pytest.raises(UsageError, match=reason):
            read_ncnn(param, binary)
    with pytest.raises(UsageError, match="cannot be read"):
        read_ncnn(tmp_path / "none.param", binary)


def test_the_photo_network_is_the_one_of_the_file():
    """Against the transposed convolution that the file means."""
    x = torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(0))
    layers = [a for a in read_ncnn(*weight_files("fidelity")) if a.weight is not None]
    y = functional.pad(x, (7, 7, 7, 7), mode="replicate")
    for layer in layers[:-1]:
        y = functional.conv2d(y, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
        y = functional.leaky_relu(y, 0.1)
    spread = torch.from_numpy(layers[-1].weight).transpose(0, 1)
    bias = torch.from_numpy(layers[-1].bias)
    y = functional.conv_transpose2d(y, spread, bias, stride=2, padding=3)
    network = load_network("fidelity", precision="float32")
    with torch.inference_mode():
        ours = network.part(x, slice(0, 20), slice(0, 26))
    assert ours.shape == (1, 3, 40, 52)
    assert torch.allclose(ours, y, atol=1e-4)


def test_a_network_is_loaded_once_until_it_is_released():
    first = load_network("detail", precision="float32")
    assert load_network("detail", precision="float32") is first
    models.release(keep="upscale")
    assert load_network("detail", precision="float32") is first
    assert models.release() >= 1
    assert load_network("detail", precision="float32") is not first


@pytest.mark.parametrize(("outputs", "scale"), [(12, 2), (48, 4)])
def test_a_network_of_ones_own(tmp_path, outputs, scale):
    path, state = tmp_path / "own.pth", compact_state(outputs)
    torch.save({"params": state}, path)
    network = load_network(str(path), precision="float32")
    assert (network.scale, network.context) == (scale, 3)
    x = torch.rand(1, 3, 9, 11, generator=torch.Generator().manual_seed(1))
    y = x
    for n in (0, 2, 4):
        y = functional.conv2d(y, state[f"body.{n}.weight"], state[f"body.{n}.bias"], padding=1)
        y = functional.prelu(y, state[f"body.{n + 1}.weight"]) if n < 4 else y
    y = functional.pixel_shuffle(y, scale) + functional.interpolate(x, scale_factor=scale)
    with torch.inference_mode():
        assert torch.allclose(network.part(x, slice(0, 9), slice(0, 11)), y, atol=1e-5)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "own.pth"
    with pytest.raises(UsageError, match="No such file"):
        load_network(str(path))
    path.write_bytes(b"no weights")
    with pytest.raises(UsageError, match="no file of weights"):
        load_network(str(path))
    for state in (
        compact_state(outputs=27),
        {**compact_state(), "extra": torch.zeros(1)},
        {"a": 1},
        {},
    ):
        torch.save(state, path)
        with pytest.raises(UsageError, match="no compact network"):
            load_network(str(path))


class Harmful:
    def __reduce__(self):
        return (print, ("code in a model file ran",))


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    path = tmp_path / "own.pth"
    torch.save({"params": Harmful()}, path)
    with pytest.raises(UsageError, match="no file of weights"):
        load_network(str(path))
    assert "ran" not in capsys.readouterr().out
