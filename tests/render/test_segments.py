"""Every output frame shows the promised source frame, whatever the source."""

import random
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_footage import HEIGHT, VFR_STEPS, WIDTH, luma_frames, number_of, numbered

from montage_dask.errors import MediaError, StoreError
from montage_dask.media.encoders import encoding
from montage_dask.media.probe import probe
from montage_dask.records import CUT, Event, Match, Pace, Timeline, Transition, from_json, to_json
from montage_dask.render.mapping import make_map, shown_frames
from montage_dask.render.running import make_file
from montage_dask.render.segments import Segment, plan_segments, render_segment

ENCODING = encoding("h264", "preview", crf=16)
KINDS = {
    "cfr25": dict(suffix=".mp4", rate=Fraction(25)),
    "bframes": dict(suffix=".mp4", rate=Fraction(24000, 1001), b_frames=3, gop=40),
    "opengop": dict(
        suffix=".mkv", rate=Fraction(30000, 1001), b_frames=2, options={"x264-params": "open-gop=1"}
    ),
    "opengop-mp4": dict(
        suffix=".mp4", rate=Fraction(25), b_frames=3, gop=20, options={"x264-params": "open-gop=1"}
    ),
    "slow": dict(suffix=".mp4", rate=Fraction(25, 2)),
    "ten": dict(suffix=".mov", rate=Fraction(10)),
    "fast": dict(suffix=".mp4", rate=Fraction(60), b_frames=2),
    "webm": dict(suffix=".webm", rate=Fraction(24), codec="libvpx"),
    "vp9": dict(suffix=".webm", rate=Fraction(50), codec="libvpx-vp9", options={"cpu-used": "8"}),
    "ts": dict(suffix=".ts", rate=Fraction(25), b_frames=2),
    "avi": dict(suffix=".avi", rate=Fraction(25), codec="mpeg4"),
    "vfr": dict(suffix=".mkv", vfr=True),
    "vfr-mp4": dict(suffix=".mp4", vfr=True, b_frames=2),
}
FRAMES = 150


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Kind → (source, index) of a numbered file of every kind."""
    folder = tmp_path_factory.mktemp("footage")
    found = {}
    for name, kind in KINDS.items():
        options = dict(kind)
        path = folder / f"{name}{options.pop('suffix')}"
        if options.pop("vfr", False):
            steps = [VFR_STEPS[n % len(VFR_STEPS)] for n in range(FRAMES - 1)]
            options |= {
                "pts": list(accumulate(steps, initial=170)),
                "time_base": Fraction(1, 1000),
                "rate": Fraction(30),
            }
        found[name] = probe(numbered(path, FRAMES, **options))
    return found


def _render(segment, footage, tmp_path, **options):
    sources = {s.identity: s for s, _ in footage.values()}
    indexes = {s.identity: i for s, i in footage.values()}
    output = tmp_path / "segment.mp4"
    record = render_segment(
        segment,
        sources,
        indexes,
        output,
        fit=options.pop("fit", "contain"),
        grade=options.pop("grade", "none"),
        encoding=options.pop("encoding", ENCODING),
        work=tmp_path,
        **options,
    )
    assert record["frames"] == segment.frames
    return output


def _events(rng, names, footage, fps, count, speeds=(Fraction(1),)):
    """Contiguous events of random parts; half of them start exactly on a source frame."""
    events, at = [], 0
    for _ in range(count):
        source, index = footage[rng.choice(names)]
        frames = rng.randint(1, 40)
        speed = rng.choice(speeds)
        room = index.duration_seconds - frames / fps * speed
        if room <= 0:
            continue
        start = (
            index.time_seconds(index.frame_at(Fraction(rng.random()) * room))
            if rng.random() < 0.5
            else Fraction(rng.randint(0, 10**6), 10**6) * room
        )
        events.append(Event(at, at + frames, source.identity, 0, start, speed))
        at += frames
    return tuple(events)


def _promised(segment, footage):
    """The promise, worked out naively: the last frame whose time is not later."""
    numbers = []
    indexes = {s.identity: i for s, i in footage.values()}
    for event in segment.events:
        index = indexes[event.source]
        times = [index.time_seconds(n) for n in range(len(index))]
        for k in range(event.frames):
            wanted = event.in_seconds + k / segment.fps * event.speed
            numbers.append(max(n for n, t in enumerate(times) if t <= wanted or n == 0))
    return numbers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60)])
def test_every_frame_is_the_promised_one(footage, tmp_path, kind, fps):
    rng = random.Random(f"{kind}{fps}")
    events = _events(rng, [kind], footage, fps, 6, (Fraction(1), Fraction(1), Fraction(3, 4)))
    segment = Segment(events, fps, WIDTH, HEIGHT)
    shown = [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
    assert shown == _promised(segment, footage)


@pytest.mark.parametrize("seed", range(4))
def test_mixed_sources_rates_and_speeds(footage, tmp_path, seed):
    rng = random.Random(seed)
    fps = rng.choice([Fraction(24), Fraction(24000, 1001), Fraction(50), Fraction(12)])
    speeds = (Fraction(1), Fraction(1, 2), Fraction(2), Fraction(5, 4), Fraction(1001, 1000))
    events = _events(rng, list(KINDS), footage, fps, 9, speeds)
    segment = Segment(events, fps, WIDTH, HEIGHT)
    shown = [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
    assert shown == _promised(segment, footage)


def test_exact_ties_show_the_new_frame(footage, tmp_path):
    """25 to 25 from a frame's own time: every frame once, none early or late."""
    source, index = footage["bframes"]
    events = (Event(0, 100, source.identity, 0, index.time_seconds(31)),)
    segment = Segment(events, source.frame_rate, WIDTH, HEIGHT)
    shown = [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
    assert shown == list(range(31, 131))


@pytest.mark.parametrize("kind", ["opengop-mp4", "opengop", "ts"])
def test_parts_that_begin_just_before_a_keyframe(footage, tmp_path, kind):
    """Pictures that precede a keyframe on screen and follow it in the file belong to the group before."""
    source, index = footage[kind]
    for key in (int(k) for k in index.keyframes[2:4]):
        starts = range(key - 4, key + 2)
        events = tuple(
            Event(4 * n, 4 * n + 4, source.identity, 0, index.time_seconds(start))
            for n, start in enumerate(starts)
        )
        segment = Segment(events, source.frame_rate, WIDTH, HEIGHT)
        shown = [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
        assert shown == _promised(segment, footage)
        assert shown[::4] == list(starts)


def test_beyond_the_end_the_last_frame_stays(footage, tmp_path):
    source, index = footage["cfr25"]
    events = (Event(0, 20, source.identity, 0, index.duration_seconds - Fraction(1, 5)),)
    segment = Segment(events, Fraction(25), WIDTH, HEIGHT)
    shown = [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
    assert shown == [145, 146, 147, 148] + [149] * 16


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_map_keeps_the_promise_for_any_times(footage, data):
    source, index = footage[data.draw(st.sampled_from(sorted(KINDS)))]
    fps = data.draw(
        st.sampled_from([Fraction(n) for n in (10, 24, 25, 30, 50, 60, 144)])
        | st.sampled_from([Fraction(n, 1001) for n in (24000, 30000, 60000)])
    )
    speed = data.draw(st.fractions(Fraction(1, 8), 8, max_denominator=100))
    start = data.draw(st.fractions(0, index.duration_seconds, max_denominator=90000))
    frames = data.draw(st.integers(1, 300))
    bends = data.draw(st.lists(st.tuples(st.integers(1, 299), st.integers(1, 299)), max_size=5))
    ramp = tuple(
        Pace(frame, Fraction(shown))
        for frame, shown in zip(*(sorted(set(side)) for side in zip(*bends, strict=True)), strict=False)
        if frame < frames and shown < frames
    ) if bends else ()  # fmt: skip
    event = Event(0, frames, source.identity, 0, start, speed, ramp=ramp)
    lead, tail = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
    lead = min(lead, int(start * fps / speed))
    found = make_map(index, event, fps, source.path, lead=lead, tail=tail)  # checks itself
    shown = shown_frames(index, event, fps, lead=lead, tail=tail)
    assert (found.first, found.last) == (shown[0], shown[-1])
    assert len(shown) == frames + lead + tail
    for k in (0, frames // 2, frames - 1):
        assert shown[lead + k] == index.frame_at(event.seconds_at(k, fps))
    assert event.seconds_at(frames, fps) == start + frames / fps * speed


def _timeline(events, **options):
    return Timeline(
        fps=Fraction(25),
        width=WIDTH,
        height=HEIGHT,
        events=events,
        music_path="",
        music_start_seconds=Fraction(0),
        style="",
        seed=0,
        **options,
    )


@pytest.mark.parametrize(("kind", "extreme"), [("dip-to-black", 16), ("dip-to-white", 235)])
def test_a_dip_is_darkest_at_the_cut_and_exactly_as_long(footage, tmp_path, kind, extreme):
    a, b = footage["cfr25"][0], footage["vfr"][0]
    events = (
        Event(0, 30, a.identity, 0, Fraction(1)),
        Event(30, 60, b.identity, 0, Fraction(1), transition=Transition(kind, 10)),
    )
    plain = (events[0], replace(events[1], transition=CUT))
    dipped = luma_frames(_render(Segment(events, Fraction(25), WIDTH, HEIGHT), footage, tmp_path))
    cut = luma_frames(_render(Segment(plain, Fraction(25), WIDTH, HEIGHT), footage, tmp_path))
    distance = [abs(f.astype(int) - extreme).mean() for f in dipped]
    changed = [
        n
        for n, (x, y) in enumerate(zip(dipped, cut, strict=True))
        if abs(x.astype(int) - y).mean() > 3
    ]
    assert len(dipped) == 60
    assert 25 <= min(changed) <= 26
    assert 33 <= max(changed) <= 34
    assert min(distance[29], distance[30]) < 25
    assert min(range(60), key=distance.__getitem__) in (29, 30)


def test_a_crossfade_mixes_both_sides_around_the_cut(footage, tmp_path):
    a, b = footage["cfr25"][0], footage["fast"][0]
    events = (
        Event(0, 30, a.identity, 0, Fraction(1)),
        Event(30, 60, b.identity, 0, Fraction(1), transition=Transition("crossfade", 8)),
        Event(60, 80, a.identity, 0, Fraction(3), transition=Transition("crossfade", 4)),
    )
    segment = Segment(events, Fraction(25), WIDTH, HEIGHT)
    frames = luma_frames(_render(segment, footage, tmp_path))
    assert len(frames) == 80
    promised = _promised(segment, footage)
    shown = [number_of(f) for f in frames]
    mixed = {*range(26, 34), *range(58, 62)}
    assert [s for n, s in enumerate(shown) if n not in mixed] == [
        s for n, s in enumerate(promised) if n not in mixed
    ]
    # In the middle both pictures are seen: bars that differ are grey.
    grey = [((f > 60) & (f < 190)).mean() for f in frames]
    assert grey[30] > 0.1
    assert grey[20] < 0.05
    assert grey[40] < 0.05


def test_the_end_fades_to_black(footage, tmp_path):
    a = footage["cfr25"][0]
    segment = Segment((Event(0, 40, a.identity, 0, Fraction(4)),), Fraction(25), WIDTH, HEIGHT, 10)
    frames = luma_frames(_render(segment, footage, tmp_path))
    assert len(frames) == 40
    assert frames[-1].max() < 60
    assert frames[29].max() > 200


def test_a_plan_does_not_depend_on_where_events_stand(footage):
    ids = [s.identity for s, _ in footage.values()]
    starts = [0, 100, 180, 300, 420, 500]
    events = tuple(
        Event(a, b, ids[n], n, Fraction(n), reason="x", scores={"a": 1.0})
        for n, (a, b) in enumerate(zip(starts, [*starts[1:], 560], strict=True))
    )
    plan = plan_segments(_timeline(events), maximum_frames=200)
    assert [s.frames for s in plan] == [180, 120, 200, 60]
    later = tuple(replace(e, start_frame=e.start_frame, reason="y", scores={}) for e in events)
    assert plan_segments(_timeline(later), maximum_frames=200) == plan
    assert [from_json(Segment, to_json(s)) for s in plan] == list(plan)
    # Without its first segment, the rest of the montage is the same work.
    rest = tuple(
        replace(e, start_frame=e.start_frame - 180, stop_frame=e.stop_frame - 180)
        for e in events[2:]
    )
    assert plan_segments(_timeline(rest), maximum_frames=200) == plan[1:]


def test_transitions_keep_their_events_together(footage):
    ids = [s.identity for s, _ in footage.values()]
    events = tuple(
        Event(
            n * 90,
            n * 90 + 90,
            ids[n % 3],
            n,
            Fraction(0),
            transition=Transition("crossfade", 8) if n == 2 else CUT,
        )
        for n in range(4)
    )
    plan = plan_segments(_timeline(events, fade_out_frames=20), maximum_frames=90)
    assert [len(s.events) for s in plan] == [1, 2, 1]
    assert [s.fade_out_frames for s in plan] == [0, 0, 20]


def test_a_long_event_is_split_without_a_seam(footage, tmp_path):
    source, _ = footage["bframes"]
    events = (Event(0, 130, source.identity, 0, Fraction(1, 7)),)
    plan = plan_segments(_timeline(events), maximum_frames=50)
    assert [s.frames for s in plan] == [43, 43, 44]
    shown = []
    for segment in plan:
        shown += [number_of(f) for f in luma_frames(_render(segment, footage, tmp_path))]
    assert shown == _promised(Segment(events, Fraction(25), WIDTH, HEIGHT), footage)


def test_equal_segments_are_equal_bytes_on_any_thread_count(footage, tmp_path):
    source, _ = footage["cfr25"]
    segment = Segment((Event(0, 30, source.identity, 0, Fraction(1)),), Fraction(30), 320, 180)
    one = _render(segment, footage, tmp_path, fit="blur", grade="warm", threads=1).read_bytes()
    two = _render(segment, footage, tmp_path, fit="blur", grade="warm", threads=2).read_bytes()
    assert one == two
    assert not list(tmp_path.glob("**/*.cube"))


def test_cuts_are_keyframes(footage, tmp_path):
    import av

    ids = [s.identity for s, _ in footage.values()]
    events = tuple(Event(n * 17, n * 17 + 17, ids[n], 0, Fraction(0)) for n in range(4))
    output = _render(Segment(events, Fraction(25), WIDTH, HEIGHT), footage, tmp_path)
    with av.open(str(output)) as container:
        keys = [n for n, f in enumerate(container.decode(video=0)) if f.key_frame]
    assert {0, 17, 34, 51} <= set(keys)


def test_a_lost_source_is_named(footage, tmp_path):
    source, index = footage["cfr25"]
    gone = replace(source, path=str(tmp_path / "gone.mp4"))
    segment = Segment((Event(0, 5, gone.identity, 0, Fraction(0)),), Fraction(25), WIDTH, HEIGHT)
    with pytest.raises(MediaError, match=r"gone\.mp4: does not exist"):
        _render(segment, {"gone": (gone, index)}, tmp_path)


def test_file_names_need_no_escaping(tmp_path):
    path = numbered(tmp_path / "-i it's 100%, [a]:b;c \n 🎬.mp4", 30)
    found = probe(path)
    segment = Segment(
        (Event(0, 10, found[0].identity, 0, Fraction(1, 5)),), Fraction(25), WIDTH, HEIGHT
    )
    work = tmp_path / "it's, [w]:k"
    work.mkdir()
    shown = luma_frames(_render(segment, {"x": found}, work, grade="warm"))
    assert [number_of(f) for f in shown] == list(range(5, 15))


def test_a_damaged_part_is_blamed_on_its_file(footage, tmp_path):
    """Behind the damage nothing decodes; the probe saw only intact packets' headers."""
    good = footage["cfr25"]
    path = numbered(tmp_path / "broken.mkv", 100, gop=10)
    source, index = probe(path)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half:] = bytes(len(data) - half)
    path.write_bytes(data)
    events = (
        Event(0, 10, good[0].identity, 0, Fraction(0)),
        Event(10, 20, source.identity, 0, Fraction(7, 2)),
    )
    with pytest.raises(MediaError, match=r"broken\.mkv"):
        _render(
            Segment(events, Fraction(25), WIDTH, HEIGHT),
            {"good": good, "broken": (source, index)},
            tmp_path,
        )


def test_a_full_disk_is_not_the_clips_fault():
    with pytest.raises(StoreError, match="disk is full"):
        make_file(
            ["-f", "lavfi", "-i", "color=size=64x64:duration=1", "-f", "rawvideo", "/dev/full"],
            Path("/dev/full"),
            about="clip.mp4",
        )


def test_a_match_changes_the_pictures_of_its_event_only(footage, tmp_path):
    source = footage["cfr25"][0]
    darker = Match(matrix=(10000, 0, 0, 0, 10000, 0, 0, 0, 10000), offset=(-900,) * 3)
    events = tuple(
        Event(k * 10, (k + 1) * 10, source.identity, k, Fraction(k + 1), match=m)
        for k, m in enumerate((None, darker))
    )
    (segment,) = plan_segments(_timeline(events), maximum_frames=1000)
    assert from_json(Segment, to_json(segment)) == segment
    output = _render(segment, footage, tmp_path)
    shown = luma_frames(output)
    white = [int(picture.max()) for picture in shown]
    assert min(white[:10]) >= 233
    # 0.09 of full scale below.
    assert 212 <= min(white[10:]) <= max(white[10:]) <= 219
