"""A montage job: what to use, what to make of it, and where to put it; checked once, before anything runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.config import DEFINITIONS, KINDS, Setting, Trust, resolve
from montage_dask.errors import UsageError, printable
from montage_dask.named_files import anchored, for_footage, for_music
from montage_dask.received import read_yaml
from montage_dask.schema_versions import KEY, read_version
from montage_dask.store import Place, Url, is_url, place_of
from montage_dask.store.cache import default_folder
from montage_dask.store.places import lies_in, local_only

SELECTORS = ("include", "exclude", "pin", "first", "last", "focus")
LISTS = ("footage", *SELECTORS)
PATHS = ("music", "output", "run-dir", "from-timeline")
OUTPUT_FORMATS = (".mp4", ".mov", ".mkv")
PATH_SETTINGS = tuple(d.name for d in DEFINITIONS.values() if d.file and d.trust is Trust.MONTAGE)
"""Settings of job files that may name a file."""
FILE_SUFFIXES = (".cube", ".yaml", ".yml", ".pth")
"""What tells a file from a name there."""


@dataclass(frozen=True)
class JobSpec:
    """One montage to make. Build it with `make_job`, which checks it."""

    footage: tuple[str, ...]
    """Files, folders and globs."""
    music: str | None
    """An audio file, or a video whose sound is the music; None only with from_timeline."""
    output: Place
    run_dir: Path
    """Timeline, summary, pictures and log of this job, on this machine."""
    published: Url | None
    """Where the run folder is copied to at the end; None: nowhere."""
    store: Place
    """Artefacts; shared by all jobs that name the same folder."""
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    pins: tuple[str, ...]
    first: tuple[str, ...]
    """The clip or moment that opens the montage: none or one."""
    last: tuple[str, ...]
    """The one that ends it."""
    from_timeline: Path | None
    focus: tuple[str, ...]
    """What must stay in view where pictures are cropped: "CLIP[@t]=x,y"."""
    settings: Mapping[str, Setting]
    link_roots: tuple[Place, ...] = ()
    """Where links inside footage folders may lead, beside those folders themselves."""
    timeline_roots: tuple[Place, ...] | None = None
    """Where all must lie that a received timeline names; None: anywhere, because the user named it."""

    def __getitem__(self, name: str) -> Any:
        """The value of a setting."""
        return self.settings[name].value

    @property
    def inputs(self) -> list[Place] | None:
        """What the workers read; None when that stands in a timeline."""
        if self.from_timeline is not None:
            return None
        named = [place_of(t) for t in (*self.footage, self.music) if t is not None]
        return [*named, *for_footage(self.settings), *for_music(self.settings)]

    @property
    def places(self) -> list[Place] | None:
        """What they read and write, without the artefacts."""
        inputs = self.inputs
        return None if inputs is None else [*inputs, self.output]

    @property
    def others(self) -> list[Place]:
        """What it names beside the footage, wherever that is read or written."""
        music = None if self.music is None else place_of(self.music)
        named = (music, self.output, self.run_dir, self.published, self.from_timeline)
        return [place for place in named if place is not None]

    @property
    def width(self) -> int:
        """Output width in pixels."""
        return int(self["size"].split("x")[0])

    @property
    def height(self) -> int:
        """Output height in pixels."""
        return int(self["size"].split("x")[1])

    @property
    def fps(self) -> Fraction:
        """Output frame rate."""
        return self["fps"]


def may_be_in_job_files(name: str) -> bool:
    """Whether a setting says what a montage is, so that a received job file may hold it."""
    return KINDS[name].in_job_files


def make_job(options: Mapping[str, Any], *, base: Path | None = None) -> JobSpec:
    """A checked job from options by their long names ("footage", "music", "output", "style", …).

    Args:
        options: only the ones given; None counts as not given.
        base: the folder that relative paths start from; the current one by default.

    Raises:
        UsageError: an option is unknown, wrong or missing.
    """
    return _build(_given(options), {}, base or Path.cwd())


def read_job(path: Path, options: Mapping[str, Any]) -> JobSpec:
    """The job of a YAML file, with options from the command line on top.

    A job file is a thing that one receives. So it may say what the montage is, and never where it runs, what that may take or
    whom it asks; its paths start at its folder and must stay below it, or below one of the folders of the setting `roots`. The
    option `trust-job` says that the file is the user's own: then it may hold whatever the command line may.

    Raises:
        UsageError: the file is not a job, holds what it may not, or names a path outside.
    """
    name = printable(str(path))
    try:
        data = read_yaml(path)
    except OSError as error:
        raise UsageError(f"{name}: cannot read the job file: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{name}: not a YAML file: {printable(str(error))[:200]}") from error
    if not isinstance(data, dict) or not all(isinstance(k, str) for k in data):
        raise UsageError(f"{name}: a job file is a mapping such as `footage: clips/`")
    read_version("job file", data, name)
    data.pop(KEY, None)
    base = path.resolve().parent
    trusted = bool(options.get("trust-job"))
    if not trusted:
        _refuse_foreign(data, name)
    allowed = (base, *(_real(place_of(r)) for r in resolve()["roots"].value))
    roots = None if trusted else allowed
    given: dict[str, Any] = {}
    for key, value in data.items():
        if key in LISTS or key in PATHS or key in PATH_SETTINGS:
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(v, str | int | float) for v in values):
                raise UsageError(f"{name}: {key} must be text or a list of texts")
            resolved = [_inside(key, str(v), base, roots, name) for v in values]
            given[key] = resolved if key in LISTS else resolved[0]
        else:
            given[key] = value
    command_line = _given(options)
    spec = _build(command_line, given, Path.cwd())
    if trusted:
        return spec
    foreign = "from-timeline" in given and "from-timeline" not in command_line
    return replace(spec, link_roots=allowed, timeline_roots=allowed if foreign else None)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was given on a command line; how a job file is read is no part of the job."""
    return {k: v for k, v in options.items() if v is not None and v != () and k != "trust-job"}


