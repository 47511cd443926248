"""Which shots shake, and how each is steadied: motion in windows, then one path per shot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from montage_dask.errors import MontageError
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.outcome import Feed
from montage_dask.graph.survey import Clip, Settings
from montage_dask.graph.targets import place_on
from montage_dask.records import Shot, to_json
from montage_dask.store import Place, Store

MOTION_FRAMES = 250
"""Motion is measured in windows on this grid of source frames, cut at the edges of shots."""

MODES = ("auto", "on", "off")


def grid(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """[start, stop) cut at the multiples of `step`: the same pieces whatever part of a shot an edit uses."""
    while start < stop:
        end = min(stop, (start // step + 1) * step)
        yield start, end
        start = end


@dataclass(frozen=True, slots=True)
class ShotPath:
    """What is known of the camera of one shot."""

    shot: Shot
    key: str
    """Of the record; the path stands at `file`."""
    file: str
    shake_percent: float
    """RMS of the fast movement, % of the width."""
    steadied: bool
    """Whether the pictures are to be moved."""
    reason: str
    """Why, or why not, for people."""


def find_steady(
    driver: Driver, settings: Settings, clips: Mapping[str, Clip], parts: Sequence[Shot]
) -> dict[Shot, ShotPath]:
    """Those of the parts of shots that a look at the strip tells to be steady; the rest must be measured.

    Raises:
        MontageError: an operation failed.
    """
    from montage_dask.analysis import strip
    from montage_dask.analysis.tremor import STEADY_PERCENT

    requests = {}
    for part in parts:
        source = clips[part.source].source
        request = Request(
            "tremor",
            {
                **strip.strip_parameters(source, settings.window_frames, settings.faces),
                "start_frame": part.start_frame,
                "stop_frame": part.stop_frame,
                "strip_version": strip.VERSION,
            },
            {"source": to_json(source)},
            clips[part.source].name,
        )
        requests[request.key] = (request, part)
    driver.progress.stage("tremor", len(requests), "shots")
    places = {"tremor": place_on(driver, "tremor", settings.targets)}
    found = {}
    for outcome in driver.run([r for r, _ in requests.values()], places):
        if outcome.record is None:
            raise outcome.error or MontageError("no tremor")
        shake = outcome.record["shake_percent"]
        part = requests[outcome.request.key][1]
        if shake is not None and shake < STEADY_PERCENT:
            reason = f"is steady: shakes by less than {STEADY_PERCENT:g} % of the width"
            found[part] = ShotPath(part, "", "", shake, False, reason)
    return found


def motion_requests(clip: Clip, shot: Shot) -> list[Request]:
    """The requests that measure the motion of a shot."""
    source = clip.source
    paths = {"source": to_json(source), "index": str(clip.index)}
    return [
        Request(
            "motion",
            {
                "identity": source.identity,
                "stream_index": source.stream_index,
                "start_frame": start,
                "stop_frame": stop,
            },
            paths,
            clip.name,
        )
        for start, stop in grid(shot.start_frame, shot.stop_frame, MOTION_FRAMES)
    ]


def path_request(store: Store, clip: Clip, shot: Shot, motions: Sequence[Request]) -> Request:
    """The request that works out the path of a shot."""
    source = clip.source
    return Request(
        "path",
        {
            "identity": source.identity,
            "motions": [r.key for r in motions],
            "frame_rate": str(source.frame_rate),
            "aspect": source.coded_height / source.coded_width,
            "start_frame": shot.start_frame,
        },
        {
            "motions": [str(store.file("motion", r.key, ".npz")) for r in motions],
            "source": to_json(source),
        },
        clip.name,
    )


def find_paths(
    driver: Driver,
    settings: Settings,
    clips: Mapping[str, Clip],
    shots: Iterable[Shot],
    mode: str,
    failed: dict[str, MontageError] | None = None,
) -> dict[Shot, ShotPath]:
    """The paths of shots.

    Args:
        driver: runs the requests.
        settings: placement.
        clips: by identity.
        shots: which ones.
        mode: auto steadies what shakes, on whatever moves at all.
        failed: gets the error of each source that cannot be read; without it, the first error is raised at the end.

    Raises:
        MontageError: a source cannot be read, and there is no `failed`.
    """
    by_key: dict[str, tuple[Shot, list[Request], set[str]]] = {}
    owners: dict[str, list[str]] = {}
    windows: list[Request] = []
    for shot in shots:
        clip = clips[shot.source]
        motions = motion_requests(clip, shot)
        path = path_request(driver.store, clip, shot, motions)
        by_key[path.key] = (shot, motions, {r.key for r in motions})
        for request in motions:
            owners.setdefault(request.key, []).append(path.key)
        windows += motions
    unique = list({r.key: r for r in windows}.values())
    if not windows:
        return {}
    driver.progress.stage("motion", len(unique), "windows")
    driver.progress.stage("path", len(by_key), "shots")
    feed = Feed(unique)
    found: dict[Shot, ShotPath] = {}
    errors: dict[str, MontageError] = {}
    places = {n: place_on(driver, n, settings.targets) for n in ("motion", "path")}
    rates = {k: c.source.frame_rate for k, c in clips.items()}

    def seconds(request: Request) -> float:
        p = request.parameters
        if request.operation != "motion":
            return 0.0
        return float((p["stop_frame"] - p["start_frame"]) / rates[p["identity"]])

    for outcome in driver.run(feed, places, media_seconds=seconds):
        request = outcome.request
        if outcome.record is None:
            identity = request.parameters["identity"]
            errors.setdefault(identity, outcome.error or MontageError("no motion"))
        elif request.operation == "path":
            shot = by_key[request.key][0]
            file = driver.store.file("path", request.key, ".npz")
            found[shot] = _judged(shot, request.key, file, outcome.record, mode)
        else:
            for key in owners[request.key]:
                shot, motions, left = by_key[key]
                left.discard(request.key)
                if not left:
                    feed.push(path_request(driver.store, clips[shot.source], shot, motions))
    if failed is not None:
        failed |= errors
    elif errors:
        raise next(iter(errors.values()))
    return found


def _judged(shot: Shot, key: str, file: Place, record: Mapping[str, Any], mode: str) -> ShotPath:
    from montage_dask.analysis.steady import LEAST_KNOWN, SHAKES_PERCENT, STILL_PERCENT

    shake, known = record["shake_percent"], record["known_share"]
    steadied, told = False, f"shakes by {shake:.2f} % of the width"
    if known < LEAST_KNOWN:
        reason = f"nothing to hold on to: the motion of only {known:.0%} of its frames is known"
    elif shake < STILL_PERCENT:
        reason = f"is steady: {told}"
    elif mode == "auto" and shake < SHAKES_PERCENT:
        reason = f"is steady enough: {told}, less than {SHAKES_PERCENT:g} %"
    else:
        steadied, reason = True, f"{told}; zoomed by {100 * (record['zoom'] - 1):.1f} %"
    return ShotPath(shot, key, str(file), shake, steadied, reason)


def stabilise_request(
    clip: Clip,
    start_frame: int,
    stop_frame: int,
    paths: Sequence[ShotPath],
    encoding: Mapping[str, Any] | None = None,
) -> Request:
    """The request that steadies a range of a source.

    Args:
        clip: the source.
        start_frame: first frame.
        stop_frame: end.
        paths: of the shots that are steadied; frames of others stay as they are.
        encoding: codec, quality, crf, threads of the result (upright, and at an exact rate if the source has one);
            None makes a mezzanine.
    """
    from montage_dask.render import pictures

    touched = [
        p for p in paths if p.shot.start_frame < stop_frame and p.shot.stop_frame > start_frame
    ]
    source = clip.source
    return Request(
        "stabilise",
        {
            "identity": source.identity,
            "stream_index": source.stream_index,
            "start_frame": start_frame,
            "stop_frame": stop_frame,
            "paths": [[p.shot.start_frame, p.shot.stop_frame, p.key] for p in touched],
            "encoding": None if encoding is None else dict(encoding),
            "mezzanine_version": pictures.VERSION,
        },
        {
            "source": to_json(source),
            "index": str(clip.index),
            "paths": [p.file for p in touched],
        },
        clip.name,
    )
