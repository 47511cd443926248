"""A finished montage with all that it was chosen from, as the store knows it: nothing is analysed, and no cluster is needed."""

from __future__ import annotations

from dataclasses import replace

from montage_dask.edit.choose import filter_shots, parse_selector
from montage_dask.errors import UsageError, printable
from montage_dask.graph.analysing import recall
from montage_dask.graph.checking import check_received, timeline_media
from montage_dask.graph.music_fitting import of_timeline, track_of
from montage_dask.graph.operation import finished
from montage_dask.graph.survey import Clip, Settings, Survey, find_footage, probe_request
from montage_dask.job import JobSpec
from montage_dask.media.discover import Candidate
from montage_dask.records import Source, Timeline, from_json
from montage_dask.store import Store, objects, place_of


def recalled(job: JobSpec, store: Store) -> tuple[Survey, Timeline]:
    """The timeline of a job's file, and the footage and music that the store knows.

    Args:
        job: with `from_timeline`; its footage is what edits may choose from, beside what the timeline shows.
        store: of the artefacts.

    Raises:
        UsageError: the timeline names what it may not, or what is not known any more.
    """
    from montage_dask.analysis.similarity import group_duplicates
    from montage_dask.report.otio import read_otio

    assert job.from_timeline is not None
    settings, survey = Settings.of(job.settings), Survey()
    media = [Candidate(place_of(p), explicit=True) for p in timeline_media(job)]
    named = find_footage(job.footage, job.music, job.link_roots)[0] if job.footage else []
    for candidate in (*media, *named):
        clip = _probed(candidate, settings, store)
        if clip is not None:
            survey.clips.setdefault(clip.source.identity, clip)
    timeline = read_otio(
        job.from_timeline, survey.sources, fps=job.fps, width=job.width, height=job.height
    )
    track = track_of(timeline)
    for path in (track, timeline.music_path):
        check_received(job, path)
    try:
        recall(survey, settings, track, store, partly=True)
    except (OSError, objects.Vanished):
        survey.music = None
    if survey.music is None:
        raise UsageError(f"{printable(track)}: the music has changed since, or is gone")
    shown = {(e.source, e.shot) for e in timeline.events}
    if any(source not in survey.clips for source, _ in shown):
        raise UsageError("footage of this montage has changed since, or its analysis is gone")
    survey.music = of_timeline(survey.music, timeline)
    shots = group_duplicates(survey.shots, settings.embedding)
    include, exclude = ([parse_selector(s) for s in sel] for sel in (job.include, job.exclude))
    kept = set(filter_shots(shots, survey.sources, include, exclude))
    survey.shots = tuple(s for s in shots if s in kept or (s.source, s.index) in shown)
    return survey, timeline


def _probed(candidate: Candidate, settings: Settings, store: Store) -> Clip | None:
    """A clip as it was probed; None: it was not as it is now."""
    try:
        request = probe_request(candidate.path, candidate.state, settings.deinterlace)
    except (OSError, objects.Vanished):
        return None
    record = finished(request, store)
    if record is None:
        return None
    source = from_json(Source, record["source"])
    source = replace(source, mtime_ns=request.parameters.get("mtime_ns"))
    return Clip(source, store.file("probe", request.key, ".npz"), candidate.explicit)
