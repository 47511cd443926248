"""The guards of a montage: every segment is compared with the strip before it is used; what is wrong is made again, or named.

A segment that looks wrong is looked at closely first (the strip drifts in long groups), then made again with its sources decoded
from further back. If it still shows something else, each event in doubt is made alone. Only where that one is wrong too, while
other clips of the job are shown as they are, the clip is to blame.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from montage_dask.analysis import strip
from montage_dask.errors import MediaError, Misshown, PictureMismatch, printable
from montage_dask.graph.drive import Driver
from montage_dask.graph.effects import Improved, span_of
from montage_dask.graph.operation import Request, finished
from montage_dask.graph.outcome import Outcome
from montage_dask.graph.requests import strip_requests
from montage_dask.graph.staging import at_hand
from montage_dask.graph.survey import Clip, Settings
from montage_dask.graph.targets import place_on
from montage_dask.media.index import FrameIndex
from montage_dask.records import CUT, Source, Timeline, from_json, to_json
from montage_dask.render.segments import Segment
from montage_dask.store import Store, writing

log = logging.getLogger(__name__)

AGAIN = {"further_back": True}
"""Says how `encode` makes a segment again."""


def guard_request(
    segment: Segment,
    encoded: Request,
    record: Mapping[str, Any],
    store: Store,
    settings: Settings,
    moves: Mapping[str, Sequence[tuple[int, int, str, str]]],
    *,
    closely: bool = False,
) -> Request:
    """The request that compares a segment with what it claims to show.

    Args:
        segment: what it claims.
        encoded: the request that made it.
        record: of that request.
        store: where it stands.
        settings: of the analysis.
        moves: how sources were steadied, by identity: first frame, end, key and file of each path.
        closely: decode sources again where something seems wrong.
    """
    shown: dict[str, tuple[Any, str, int | None]] = {
        **{
            k: (encoded.paths["sources"][k], encoded.paths["indexes"][k], None)
            for k in encoded.paths["sources"]
        },
        **{
            k: (m["source"], m["index"], m["start_frame"])
            for k, m in encoded.paths["stand_ins"].items()
        },
    }
    sources = {k: from_json(Source, json) for k, (json, _, _) in shown.items()}
    moved = {
        k: [m for m in moves.get(sources[k].identity, ())] if start is not None else []
        for k, (_, _, start) in shown.items()
    }
    parameters = {
        "encode": encoded.key,
        # Of the very file: one that is made again is looked at again.
        "files": record["files"],
        "segment": to_json(segment),
        "fit": encoded.parameters["fit"],
        "grade": encoded.parameters["grade"],
        "strips": {
            k: strip.strip_parameters(s, settings.window_frames, settings.faces)
            for k, s in sources.items()
        },
        "strip_version": strip.VERSION,
        "redrawn": sorted(
            k for k, m in encoded.paths["stand_ins"].items() if m["operation"] == "upscale"
        ),
        "moves": {k: [list(m[:3]) for m in ms] for k, ms in moved.items()},
    }
    paths = {
        "segment": str(store.file("encode", encoded.key, ".mp4")),
        "tap": str(store.file("encode", encoded.key, ".tap")),
        # Without their paths: the strip is enough, and nobody needs to fetch the footage.
        "sources": {
            k: to_json(s if closely else replace(s, path=Path(s.path).name))
            for k, s in sources.items()
        },
        "indexes": {k: index for k, (_, index, _) in shown.items()},
        "start_frames": {k: start for k, (_, _, start) in shown.items()},
        "moves": {k: [m[3] for m in ms] for k, ms in moved.items()},
        "grade": encoded.paths["grade"],
        "closely": closely,
    }
    return Request("guard", parameters, paths, encoded.label)


def missing_strips(
    driver: Driver, settings: Settings, clips: Mapping[str, Clip], timeline: Timeline
) -> list[Request]:
    """The windows of strips that the guards of a timeline need and that were never made: of edits made elsewhere."""
    store, missing = driver.store, {}
    for identity in dict.fromkeys(e.source for e in timeline.events):
        wanted = [
            r for r in strip_requests(clips[identity], settings)
            if not store.had("strip", r.key)
            or (isinstance(store.root, Path) and finished(r, store) is None)
        ]  # fmt: skip
        if wanted:
            missing[identity] = wanted
    with at_hand(*(clips[k].index for k in missing)) as files:
        indexes = {k: FrameIndex.load(f) for k, f in zip(missing, files, strict=True)}
    spans = [
        (e.source, *span_of(timeline, n, indexes[e.source]))
        for n, e in enumerate(timeline.events)
        if e.source in missing
    ]
    return [
        r for identity, requests in missing.items() for r in requests
        if any(
            own == identity
            and start - strip_margin() < r.parameters["stop_frame"]
            and stop + strip_margin() > r.parameters["start_frame"]
            for own, start, stop in spans
        )
    ]  # fmt: skip


def strip_margin() -> int:
    """Frames around what an event shows of which the guard needs thumbnails, too."""
    from montage_dask.render.guard import STEPS

    return STEPS[-1] + 1


@dataclass(slots=True)
class Guards:
    """The guards of the segments of one montage.

    Args:
        driver: runs them.
        settings: of the analysis.
        improved: the timeline that is rendered.
        pairs: its segments in order, with their requests.
        folder: for pictures of what is wrong.
        paths: where the sources stand, by identity.
    """

    driver: Driver
    settings: Settings
    improved: Improved
    pairs: Sequence[tuple[Segment, Request]]
    folder: Path
    paths: Mapping[str, str]
    _tries: dict[str, int] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)
    _records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _wrong: dict[str, PictureMismatch] = field(default_factory=dict)
    _encoded: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def after(self, outcome: Outcome) -> list[Request]:
        """What is to be done after an outcome of `encode` or `guard`."""
        request = outcome.request
        if request.operation == "encode" and outcome.record is not None:
            self._encoded[request.key] = outcome.record
            # What was made again is looked at closely at once.
            return [self._guard(request.key, closely=self._tries.get(request.key, 0) > 0)]
        if request.operation != "guard":
            return []
        key = request.parameters["encode"]
        segment, encoded = self._pair(key)
        if outcome.record is not None:
            self._records[key] = outcome.record
            self._passed |= {self._identity(e.source, encoded) for e in segment.events}
            return []
        if not isinstance(outcome.error, PictureMismatch):
            return []
        wrong = {m.number for m in outcome.error.found}
        self._passed |= {
            self._identity(e.source, encoded)
            for n, e in enumerate(segment.events) if n not in wrong
        }  # fmt: skip
        self._tries[key] = tries = self._tries.get(key, 0) + 1
        if tries == 1:
            return [self._guard(key, closely=True)]
        told = self._told(key, outcome.error.found)
        log.warning("%s", told)
        # Nothing wrong is kept, whatever becomes of this job.
        self.driver.store.forget("encode", key)
        if tries == 2:
            self.driver.progress.note(f"made again, decoded from further back: {told}")
            return [replace(encoded, paths={**encoded.paths, **AGAIN})]
        self._wrong[key] = PictureMismatch(outcome.error.found, told)
        return []

    def settle(self) -> None:
        """Blame a clip by proof, where segments are still wrong.

        Raises:
            MediaError: a clip whose own frames are wrong even alone, while others are right.
            PictureMismatch: segments are wrong, and no clip is to blame for it.
        """
        wrong = {
            self._identity(one.source, self._pair(key)[1])
            for key, error in self._wrong.items() for one in error.found
        }  # fmt: skip
        # Where many are wrong it is no clip's fault: ffmpeg is, or the machine.
        few = 2 * len(wrong) <= max(2, len(self._passed - wrong))
        for key, error in self._wrong.items():
            segment, encoded = self._pair(key)
            for one in error.found:
                identity = self._identity(one.source, encoded)
                if (
                    few
                    and self._passed - {identity}
                    and self._wrong_alone(segment, encoded, one.number)
                ):
                    raise MediaError(
                        self.paths[identity],
                        f"its pictures do not come out as they are: {one.what}",
                    ) from error
            raise error

    def _wrong_alone(self, segment: Segment, encoded: Request, number: int) -> bool:
        event = segment.events[number]
        alone = replace(event, start_frame=0, stop_frame=event.frames, transition=CUT)
        own = replace(segment, events=(alone,), fade_out_frames=0)
        only = {
            name: {k: v for k, v in encoded.paths[name].items() if k == event.source}
            for name in ("sources", "indexes", "stand_ins")
        }
        request = replace(
            encoded,
            parameters={**encoded.parameters, "segment": to_json(own)},
            paths={**encoded.paths, **only, **AGAIN},
        )
        places = {n: place_on(self.driver, n, self.settings.targets) for n in ("encode", "guard")}
        try:
            record = self.driver.only(request, places["encode"])
            self.driver.only(self._request(own, request, record, closely=True), places["guard"])
        except PictureMismatch:
            self.driver.store.forget("encode", request.key)
            return True
        return False

    def summary(self) -> dict[str, Any]:
        """What the guards saw, for the summary."""
        records = self._records.values()
        return {
            "events": sum(r["events"] for r in records),
            "frames": sum(r["frames"] for r in records),
            "worst": max((r["worst"] for r in records), default=0.0),
            "made_again": sum(t >= 2 for t in self._tries.values()),
        }

    def _pair(self, key: str) -> tuple[Segment, Request]:
        return next(p for p in self.pairs if p[1].key == key)

    def _guard(self, key: str, *, closely: bool) -> Request:
        segment, encoded = self._pair(key)
        return self._request(segment, encoded, self._encoded[key], closely=closely)

    def _request(
        self, segment: Segment, encoded: Request, record: Mapping[str, Any], *, closely: bool
    ) -> Request:
        return guard_request(
            segment, encoded, record, self.driver.store, self.settings, self.improved.moves,
            closely=closely,
        )  # fmt: skip

    def _identity(self, source: str, encoded: Request) -> str:
        """Of the footage behind what an event names."""
        stand_in = encoded.paths["stand_ins"].get(source)
        return str(stand_in["source"]["identity"]) if stand_in else source

    def _told(self, key: str, found: Iterable[Misshown]) -> str:
        """One line about what is wrong, with its pictures in the run folder."""
        begins = [0, *accumulate(s.frames for s, _ in self.pairs)]
        at = next(n for n, (_, r) in enumerate(self.pairs) if r.key == key)
        fps = self.pairs[at][0].fps
        lines = []
        for one in found:
            frame = begins[at] + one.frame
            path = self.paths[self._identity(one.source, self.pairs[at][1])]
            picture = self.folder / f"mismatch-{frame:06d}.png"
            with writing(picture) as part:
                part.write_bytes(one.picture)
            lines.append(
                f"{printable(Path(path).name)} at {float(frame / fps):.2f} s of the montage, "
                f"{one.source_seconds:.2f} s of the clip: {one.what} ({picture.name})"
            )
        return "not what it claims to show: " + "; ".join(lines)
