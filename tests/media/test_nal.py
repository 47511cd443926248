"""Where H.264 decoding can start, told from the first bits of its slices."""

from __future__ import annotations

import av
import pytest
from makers import film

from montage_dask.media.nal import nal_length, restarts

# A slice header begins: first macroblock (ue), slice type (ue). ue(0) = 1, ue(2) = 011, ue(7) = 0001000, ue(5) = 00110.
INTRA_2 = bytes([0x41, 0b1011_1000])
INTRA_7 = bytes([0x41, 0b1000_1000])
PREDICTED_0 = bytes([0x41, 0b1100_0000])
PREDICTED_5 = bytes([0x41, 0b1001_1000])
IDR = bytes([0x65, 0x88, 0x84])
PARAMETERS = bytes([0x67, 0x42, 0x00, 0x1E])
CASES = [
    ([INTRA_2], True),
    ([INTRA_7], True),
    ([PREDICTED_0], False),
    ([PREDICTED_5], False),
    ([PARAMETERS, IDR], True),
    ([PARAMETERS, PREDICTED_0, IDR], False),
    ([PARAMETERS], False),
    ([bytes([0x41])], False),
    ([bytes([0x41, 0, 0])], False),
]


@pytest.mark.parametrize(("units", "expected"), CASES)
def test_both_ways_of_parting_units(units, expected):
    assert restarts(b"".join(b"\0\0\0\1" + u for u in units), 0) is expected
    for length in (1, 2, 4):
        packet = b"".join(len(u).to_bytes(length, "big") + u for u in units)
        assert restarts(packet, length) is expected


def test_nonsense_is_no_start():
    for length in (0, 1, 4):
        for data in (b"", b"\0", b"\0" * 50, b"\xff" * 50, b"\0\0\1", b"\0\0\0\x05"):
            assert not restarts(data, length)


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_real_packets(tmp_path, suffix):
    path = film(tmp_path / f"a.{suffix}", "-c:v", "libx264", "-g", "10", "-bf", "2", frames=40)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        length = nal_length(stream.codec_context.extradata or b"")
        assert length == (4 if suffix == "mp4" else 0)
        kinds = [
            (p.is_keyframe, restarts(bytes(p), length)) for p in container.demux(stream) if p.size
        ]
    assert all(key == starts for key, starts in kinds)
    assert sum(key for key, _ in kinds) >= 4
