"""What a montage is worth: `judge`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from montage_dask.errors import MediaError, NothingToDoError, UsageError, printable
from montage_dask.evaluation.bare import figures_of_file
from montage_dask.evaluation.figures import Figures, figures_from, told
from montage_dask.evaluation.score import parts_of, score_of
from montage_dask.graph.telling import Progress
from montage_dask.received import parse_json, read_bytes
from montage_dask.schema_versions import read_version


def judge(what: str | Path, *, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
    """Figures and one score of a montage; see docs/judge.md.

    Args:
        what: a run folder, its summary.json or its output; or any video, of which less can be told.
        progress: told how far the analysis of a video is.
        **options: settings of that analysis.

    Returns:
        {"montage", "known" ("run" or "file"), "score", "parts", "figures"}.

    Raises:
        UsageError: there is no such run or file, or the run is of an older version.
        NothingToDoError: the file cannot be analysed.
    """
    place = Path(what).absolute()
    summary = _summary_of(place)
    if summary is None:
        if not place.is_file():
            raise UsageError(f"{printable(str(what))}: there is no such run or video")
        return _result(str(place), "file", _of_file(place, progress, options))
    figures = figures_from(summary["judge"]["figures"])
    output = Path(summary["output"])
    return _result(str(output), "run", _measured(figures, output) if output.is_file() else figures)


def _summary_of(place: Path) -> Mapping[str, Any] | None:
    """The summary of a run; None where the place is a video without one."""
    from montage_dask.report.html import SUMMARY_BYTES, run_folders

    try:
        folder = run_folders(place)[0]
        summary = parse_json(read_bytes(folder / "summary.json", SUMMARY_BYTES).decode("utf-8"))
    except (UsageError, OSError):
        if place.is_file() and place.suffix != ".json":
            return None
        raise UsageError(f"{printable(str(place))}: no run has finished there") from None
    except ValueError as error:
        raise UsageError(f"{printable(str(folder))}: its summary is damaged: {error}") from error
    if isinstance(summary, dict):
        read_version("summary", summary, str(folder / "summary.json"))
    if not isinstance(summary, dict) or "judge" not in summary:
        raise UsageError(
            f"{printable(str(folder))}: its run was not judged: run it again, or name the video alone"
        )
    return summary


def _of_file(path: Path, progress: Progress | None, options: Mapping[str, Any]) -> Figures:
    from montage_dask.api.analysis import survey_files

    given = {"output": path.parent, "progress": progress, **options}
    survey = survey_files([path], **given).survey
    (source,) = survey.sources.values()
    try:
        (music,) = survey_files([], music=[path], **given).heard
    except NothingToDoError:
        return figures_of_file(source, survey.shots, None)
    return _measured(figures_of_file(source, survey.shots, music), path)


def _measured(figures: Figures, path: Path) -> Figures:
    from montage_dask.media.loudness import measure_loudness

    try:
        sound = measure_loudness(path)
    except MediaError:
        return figures
    return replace(
        figures,
        loudness_lufs=round(sound.integrated_lufs, 2),
        true_peak_db=round(sound.true_peak_db, 2),
    )


def _result(montage: str, known: str, figures: Figures) -> dict[str, Any]:
    return {
        "montage": montage,
        "known": known,
        "score": score_of(figures),
        "parts": parts_of(figures),
        "figures": told(figures),
    }
