"""What stands in the run folder at the end: timelines for editors, pictures, and the summary."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from montage_dask.analysis.strip import strip_folder, thumbnails_of
from montage_dask.errors import MontageError
from montage_dask.evaluation.figures import figures_of, told
from montage_dask.evaluation.score import parts_of, score_of
from montage_dask.graph.converting import Written
from montage_dask.graph.drive import Driver
from montage_dask.graph.montage import Made, unshown_of
from montage_dask.graph.music_file import MUSIC, with_music
from montage_dask.graph.operation import Request
from montage_dask.graph.staging import at_hand
from montage_dask.graph.survey import Settings, Survey
from montage_dask.graph.targets import Targets, place_on
from montage_dask.job import JobSpec
from montage_dask.records import to_json
from montage_dask.report.exports import write_exports
from montage_dask.report.html import write_report
from montage_dask.report.left_out import left_out, not_shown
from montage_dask.report.rerun import described
from montage_dask.report.seen import seen_of, write_frames
from montage_dask.report.summary import heard, run_summary
from montage_dask.store import Place, Url, objects, write_json
from montage_dask.store.locks import FOLDER_LOCK

log = logging.getLogger(__name__)


def finish(job: JobSpec, driver: Driver, survey: Survey, made: list[Made]) -> dict[str, Any]:
    """Write exports, pictures, summary and report of every variant.

    Returns:
        The object that `run --json` prints: the first variant, with all of them under "variants" when there are several.
    """
    results = [_one(job, driver, survey, m) for m in made]
    result = results[0]
    if len(results) > 1:
        result = {**result, "variants": results}
    return result


def _one(job: JobSpec, driver: Driver, survey: Survey, made: Made) -> dict[str, Any]:
    folder, timeline, sources = made.run_dir, made.timeline, survey.sources
    folder.mkdir(parents=True, exist_ok=True)
    assert survey.music is not None
    exported, music = with_music(timeline, survey.music, folder / MUSIC)
    write_exports(exported, sources, music, folder)
    pictures, waveform, seen = _pictures(job, driver, survey, made)
    summary = run_summary(
        timeline,
        sources,
        survey.music,
        skipped=survey.skipped,
        ran=driver.told(),
        output=made.output,
        run_dir=made.published or folder,
    )
    summary["notes"] = [*timeline.notes, *survey.music.warnings]
    summary["effects"] = [dict(e) for e in made.effects]
    summary["guard"] = dict(made.guard)
    summary["pictures"] = pictures
    summary["seen"] = seen
    summary["director"] = survey.direction and survey.direction.summary()
    summary["placement"] = [
        {"operation": p.operation, "target": p.target, "reason": p.reason} for p in made.placements
    ]
    summary["judge"] = _judged(job, survey, made)
    summary["left_out"] = left_out(survey.shots, sources, job["allow"])
    summary["not_shown"] = not_shown(unshown_of(job, survey, timeline), sources)
    summary["heard"] = heard(timeline, survey.music, waveform)
    summary.update(described(job))
    write_json(folder / "summary.json", summary)
    try:
        write_report(summary, folder)
    except Exception as error:  # whatever is wrong with its page, the montage is finished
        log.warning("no report", exc_info=True)
        driver.progress.note(f"no report: {error}")
    return summary


def _judged(job: JobSpec, survey: Survey, made: Made) -> dict[str, Any]:
    """Score, parts and figures of a montage; see docs/judge.md."""
    assert survey.music is not None
    figures = figures_of(
        made.timeline,
        survey.shots,
        survey.sources,
        survey.music,
        # What the guards refuse is never finished.
        mismatched=0 if made.guard.get("events", 0) >= len(made.timeline.events) else None,
        fit=job["fit"],
    )
    if made.sound:
        figures = replace(
            figures,
            loudness_lufs=round(made.sound["loudness_lufs"], 2),
            true_peak_db=round(made.sound["true_peak_db"], 2),
        )
    return {"score": score_of(figures), "parts": parts_of(figures), "figures": told(figures)}


def _pictures(
    job: JobSpec, driver: Driver, survey: Survey, made: Made
) -> tuple[dict[str, str], list[float], list[dict[str, Any]]]:
    """Pictures, drawn by a worker, the waveform, and what is seen. A montage without them is still a montage."""
    folder = made.published or made.run_dir
    outputs = {
        "contact_sheet": str(folder / "contact_sheet.jpg"),
        "timeline": str(folder / "timeline.png"),
    }
    request = Request(
        "pictures",
        {
            **objects.state_of(made.output),
            "timeline": to_json(made.timeline),
            "outputs": outputs,
        },
        {
            "output": str(made.output),
            "sources": {k: Path(s.path).name for k, s in survey.sources.items()},
            "music": to_json(survey.music),
            "outputs": outputs,
        },
        made.output.name,
    )
    driver.progress.stage("pictures", 1, "set")
    try:
        drawn = driver.only(request, place_on(driver, "pictures", Targets.of(job.settings)))
    except MontageError as error:
        log.warning("no pictures", exc_info=True)
        driver.progress.note(f"no pictures: {error}")
        return {}, [], []
    if made.published is not None:  # the page takes them from the run folder
        for place in (Url(o) for o in outputs.values()):
            objects.fetch(place, made.run_dir / place.name)
    seen = seen_of(made.timeline, drawn["cells"], survey.shots, survey.sources, job["fit"])
    settings = Settings.of(job.settings)
    sources = survey.sources

    def thumbnails(identity: str, frames: Sequence[int]) -> Sequence[Any]:
        source, length = sources[identity], settings.window_frames
        return thumbnails_of(strip_folder(driver.store, source, length, settings.faces), frames)

    frames = made.run_dir / "frames.jpg"
    if write_frames(made.timeline, seen, sources, thumbnails, frames):
        outputs["frames"] = str(folder / frames.name)
    return outputs, drawn["waveform"], seen


def publish(run_dir: Path, url: Url) -> None:
    """Copy a run folder to a URL.

    Raises:
        StoreError: it cannot be written.
    """
    for path in sorted(p for p in run_dir.rglob("*") if p.is_file() and p.name != FOLDER_LOCK):
        objects.upload(path, Url(f"{url}/{path.relative_to(run_dir).as_posix()}"))


def sheet_of_files(written: Written, path: Place) -> Place:
    """A contact sheet of the stills of a batch job."""
    import numpy as np
    from PIL import Image

    from montage_dask.report.pictures import contact_sheet

    images = []
    for output in written.outputs:
        for still in output["stills"]:
            with at_hand(still) as (file,), Image.open(file) as image:
                image.thumbnail((320, 320))
                caption = f"{Path(output['path']).name}  {Path(still).stem}"
                images.append((np.asarray(image.convert("RGB")), caption))
    contact_sheet(images, path)
    return path
