"""Made-up shots and music for the tests of the edit."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from made_source import made_source

from montage_dask.records import Music, Section, Shot

LABELS = ("intro", "low", "build", "drop", "high", "outro")


def source(name, *, rate=25, seconds=600):
    return made_source(
        f"/footage/{name}.mp4",
        f"id-{name}",
        rate=Fraction(rate),
        seconds=Fraction(seconds),
        size=(1920, 1080),
        time_base=Fraction(1, 12800),
    )


def shot(name, index, start, frames, random, *, rate=25, quality=None, group=-1, embedding=None):
    steps = -(-frames // 5)
    motion = np.clip(random.random() * 0.6 + 0.4 * random.random(steps), 0, 1)
    level = random.uniform(0.4, 1.0) if quality is None else quality
    vector = random.random(8) if embedding is None else np.asarray(embedding, float)
    return Shot(
        source=f"id-{name}",
        index=index,
        start_frame=start,
        stop_frame=start + frames,
        start_seconds=Fraction(start, rate),
        stop_seconds=Fraction(start + frames, rate),
        sharpness=0.5,
        exposure=0.5,
        contrast=0.2,
        colourfulness=float(random.random()),
        motion=float(motion.mean()),
        quality=float(level),
        embedding=tuple(float(v) for v in vector / np.linalg.norm(vector)),
        perceptual_hash="0" * 16,
        profile_step_frames=5,
        motion_profile=tuple(float(v) for v in motion),
        quality_profile=(float(level),) * steps,
        colour=(0.4 + 0.02 * ((index + start) % 5), 0.4, 0.38, 0.02, 0.01, 0.01, 0.02, 0.01, 0.02),
        duplicate_group=group,
    )


def footage(clips=6, shots=5, seed=0, seconds=(2.0, 6.0), rate=25):
    """Shots and sources: `clips` files of `shots` shots each."""
    random = np.random.default_rng(seed)
    found, sources = [], {}
    for c in range(clips):
        name = f"clip{c:02d}"
        start = 0
        for k in range(shots):
            frames = max(1, int(random.uniform(*seconds) * rate))
            found.append(shot(name, k, start, frames, random, rate=rate))
            start += frames
        sources[f"id-{name}"] = source(name, rate=rate, seconds=Fraction(start, rate))
    return tuple(found), sources


def music(seconds=60.0, bpm=120.0, *, bar=4, confidence=0.9, labels=LABELS, seed=0):
    random = np.random.default_rng(seed)
    duration = Fraction(seconds).limit_denominator(1000)
    period = Fraction(60) / Fraction(bpm).limit_denominator(1000)
    offset = Fraction(13, 100)
    count = max(0, int((duration - offset) / period) + 1)
    beats = tuple(offset + k * period for k in range(count) if offset + k * period < duration)
    edges = [duration * k / len(labels) for k in range(len(labels) + 1)]
    levels = dict(zip(LABELS, (0.2, 0.3, 0.55, 1.0, 0.85, 0.25), strict=True))
    sections = tuple(
        Section(a, b, label, levels[label])
        for a, b, label in zip(edges, edges[1:], labels, strict=False)
    )

    def energy(at):
        return next((s.energy for s in sections if s.start_seconds <= at < s.stop_seconds), 0.5)

    return Music(
        path="/music/track.ogg",
        identity="track",
        duration_seconds=duration,
        tempo_bpm=bpm,
        confidence=confidence,
        alternatives=(),
        beats_seconds=beats,
        beats_per_bar=bar,
        downbeats=tuple(range(0, len(beats), bar or 4)),
        beat_energy=tuple(
            float(np.clip(energy(b) + random.uniform(-0.1, 0.1), 0, 1)) for b in beats
        ),
        beat_strength=tuple(float(v) for v in random.random(len(beats))),
        sections=sections,
        energy_curve=tuple(energy(Fraction(k, 10)) for k in range(int(seconds * 10))),
        loudness_lufs=-14.0,
        true_peak_db=-1.0,
        tracker="flux",
    )


def check(timeline, shots, music, extra=()):
    """What every timeline must hold."""
    table = {(s.source, s.index): s for s in (*shots, *extra)}
    fps, events = timeline.fps, timeline.events
    assert events[0].start_frame == 0
    for a, b in itertools.pairwise(events):
        assert a.stop_frame == b.start_frame
    for k, e in enumerate(events):
        assert e.frames > 0
        s = table[e.source, e.shot]
        after = events[k + 1].transition if k + 1 < len(events) else None
        lead = e.transition.frames // 2 if e.transition.kind == "crossfade" else 0
        tail = after.frames // 2 if after and after.kind == "crossfade" else 0
        assert e.in_seconds - lead / fps * e.speed >= s.start_seconds
        assert e.in_seconds + (e.frames + tail) / fps * e.speed <= s.stop_seconds
        assert e.transition.frames % 2 == 0
        assert (e.transition.kind == "cut") == (e.transition.frames == 0)
        out = after.frames // 2 if after else 0
        assert e.transition.frames // 2 + out <= e.frames
        if e.beat_seconds is not None:
            assert e.beat_seconds in music.beats_seconds
            late = e.start_frame / fps - (e.beat_seconds - timeline.music_start_seconds)
            assert abs(late) <= 1 / fps / 2
        assert e.reason
        assert {"quality", "motion", "variety", "arc", "action"} <= set(e.scores)
    assert events[0].transition.kind == "cut"
