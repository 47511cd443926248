"""Small pictures of every event, from the same filters as its segment, before anything is laid on."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from montage_dask.errors import VerificationError
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import Event, Transition
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.tap import read_tap

FPS = Fraction(25)


@pytest.fixture(scope="module")
def tapped(tmp_path_factory):
    """A segment with a crossfade and a dip to white, and its tap."""
    folder = tmp_path_factory.mktemp("tap")
    path = folder / "a.mp4"
    run_ffmpeg(
        ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3", "-c:v", "libx264",
         "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path)],
        about=path,
    )  # fmt: skip
    source, index = probe(path)
    one = Event(0, 12, source.identity, 0, Fraction(1, 5))
    events = (
        one,
        replace(one, start_frame=12, stop_frame=24, in_seconds=Fraction(1), transition=Transition("crossfade", 6)),
        replace(one, start_frame=24, stop_frame=34, in_seconds=Fraction(2), transition=Transition("dip-to-white", 4)),
    )  # fmt: skip
    segment = Segment(events, FPS, 320, 180)
    tap = folder / "s.tap"
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, folder / "s.mp4",
        fit="cover", grade="none", encoding=encoding("h264", "high"), work=folder, tap=tap,
    )  # fmt: skip
    return segment, folder / "s.mp4", tap


def test_every_frame_of_every_event_is_there_by_itself(tapped):
    segment, path, tap = tapped
    events = read_tap(tap, segment)
    assert [e.y.shape for e in events] == [(15, 54, 96), (15, 54, 96), (10, 54, 96)]
    assert [e.u.shape for e in events] == [(15, 27, 48), (15, 27, 48), (10, 27, 48)]
    with av.open(str(path)) as container:
        small = [
            f.reformat(96, 54, "yuv420p", interpolation="AREA") for f in container.decode(video=0)
        ]
    shown = [f.to_ndarray()[:54].astype(int) for f in small]

    def apart(number, k, frame):
        return np.abs(events[number].y[k] - shown[frame]).mean()

    # Alone in the picture: the same. The second one begins three frames before its edge.
    assert apart(0, 4, 4) < 2
    assert apart(1, 3 + 5, 12 + 5) < 2
    assert apart(2, 5, 24 + 5) < 2
    # The next frame is another one.
    assert apart(0, 5, 4) > apart(0, 4, 4)
    # In the middle of a crossfade and of a dip the tap shows what the montage does not.
    assert apart(0, 12, 12) > 5
    assert apart(2, 0, 24) > 20


def test_the_tap_of_another_segment_is_not_read(tapped):
    segment, path, tap = tapped
    with pytest.raises(VerificationError, match="another"):
        read_tap(tap, replace(segment, events=segment.events[:2]))
    with pytest.raises(VerificationError, match="cannot be read"):
        read_tap(path, segment)
