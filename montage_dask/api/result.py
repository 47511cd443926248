"""What verbs return: `Plan`, `Batch` and `Montage`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from montage_dask.errors import UsageError, printable
from montage_dask.job import seen_here
from montage_dask.store import Place, place_of

if TYPE_CHECKING:
    from montage_dask.api.timeline import Timeline


class _Record(Mapping[str, Any]):
    """A JSON-ready mapping that can show itself."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = dict(content)

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


class Plan(_Record):
    """What a job would do: a mapping with the keys of `plan --json` (`clips`, `operations`, `estimate`, `cluster`, …)."""

    def __repr__(self) -> str:
        estimate = self["estimate"]
        return (
            f"<Plan: {len(self['clips'])} clips, {len(self['operations'])} operations, "
            f"about {estimate['wall_seconds']:.0f} s and {estimate['disk_bytes'] / 1e6:.0f} MB>"
        )

    def _repr_html_(self) -> str:
        from montage_dask.notebook.plan import plan_html

        return plan_html(self)


class Batch(_Record):
    """What a verb made of many files: a mapping with the keys of its command's `--json`.

    Args:
        verb: what was done, for people ("graded").
        content: as the function of the same name returns it.
        name: key of the list of what was made.
    """

    def __init__(self, verb: str, content: Mapping[str, Any], name: str = "outputs") -> None:
        super().__init__(content)
        self.verb = verb
        """What was done."""
        self._name = name

    @property
    def made(self) -> list[dict[str, Any]]:
        """One entry per file: its `path`, and the `output` or the `stills`."""
        return list(self[self._name])

    @property
    def files(self) -> list[Path]:
        """All files that were written."""
        found: list[Path] = []
        for one in self.made:
            found += [Path(p) for p in one.get("stills", ())]
            found += [Path(one["output"])] if "output" in one else []
        return found

    @property
    def skipped(self) -> list[dict[str, str]]:
        """Files that could not be used: `path` and `reason`."""
        return list(self["skipped"])

    def __repr__(self) -> str:
        return f"<Batch: {len(self.made)} files {self.verb}, {len(self.skipped)} skipped>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.plan import batch_html

        return batch_html(self.verb, self.made, self.skipped)


class Montage:
    """A finished montage: the video, the timeline it was cut by, and all that is known of the run."""

    def __init__(self, summary: Mapping[str, Any], timeline: Timeline) -> None:
        self.summary = dict(summary)
        """The object that `run --json` prints."""
        self.timeline = timeline
        """What it was cut by."""
        self.variants: tuple[Montage, ...] = (self,)
        """All variants of the job, this one first."""

    @property
    def path(self) -> Place:
        """The video: a file, or the URL of one in a bucket."""
        return place_of(self.summary["output"])

    @property
    def run_dir(self) -> Path:
        """The folder with timeline, pictures, report and log; of a montage in a bucket, that of this machine."""
        return seen_here(place_of(self.summary["run_dir"]))

    @property
    def report(self) -> Path:
        """The page that tells all of it; it opens in any browser."""
        return self.run_dir / "report.html"

    @property
    def contact_sheet(self) -> Path:
        """A picture of every event."""
        return self.run_dir / "contact_sheet.jpg"

    @property
    def cuts(self) -> list[dict[str, Any]]:
        """Every cut: time, beat, error_ms, source, reason, scores."""
        return list(self.summary["cuts"])

    @property
    def skipped(self) -> list[dict[str, str]]:
        """Clips that were left out: `path` and `reason`."""
        return list(self.summary["skipped"])

    def play(self, width: int = 640) -> Any:
        """The video inline, embedded into the notebook. Needs IPython.

        Args:
            width: on the screen, pixels.

        Raises:
            UsageError: there is no IPython, or the video is in a bucket.
        """
        if not isinstance(self.path, Path):
            raise UsageError(f"{self.path}: is in a bucket; fetch it to play it")
        try:
            from IPython.display import Video
        except ImportError as error:
            raise UsageError(
                f"play() needs IPython: pip install 'montage-dask[notebook]'; the video is {self.path}"
            ) from error
        return Video(str(self.path), embed=True, width=width, html_attributes="controls loop")

    def __repr__(self) -> str:
        return (
            f"<Montage {printable(self.path.name)}: {self.summary['duration_seconds']:.1f} s, "
            f"{len(self.cuts) + 1} events, {len(self.skipped)} clips skipped>"
        )

    def _repr_html_(self) -> str:
        from montage_dask.notebook.timeline import montage_html

        return montage_html(self.summary)
