"""Training as a graph: data synthesised side by side, legs of training one after the other, evaluation, and the files of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from montage_dask.errors import MontageError, NothingToDoError, StoreError
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.costs import Work
from montage_dask.graph.drive import Driver
from montage_dask.graph.operation import Request
from montage_dask.graph.survey import Settings, Survey, probe_all
from montage_dask.graph.targets import Targets, place_on
from montage_dask.media.discover import AUDIO, IMAGE, Candidate, Skipped, discover
from montage_dask.media.limits import too_large
from montage_dask.media.probe import fingerprint
from montage_dask.store import key_of, write_json, writing
from montage_dask_training import report_page
from montage_dask_training.loss_plot import draw_losses
from montage_dask_training.recipe import SPLITS, Input, Part
from montage_dask_training.recipes import recipe_named

LEG_CPU_SECONDS = 90.0
"""About; for choosing where it runs."""

CLEAN_THRESHOLD = 0.1
"""Score of the teacher above which there may be a transition: what is cut into pieces of footage must hold none."""


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be trained, and how."""

    recipe: str
    data: tuple[str, ...] = ()
    """Files, folders and globs of the user."""
    size: str = "default"
    seed: int = 0
    start: Path | None = None
    """Weights to begin with."""
    target: str = "auto"
    """Where the legs run."""


def train(driver: Driver, settings: Settings, how: Training, folder: Path) -> dict[str, Any]:
    """Train a network and write `weights.npz`, `card.md`, `training.json`, `loss.png` and `report.html`.

    Args:
        driver: runs the requests.
        settings: of the analysis of footage, and placement.
        how: what to train.
        folder: for the files.

    Returns:
        The object of `training.json`.

    Raises:
        NothingToDoError: data was named, but none of it can be used.
        MontageError: a part, a leg or the evaluation failed.
    """
    made = recipe_named(how.recipe)
    targets = _towards(settings.targets, how.target)
    # Before anything is looked at: whether there are workers that can do it.
    place_on(driver, "synthesise", targets)
    skipped: list[Skipped] = []
    inputs = gather(driver, settings, how.data, made.reads, skipped) if how.data else ()
    parts = made.parts(how.seed, how.size, inputs)
    synthesised = _synthesise(driver, targets, how, parts, inputs)
    state, records = _legs(driver, targets, how, synthesised["training"])
    requests = {s: synthesised[s] for s in ("validation", "test")}
    evaluate = Request(
        "evaluate",
        {
            **_identity(how),
            "state": state.key,
            **{s: [r.key for r in requests[s]] for s in requests},
        },
        {
            "state": str(_file(driver, state)),
            **{s: [str(_file(driver, r)) for r in requests[s]] for s in requests},
        },
        how.recipe,
    )
    driver.progress.stage("evaluate", 1)
    figures = _one(driver, targets, evaluate, Work())
    told = {
        "recipe": how.recipe,
        "recipe_version": made.version,
        "seed": how.seed,
        "size": how.size,
        "start_weights": None if how.start is None else how.start.name,
        "data": [{"name": i.name, "identity": i.identity, "kind": i.kind} for i in inputs],
        "skipped": [{"path": s.path, "reason": s.reason} for s in skipped],
        "parts": {s: len(synthesised[s]) for s in SPLITS},
        "steps": sum(r["steps"] for r in records),
        "legs": [{k: r[k] for k in ("target", "cpu_seconds")} for r in records],
        "losses": [loss for r in records for loss in r["losses"]],
        **{k: figures[k] for k in ("chosen", "figures", "size_bytes")},
    }
    _write(folder, told, _file(driver, evaluate), made.card(told))
    return told


def gather(
    driver: Driver,
    settings: Settings,
    patterns: Sequence[str],
    kinds: Sequence[str],
    skipped: list[Skipped],
) -> tuple[Input, ...]:
    """The user's data, sorted by content: videos as strips with their uncut ranges, pictures and sounds as files.

    Args:
        driver: runs the requests.
        settings: of the analysis.
        patterns: files, folders and globs.
        kinds: what the recipe reads.
        skipped: gets what cannot be used, and why.

    Raises:
        NothingToDoError: nothing is left.
    """
    candidates, left_out = discover(patterns)
    skipped += left_out
    videos, found = [], []
    for candidate in candidates:
        suffix = candidate.path.suffix.lstrip(".").lower()
        kind = "picture" if suffix in IMAGE else "sound" if suffix in AUDIO else "video"
        if kind not in kinds:
            skipped.append(Skipped(str(candidate.path), f"a {kind} is no data for this network"))
        elif kind == "video":
            videos.append(candidate)
        elif not isinstance(candidate.path, Path):
            skipped.append(Skipped(str(candidate.path), "is not a file of this machine"))
        elif kind == "picture" and not _readable(candidate.path):
            skipped.append(Skipped(str(candidate.path), "is no picture that can be read"))
        else:
            path = candidate.path
            found.append(Input(_content(path), path.name, kind, str(path)))
    if videos:
        found += _strips(driver, settings, videos, skipped)
    if not found:
        reasons = "; ".join(f"{s.path}: {s.reason}" for s in skipped[:3])
        raise NothingToDoError(f"no data that can be used: {reasons}")
    return tuple(sorted({i.identity: i for i in found}.values(), key=lambda i: i.identity))


