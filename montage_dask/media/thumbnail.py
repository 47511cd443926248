"""A small picture of a file that this project made: the first frame, as JPEG."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av

from montage_dask.errors import MediaError
from montage_dask.media.decode import frame_rgb

WIDTH, HEIGHT, QUALITY = 128, 72, 70
"""A picture fits into this many pixels; it takes some 3 kB."""


def first_picture(path: Path) -> bytes:
    """The first frame, scaled down.

    Args:
        path: of a segment, upright and with square pixels as all that we encode.

    Raises:
        MediaError: there is none.
    """
    from PIL import Image

    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            frame = next(container.decode(video=0))
            scale = min(WIDTH / frame.width, HEIGHT / frame.height, 1.0)
            size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
            picture = Image.fromarray(frame_rgb(frame, *size))
    except (av.FFmpegError, OSError, StopIteration, IndexError) as error:
        raise MediaError(str(path), f"has no picture: {error}") from error
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
