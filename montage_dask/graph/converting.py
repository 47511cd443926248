"""Files converted in windows: how they are encoded, their windows, and what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from montage_dask.errors import MontageError, NothingToDoError, TargetFailed
from montage_dask.graph.drive import Driver
from montage_dask.graph.encoding import Choice, encoder_parameter
from montage_dask.graph.montage import nothing_usable
from montage_dask.graph.naming import names_in
from montage_dask.graph.operation import Request
from montage_dask.graph.placement import Placement
from montage_dask.graph.survey import Clip, Settings, Survey, reason_of
from montage_dask.graph.targets import place_on
from montage_dask.media.windows import split_windows
from montage_dask.records import to_json
from montage_dask.render.grade import PRESETS, Curves, identity_of
from montage_dask.store import Place


@dataclass(frozen=True, slots=True)
class Transcoding:
    """How files are transcoded."""

    codec: str
    quality: str
    crf: int | None
    size: tuple[int, int] | None
    """Box that the picture must fit into; None keeps the size."""
    audio: str
    """copy, aac or none."""
    window_frames: int
    encoder_threads: int
    suffix: str = ".mp4"
    grade: str = "none"
    """Name of a preset, or a .cube file."""

    @property
    def encoding(self) -> dict[str, Any]:
        """The parameters of the encoder."""
        return {
            "codec": self.codec,
            "quality": self.quality,
            "crf": self.crf,
            "threads": self.encoder_threads,
        }


@dataclass(slots=True)
class Written:
    """What a batch job made."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    survey: Survey = field(default_factory=Survey)
    expected_seconds: float | None = None
    """How long it was to take, where that was measured before."""


def by_table(how: Transcoding) -> bool:
    """Whether the pictures go through a lookup table, and keep their size."""
    curves = isinstance(PRESETS.get(how.grade), Curves)
    return how.grade != "none" and not curves and how.size is None


def convert(
    driver: Driver,
    settings: Settings,
    survey: Survey,
    folder: Place,
    windows: Mapping[str, Sequence[Request]],
    how: Transcoding,
    placements: Mapping[str, Placement] | None = None,
) -> Written:
    """Make new files of clips, in windows that are encoded alone and then joined; the sound comes from the source.

    Args:
        driver: runs the requests.
        settings: placement.
        survey: its clips; those that fail are skipped.
        folder: where the files go.
        windows: by identity, requests of one operation for all windows of a clip in order; each gives a .mp4, upright and
            encoded as `how` says.
        how: sound and container.
        placements: where operations run; what is not named here is placed as usual.

    Raises:
        NothingToDoError: nothing could be made.
        TargetFailed: a GPU failed at what no other target can do in its place.
    """
    written = Written(survey=survey)
    outputs = names_in(driver.store, [f.source.path for f in survey.usable()], folder, how.suffix)
    owner = {r.key: k for k, requests in windows.items() for r in requests}
    names = list(dict.fromkeys(r.operation for rs in windows.values() for r in rs))
    rate = {k: c.source.frame_rate for k, c in survey.clips.items()}

    def seconds(request: Request) -> float:
        p = request.parameters
        return float((p["stop_frame"] - p["start_frame"]) / rate[p["identity"]])

    for name in names:
        driver.progress.stage(name, len(owner), "windows")
    failed: dict[str, MontageError] = {}
    waiting = (r for k, requests in windows.items() for r in requests if k not in failed)
    given = placements or {}
    places = {n: given.get(n) or place_on(driver, n, settings.targets) for n in (*names, "join")}
    for outcome in driver.run(waiting, places, media_seconds=seconds):
        if isinstance(outcome.error, TargetFailed) and given:
            raise outcome.error
        if outcome.error is not None:
            failed.setdefault(owner[outcome.request.key], outcome.error)
    for identity, error in failed.items():
        survey.drop(identity, reason_of(error))
    joins = []
    for clip in survey.usable():  # files of equal content share their windows; each has its output
        output = outputs[clip.source.path]
        requests = windows[clip.source.identity]
        parts = [str(driver.store.file(r.operation, r.key, ".mp4")) for r in requests]
        join = Request(
            "join",
            {"parts": [r.key for r in requests], "audio": how.audio, "output": str(output)},
            {
                "source": to_json(clip.source),
                "index": str(clip.index),
                "parts": parts,
                "output": str(output),
            },
            clip.name,
        )
        joins.append(join)
    driver.progress.stage("join", len(joins), "files")
    done: dict[str, dict[str, Any]] = {}
    for outcome in driver.run(joins, places):
        path = outcome.request.paths["source"]["path"]
        if outcome.record is None:
            survey.skip(path, str(outcome.error))
        else:
            done[path] = outcome.record
    for clip in survey.usable():
        path = clip.source.path
        if path in done:
            written.outputs.append(
                {
                    "path": path,
                    "output": str(outputs[path]),
                    "frames": done[path]["frames"],
                    "size_bytes": done[path]["size_bytes"],
                }
            )
    if not written.outputs:
        raise NothingToDoError(nothing_usable(survey))
    return written


def even_windows(frames: int, window_frames: int) -> int:
    """Length of windows that are equal, and of an even number when there are several: no slot is left with a short rest.

    From the length of the source alone, so that the result does not depend on the cluster.
    """
    count = -(-frames // window_frames)
    if count > 1:
        count += count % 2
    return -(-frames // count)


def ranges(clip: Clip, how: Transcoding) -> Iterator[tuple[int, int]]:
    frames = clip.source.frames
    for window in split_windows(frames, even_windows(frames, how.window_frames)):
        yield window.start_frame, window.stop_frame


def window_requests(clip: Clip, how: Transcoding, by: Choice) -> Iterator[Request]:
    source = clip.source
    paths = {"source": to_json(source), "index": str(clip.index), "grade": how.grade}
    grade = identity_of(how.grade)
    for start, stop in ranges(clip, how):
        yield Request(
            by.placement.operation,
            {
                "identity": source.identity,
                "stream_index": source.stream_index,
                "start_frame": start,
                "stop_frame": stop,
                "codec": how.codec,
                "quality": how.quality,
                "crf": how.crf,
                "size": None if how.size is None else list(how.size),
                "threads": how.encoder_threads,
                **encoder_parameter(by.encoder),
                "grade": grade,
            },
            paths,
            clip.name,
        )