def _readable(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return min(opened.size) >= 120 and not too_large(*opened.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def _content(path: Path) -> str:
    """Identity of a file, together with the truth beside it (`song.beats` of `song.flac`)."""
    truth = path.with_suffix(".beats")
    beside = fingerprint(truth) if truth.is_file() else None
    return key_of("input", 1, {"file": fingerprint(path), "truth": beside})


def _strips(
    driver: Driver, settings: Settings, videos: Sequence[Candidate], skipped: list[Skipped]
) -> list[Input]:
    """Footage as strips; TransNetV2 says where its own transitions are, so that no piece holds an unknown one."""
    from montage_dask.analysis.strip import strip_folder

    survey = Survey()
    probe_all(driver, settings, videos, survey)
    careful = replace(settings, detector="accurate", threshold=CLEAN_THRESHOLD)
    Analysis(driver, careful, survey).run([])
    skipped += survey.skipped
    pieces: dict[str, list[tuple[int, int]]] = {}
    for shot in survey.shots:
        pieces.setdefault(shot.source, []).append((shot.start_frame, shot.stop_frame))
    return [
        Input(
            identity,
            clip.name,
            "video",
            str(strip_folder(driver.store, clip.source, settings.window_frames, settings.faces)),
            tuple(pieces[identity]),
        )
        for identity, clip in survey.clips.items()
    ]


def _identity(how: Training) -> dict[str, Any]:
    return {"recipe": how.recipe, "recipe_version": recipe_named(how.recipe).version}


def _towards(targets: Targets, target: str) -> Targets:
    """The targets of a job whose legs are to run on one."""
    if target == "auto":
        return targets
    return replace(targets, wanted={**targets.wanted, "train": target})


def _file(driver: Driver, request: Request) -> Path:
    suffix = ".pt" if request.operation == "train" else ".npz"
    place = driver.store.file(request.operation, request.key, suffix)
    assert isinstance(place, Path)  # `api.train` takes no store in a bucket
    return place


def _synthesise(
    driver: Driver,
    targets: Targets,
    how: Training,
    parts: Sequence[Part],
    inputs: Sequence[Input],
) -> dict[str, list[Request]]:
    """Make all parts that are not there yet; their requests by split, in order."""
    place = {i.identity: i.path for i in inputs}
    by_split: dict[str, list[Request]] = {split: [] for split in SPLITS}
    for number, part in enumerate(parts):
        parameters = {**_identity(how), "part": dict(part.parameters), "inputs": list(part.inputs)}
        paths = {"inputs": {i: place[i] for i in part.inputs}}
        request = Request("synthesise", parameters, paths, f"{part.split} {number + 1}")
        by_split[part.split].append(request)
    driver.progress.stage("synthesise", len(parts), "parts")
    placement = {"synthesise": place_on(driver, "synthesise", targets)}
    requests = [r for split in by_split.values() for r in split]
    for outcome in driver.run(requests, placement):
        _record(outcome.record, outcome.error)
    return by_split


def _legs(
    driver: Driver, targets: Targets, how: Training, parts: Sequence[Request]
) -> tuple[Request, list[dict[str, Any]]]:
    """All legs, each from the state of the one before it; the last one's request, and the records of all."""
    legs = recipe_named(how.recipe).legs[how.size]
    content = key_of("parts", 1, {"keys": [r.key for r in parts]})
    start = None if how.start is None else str(how.start.absolute())
    shared = {
        **_identity(how),
        "seed": how.seed,
        "size": how.size,
        "legs": legs,
        "parts": content,
        "start": None if how.start is None else fingerprint(how.start),
    }
    driver.progress.stage("train", legs, "legs")
    records: list[dict[str, Any]] = []
    before: Request | None = None
    for leg in range(legs):
        request = Request(
            "train",
            {**shared, "leg": leg, "state": None if before is None else before.key},
            {
                "parts": [str(_file(driver, r)) for r in parts],
                "state": None if before is None else str(_file(driver, before)),
                "start": start,
            },
            f"leg {leg + 1} of {legs}",
        )
        work = Work(
            LEG_CPU_SECONDS * (legs - leg), sum(_file(driver, r).stat().st_size for r in parts)
        )
        records.append(_one(driver, targets, request, work))
        before = request
    assert before is not None
    return before, records


def _one(driver: Driver, targets: Targets, request: Request, work: Work) -> dict[str, Any]:
    place = {request.operation: place_on(driver, request.operation, targets, work)}
    (outcome,) = driver.run([request], place)
    return _record(outcome.record, outcome.error)


def _record(record: dict[str, Any] | None, error: MontageError | None) -> dict[str, Any]:
    if record is None:
        raise error or StoreError("a result is missing: run again")
    return record


def _write(folder: Path, told: Mapping[str, Any], weights: Path, card: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder / "weights.npz") as part:
        shutil.copyfile(weights, part)
    with writing(folder / "loss.png") as part:
        draw_losses(told["losses"], part)
    with writing(folder / report_page.CARD) as part:
        part.write_text(card, encoding="utf-8")
    write_json(folder / report_page.SUMMARY, dict(told))
    report_page.write_report(told, folder)
