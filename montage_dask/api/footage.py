"""`Footage`: clips, what is in them, and what can be done to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, overload

from montage_dask.api import analysis, batch
from montage_dask.api.material import Material, Picture
from montage_dask.api.result import Batch
from montage_dask.api.running import Run, finished
from montage_dask.errors import UsageError, printable
from montage_dask.graph.survey import find_footage
from montage_dask.graph.telling import Progress
from montage_dask.media.discover import Skipped
from montage_dask.records import Shot, Source
from montage_dask.store import Place, place_of


@dataclass(frozen=True, slots=True)
class Clip:
    """One usable video, analysed."""

    source: Source
    """All that the probe knows: size, rate, codec, …"""
    shots: tuple[Shot, ...]
    """Its shots in order, with sharpness, motion, quality, …"""
    material: Material

    @property
    def path(self) -> Place:
        """Where it stands."""
        return place_of(self.source.path)

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return float(self.source.duration_seconds)

    @property
    def strip(self) -> Place:
        """The folder of Zarr arrays that the analysis wrote, one row per frame; a chunk is a window.

        `thumbnails` (uint8 [n, 27, 48, 3]), `scalars` (float32 [n, 5]: exposure, contrast, colourfulness, motion,
        sharpness), `histogram` (uint16 [n, 512]), `hash` (uint64 [n]).
        """
        return self.material.strip(self.source.identity)

    def thumbnails(self, at_seconds: Sequence[float]) -> list[Picture]:
        """Small pictures from the strip (nothing is decoded), uint8 RGB [27, 48, 3]; empty when it has no strip here.

        Args:
            at_seconds: source times.
        """
        rate = self.source.frame_rate
        return self.material.thumbnails(self.source.identity, [int(t * rate) for t in at_seconds])

    def __repr__(self) -> str:
        return (
            f"<Clip {printable(self.name)}: {self.duration_seconds:.1f} s, {len(self.shots)} shots>"
        )

    def _repr_html_(self) -> str:
        from montage_dask.notebook.clips import clip_html

        return clip_html(self.source, self.shots, self.material)


class Footage(Sequence[Clip]):
    """Video files, named by files, folders and globs.

        footage = Footage("clips/", "more/*.mov").analyse()
        footage[0].shots

    Once analysed it is a sequence of `Clip`. All verbs have a twin for async code that ends in `_async`, run on the open
    `Cluster` or on `cluster=`, and take settings as keywords.

    Args:
        *what: files, folders (searched recursively) and globs.

    Raises:
        UsageError: nothing was named.
    """

    def __init__(self, *what: str | Path) -> None:
        if not what:
            raise UsageError("no footage: name files, folders or globs")
        self.patterns = tuple(str(w) for w in what)
        """What was named."""
        self.material: Material | None = None
        """What the analysis found; None before it."""
        self.skipped: tuple[Skipped, ...] = ()
        """Files that cannot be used, each with its `path` and the `reason`."""
        self._clips: tuple[Clip, ...] = ()

    def files(self) -> list[Place]:
        """The files there are now, without looking into them.

        Raises:
            NothingToDoError: none.
        """
        return [c.path for c in find_footage(self.patterns, None)[0]]

    def analyse(
        self, *, progress: Progress | None = None, cluster: Any = None, **options: Any
    ) -> Footage:
        """Find the shots and what is in them: one decoding of each file, kept in the store.

        Args:
            progress: told how far it is; None: a bar in notebooks and interactive sessions.
            cluster: where; None: the open `Cluster`, or workers of this machine.
            **options: settings such as `detector="accurate"`, `store="artefacts/"`, `output="folder/"` (of the store).

        Returns:
            This footage, analysed.

        Raises:
            NothingToDoError: nothing can be used; says why.
        """
        found = analysis.survey_files(self.patterns, progress=progress, cluster=cluster, **options)
        if not found.survey.clips:
            raise UsageError(f"{', '.join(self.patterns)}: that is music; give it to Music(…)")
        result = Footage(*self.patterns)
        material = Material.of(
            found.survey, found.store, found.settings.window_frames, found.settings.faces
        )
        result.material, result.skipped = material, tuple(found.survey.skipped)
        result._clips = tuple(
            Clip(source, material.shots_of(identity), material)
            for identity, source in material.sources.items()
        )
        return result

    async def analyse_async(self, **options: Any) -> Footage:
        """As `analyse`, without holding up the event loop."""
        return await finished(Run(_quietly(self.analyse, options), f"analysing {self.title}"))

    def frames(
        self, output: str | Path, *, progress: Progress | None = None, **options: Any
    ) -> Batch:
        """Write stills into a folder (see `montage_dask.frames`): `every` seconds, or `per_shot`; `contact_sheet=True`."""
        return Batch(
            "frames", batch.frames(self.patterns, output, progress=progress, **options), "frames"
        )

    async def frames_async(self, output: str | Path, **options: Any) -> Batch:
        """As `frames`, without holding up the event loop."""
        return await self._later(self.frames, output, options)

    def transcode(
        self, output: str | Path, *, progress: Progress | None = None, **options: Any
    ) -> Batch:
        """Transcode all into a folder (see `montage_dask.transcode`): `codec`, `quality`, `size`, `audio`, `container`, …"""
        result = batch.transcode(self.patterns, output, progress=progress, **options)
        return Batch("transcoded", result)

    async def transcode_async(self, output: str | Path, **options: Any) -> Batch:
        """As `transcode`, without holding up the event loop."""
        return await self._later(self.transcode, output, options)

    def grade(
        self, output: str | Path, grade: str, *, progress: Progress | None = None, **options: Any
    ) -> Batch:
        """Grade all into a folder (see `montage_dask.grade`), by a preset or a .cube file."""
        result = batch.grade(self.patterns, output, grade=grade, progress=progress, **options)
        return Batch("graded", result)

    async def grade_async(self, output: str | Path, grade: str, **options: Any) -> Batch:
        """As `grade`, without holding up the event loop."""
        return await self._later(self.grade, output, {**options, "grade": grade})

    def stabilise(
        self, output: str | Path, *, progress: Progress | None = None, **options: Any
    ) -> Batch:
        """Steady the shots of all into a folder (see `montage_dask.stabilise`)."""
        result = batch.stabilise(self.patterns, output, progress=progress, **options)
        return Batch("steadied", result)

    async def stabilise_async(self, output: str | Path, **options: Any) -> Batch:
        """As `stabilise`, without holding up the event loop."""
        return await self._later(self.stabilise, output, options)

    def upscale(
        self, output: str | Path, *, progress: Progress | None = None, **options: Any
    ) -> Batch:
        """Enlarge all into a folder by a neural network (see `montage_dask.upscale`): `scale`, `model`, `yes`."""
        result = batch.upscale(self.patterns, output, progress=progress, **options)
        return Batch("upscaled", result)

    async def upscale_async(self, output: str | Path, **options: Any) -> Batch:
        """As `upscale`, without holding up the event loop."""
        return await self._later(self.upscale, output, options)

    async def _later(self, verb: Any, output: str | Path, options: dict[str, Any]) -> Batch:
        work = _quietly(partial(verb, output), options)
        return await finished(Run(work, f"{verb.__name__} {self.title}"))

    @property
    def analysed(self) -> bool:
        """Whether it knows its clips."""
        return self.material is not None

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The shots of all clips.

        Raises:
            UsageError: it is not analysed.
        """
        return self._known().shots

    def clip(self, name: str) -> Clip:
        """The clip of a file name, a stem or a path.

        Raises:
            KeyError: there is none, or it is not analysed.
        """
        for clip in self._clips:
            if name in (clip.name, clip.path.stem, str(clip.path)):
                return clip
        raise KeyError(f"{name}: not among {[c.name for c in self._clips[:10]]}")

    def _known(self) -> Material:
        if self.material is None:
            raise UsageError("the footage is not analysed yet: use what `analyse()` returns")
        return self.material

    @overload
    def __getitem__(self, index: int) -> Clip: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Clip, ...]: ...
    def __getitem__(self, index: int | slice) -> Clip | tuple[Clip, ...]:
        self._known()
        return self._clips[index]

    def __len__(self) -> int:
        self._known()
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        self._known()
        return iter(self._clips)

    def __bool__(self) -> bool:
        return True

    @property
    def title(self) -> str:
        """What was named, for people."""
        shown = ", ".join(Path(p).name or p for p in self.patterns[:3])
        return printable(shown + (", …" if len(self.patterns) > 3 else ""))

    def __repr__(self) -> str:
        if self.material is None:
            return f"<Footage {self.title}: not analysed>"
        return f"<Footage {self.title}: {len(self._clips)} clips, {len(self.material.shots)} shots, {len(self.skipped)} skipped>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.clips import footage_html

        return footage_html(self.title, self.material, self.skipped)


def _quietly(verb: Any, options: dict[str, Any]) -> Any:
    """A verb as the work of a run."""
    return lambda progress: verb(**{"progress": progress, **options})
