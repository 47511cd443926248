"""The scaler's decision: whatever the load, it stays within its bounds and takes no worker away that works."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from montage_dask.cluster.scaling import Group, Idleness, Load, decide, range_of, required
from montage_dask.graph.placement import Capacity, promised

NAMES = st.sets(st.integers(0, 30).map("w{}".format), max_size=12)


@st.composite
def situations(draw):
    low = draw(st.integers(0, 6))
    group = Group("gpu", "GPU", low, low + draw(st.integers(0, 10)), draw(st.integers(1, 4)))
    names = sorted(draw(NAMES))
    joined = [n for n in names if draw(st.booleans())]
    strangers = {f"other{n}": draw(st.booleans()) for n in range(draw(st.integers(0, 3)))}
    busy = {n: draw(st.booleans()) for n in joined} | strangers
    needed = {"GPU": draw(st.floats(0, 50)), "CPU": draw(st.floats(0, 50))}
    idle = {n: draw(st.floats(0, 100)) for n in names}
    return group, Load(needed, busy), names, idle, draw(st.floats(0, 100)), draw(st.floats(0, 60))


@given(situations())
def test_bounds_and_safety(situation):
    group, load, names, idle, surplus, grace = situation
    decision = decide(group, load, names, idle, surplus, grace)
    assert len(set(decision.remove)) == len(decision.remove)
    assert set(decision.remove) <= set(names)
    assert not any(load.busy.get(n) for n in decision.remove)
    assert all(idle[n] >= grace for n in decision.remove)
    if decision.remove:
        assert decision.replicas == len(names) - len(decision.remove)
        assert decision.replicas >= required(group, load) >= group.minimum
        left = set(names) - set(decision.remove)
        pending_left = [n for n in left if n not in load.busy and idle[n] >= grace]
        assert not pending_left or all(n not in load.busy for n in decision.remove)
    else:
        assert decision.replicas >= min(len(names), required(group, load))
    assert decision.replicas <= max(group.maximum, len(names))
    if decision.replicas > len(names):
        assert decision.replicas == required(group, load)


@given(situations())
def test_work_of_another_tag_does_not_matter(situation):
    group, load, names, idle, surplus, grace = situation
    other = Load({**load.needed, "CPU": load.needed["CPU"] + 100}, load.busy)
    first = decide(group, load, names, idle, surplus, grace)
    assert decide(group, other, names, idle, surplus, grace) == first


@given(situations())
def test_carried_out_it_is_at_rest(situation):
    group, load, names, idle, surplus, grace = situation
    decision = decide(group, load, names, idle, surplus, grace)
    after = [n for n in names if n not in decision.remove]
    after += [f"new{n}" for n in range(decision.replicas - len(after))]
    again = decide(group, load, after, idle, surplus, grace)
    assert again.replicas == len(after)
    assert not again.remove


def test_a_group_grows_at_once_and_shrinks_behind_the_grace():
    group = Group("cpu", "CPU", 0, 8, 2)
    assert decide(group, Load({"CPU": 7}), ["a"], {}, 0, 30).replicas == 4
    assert decide(group, Load({"CPU": 99}), [], {}, 0, 30).replicas == 8
    idle = Load({}, {"a": False, "b": False})
    assert decide(group, idle, ["a", "b"], {"a": 40, "b": 40}, 29, 30).replicas == 2
    assert decide(group, idle, ["a", "b"], {"a": 40, "b": 40}, 30, 30).remove == ("a", "b")


def test_what_has_not_joined_goes_first():
    group = Group("cpu", "CPU", 1, 8)
    load = Load({"CPU": 1}, {"a": False, "b": True})
    decision = decide(group, load, ["a", "b", "c"], {"a": 90, "b": 90, "c": 50}, 60, 30)
    assert decision.remove == ("c", "a")


def test_idleness_counts_from_when_it_began():
    group, seen = Group("cpu", "CPU", 0, 4), Idleness()
    seen.see([group], {"cpu": ["a", "b"]}, Load({"CPU": 2}, {"a": True, "b": False}), 10)
    seen.see([group], {"cpu": ["a", "b"]}, Load({"CPU": 1}, {"a": False, "b": False}), 20)
    assert seen.seconds(50) == {"a": 30, "b": 40}
    assert seen.surplus_seconds("cpu", 50) == 30
    seen.see([group], {"cpu": ["a", "b"]}, Load({"CPU": 2}, {"a": True, "b": True}), 60)
    assert seen.seconds(70) == {}
    assert seen.surplus_seconds("cpu", 70) == 0


def test_ranges():
    assert range_of("0:8") == (0, 8)


def test_a_group_without_workers_counts_as_offered():
    there = Capacity({"CPU": 2}, {"CPU": 1}, 2)
    offer = {"CPU": {"most": 8, "each": 1}, "GPU": {"most": 2, "each": 1}}
    capacity = promised(there, offer)
    assert capacity.offers("gpu")
    assert capacity.slots == 10
    assert capacity.workers == 2
    assert promised(there, {}) == there


def test_a_group_that_cannot_start_is_a_lack_unless_it_has_workers():
    offer = {"CPU": {"why": "no nodes"}, "GPU": {"why": "no free GPU"}}
    capacity = promised(Capacity({"CPU": 2}, {"CPU": 1}, 2), offer)
    assert not capacity.offers("gpu")
    assert capacity.lacks == {"GPU": "no free GPU"}
