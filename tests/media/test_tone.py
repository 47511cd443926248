"""Stills, thumbnails and the render show HDR and wide gamut in the same colours."""

from fractions import Fraction

import numpy as np
import pytest
from made_showing import shown_by_ffmpeg

from montage_dask.analysis.strip import Strip, strip_folder, write_window
from montage_dask.media.encoders import encoding
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.probe import probe
from montage_dask.records import Event, Window
from montage_dask.render.segments import Segment, render_segment
from montage_dask.render.stills import pictures
from montage_dask.store import Store

GOOD = encoding(codec="h264", quality="master", crf=1, threads=1)
TAGS = {
    "PQ": ("smpte2084", "bt2020", "bt2020nc"),
    "HLG": ("arib-std-b67", "bt2020", "bt2020nc"),
    "BT.2020": ("bt2020-10", "bt2020", "bt2020nc"),
    "P3": ("bt709", "smpte432", "bt709"),
}


@pytest.mark.parametrize("kind", TAGS)
def test_stills_and_thumbnails_have_the_colours_of_the_render(kind, tmp_path):
    """Patches from dark to bright, grey and coloured, all within what R'G'B' can say."""
    transfer, primaries, space = TAGS[kind]
    path = tmp_path / "in.mp4"
    drawn = "geq=lum='200+620*floor(X/40)/7':cb='512+90*(floor(Y/40)-1)/2':cr='512-60*(floor(Y/40)-1)/2'"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", f"nullsrc=size=320x160:rate=25,format=yuv420p10le,{drawn}",
            "-vf", f"setparams=range=tv:color_primaries={primaries}:color_trc={transfer}:colorspace={space}",
            "-frames:v", "4", "-c:v", "libx265", "-preset", "ultrafast",
            "-x265-params", "log-level=error:qp=4:pools=1", f"file:{path}",
        ],
        about=path,
    )  # fmt: skip
    source, index = probe(path)
    assert source.color_primaries == primaries
    segment = Segment((Event(0, 4, source.identity, 0, Fraction(0)),), Fraction(25), 320, 160)
    render_segment(
        segment, {source.identity: source}, {source.identity: index}, tmp_path / "out.mp4",
        fit="contain", grade="none", encoding=GOOD, threads=1, work=tmp_path,
    )  # fmt: skip
    rendered = shown_by_ffmpeg(tmp_path / "out.mp4", (320, 160), "setparams=colorspace=bt709")[1]
    middles = np.s_[20::40, 20::40]
    (_, still), *_ = pictures(source, index, [1])
    assert np.abs(still[middles].astype(int) - rendered[middles]).max() <= 6
    folder = strip_folder(Store(tmp_path), source, 50)
    write_window(source, index, Window(0, 0, 4), 50, folder)
    thumbnail = Strip(folder).thumbnails(1, 2)[0]
    # 6 × 6.75 thumbnail pixels a patch
    assert np.abs(thumbnail[3::7, 3::6].astype(int)[:4, :8] - rendered[middles]).mean() < 6
    # And they are not what the codes would show untouched.
    plain = shown_by_ffmpeg(path, (320, 160))[1]
    assert np.abs(plain[middles].astype(int) - rendered[middles]).max() > 6
