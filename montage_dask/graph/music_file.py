"""The fitted track as a file beside the timelines that play it: what other programs open, and `--from-timeline`."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from montage_dask.graph.staging import at_hand
from montage_dask.records import Music, Timeline
from montage_dask.store import writing
from montage_dask.store.artefacts import storage_error

MUSIC = "music.wav"


def with_music(timeline: Timeline, music: Music, path: Path) -> tuple[Timeline, Music]:
    """A timeline and its music whose file lies beside it, where the track was fitted; others as they are.

    Args:
        timeline: to be written.
        music: under it.
        path: where the file is to be.

    Raises:
        StoreError: it cannot be written.
    """
    if music.fit is None:
        return timeline, music
    if music.path != str(path):
        try:
            with at_hand(music.path) as (file,), writing(path) as part:
                shutil.copyfile(file, part)
        except OSError as error:
            raise storage_error(path, error) from error
    placed = str(path)
    return replace(timeline, music_path=placed), replace(music, path=placed)
