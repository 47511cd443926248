"""The strip of a montage: every shot as wide as it lasts, transitions where they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.records import CUT, Event, Timeline, Transition
from montage_dask.report.strip import GAP, draw_strip, strip_layout


def timeline(*lengths: int, transitions: dict[int, Transition] | None = None, fade: int = 0):
    """A montage of shots of so many frames."""
    events, start = [], 0
    for number, frames in enumerate(lengths):
        how = (transitions or {}).get(number, CUT)
        events.append(Event(start, start + frames, "id", number, Fraction(0), transition=how))
        start += frames
    return Timeline(
        fps=Fraction(25), width=160, height=90, events=tuple(events), music_path="m.wav",
        music_start_seconds=Fraction(0), style="x", seed=0, fade_out_frames=fade,
    )  # fmt: skip


@given(
    st.lists(st.integers(8, 400), min_size=1, max_size=40),
    st.integers(200, 1600),
    st.integers(20, 200),
    st.sampled_from([0, 4, 8]),
)
def test_every_column_shows_a_frame_of_its_own_time(lengths, width, tile, transition):
    kinds = {n: Transition("crossfade", transition) for n in range(1, len(lengths)) if transition}
    made = timeline(*lengths, transitions=kinds, fade=min(lengths[-1], 8))
    columns = strip_layout(made, width, tile)
    assert len(columns) == width
    for x, (frame, left, part) in enumerate(columns):
        if frame >= 0:
            assert left <= x < left + part
            assert 0 <= frame < made.frames
            event = next(e for e in made.events if e.start_frame <= frame < e.stop_frame)
            slack = made.frames / width * 8 + transition
            assert event.start_frame - slack <= x * made.frames / width <= event.stop_frame + slack


def test_hard_cuts_are_seen_and_soft_ones_blend():
    made = timeline(50, 50, 50, transitions={2: Transition("dip-to-black", 20)})
    columns = strip_layout(made, 300, 80)
    assert [f for f, _, _ in columns[98:104]] == [25, 25, -1, -1, 75, 75][: 4 + GAP]
    assert len({f for f, _, _ in columns[180:220]}) >= 8
    assert -1 not in [f for f, _, _ in columns[150:]]


def test_the_picture_is_taken_from_the_file(tmp_path):
    """Red, then green; in the middle a dip to black."""
    output = tmp_path / "made.mp4"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "color=red:size=160x90:rate=25:duration=2,fade=out:45:5[a];"
            "color=lime:size=160x90:rate=25:duration=2,fade=in:0:5[b];[a][b]concat",
            "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(output),
        ],
        about=output,
    )  # fmt: skip
    made = timeline(50, 50, transitions={1: Transition("dip-to-black", 10)})
    draw_strip(made, output, tmp_path / "strip.png", width=400, height=45)
    shown = np.asarray(Image.open(tmp_path / "strip.png")).astype(int)
    assert shown.shape == (45, 400, 3)
    assert shown[:, :150, 0].min() > 200
    assert shown[:, 250:, 1].min() > 200
    assert shown[:, 198:202].max() < 120
