"""The small records that travel between the rooms: what is known of footage, music and a montage.

All are frozen, JSON-serialisable (`to_json`, `from_json`) and free of I/O. Times are `Fraction` seconds or
integer frames; a `Fraction` is written as "24000/1001". Source times count from the first frame of the source (frame 0 is at
0 s); music times from the first sample of the track.
"""

from montage_dask.records.footage import (
    HDR_TRANSFERS,
    AudioStream,
    Boundary,
    Camera,
    Shot,
    Source,
    Subject,
    Unusable,
    Window,
)
from montage_dask.records.montage import (
    CUT,
    Accent,
    Event,
    Focus,
    Match,
    Pace,
    Timeline,
    Transition,
)
from montage_dask.records.music import Music, MusicFit, MusicPiece, Section, TempoAlternative
from montage_dask.records.plain import from_json, to_json

__all__ = [
    "CUT",
    "HDR_TRANSFERS",
    "Accent",
    "AudioStream",
    "Boundary",
    "Camera",
    "Event",
    "Focus",
    "Match",
    "Music",
    "MusicFit",
    "MusicPiece",
    "Pace",
    "Section",
    "Shot",
    "Source",
    "Subject",
    "TempoAlternative",
    "Timeline",
    "Transition",
    "Unusable",
    "Window",
    "from_json",
    "to_json",
]
