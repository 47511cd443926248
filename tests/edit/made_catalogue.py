"""A catalogue for the tests of direction: six clips with telling names and looks."""

from __future__ import annotations

from montage_dask.edit.director import Catalogue, ClipEntry
from montage_dask.edit.styles import load_style, style_names

CLIPS = {
    "01_city.mp4": {"bright": 0.5, "blue": 0.0},
    "02_dog_running.mp4": {"green": 0.4, "bright": 0.55},
    "03_sea_sunset.mov": {"blue": 0.5, "warm": 0.3, "bright": 0.6},
    "IMG_1234.mp4": {"dark": 0.9, "still": 0.9},
    "Gruppenfoto.mp4": {"bright": 0.8},
    "mountainTop.mp4": {"moving": 0.6, "bright": 0.7},
}
CITY, DOG, SEA, PLAIN, GROUP, MOUNTAIN = range(6)


def catalogue(names=tuple(CLIPS), *, looks=None, analysed=True, **more):
    """Clips by name, all styles, and music with an intro, a drop and an outro."""
    wanted = {"sections": ("intro", "drop", "outro"), "music_seconds": 60.0, "tempo_bpm": 120.0}
    clips = tuple(
        ClipEntry(
            identity=f"id-{k}",
            name=name,
            seconds=5.0,
            shots=2 if analysed else 0,
            looks=(CLIPS.get(name, {}) if looks is None else looks[k]) if analysed else {},
        )
        for k, name in enumerate(names)
    )
    styles = {n: load_style(n).description for n in style_names()}
    return Catalogue(clips, styles, **{**wanted, **more})
