"""Where an operation runs follows from what the cluster has, the costs and the user; with a reason that can be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from montage_dask.errors import ClusterError
from montage_dask.graph.placement import Capacity, Cost, describe, place

BOTH = Capacity({"CPU": 4, "GPU": 1}, {"CPU": 1, "GPU": 1}, 5)
CPU = Capacity({"CPU": 2}, {"CPU": 1}, 2)


def test_the_cheapest_target_wins_and_says_why():
    found = place("scenes", {"cpu": Cost(100), "gpu": Cost(5)}, BOTH)
    assert (found.target, found.fallbacks) == ("gpu", ("cpu",))
    assert "cheapest: cpu 100.0 s, gpu 5.0 s" in found.reason
    assert found.resources == {"GPU": 1}


def test_moving_bytes_can_cost_more_than_computing():
    costs = {"cpu": Cost(10), "gpu": Cost(1, bytes_moved=10**9, bytes_per_second=10**7)}
    assert place("encode", costs, BOTH).target == "cpu"


def test_what_the_cluster_lacks_is_not_chosen():
    found = place("scenes", {"cpu": Cost(100), "gpu": Cost(5)}, CPU)
    assert found.target == "cpu"
    assert "no worker offers GPU" in found.reason


def test_what_the_user_forces_is_done_or_explained():
    assert (
        place("scenes", {"cpu": Cost(1), "gpu": Cost(5)}, BOTH, wanted="gpu").reason
        == "set by the user"
    )
    refused = place("scenes", {"cpu": Cost(1), "gpu": Cost(5)}, CPU, wanted="gpu")
    assert refused.target == "cpu"
    assert "gpu was asked for, but no worker offers GPU" in refused.reason
    assert "no code for cgpu" in place("strip", {"cpu": Cost(1)}, BOTH, wanted="cgpu").reason


def test_no_task_that_cannot_run():
    with pytest.raises(ClusterError, match="no worker offers CPU, which strip needs"):
        place("strip", {"cpu": Cost(1)}, Capacity({"GPU": 1}, {"GPU": 1}, 1))


def test_it_can_be_shown():
    row = describe(place("strip", {"cpu": Cost(1)}, CPU))
    assert row == {
        "operation": "strip", "target": "cpu", "reason": "runs on the CPU only", "resources": {"CPU": 1},
    }  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["cpu", "gpu", "cgpu"]), st.floats(0, 1e6), min_size=1),
    st.sets(st.sampled_from(["CPU", "GPU", "CGPU"])),
    st.sampled_from(["auto", "cpu", "gpu", "cgpu"]),
)
def test_a_placement_always_fits_the_cluster(costs, tags, wanted):
    capacity = Capacity(dict.fromkeys(tags, 1), dict.fromkeys(tags, 1), len(tags))
    try:
        found = place("x", {k: Cost(v) for k, v in costs.items()}, capacity, wanted=wanted)
    except ClusterError:
        assert not any(capacity.offers(t) for t in costs)
        return
    assert capacity.offers(found.target)
    assert found.target in costs
    assert all(capacity.offers(t) and t in costs and t != found.target for t in found.fallbacks)
    assert found.reason
