"""How a source is opened for decoding, in one place: by PyAV and by ffmpeg, from its start or from its middle, here or far away.

What a decoder must be told to decode every part of a file as it decodes the whole belongs here.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

import av
import av.logging

from montage_dask.media.limits import decoder_limit
from montage_dask.records import Source

HARMLESS = re.compile(
    r"mmco: unref short failure|co located POCs unavailable|number of reference frames|"
    r"Late SEI|no frame!|Could not update timestamps"
)
"""Errors of decoders that do not show in their pictures."""


def decoder_options(
    source: Source, *, frame: int = 0, skip_loop_filter: bool = False
) -> dict[str, str]:
    """What the decoder of a source is told: for PyAV's `codec_context.options`.

    Args:
        source: the source.
        frame: where decoding begins.
        skip_loop_filter: decode faster; for analysis only.
    """
    build = source.x264_build
    for first, later in source.later_builds:
        build = later if frame >= first else build
    return {
        **decoder_limit(),
        **told_build(build),
        **({"skip_loop_filter": "all"} if skip_loop_filter else {}),
    }


def told_build(x264_build: int | None) -> dict[str, str]:
    """The option that tells a decoder which build of x264 made a stream.

    Builds before 151 coded 4:4:4 in another arithmetic. Only the first packet says the build: a decoder that starts behind it
    would show rubbish.
    """
    return {} if x264_build is None else {"x264_build": str(x264_build)}


@cache
def listen() -> None:
    """Let PyAV hand over what libav says of errors, every time that it says it; nobody else is told of it."""
    said = logging.getLogger("libav")
    said.addHandler(logging.NullHandler())
    said.propagate = False
    av.logging.set_level(av.logging.ERROR)
    # Else what was said last, by whatever decoder, is not said again, and later in the midst of something else.
    av.logging.set_skip_repeated(False)


def decoded(context: Any, packet: Any) -> tuple[list[Any], bool]:
    """What a decoder gives for a packet, and whether it met an error, also one that it does not mark in its pictures.

    Args:
        context: the decoder; errors are heard of one that works with one thread.
        packet: the packet; None empties the decoder.
    """
    listen()
    with av.logging.Capture() as said:
        try:
            pictures = context.decode(packet)
        except av.FFmpegError:
            return [], True
    return pictures, any(not HARMLESS.search(message) for _, _, message in said)
