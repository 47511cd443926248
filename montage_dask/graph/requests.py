"""The requests of the analysis: windows of strips and scores, shots, music."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from montage_dask.errors import (
    UsageError,
    printable,
)
from montage_dask.graph.operation import Request
from montage_dask.graph.survey import Clip, Settings
from montage_dask.media.probe import fingerprint, stat_key
from montage_dask.media.windows import split_windows
from montage_dask.records import Window, to_json


def strip_requests(clip: Clip, settings: Settings) -> Iterator[Request]:
    """One request per window of a clip."""
    from montage_dask.analysis.strip import strip_parameters

    source = clip.source
    shared = strip_parameters(source, settings.window_frames, settings.faces)
    paths = {"source": to_json(source), "index": str(clip.index)}
    for window in split_windows(source.frames, settings.window_frames):
        yield Request("strip", {**shared, **_window_parameters(window)}, paths, clip.name)


def _window_parameters(window: Window) -> dict[str, int]:
    return {
        "window": window.index,
        "start_frame": window.start_frame,
        "stop_frame": window.stop_frame,
    }


def scores_requests(clip: Clip, settings: Settings, precision: str) -> Iterator[Request]:
    """One request per window: the scores of the shot-boundary network."""
    for request in strip_requests(clip, settings):
        yield Request(
            "scores", {**request.parameters, "precision": precision}, request.paths, clip.name
        )


def shots_request(clip: Clip, settings: Settings, precision: str | None) -> Request:
    """The request that finds and describes the shots of a clip. Its key does not depend on the windows."""
    from montage_dask.analysis import descriptor, embedding, scenes, strip

    plain = settings.embedding == "strip"
    source = clip.source
    return Request(
        "shots",
        {
            "identity": source.identity,
            "stream_index": source.stream_index,
            "detector": settings.detector,
            "threshold": settings.threshold,
            "faces": settings.faces,
            "precision": precision,
            "strip_version": strip.VERSION,
            "scenes_version": scenes.VERSION,
            "network": _network(settings),
            "embedding": settings.embedding,
            "embedding_model": None if plain else settings.embedding_model,
            "embedding_version": descriptor.VERSION if plain else embedding.VERSION,
        },
        {
            "source": to_json(source),
            "index": str(clip.index),
            "window_frames": settings.window_frames,
            "embedding_model": settings.embedding_model,
            "scenes_weights": settings.scenes_weights,
        },
        clip.name,
    )


def precision_of(settings: Settings) -> str | None:
    """The precision of the network's scores, if the detector reads any: one for the whole job, as precisions differ."""
    if settings.detector != "accurate":
        return None
    from montage_dask.analysis.transnet import default_precision

    return default_precision("cpu")


def _network(settings: Settings) -> list[Any] | None:
    """What the boundaries of the network depend on besides the strip."""
    if settings.detector != "auto":
        return None
    from montage_dask.analysis import boundaries, scene_network

    path = Path(settings.scenes_weights or scene_network.WEIGHTS)
    return [scene_network.VERSION, boundaries.VERSION, weights_identity(path)]


def weights_identity(path: Path) -> str:
    """Fingerprint of a weights file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        status = path.stat()
        return _fingerprint(str(path), status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UsageError(
            f"{printable(str(path))}: cannot read the weights: {error.strerror}"
        ) from error


@lru_cache(maxsize=16)
def _fingerprint(path: str, size_bytes: int, mtime_ns: int) -> str:
    """One for each clip of a large job is asked for; the file changes hardly ever."""
    return fingerprint(path)


def music_request(path: str, settings: Settings) -> Request:
    """The request that analyses a track."""
    return Request(
        "beats",
        {
            **stat_key(path),
            "tracker": settings.tracker,
            "bpm": settings.bpm,
            "beats_file": stat_key(settings.beats_file) if settings.beats_file else None,
            "beats_per_bar": settings.beats_per_bar,
            "network": _beat_network(settings),
        },
        {
            "path": path,
            "beats_file": settings.beats_file,
            "weights": settings.beats_weights,
            "checkpoint": settings.beat_this_checkpoint,
        },
        Path(path).name,
    )


def _beat_network(settings: Settings) -> list[Any] | None:
    """What the beats of a network depend on besides the music."""
    from montage_dask.analysis import beat_network, music

    tracker = music.AUTO if settings.tracker == "auto" else settings.tracker
    if settings.bpm is not None or settings.beats_file is not None:
        return None
    if tracker == "network":
        path = Path(settings.beats_weights or beat_network.WEIGHTS)
        return [beat_network.VERSION, weights_identity(path)]
    if tracker == "beat-this" and settings.beat_this_checkpoint is not None:
        return [weights_identity(Path(settings.beat_this_checkpoint))]
    return None
