"""How a source is opened for decoding, in one place: by PyAV and by ffmpeg, from its start or from its middle, here or far away.

What a decoder must be told to decode every part of a file as it decodes the whole belongs here.
"""

from __future__ import annotations

from montage_dask.records import Source


def decoder_options(source: Source, *, skip_loop_filter: bool = False) -> dict[str, str]:
    """What the decoder of a source is told: for PyAV's `codec_context.options`.

    Args:
        source: the source.
        skip_loop_filter: decode faster; for analysis only.
    """
    return {
        **told_build(source.x264_build),
        **({"skip_loop_filter": "all"} if skip_loop_filter else {}),
    }


def told_build(x264_build: int | None) -> dict[str, str]:
    """The option that tells a decoder which build of x264 made a stream.

    Builds before 151 coded 4:4:4 in another arithmetic. Only the first packet says the build: a decoder that starts behind it
    would show rubbish.
    """
    return {} if x264_build is None else {"x264_build": str(x264_build)}
