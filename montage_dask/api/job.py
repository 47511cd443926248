"""`Job`: footage and music to one montage, or several variants of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from montage_dask.api import analysis, montages
from montage_dask.api.footage import Footage
from montage_dask.api.material import Material
from montage_dask.api.montages import Finished
from montage_dask.api.music import Music
from montage_dask.api.result import Montage, Plan
from montage_dask.api.running import Run, Runs, finished
from montage_dask.api.style import Style
from montage_dask.api.timeline import MAKERS, Timeline
from montage_dask.api.working import separate
from montage_dask.edit.styles import load_style
from montage_dask.errors import UsageError, printable
from montage_dask.graph.music_file import MUSIC
from montage_dask.graph.survey import Survey
from montage_dask.graph.telling import Progress
from montage_dask.job import JobSpec
from montage_dask.records import Timeline as TimelineRecord
from montage_dask.store import Place

NOT_FOR_RENDERING = (
    "footage", "music", "output", "run-dir", "from-timeline", "include", "exclude", "pin", "first", "last", "focus", "seed",
    "variants", "duration", "exact", "start", "music-fit", "style", "director", "director-url", "director-model", "director-api",
    "match", "transition", "beat-effects", "grade", "cluster",
)  # fmt: skip
"""Options of a job that have had their effect when there is a timeline."""


class Job:
    """A montage to make: footage, music, and how.

        job = Job("clips/", "track.mp3", style="travel", duration=30)
        job.plan()  # what it would do, where, and how long it takes
        timeline = job.edit()  # the cuts, to look at and to change
        montage = job.run()  # all of it
        run = job.start()  # all of it, in the background

    All verbs have a twin for async code that ends in `_async`, and run on the open `Cluster` or on `cluster=`.

    Args:
        footage: `Footage`, or files, folders and globs; or one job file (.yaml).
        music: `Music`, an audio file, or a video whose sound it is; not needed with a job file that names it.
        output: .mp4, .mov or .mkv.
        style: a name, a .yaml file, or a `Style`.
        cluster: an address, a `Cluster`, a Dask client or cluster; None: the `Cluster` that is open, or workers of this machine.
        **options: all settings (`duration`, `start`, `size`, `fps`, `fit`, `quality`, `codec`, `seed`, `variants`, `grade`,
            `match`, `transition`, `stabilise`, `upscale`, `director`, `keep_audio`, `run_dir`, `store`, …) and the selections
            `include`, `exclude`, `pin`, `first`, `last`; `python -m montage_dask config show` lists the settings.

    Raises:
        UsageError: an option is wrong. Nothing is started for that.
    """

    def __init__(
        self,
        footage: Footage | str | Path | Sequence[str | Path] = (),
        music: Music | str | Path | None = None,
        *,
        output: str | Path | None = None,
        style: Style | str | Path | None = None,
        cluster: Any = None,
        **options: Any,
    ) -> None:
        self._made_of: dict[str, Any] = {
            "footage": footage, "music": music, "output": output, "style": style, "cluster": cluster, **options,
        }  # fmt: skip
        given, self._cluster = separate({**options, "output": output, "cluster": cluster})
        self._own_cluster = cluster is not None
        if isinstance(footage, Footage):
            patterns = list(footage.patterns)
            if footage.material is not None:
                # What it knows stands there already.
                given.setdefault("store", str(footage.material.store))
        else:
            patterns = [str(f) for f in ([footage] if isinstance(footage, str | Path) else footage)]
        if music is not None:
            given["music"] = music.source if isinstance(music, Music) else str(music)
        self._style = style if isinstance(style, Style) and style.source is None else None
        if isinstance(style, Style):
            given["style"] = style.source or _own_style(style.name, given, patterns)
        elif style is not None:
            given["style"] = str(style)
        self._given = given
        self.spec: JobSpec = montages.specify(patterns, given)
        """What is to be done, checked, with every setting and where its value came from."""

    def but(self, **changes: Any) -> Job:
        """This job with other options; None takes one back."""
        return Job(**{**self._made_of, **changes})

    @property
    def output(self) -> Place:
        """Where the montage will stand."""
        return self.spec.output

    @property
    def run_dir(self) -> Path:
        """Where its timeline, pictures, report and log will."""
        return self.spec.run_dir

    def _on(self) -> tuple[JobSpec, Any]:
        """The job and what it runs on, as of now."""
        if self._style is not None:
            # The file says later what the style was, and makes the same again.
            self._style.save(Path(self.spec["style"]))
        if self._own_cluster:
            return self.spec, self._cluster
        return self.spec, separate({})[1]

    def plan(self, *, progress: Progress | None = None) -> Plan:
        """What `run` would do: clips, windows, each operation with its target and the reason, time and disk. Nothing is
        analysed or rendered.

        Raises:
            NothingToDoError: there is no usable footage or music.
        """
        spec, cluster = self._on()
        return Plan(montages.look_ahead(spec, progress, cluster))

    async def plan_async(self, *, progress: Progress | None = None) -> Plan:
        """As `plan`, without holding up the event loop."""
        return await finished(self._run(lambda told: self.plan(progress=told), progress))

    def edit(self, *, progress: Progress | None = None) -> Timeline:
        """The cuts: analyses what is not analysed yet, and renders nothing.

        Raises:
            NothingToDoError: there is nothing to edit.
            UsageError: a selection names no clip.
        """
        return self._edits(self.spec, progress)[0]

    async def edit_async(self, *, progress: Progress | None = None) -> Timeline:
        """As `edit`, without holding up the event loop."""
        return await finished(self._run(lambda told: self.edit(progress=told), progress))

    def edits(self, variants: int, *, progress: Progress | None = None) -> tuple[Timeline, ...]:
        """Several timelines, about as good, by successive seeds.

        Args:
            variants: how many, up to 20.
            progress: told how far it is.
        """
        return self._edits(self.but(variants=variants).spec, progress)

    async def edits_async(
        self, variants: int, *, progress: Progress | None = None
    ) -> tuple[Timeline, ...]:
        """As `edits`, without holding up the event loop."""
        return await finished(self._run(lambda told: self.edits(variants, progress=told), progress))

    def _edits(self, spec: JobSpec, progress: Progress | None) -> tuple[Timeline, ...]:
        _, cluster = self._on()
        survey, timelines = montages.compose(spec, progress, cluster)
        return tuple(_timeline(t, survey, spec, self._given) for t in timelines)

    def run(self, *, progress: Progress | None = None) -> Montage:
        """Make the montage. What was done before, or was interrupted, is not done again.

        Args:
            progress: told how far it is; None: a bar in notebooks and interactive sessions.

        Returns:
            What was made; with several variants the first one, which knows the others.

        Raises:
            MontageError: nothing could be made; nothing new stands at the output path then.
        """
        spec, cluster = self._on()
        return _montage(montages.perform(spec, progress, cluster), spec, self._given)

    async def run_async(self, *, progress: Progress | None = None) -> Montage:
        """As `run`, without holding up the event loop. When the waiting is cancelled, so is the job."""
        return await finished(self.start(progress=progress))

    def start(self, *, progress: Progress | None = None) -> Run[Montage]:
        """As `run`, in the background: several may go on at once on one cluster."""
        return self._run(lambda told: self.run(progress=told), progress)

    def _run(self, work: Callable[[Progress], Any], progress: Progress | None) -> Run[Any]:
        return Run(work, self.output.name, progress)

    def __repr__(self) -> str:
        spec = self.spec
        what = spec.from_timeline or ", ".join(Path(f).name for f in spec.footage[:3])
        music = Path(spec.music).name if spec.music else "the timeline's music"
        return printable(f"<Job {spec.output.name}: {what} to {music}, style {spec['style']}>")


def start_all(
    jobs: Sequence[Job], *, at_once: int = 2, progress: Progress | None = None
) -> Runs[Montage]:
    """Run many jobs in the background, a few at a time, on the cluster that is open.

    Args:
        jobs: with different outputs.
        at_once: so many share the workers; more keep them busier at the ends of stages, and each needs memory here.
        progress: told of all of them.

    Raises:
        UsageError: two jobs have one output.
    """
    outputs = [j.output for j in jobs]
    twice = next((o for n, o in enumerate(outputs) if o in outputs[:n]), None)
    if twice is not None:
        raise UsageError(f"two jobs make {printable(str(twice))}: give each an output of its own")

    def work(job: Job) -> Callable[[Progress], Montage]:
        return lambda told: job.run(progress=told)

    runs = [Run(work(j), j.output.name, progress, start=False) for j in jobs]
    return Runs(runs, at_once)


def load_timeline(
    path: Path,
    footage: Footage | str | Path | Sequence[str | Path],
    progress: Progress | None,
    cluster: Any,
    options: Mapping[str, Any],
) -> Timeline:
    """See `Timeline.load`."""
    from montage_dask.report.otio import media_of

    job = Job(from_timeline=path, cluster=cluster, **options)
    more = footage.patterns if isinstance(footage, Footage) else footage
    patterns = [str(f) for f in ([more] if isinstance(more, str | Path) else more)]
    settings = {k.replace("-", "_"): v for k, v in job._given.items() if k in job.spec.settings}
    settings.setdefault("store", str(job.spec.store))
    known = analysis.survey_files(
        [*media_of(path), *patterns], progress=progress, cluster=cluster, **settings
    )
    timeline = job.edit(progress=progress)
    window_frames = job.spec["window-frames"]
    return Timeline(
        timeline.record,
        Material.of(known.survey, known.store, window_frames, job.spec["faces"]),
        timeline.music.record,
        job._given,
    )


def rendering(
    timeline: Timeline,
    output: str | Path,
    cluster: Any,
    made_by: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Callable[[Progress | None], Montage]:
    """What renders a timeline: see `Timeline.render`."""
    inherited = {k: v for k, v in made_by.items() if k not in NOT_FOR_RENDERING}
    given = inherited | {k.replace("_", "-"): v for k, v in options.items() if v is not None}
    names = {k.replace("-", "_"): v for k, v in given.items()}
    named = Path(output).with_suffix(".otio")
    job = Job(output=output, from_timeline=named, cluster=cluster, **names)
    path = job.run_dir / "timeline.otio"
    saved = timeline._fitted(given.get("fit"))

    def work(progress: Progress | None) -> Montage:
        path.parent.mkdir(parents=True, exist_ok=True)
        saved._written(path, path.with_name(MUSIC))
        return job.but(from_timeline=path).run(progress=progress)

    return work


MAKERS.update(load=load_timeline, render=rendering)


def _own_style(name: str, given: Mapping[str, Any], footage: Sequence[str]) -> str:
    """Where a style that stands in no file is kept: in the run folder of its job."""
    return str(montages.specify(footage, given).run_dir / f"{name}.yaml")


def _timeline(
    record: TimelineRecord, survey: Survey, spec: JobSpec, given: Mapping[str, Any]
) -> Timeline:
    assert survey.music is not None
    material = Material.of(survey, spec.store, spec["window-frames"], spec["faces"])
    # What a director or another program made of it is known by its name only.
    own = spec.from_timeline is None and survey.direction is None
    style = load_style(spec["style"]) if own else None
    return Timeline(record, material, survey.music, {**given, "store": str(spec.store)}, style)


def _montage(made: Finished, spec: JobSpec, given: Mapping[str, Any]) -> Montage:
    summaries = made.summary.get("variants", [made.summary])
    found = [
        Montage(summary, _timeline(one.timeline, made.survey, spec, given))
        for summary, one in zip(summaries, made.made, strict=True)
    ]
    found[0].summary = dict(made.summary)
    for montage in found:
        montage.variants = (montage, *(m for m in found if m is not montage))
    return found[0]


def run(
    footage: str | Path | Sequence[str | Path] = (),
    *,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Make a montage: `Job(footage, …).run()`, as plain data.

    Args:
        footage: files, folders, globs, or one job file.
        progress: told how far the job is.
        **options: music, output, style, duration, start, size, fps, fit, quality, codec, seed, variants, include, exclude, pin,
            grade, transition, keep_audio, from_timeline, run_dir, cluster, n_workers, … (see `config show`).

    Returns:
        The object that `run --json` prints.

    Raises:
        UsageError: an option is wrong.
        MontageError: nothing could be made; nothing new stands at the output path then.
    """
    return Job(footage, **options).run(progress=progress).summary


def plan(
    footage: str | Path | Sequence[str | Path] = (),
    *,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What `run` with the same arguments would do; renders nothing and analyses nothing.

    Returns:
        Clips, windows, operations with target and reason, estimated time and disk, and what the cluster has.

    Raises:
        UsageError, NothingToDoError: as `run`.
    """
    return dict(Job(footage, **options).plan(progress=progress))
