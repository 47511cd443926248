"""Segments and sound to one file, without encoding again; checked before it appears."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

from montage_dask.errors import StoreError, UsageError
from montage_dask.media.ffmpeg import output_argument
from montage_dask.render.mapping import timescale
from montage_dask.render.running import make_file
from montage_dask.render.segments import count_frames
from montage_dask.render.verify import check
from montage_dask.store import writing
from montage_dask.store.artefacts import free_bytes

VERSION = 1

MUXERS: Mapping[str, str] = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".m4v": "mp4"}


def concat_list(parts: Sequence[Path], durations_seconds: Sequence[Fraction], folder: Path) -> Path:
    """A list file for ffmpeg's concat demuxer.

    The names in it are links of our own, so no name needs escaping. Durations are said, since a file knows its own only to a
    millisecond; each is the difference of rounded ends, so that roundings do not add up.
    """
    lines = ["ffconcat version 1.0"]
    ends = [round(end * 1_000_000) for end in accumulate(durations_seconds)]
    for number, part in enumerate(parts):
        link = folder / f"part{number:06d}{part.suffix}"
        link.symlink_to(part.resolve())
        length = ends[number] - (ends[number - 1] if number else 0)
        lines += [f"file {link.name}", f"duration {length // 1_000_000}.{length % 1_000_000:06d}"]
    path = folder / "parts.ffconcat"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def assemble(
    segments: Sequence[Path],
    audio: Path | None,
    output: Path,
    *,
    frames: int,
    fps: Fraction,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Join segments and sound into the output, check it, and only then let it appear.

    Args:
        segments: encoded alike, in order.
        audio: the sound of the whole montage, or None.
        output: .mp4, .mov or .mkv.
        frames: that the result must have.
        fps: of the segments.
        metadata: title and the like.

    Returns:
        A small record: frames, duration_seconds.

    Raises:
        VerificationError: the joined file is not as promised; nothing appears then.
        StoreError: it cannot be written.
        UsageError: the output has no suffix of a container.
    """
    if output.suffix.lower() not in MUXERS:
        raise UsageError(f"{output}: the output must end in {', '.join(MUXERS)}")
    needed = sum(p.stat().st_size for p in segments)
    if free_bytes(output.parent) < needed:
        raise StoreError(f"cannot write {output}: the disk is full ({needed >> 20} MB are needed)")
    with tempfile.TemporaryDirectory(prefix="montage-") as folder, writing(output) as part:
        lengths = [count_frames(s) for s in segments]
        listed = concat_list(segments, [n / fps for n in lengths], Path(folder))
        sound = (
            [] if audio is None else ["-protocol_whitelist", "file", "-i", output_argument(audio)]
        )
        tags = [a for k, v in metadata.items() for a in ("-metadata", f"{k}={v}")]
        make_file(
            [
                "-protocol_whitelist", "file", "-f", "concat", "-safe", "1", "-i", listed.name,
                *sound, "-map", "0:v:0", *(["-map", "1:a:0"] if sound else []),
                "-c", "copy", "-map_metadata", "-1", "-map_chapters", "-1", *tags,
                "-fflags", "+bitexact", "-movflags", "+faststart",
                "-video_track_timescale", str(timescale(fps)),
                "-f", MUXERS[output.suffix.lower()], output_argument(part),
            ],
            output,
            about=output,
            cwd=Path(folder),
        )  # fmt: skip
        check(part, frames=frames, fps=fps, joins=tuple(accumulate(lengths)))
    return {"frames": frames, "duration_seconds": float(frames / fps)}
