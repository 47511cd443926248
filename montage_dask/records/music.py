"""What is known of a track: its beats, bars, sections, and of which pieces it is made."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the music: intro, verse, build, drop, …"""

    start_seconds: Fraction
    stop_seconds: Fraction
    label: str
    """One of intro, low, build, high, drop, outro."""
    energy: float
    """Mean energy of the section, 0 … 1."""


@dataclass(frozen=True, slots=True)
class TempoAlternative:
    """Another reading of the same beat: usually half or double."""

    tempo_bpm: float
    score: float
    """Salience relative to the chosen tempo, which has 1.0."""


@dataclass(frozen=True, slots=True)
class MusicPiece:
    """Samples [start_sample, stop_sample) of a track."""

    start_sample: int
    stop_sample: int


@dataclass(frozen=True, slots=True)
class MusicFit:
    """A track made longer or shorter at bar lines: pieces of it, one behind the other, in a file of their own."""

    track: str
    """Absolute path of the track that it is made of."""
    track_identity: str
    identity: str
    """Fingerprint of the file that holds the result."""
    sample_rate: int
    """That pieces count in."""
    pieces: tuple[MusicPiece, ...]
    samples: int
    """Length of the result: that of the pieces, and silence where an exact length wants it."""

    @property
    def joins_seconds(self) -> tuple[Fraction, ...]:
        """Where in the result one piece follows another."""
        found, at = [], 0
        for piece in self.pieces[:-1]:
            at += piece.stop_sample - piece.start_sample
            found.append(Fraction(at, self.sample_rate))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Music:
    """One track: its beats, bars, sections, energy and loudness."""

    path: str
    """Absolute path."""
    identity: str
    duration_seconds: Fraction
    tempo_bpm: float
    """Median tempo; 0.0 when there is no beat."""
    confidence: float
    """0 (no beat found: the grid below is a fallback) … 1."""
    alternatives: tuple[TempoAlternative, ...]
    beats_seconds: tuple[Fraction, ...]
    beats_per_bar: int
    """3 or 4; 0 when unknown."""
    downbeats: tuple[int, ...]
    """Indices into beats_seconds of the first beats of bars."""
    beat_energy: tuple[float, ...]
    """0 … 1 per beat: loudness and density from this beat to the next."""
    beat_strength: tuple[float, ...]
    """0 … 1 per beat: how strong the onset on the beat is."""
    sections: tuple[Section, ...]
    energy_curve: tuple[float, ...]
    """0 … 1, ten values a second."""
    loudness_lufs: float
    """Integrated loudness (EBU R128); -70 for silence."""
    true_peak_db: float
    """dBTP."""
    tracker: str
    """Which tracker made the beats: "network", "flux", "librosa", "beat-this", "file", "bpm"."""
    warnings: tuple[str, ...] = ()
    fit: MusicFit | None = None
    """Of which pieces of another track it is made; None: it is a track as it was given."""