def _refuse_foreign(data: Mapping[str, Any], name: str) -> None:
    """Refuse the settings that only the user may set, all by name."""
    foreign = [k for k in data if k in KINDS and not may_be_in_job_files(k)]
    if foreign:
        raise UsageError(
            f"{name}: {', '.join(foreign)} cannot be set by a job file, which says what a montage is and not where it runs: "
            "leave it out, or say --trust-job if the file is yours"
        )


def _real(place: Place) -> Place:
    return place if isinstance(place, Url) else place.resolve()


def _inside(key: str, value: str, base: Path, roots: Sequence[Place] | None, job: str) -> str:
    """A path of a job file made absolute, or a name that is no path."""
    if key in SELECTORS:
        return value  # selectors only compare names
    if (
        key in PATH_SETTINGS
        and DEFINITIONS[key].file == "or a name"
        and not value.lower().endswith(FILE_SUFFIXES)
    ):
        return value
    place = place_of(os.path.normpath(base / value) if not is_url(value) else value)
    if roots is not None and not lies_in(place, roots):
        raise UsageError(
            f"{job}: {key}: {printable(value)} lies outside the job file's folder; "
            "allow its folder by DASK_MONTAGE__ROOTS='[\"/folder\"]'"
        )
    return str(place)


def _build(command_line: Mapping[str, Any], job_file: Mapping[str, Any], base: Path) -> JobSpec:
    own = {*LISTS, *PATHS}
    resolved = resolve(
        {k: v for k, v in command_line.items() if k not in own},
        {k: v for k, v in job_file.items() if k not in own},
    )
    settings = anchored(resolved, base)
    both = {**job_file, **command_line}

    def listed(name: str) -> tuple[str, ...]:
        value = both.get(name) or ()
        return (value,) if isinstance(value, str) else tuple(str(v) for v in value)

    def one(name: str) -> tuple[str, ...]:
        if len(listed(name)) > 1:
            raise UsageError(f"--{name}: only one clip can be {name}, got {len(listed(name))}")
        return listed(name)

    def place(name: str) -> Place | None:
        return None if both.get(name) is None else place_of(str(both[name]), base)

    timeline = place("from-timeline")
    if isinstance(timeline, Url):
        raise UsageError(f"--from-timeline {timeline}: must be a file of this machine")
    for name in ("style", "grade", "upscale-model", "embedding-model"):
        local_only(str(settings[name].value), f"--{name}")
    footage = tuple(_anchored(p, base) for p in listed("footage"))
    if not footage and timeline is None:
        raise UsageError(
            "no footage: name files, folders or globs, e.g. `run clips/ --music track.mp3`"
        )
    music = place("music")
    if music is None and timeline is None:
        raise UsageError(
            "no music: add --music FILE (an audio file, or a video whose sound to use)"
        )
    if settings["start"].value == "auto" and settings["music-fit"].value:
        raise UsageError(
            "--start auto takes a part of the track, and --music-fit keeps its intro and its ending: choose one"
        )
    output = place("output") or place_of("montage.mp4", base)
    if output.suffix.lower() not in OUTPUT_FORMATS:
        raise UsageError(
            f"--output {printable(output.name)}: the name must end in one of "
            + ", ".join(OUTPUT_FORMATS)
        )
    if isinstance(output, Path) and output.is_dir():
        raise UsageError(f"--output {printable(str(output))} is a folder; name a file in it")
    named = place("run-dir")
    run_dir = named or output.with_suffix(".montage")
    store = settings["store"].value
    beside = named / "store" if named else output.parent / ".montage"
    unnamed = {"--run-dir": None if named else run_dir, "--store": None if store else beside}
    for option, place_of_ours in unnamed.items():
        if isinstance(place_of_ours, Path) and place_of_ours.is_symlink():
            raise UsageError(
                f"{printable(str(place_of_ours))} is a link that nobody named: remove it, or name its target by {option}"
            )
    return JobSpec(
        footage=footage,
        music=None if music is None else str(music),
        output=output,
        run_dir=worked_on(run_dir) if isinstance(run_dir, Url) else run_dir,
        published=run_dir if isinstance(run_dir, Url) else None,
        store=place_of(store, base) if store else beside,
        include=listed("include"),
        exclude=listed("exclude"),
        pins=listed("pin"),
        first=one("first"),
        last=one("last"),
        from_timeline=timeline,
        focus=listed("focus"),
        settings=settings,
        link_roots=tuple(_real(place_of(r)) for r in settings["roots"].value),
    )


def _anchored(pattern: str, base: Path) -> str:
    if is_url(pattern):
        return str(place_of(pattern))
    return str(base / pattern)


def worked_on(run_dir: Url) -> Path:
    """The folder of this machine in which a run folder is written that is copied to a URL at the end."""
    own = hashlib.sha256(str(run_dir).encode()).hexdigest()[:16]
    folder = resolve()["cache-folder"].value
    return (Path(folder) if folder else default_folder()) / "runs" / own / run_dir.name


def seen_here(run_dir: Place) -> Path:
    """A run folder, or that of a variant, as this machine has it."""
    if isinstance(run_dir, Path):
        return run_dir
    whole = run_dir.parent if run_dir.name.startswith("variant-") else run_dir
    return worked_on(whole) / ("" if whole is run_dir else run_dir.name)
