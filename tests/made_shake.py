"""A film of a textured wall seen by a camera whose path is known: steady, panning or held by hand."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 320, 180, Fraction(25)


def wall(seed: int = 5) -> np.ndarray:
    """Luma with detail of many sizes: float32 [700, 1200], 40 … 215."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((700, 1200), np.float32)
    for sigma, weight in ((1.5, 1.0), (4, 1.5), (12, 2.5)):
        noise = cv2.GaussianBlur(
            rng.standard_normal(picture.shape).astype(np.float32), (0, 0), sigma
        )
        picture += weight * noise / noise.std()
    return np.clip(128 + 26 * picture / picture.std(), 40, 215)


def hand(frames: int, *, pixels: float = 3.0, degrees: float = 0.35, seed: int = 1) -> np.ndarray:
    """Shake between 1.5 and 8 Hz: float64 [n, 4] dx, dy (pixels), angle (radians), log zoom (0)."""
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(frames, float(1 / RATE))
    shaken = np.zeros((frames, 4))
    for column, size in enumerate((pixels, pixels, np.deg2rad(degrees))):
        spectrum = rng.standard_normal(len(frequency)) + 1j * rng.standard_normal(len(frequency))
        spectrum[(frequency < 1.5) | (frequency > 8)] = 0
        wave = np.fft.irfft(spectrum, frames)
        shaken[:, column] = size * wave / wave.std()
    return shaken


def pan(frames: int, pixels: float = 240.0) -> np.ndarray:
    """A pan at constant speed: the picture's content moves left."""
    path = np.zeros((frames, 4))
    path[:, 0] = -np.linspace(0, pixels, frames)
    return path


def seen(picture: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """What the camera sees: content moved by a row of a path."""
    dx, dy, angle, _ = pose
    centre = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = np.array([420.0, 250.0]) + centre - turn @ (centre + np.array([dx, dy]))
    matrix = np.concatenate([turn, shift[:, None]], 1)
    return cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )


def filmed(path: Path, poses: np.ndarray, *, walls: dict[int, np.ndarray] | None = None) -> Path:
    """The film of a camera path; `walls` maps first frames to what is seen from there on (a cut)."""
    picture = wall()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "10", "preset": "ultrafast"}
        for number, pose in enumerate(poses):
            picture = (walls or {}).get(number, picture)
            luma = np.clip(seen(picture, pose).round(), 0, 255).astype(np.uint8)
            planes = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
            planes[:HEIGHT] = luma
            # Chroma is the luma at half size: it must move with it.
            small = cv2.resize(luma, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
            planes[HEIGHT : HEIGHT * 5 // 4] = small.reshape(HEIGHT // 4, WIDTH)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, 1 / RATE
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
