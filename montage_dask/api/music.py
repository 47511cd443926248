"""`Music`: a track, its beats, bars, sections and energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from montage_dask import records
from montage_dask.api import analysis
from montage_dask.api.running import Run, finished
from montage_dask.errors import MediaError, UsageError, printable
from montage_dask.graph.telling import Progress
from montage_dask.records import Section


class Music:
    """An audio file, or a video whose sound is the music.

        music = Music("track.mp3").analyse()
        music.tempo_bpm, music.beats_seconds, music.sections

    Args:
        path: the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.source = str(path)
        """The file, as it was named."""
        self._record: records.Music | None = None
        self._waveform: tuple[float, ...] = ()

    def analyse(
        self, *, progress: Progress | None = None, cluster: Any = None, **options: Any
    ) -> Music:
        """Find beats, bars, sections, energy and loudness.

        Args:
            progress: told how far it is; None: a bar in notebooks and interactive sessions.
            cluster: where; None: the open `Cluster`, or workers of this machine.
            **options: settings such as `bpm=128`, `tracker="librosa"`, `beats_file="beats.txt"`, `store="artefacts/"`.

        Returns:
            This music, analysed.

        Raises:
            MediaError: it cannot be used; says why.
        """
        found = analysis.survey_files(
            (), music=[self.source], progress=progress, cluster=cluster, **options
        )
        return Music.of(found.heard[0])

    async def analyse_async(self, **options: Any) -> Music:
        """As `analyse`, without holding up the event loop."""

        def work(progress: Progress) -> Music:
            return self.analyse(**{"progress": progress, **options})

        return await finished(Run(work, f"analysing {printable(self.path.name)}"))

    @classmethod
    def of(cls, record: records.Music) -> Music:
        """Music that is analysed already."""
        result = cls(record.path)
        result._record = record
        return result

    @property
    def record(self) -> records.Music:
        """All that the analysis found.

        Raises:
            UsageError: it is not analysed.
        """
        if self._record is None:
            raise UsageError("the music is not analysed yet: use what `analyse()` returns")
        return self._record

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.source)

    @property
    def analysed(self) -> bool:
        """Whether its beats are known."""
        return self._record is not None

    @property
    def duration_seconds(self) -> float:
        """Length."""
        return float(self.record.duration_seconds)

    @property
    def tempo_bpm(self) -> float:
        """Median tempo, beats per minute; 0 when there is no beat."""
        return self.record.tempo_bpm

    @property
    def beats_seconds(self) -> tuple[float, ...]:
        """Times of the beats."""
        return tuple(float(b) for b in self.record.beats_seconds)

    @property
    def downbeats_seconds(self) -> tuple[float, ...]:
        """Times of the first beats of bars."""
        return tuple(float(self.record.beats_seconds[i]) for i in self.record.downbeats)

    @property
    def bars(self) -> tuple[tuple[float, ...], ...]:
        """The beats, bar by bar, in seconds; those before the first downbeat are left out."""
        beats, starts = self.beats_seconds, self.record.downbeats
        stops = (*starts[1:], len(beats)) if starts else ()
        return tuple(beats[a:b] for a, b in zip(starts, stops, strict=True))

    @property
    def sections(self) -> tuple[Section, ...]:
        """Intro, build, drop, …: start, stop, label and energy of each."""
        return self.record.sections

    @property
    def waveform(self) -> tuple[float, ...]:
        """The loudest sample of each of 900 equal parts, 0 … 1; empty for a track that is shorter than a moment.

        Raises:
            MediaError: the file cannot be read.
        """
        if not self._waveform:
            self._waveform = _peaks(self.source)
        return self._waveform

    def __repr__(self) -> str:
        if self._record is None:
            return f"<Music {printable(self.path.name)}: not analysed>"
        beats = f"{self.tempo_bpm:.1f} BPM, {len(self.record.beats_seconds)} beats"
        if self.record.confidence <= 0:
            beats = "no beat"
        name = printable(self.path.name)
        return (
            f"<Music {name}: {self.duration_seconds:.1f} s, {beats}, {len(self.sections)} sections>"
        )

    def _repr_html_(self) -> str:
        from montage_dask.notebook.music import music_html, no_music_html

        if self._record is None:
            return no_music_html(self.path)
        try:
            wave = self.waveform
        except MediaError:
            wave = ()
        return music_html(self._record, wave)


def _peaks(path: str) -> tuple[float, ...]:
    from montage_dask.media.audio import decode_mono
    from montage_dask.report.pictures import WAVE_RATE, peaks

    return tuple(peaks(decode_mono(path, sample_rate=WAVE_RATE)))
