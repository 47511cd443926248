"""Near-duplicates are grouped, other pictures with the same colours are not."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from made_strips import picture

from montage_dask.analysis import features
from montage_dask.analysis.embedding import embed, joined
from montage_dask.analysis.similarity import group_duplicates, similarity
from montage_dask.records import Shot


def shot(embedding, hash_bits: int = 0, index: int = 0) -> Shot:
    return Shot(
        source="a", index=index, start_frame=0, stop_frame=1, start_seconds=Fraction(0),
        stop_seconds=Fraction(1), sharpness=0, exposure=0, contrast=0, colourfulness=0, motion=0,
        quality=0, embedding=tuple(embedding), perceptual_hash=f"{hash_bits:016x}",
        profile_step_frames=1, motion_profile=(0,), quality_profile=(0,),
    )  # fmt: skip


def shown(view: np.ndarray) -> Shot:
    thumbnail = shrink(view)[None]
    return shot(joined(embed(thumbnail)), int(features.perceptual_hash(thumbnail)[0]))


def shrink(view: np.ndarray) -> np.ndarray:
    rows = (np.arange(27) + 0.5) * view.shape[0] / 27
    columns = (np.arange(48) + 0.5) * view.shape[1] / 48
    return view[rows.astype(int)][:, columns.astype(int)]


def versions(view: np.ndarray) -> list[np.ndarray]:
    """The same picture re-encoded, cropped, brighter, darker, paler."""
    rng = np.random.default_rng(0)
    wide = view.astype(float)
    grey = wide.mean(axis=2, keepdims=True)
    noisy = wide + rng.normal(0, 6, wide.shape)
    return [
        np.clip(v, 0, 255).astype(np.uint8)
        for v in (noisy, wide[3:-3, 5:-5], wide * 1.25 + 10, wide * 0.7, grey + (wide - grey) * 0.6)
    ]


def test_versions_are_nearer_than_other_pictures_and_than_histograms_say():
    pictures = [picture(seed) for seed in range(12)]
    # The same colours in another arrangement: what a histogram cannot tell apart.
    others = [p[::-1, ::-1] for p in pictures]
    same, different, same_histogram, different_histogram = [], [], [], []
    for number, view in enumerate(pictures):
        for version in versions(view):
            same.append(similarity(shown(view), shown(version)))
            same_histogram.append(histogram_likeness(view, version))
        for other in (*pictures[number + 1 :], *others):
            different.append(similarity(shown(view), shown(other)))
            different_histogram.append(histogram_likeness(view, other))
    assert min(same) > max(different) + 0.1
    assert min(same_histogram) < max(different_histogram)


def histogram_likeness(a: np.ndarray, b: np.ndarray) -> float:
    x, y = (features.histogram(shrink(v)[None])[0].astype(float) for v in (a, b))
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def test_groups_hold_versions_together_over_sources():
    views = [picture(seed) for seed in range(4)]
    shots = [shown(view) for view in views]
    shots += [shown(version) for view in views[:2] for version in versions(view)[2:]]
    groups = [s.duplicate_group for s in group_duplicates(shots)]
    assert groups == [0, 1, -1, -1, 0, 0, 0, 1, 1, 1]


def test_hashes_decide_when_embeddings_hesitate():
    near = (1.0, 0.0), (0.7, 0.714)
    assert [s.duplicate_group for s in group_duplicates([shot(near[0], 0), shot(near[1], 7)])] == [
        0,
        0,
    ]
    far = (1 << 20) - 1
    assert [s.duplicate_group for s in group_duplicates([shot(near[0]), shot(near[1], far)])] == [
        -1,
        -1,
    ]


def test_no_shots():
    assert group_duplicates([]) == ()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=700), st.randoms())
def test_groups_are_the_connected_components_in_any_order(angles, random):
    def grouped(order):
        shots = [
            shot((np.cos(np.radians(4 * a)), np.sin(np.radians(4 * a))), index=i)
            for i, a in enumerate(order)
        ]
        return [s.duplicate_group for s in group_duplicates(shots)]

    groups = grouped(angles)
    # 4° are alike, and so are chains of them up to acos(0.62) = 52° where the hashes agree.
    for i, a in enumerate(angles):
        for j, b in enumerate(angles[:20]):
            if i != j and abs(a - b) <= 10:
                assert groups[i] == groups[j] >= 0
    seen = [g for i, g in enumerate(groups) if g >= 0 and g not in groups[:i]]
    assert seen == sorted(seen)
    mixed = list(range(len(angles)))
    random.shuffle(mixed)
    again = grouped([angles[i] for i in mixed])
    partition = {
        frozenset(np.flatnonzero(np.array(groups) == g).tolist()) for g in groups if g >= 0
    }
    back = {
        frozenset(mixed[i] for i in np.flatnonzero(np.array(again) == g)) for g in again if g >= 0
    }
    assert partition == back


def test_thousands_of_shots_are_grouped_in_seconds():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(500, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    shots = [shot(vectors[i % 500].tolist(), i % 500) for i in range(5000)]
    groups = [s.duplicate_group for s in group_duplicates(shots)]
    assert groups == [i % 500 for i in range(5000)]
