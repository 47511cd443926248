"""`analyse`, as a function and as what the objects of the API are made of: many files, their shots and beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from montage_dask.api.batch import batched
from montage_dask.errors import MontageError, NothingToDoError
from montage_dask.graph import montage
from montage_dask.graph.analysing import Analysis
from montage_dask.graph.survey import Settings, Survey, find_footage, probe_all
from montage_dask.graph.telling import Progress
from montage_dask.records import Music
from montage_dask.report.summary import analysis_summary
from montage_dask.store import Place, Url, place_of


@dataclass(frozen=True, slots=True)
class Analysed:
    """What an analysis found."""

    survey: Survey
    heard: tuple[Music, ...]
    settings: Settings
    store: Place
    """Folder of the artefacts."""
    ran: Mapping[str, Any]
    """What ran where (see `Driver.told`)."""


def survey_files(
    files: Sequence[str | Path],
    *,
    music: Sequence[str | Path] = (),
    output: str | Place | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Analysed:
    """As `analyse`, with the records themselves."""
    from montage_dask.analysis.similarity import group_duplicates

    folder = Path.cwd() if output is None else place_of(output)
    names = ", ".join(Path(f).name for f in [*files, *music][:3])
    title = f"analysing {names}"
    with batched("analyse", [*files, *music], options, folder, progress, title) as (
        driver,
        settings,
    ):
        survey = Survey()
        tracks = [str(place_of(m)) for m in music]
        candidates, skipped = (
            find_footage([str(f) for f in files], None, links=True) if files else ([], [])
        )
        survey.skipped.extend(skipped)
        candidates = [c for c in candidates if str(c.path) not in tracks]
        probe_all(driver, settings, candidates, survey)
        tracks += _audio_only(survey)
        survey.tell = driver.progress.left_out
        for one in survey.skipped:
            survey.tell(one.path, one.reason)
        analysis = Analysis(driver, settings, survey)
        analysis.run(tracks)
        heard = {}
        for path, result in analysis.heard.items():
            if isinstance(result, MontageError):
                survey.skip(path, getattr(result, "reason", str(result)))
            else:
                heard[path] = result
        survey.shots = group_duplicates(survey.shots, settings.embedding)
        if not survey.clips and not heard:
            raise NothingToDoError(montage.nothing_usable(survey))
        found = tuple(heard[t] for t in tracks if t in heard)
        return Analysed(survey, found, settings, driver.store.root, driver.told())


def analyse(
    files: Sequence[str | Path],
    *,
    music: Sequence[str | Path] = (),
    output: str | Place | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Shots and features of footage, beats of music.

    Args:
        files: files, folders, globs; audio files count as music, the rest as footage.
        music: these count as music whatever they are.
        output: folder for the artefacts (`.montage` in it), the current one by default.
        progress: told how far the job is.
        **options: settings.

    Returns:
        The object that `analyse --json` prints.

    Raises:
        NothingToDoError: nothing could be analysed.
    """
    found = survey_files(files, music=music, output=output, progress=progress, **options)
    survey = found.survey
    sources = [f.source for f in survey.usable()]
    return analysis_summary(sources, survey.shots, found.heard, survey.skipped, found.ran)


def _audio_only(survey: Survey) -> list[str]:
    """Files that the probe refused because they have sound but no picture: music."""
    from montage_dask.media.audio import has_audio
    from montage_dask.media.discover import AUDIO

    found = []
    for path in (s.path for s in survey.skipped):
        place = place_of(path)
        # Of an object only the name is at hand here.
        named_so = isinstance(place, Url) and place.suffix.lower().lstrip(".") in AUDIO
        if named_so or (isinstance(place, Path) and place.is_file() and has_audio(path)):
            found.append(path)
    survey.skipped = [s for s in survey.skipped if s.path not in found]
    return found
