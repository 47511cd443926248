"""Whose turn it is, over 10,000 jobs."""

from __future__ import annotations

import random
from collections import defaultdict, deque
from dataclasses import replace

from montage_dask.coordinator.fair import level_seconds, pick
from montage_dask.coordinator.jobs import Job

SLOTS = 4


def job(user: str, number: int, **more) -> Job:
    return Job(f"{user}-{number}", user, {}, "", number, **more)


def test_a_higher_band_goes_first_then_who_runs_and_used_least():
    a, b = job("a", 1), job("b", 2)
    assert pick([a, b], {}, {}, {}) is a
    assert pick([a, b], {"a": 1}, {"b": 99.0}, {}) is b
    assert pick([a, b], {}, {"a": 1.0}, {}) is b
    assert pick([a, b], {}, {"a": 1.0, "b": 1.0}, {"a": 5.0}) is b
    assert pick([replace(a, priority=1), b], {"a": 9}, {"a": 9.0}, {}).user == "a"
    assert pick([], {}, {}, {}) is None
    assert level_seconds({"a": 5.0, "b": 9.0}, {"a", "b"}) == 5.0
    assert level_seconds({"a": 5.0, "b": 9.0}, ()) == 9.0


def ideal_ends(arrivals: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
    """When each user is served under ideal sharing: all who have work get equal parts of the slots at any moment, none more than
    one slot for each of its jobs."""
    left = {u: 0.0 for u in arrivals}
    coming = sorted((at, u, length) for u, jobs in arrivals.items() for at, length in jobs)
    now, done = 0.0, {}
    while coming or any(v > 1e-9 for v in left.values()):
        busy = [u for u in left if left[u] > 1e-9]
        rate = SLOTS / len(busy) if busy else 0.0
        until = coming[0][0] if coming else float("inf")
        first = min((left[u] / rate for u in busy), default=float("inf"))
        step = min(until - now, first)
        for u in busy:
            left[u] -= rate * step
            if left[u] <= 1e-9:
                done[u] = now + step
        now += step
        while coming and coming[0][0] <= now + 1e-9:
            _, user, length = coming.pop(0)
            left[user] += length
    return done


def test_nobody_starves_and_all_are_served_as_in_ideal_sharing():
    """10,000 jobs of 100 users, some with many and some with few, who come at any time: each is through at most 1.2 times as long
    after its first job came as under ideal sharing, or the longest job later."""
    random.seed(5)
    users = [f"u{n}" for n in range(100)]
    counts = [random.choice([10, 30, 60, 300]) for _ in users]
    counts = [max(1, round(c * 10_000 / sum(counts))) for c in counts]
    longest = 60.0
    arrivals: dict[str, list[tuple[float, float]]] = {}
    for user, count in zip(users, counts, strict=True):
        at = random.random() * 20_000
        arrivals[user] = [(at, random.uniform(5, longest)) for _ in range(count)]
    ideal = ideal_ends(arrivals)
    waiting: dict[str, deque[tuple[Job, float]]] = defaultdict(deque)
    number, used, begun = 0, dict[str, float](), dict[str, float]()
    coming = deque(sorted((jobs[0][0], user) for user, jobs in arrivals.items()))
    slots: list[tuple[float, float, str]] = []
    ended, now = {}, 0.0
    while coming or slots or any(waiting.values()):
        times = (
            [end for end, _, _ in slots]
            if len(slots) == SLOTS or not any(waiting.values())
            else [now]
        )
        now = min([*times, *([coming[0][0]] if coming else [])], default=now)
        for one in [s for s in slots if s[0] <= now]:
            slots.remove(one)
            used[one[2]] = used.get(one[2], 0.0) + one[0] - one[1]
            ended[one[2]] = one[0]
        account = dict(used)
        for _, start, user in slots:
            account[user] = account.get(user, 0.0) + now - start
        running = defaultdict(int)
        for _, _, user in slots:
            running[user] += 1
        while coming and coming[0][0] <= now:
            _, user = coming.popleft()
            present = {u for u, w in waiting.items() if w} | set(running)
            if user not in present:
                used[user] = account[user] = max(used.get(user, 0.0), level_seconds(account, present))  # fmt: skip
            for _, length in arrivals[user]:
                number += 1
                waiting[user].append((job(user, number), length))
        while len(slots) < SLOTS:
            chosen = pick((w[0][0] for w in waiting.values() if w), running, account, begun)
            if chosen is None:
                break
            _, length = waiting[chosen.user].popleft()
            begun[chosen.user] = now
            running[chosen.user] += 1
            slots.append((now + length, now, chosen.user))
    assert ended.keys() == arrivals.keys()
    for user, jobs in arrivals.items():
        came = jobs[0][0]
        assert ended[user] - came <= 1.2 * (ideal[user] - came) + longest, user
