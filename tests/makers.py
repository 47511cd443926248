"""Small media of every kind, made by ffmpeg; every frame differs from its neighbours."""

from __future__ import annotations

import hashlib
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from montage_dask.media.decode import decode_frames
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.index import FrameIndex
from montage_dask.records import Source

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-threads", "1")


def film(
    path: Path,
    *options: str,
    frames: int = 60,
    size: str = "160x90",
    rate: str = "25",
    filters: str = "null",
    sound: bool = False,
) -> Path:
    """A test film; `options` are output options (the codec is H.264 without any)."""
    seconds = float(frames / Fraction(rate))
    tone = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}")
    arguments = [
        "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate},{filters}",
        *(tone if sound else ()), "-frames:v", str(frames),
        *(options or X264), f"file:{path}",
    ]  # fmt: skip
    run_ffmpeg(arguments, about=path)
    return path


def copied(source: Path, path: Path, *options: str, before: tuple[str, ...] = ()) -> Path:
    """Another file with the same packets."""
    run_ffmpeg(
        [*before, "-i", f"file:{source}", *options, "-c", "copy", f"file:{path}"], about=path
    )
    return path


def flipped(source: Path, path: Path, start: float, length: int, step: int = 37) -> Path:
    """A copy with damage: from a part of its length on, every so many bytes one is inverted."""
    data = bytearray(source.read_bytes())
    begin = int(len(data) * start)
    for at in range(begin, min(len(data), begin + length), step):
        data[at] ^= 0xFF
    path.write_bytes(data)
    return path


def hashes(source: Source, index: FrameIndex, start: int, stop: int, **options: int) -> list[str]:
    """Digest of each decoded picture of [start, stop); checks that the numbers are complete."""
    found = []
    numbers = []
    for number, frame in decode_frames(source, index, start, stop, **options):
        numbers.append(number)
        found.append(hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()[:16])
    assert numbers == list(range(start, stop))
    return found


def compact_state(outputs: int = 12, channels: int = 8) -> dict[str, torch.Tensor]:
    """Weights of a small compact upscaling network (2× with 12 outputs, 4× with 48) that changes pictures a little."""
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "body.0.weight": (channels, 3, 3, 3), "body.0.bias": (channels,), "body.1.weight": (channels,),
        "body.2.weight": (channels, channels, 3, 3), "body.2.bias": (channels,), "body.3.weight": (channels,),
        "body.4.weight": (outputs, channels, 3, 3), "body.4.bias": (outputs,),
    }  # fmt: skip
    return {k: torch.randn(s, generator=generator) / 10 for k, s in shapes.items()}


def network_file(path: Path) -> Path:
    """A .pth file with such a network for 2×."""
    torch.save({"params": compact_state()}, path)
    return path


def write_wav(path: Path, samples: np.ndarray, rate: int = 22_050) -> Path:
    """Mono samples, -1 … 1, as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path
