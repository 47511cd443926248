"""Embeddings find shots that come back changed, better than colours do, and are the same wherever they are computed."""

from __future__ import annotations

import numpy as np
import pytest
from made_looks import VERSIONS, in_the_colours_of, moments, thumbnail

from montage_dask.analysis import features
from montage_dask.analysis.embedding import chosen, embed, embed_pictures, embed_torch, joined
from montage_dask.errors import UsageError


def histograms(thumbnails):
    counts = np.sqrt(features.histogram(np.ascontiguousarray(thumbnails)).astype(float))
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def thumbnails(pictures):
    return np.stack([thumbnail(p) for p in pictures])


def first_moments():
    return thumbnails([first for first, _ in moments()])


def retrieved(describe):
    """Mean average precision per version, and the share of pairs (same, other) in the right order."""
    asked = describe(first_moments())
    # Each scene again in the colours of every third other one.
    disguised = [
        (i, in_the_colours_of(moments()[j][1], moments()[i][0]))
        for i in range(len(asked))
        for j in range(len(asked))
        if (i - j) % 3 == 1
    ]
    owner = np.array([i for i, _ in disguised])
    decoys = describe(thumbnails([p for _, p in disguised]))
    precision, same, other = {}, [], []
    for name, change in VERSIONS.items():
        agree = asked @ describe(thumbnails([change(later) for _, later in moments()])).T
        ranks = []
        for i, row in enumerate(agree):
            wrong = np.concatenate([np.delete(row, i), decoys[owner == i] @ asked[i]])
            ranks.append(1 + (wrong >= row[i]).sum())
            same.append(row[i])
            other.extend(wrong)
        precision[name] = float(np.mean(1 / np.array(ranks)))
    pairs = np.subtract.outer(np.array(same), np.array(other))
    return precision, float((pairs > 0).mean() + (pairs == 0).mean() / 2)


def test_shots_that_come_back_changed_are_found_better_than_by_colour():
    found, order = retrieved(embed)
    by_colour, colour_order = retrieved(histograms)
    # Measured: 0.92 and 0.96 against 0.59 and 0.81.
    assert np.mean(list(found.values())) > max(0.9, np.mean(list(by_colour.values())) + 0.15)
    assert order > max(0.93, colour_order + 0.1)
    assert min(found.values()) > 0.7, found


def test_mirrored_pictures_have_the_same_embedding():
    pictures = first_moments()
    np.testing.assert_allclose(embed(pictures), embed(pictures[:, :, ::-1]), atol=2e-5)


def test_unrelated_pictures_do_not_agree():
    vectors = embed(first_moments())
    agree = (vectors @ vectors.T)[~np.eye(len(vectors), dtype=bool)]
    assert abs(np.median(agree)) < 0.2
    assert agree.max() < 0.75


def test_a_vector_does_not_depend_on_its_batch():
    pictures = first_moments()
    together = embed(pictures)
    alone = np.concatenate([embed(p[None]) for p in pictures])
    np.testing.assert_array_equal(together, alone)


def test_torch_gives_what_numpy_gives():
    pictures = first_moments()
    expected = embed(pictures)
    np.testing.assert_allclose(embed_torch(pictures, device="cpu"), expected, atol=1e-4)
    reduced = embed(pictures, precision="bfloat16")
    np.testing.assert_allclose(reduced @ reduced.T, expected @ expected.T, atol=0.02)


@pytest.mark.gpu
def test_the_gpu_gives_what_the_processor_gives():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    pictures = first_moments()
    expected = embed(pictures)
    np.testing.assert_allclose(embed(pictures, device="cuda"), expected, atol=1e-4)
    reduced = embed(pictures, device="cuda", precision="bfloat16")
    np.testing.assert_allclose(reduced @ reduced.T, expected @ expected.T, atol=0.02)


@pytest.mark.parametrize("value", [0, 128, 255])
def test_empty_pictures_have_a_direction_of_their_own(value):
    vectors = embed(np.concatenate([np.full((1, 27, 48, 3), value, np.uint8), first_moments()]))
    assert np.linalg.norm(joined(vectors[:1])) == pytest.approx(1, abs=1e-3)
    assert (vectors[1:] @ vectors[0]).max() < 0.3


def test_auto_is_the_same_everywhere():
    assert chosen("auto") == "strip"
    with pytest.raises(UsageError, match="auto, strip, clip, dino"):
        chosen("resnet")


class TestNetworks:
    """The loading code on real, tiny networks with random weights: no download."""

    @pytest.fixture
    def folders(self, tmp_path):
        transformers = pytest.importorskip("transformers")
        small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        text = transformers.CLIPTextConfig(
            **small, intermediate_size=64, vocab_size=99, bos_token_id=1, eos_token_id=2
        )
        seen = transformers.CLIPVisionConfig(
            **small, intermediate_size=64, image_size=64, patch_size=16
        )
        clip = transformers.CLIPConfig(
            text_config=text.to_dict(), vision_config=seen.to_dict(), projection_dim=24
        )
        transformers.CLIPModel(clip).save_pretrained(tmp_path / "clip")
        dino = transformers.Dinov2Config(**small, image_size=56, patch_size=14)
        transformers.Dinov2Model(dino).save_pretrained(tmp_path / "dino")
        return tmp_path

    @pytest.mark.parametrize(("kind", "size"), [("clip", 24), ("dino", 32)])
    def test_weights_in_a_folder(self, folders, kind, size):
        pictures = [moments()[0][0], moments()[1][0][:90]]
        vectors = embed_pictures(pictures, kind=kind, model=str(folders / kind))
        assert vectors.shape == (2, size)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        again = embed_pictures(pictures[1:], kind=kind, model=str(folders / kind))
        np.testing.assert_array_equal(again[0], vectors[1])

    def test_the_other_kind_of_weights(self, folders):
        with pytest.raises(UsageError, match="another kind"):
            embed_pictures([moments()[0][0]], kind="clip", model=str(folders / "dino"))
        with pytest.raises(UsageError, match="another kind"):
            embed_pictures([moments()[0][0]], kind="dino", model=str(folders / "clip"))

    def test_no_weights(self, tmp_path):
        pytest.importorskip("transformers")
        with pytest.raises(UsageError, match=r"set embedding-model to a folder"):
            embed_pictures([moments()[0][0]], kind="clip", model=str(tmp_path))


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"montage-dask\[embeddings\]"):
        embed_pictures([moments()[0][0]], kind="clip", model="never loaded before")
