"""`Timeline`: a montage before it is rendered, to look at and to edit by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask import records
from montage_dask.api.material import Material
from montage_dask.api.music import Music
from montage_dask.api.result import Montage
from montage_dask.api.running import Run, finished
from montage_dask.config import resolve
from montage_dask.edit import gaps, hand
from montage_dask.edit.choose import filter_shots, parse_selector, resolve_pins
from montage_dask.edit.pacing import slots_between
from montage_dask.edit.reframe import parse_focus, reframed
from montage_dask.edit.styles import GRADES, load_style
from montage_dask.edit.styles import Style as StyleRecord
from montage_dask.edit.usable import choose_usable
from montage_dask.errors import UsageError
from montage_dask.graph.music_file import MUSIC, with_music
from montage_dask.graph.telling import Progress
from montage_dask.records import Event, Shot
from montage_dask.report.otio import write_otio
from montage_dask.report.summary import cuts_of

if TYPE_CHECKING:
    from montage_dask.api.footage import Footage


MAKERS: dict[str, Any] = {}
"""What loads and renders timelines. `api.job` fills it: jobs are made of timelines, and not the other way round."""


class Timeline(Sequence[Event]):
    """A montage, ready to render: a sequence of events, each of which shows a part of a clip from one cut to the next.

    It comes from `Job.edit`, or from a file by `Timeline.load`. Edits give a new timeline and leave this one as it is. The
    cuts stay on their beats; what is shown between them changes. What a person chose is left alone by later edits.

        timeline = job.edit()
        timeline = timeline.replace(3, "finish.mp4@0:42").exclude("shaky*").move(7, 0)
        timeline.save("mine.otio")
        timeline.render("montage.mp4")
    """

    def __init__(
        self,
        record: records.Timeline,
        material: Material,
        music: records.Music,
        options: Mapping[str, Any] | None = None,
        style: StyleRecord | None = None,
    ) -> None:
        self.record = record
        """Size, rate, grade, seed, notes, and the events in exact times."""
        self.material = material
        """The clips that it may show."""
        self.music = Music.of(music)
        """The music under it."""
        self._options = dict(options or {})
        self._style = style

    @classmethod
    def load(
        cls,
        path: str | Path,
        footage: Footage | str | Path | Sequence[str | Path] = (),
        *,
        progress: Progress | None = None,
        cluster: Any = None,
        **options: Any,
    ) -> Timeline:
        """The timeline of an OpenTimelineIO file: one of ours, edited elsewhere or not, or another program's.

        Args:
            path: the .otio file. Its media must be local files.
            footage: more clips that edits may choose from.
            progress: told how far it is: media that are not analysed yet are.
            cluster: where; None: the open `Cluster`, or workers of this machine.
            **options: settings.

        Raises:
            UsageError: it holds what cannot be rendered; says what and where.
        """
        return MAKERS["load"](Path(path), footage, progress, cluster, options)

    @classmethod
    async def load_async(cls, path: str | Path, footage: Any = (), **options: Any) -> Timeline:
        """As `load`, without holding up the event loop."""

        def work(progress: Progress) -> Timeline:
            return cls.load(path, footage, **{"progress": progress, **options})

        return await finished(Run(work, f"loading {Path(path).name}"))

    # -- what is in it ---------------------------------------------------------------------------------------------------

    @property
    def events(self) -> tuple[Event, ...]:
        """What is shown, in order: output frames, source, in-point, beat, reason and scores of each."""
        return self.record.events

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return float(self.record.duration_seconds)

    @property
    def cuts(self) -> list[dict[str, Any]]:
        """Every cut as in `summary.json`: time, beat, error_ms, source, reason, scores."""
        return cuts_of(self.record, self.material.sources)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the edit had to do without."""
        return self.record.notes

    def clip_of(self, number: int) -> str:
        """File name of what an event shows."""
        return Path(self.material.sources[self[number].source].path).name

    def event_at(self, seconds: float) -> int:
        """Number of the event that is on screen at a time of the montage.

        Raises:
            UsageError: the montage is shorter.
        """
        frame = int(Fraction(seconds) * self.record.fps)
        for number, event in enumerate(self.events):
            if event.start_frame <= frame < event.stop_frame:
                return number
        raise UsageError(f"{seconds:g} s: the montage lasts {self.duration_seconds:.2f} s")

    def __getitem__(self, index: Any) -> Any:
        return self.events[index]

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeline) and self.record == other.record

    def __hash__(self) -> int:
        return hash((self.record.music_path, self.record.frames, len(self.events)))

    # -- edits by hand ---------------------------------------------------------------------------------------------------

    def replace(self, event: int, what: str) -> Timeline:
        """Another picture for one event.

        Args:
            event: its number, from 0.
            what: CLIP or CLIP@t: the best shot of the clip, or the shot at t, from there on.

        Raises:
            UsageError: no clip is called so, or its shot is shorter than the event.
        """
        shot, at = self._shot(what)
        return self._edited(hand.show(self.record, event, shot, at, f"{what} in place of another"))

    def pin(
        self, what: str, *, event: int | None = None, at_seconds: float | None = None
    ) -> Timeline:
        """Make sure that a clip or a moment is in the montage.

        Args:
            what: CLIP or CLIP@t.
            event: which event is to show it.
            at_seconds: or the time of the montage at which it is to be on screen; without either it goes where the picture
                is weakest and it suits the music.

        Raises:
            UsageError: no clip is called so, or its shot fits nowhere.
        """
        shot, at = self._shot(what)
        if event is None and at_seconds is not None:
            event = self.event_at(at_seconds)
        if event is None:
            spans = [(e.start_frame, e.stop_frame) for e in self.events]
            start = self.record.music_start_seconds
            slots = slots_between(self.music.record, self.style, spans, fps=self.record.fps, start=start)  # fmt: skip
            event = hand.best_place(self.record, shot, self._shots(), slots)
        return self._edited(hand.show(self.record, event, shot, at, f"{what} is pinned"))

    def exclude(self, *what: str) -> Timeline:
        """Leave clips or moments out: what showed them shows the best other parts instead; all else stays.

        Args:
            *what: CLIP or CLIP@t, globs too.

        Raises:
            UsageError: nothing else is left to show.
        """
        selectors, sources = [parse_selector(w) for w in what], self.material.sources
        left = filter_shots(self.material.shots, sources, (), selectors)
        if len(left) == len(self.material.shots):
            resolve_pins(self.material.shots, sources, selectors)  # says what there is
        return self._left_with(left)

    def _left_with(self, left: tuple[Shot, ...]) -> Timeline:
        """There is less to choose from: events that show what is gone show the best of the rest."""
        edited = self.record
        had, has = ({(s.source, s.index) for s in t} for t in (self.material.shots, left))
        if numbers := [k for k, e in enumerate(self.events) if (e.source, e.shot) in had - has]:
            edited = gaps.refill(
                edited, numbers, self._usable(left), self._shots(), self.material.sources,
                self.music.record, self.style,
            )  # fmt: skip
        return self._edited(edited, replace(self.material, shots=left))

    def _usable(self, shots: Sequence[Shot]) -> tuple[Shot, ...]:
        return choose_usable(shots, self._options.get("allow", ())).shots

    def veto(self, event: int) -> Timeline:
        """Never show the shot of this event: what shows it shows the best other parts instead; all else stays.

        Raises:
            UsageError: there is no such event, or nothing else is left to show.
        """
        gone = (hand.event_of(self.record, event).source, self[event].shot)
        return self._left_with(tuple(s for s in self.material.shots if (s.source, s.index) != gone))  # fmt: skip

    def alternatives(self, event: int, most: int = 6) -> tuple[Event, ...]:
        """What an event could show instead, the best first, each with its reason; of each shot one.

        Raises:
            UsageError: there is no such event.
        """
        return gaps.alternatives(
            self.record, event, self._usable(self.material.shots), self._shots(), self.material.sources,
            self.music.record, self.style, most,
        )  # fmt: skip

    def choose(self, event: int, alternative: int = 0) -> Timeline:
        """One of its `alternatives` in place of what an event shows.

        Raises:
            UsageError: there is no such event, or there are not so many.
        """
        found = self.alternatives(event, alternative + 1)
        if not 0 <= alternative < len(found):
            raise UsageError(f"event {event}: nothing else is left to show")
        return self._edited(hand.put(self.record, event, found[alternative]))

    def slide(self, event: int, frames: int) -> Timeline:
        """What one event shows begins so many output frames later in its shot; below 0: earlier.

        Raises:
            UsageError: there is no such event, or its shot has no more room.
        """
        return self._edited(hand.slide(self.record, event, frames, self._shots(), self.material.sources))  # fmt: skip

    def trim(self, event: int, frames: int) -> Timeline:
        """The cut behind one event comes so many output frames later, off its beat; below 0: earlier. It raises as `slide`."""
        return self._edited(hand.trim(self.record, event, frames, self._shots(), self.material.sources))  # fmt: skip

    def hold(self, event: int) -> Timeline:
        """One event is as it is wanted: later edits leave it alone.

        Raises:
            UsageError: there is no such event.
        """
        return self._edited(hand.hold(self.record, event))

    def move(self, event: int, to: int) -> Timeline:
        """What one event shows comes at another place; what lies between moves up by one.

        Raises:
            UsageError: there is no such event, or a shot is too short for its new place.
        """
        return self._edited(hand.move(self.record, event, to, self._shots(), self.material.sources))

    def swap(self, first: int, second: int) -> Timeline:
        """What two events show changes places. It raises as `move`."""
        return self._edited(hand.swap(self.record, first, second, self._shots(), self.material.sources))  # fmt: skip

    def graded(self, grade: str) -> Timeline:
        """The same cuts in other colours: a preset, or a .cube file.

        Raises:
            UsageError: there is no such grade.
        """
        if grade not in GRADES and not grade.lower().endswith(".cube"):
            raise UsageError(f"no grade {grade!r}: {', '.join(GRADES)}, or a .cube file")
        return self._edited(replace(self.record, grade=grade))

    @property
    def style(self) -> StyleRecord:
        """The style that it was cut in; the default one for a timeline of another program."""
        if self._style is None:
            try:
                self._style = load_style(self.record.style)
            except UsageError:
                self._style = load_style("music-video")
        return self._style

    def _edited(self, record: records.Timeline, material: Material | None = None) -> Timeline:
        made = Timeline(record, material or self.material, self.music.record, self._options, self._style)  # fmt: skip
        return made._fitted(self._options.get("fit"))

    def _fitted(self, fit: str | None) -> Timeline:
        """With the windows that crop its pictures where they belong now."""
        chosen = resolve({} if fit is None else {"fit": fit})["fit"].value
        given = self._options.get("focus", ())
        by_hand = [parse_focus(f) for f in ([given] if isinstance(given, str) else given)]
        shots, sources = self.material.shots, self.material.sources
        framed = reframed(self.record, shots, sources, fit=chosen, by_hand=by_hand)
        return Timeline(framed, self.material, self.music.record, self._options, self._style)

    def _shots(self) -> dict[tuple[str, int], Shot]:
        return {(s.source, s.index): s for s in self.material.shots}

    def _shot(self, what: str) -> tuple[Shot, Fraction | None]:
        """The shot that a selector means: the best one of a clip."""
        pins = resolve_pins(self.material.shots, self.material.sources, [parse_selector(what)])
        if len(pins) > 1:
            raise UsageError(f"{what} names {len(pins)} clips: name one")
        return max(pins[0].shots, key=lambda s: (s.quality, -s.index)), pins[0].at_seconds

    # -- files -----------------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write an OpenTimelineIO file: for `load`, for `run --from-timeline`, and for other programs. Music that was fitted
        stands beside it, as NAME.music.wav.

        Raises:
            UsageError: the name does not end in .otio.
            StoreError: it cannot be written.
        """
        target = Path(path).absolute()
        if target.suffix != ".otio":
            raise UsageError(f"{target.name}: the name of a timeline ends in .otio")
        return self._written(target, target.with_name(f"{target.stem}.{MUSIC}"))

    def _written(self, target: Path, sound: Path) -> Path:
        record, music = with_music(self.record, self.music.record, sound)
        write_otio(record, self.material.sources, music, target)
        return target

    def render(
        self,
        output: str | Path = "montage.mp4",
        *,
        progress: Progress | None = None,
        cluster: Any = None,
        **options: Any,
    ) -> Montage:
        """Make the video: the timeline is saved in the run folder, and rendered from there.

        Args:
            output: .mp4, .mov or .mkv.
            progress: told how far it is; None: a bar in notebooks and interactive sessions.
            cluster: where; None: the open `Cluster`, or workers of this machine.
            **options: of rendering: `quality`, `codec`, `fit`, `keep_audio`, `stabilise`, …; others as in the job it is from.

        Raises:
            MontageError: it cannot be made; nothing new stands at the output path then.
        """
        return self._rendering(output, cluster, options)(progress)

    async def render_async(self, output: str | Path = "montage.mp4", **options: Any) -> Montage:
        """As `render`, without holding up the event loop."""
        return await finished(self.start(output, **options))

    def start(
        self,
        output: str | Path = "montage.mp4",
        *,
        progress: Progress | None = None,
        cluster: Any = None,
        **options: Any,
    ) -> Run[Montage]:
        """As `render`, in the background."""
        return Run(self._rendering(output, cluster, options), Path(output).name, progress)

    def _rendering(self, output: str | Path, cluster: Any, options: Mapping[str, Any]) -> Any:
        return MAKERS["render"](self, output, cluster, self._options, options)

    # -- how it looks ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        errors = [abs(c["error_ms"]) for c in self.cuts if c["error_ms"] is not None]
        worst = f", cuts at most {max(errors):.1f} ms off their beats" if errors else ""
        return f"<Timeline: {len(self)} events, {self.duration_seconds:.1f} s, style {self.record.style}{worst}>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.timeline import timeline_html

        return timeline_html(self.record, self.material, self.music, self._options.get("allow", ()))
