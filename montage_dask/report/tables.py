"""An analysis as files: JSON, CSV (shots and beats) and OTIO (each clip cut into its shots)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.errors import UsageError, printable
from montage_dask.report.links import file_url, media_url
from montage_dask.store import Place, write_json, writing

SHOT_COLUMNS = (
    "start_frame", "stop_frame", "start_seconds", "stop_seconds", "quality", "sharpness", "exposure",
    "contrast", "colourfulness", "motion", "perceptual_hash", "duplicate_group", "begins",
)  # fmt: skip


def write_analysis(result: Mapping[str, Any], output: Place) -> list[Place]:
    """Write an analysis to a .json, .csv or .otio file, or all of them into a folder.

    Raises:
        UsageError: the name has another ending.
        StoreError: it cannot be written.
    """
    if output.suffix == ".json":
        write_json(output, result)
        return [output]
    if output.suffix == ".csv":
        beats = output.with_stem(output.stem + "-beats")
        return _write_csv(result, output, beats)
    if output.suffix == ".otio":
        _write_otio(result, output)
        return [output]
    if output.suffix and not (isinstance(output, Path) and output.is_dir()):
        raise UsageError(f"--output {output}: must end in .json, .csv or .otio, or name a folder")
    write_json(output / "analysis.json", result)
    tables = _write_csv(result, output / "shots.csv", output / "beats.csv")
    _write_otio(result, output / "shots.otio")
    return [output / "analysis.json", *tables, output / "shots.otio"]


def _write_csv(result: Mapping[str, Any], shots: Place, beats: Place) -> list[Place]:
    written: list[Place] = []
    if result["footage"]:
        with writing(shots) as part, part.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("path", "fps", *SHOT_COLUMNS))
            for clip in result["footage"]:
                for shot in clip["shots"]:
                    table.writerow(
                        (_cell(clip["path"]), clip["fps_exact"], *(shot[c] for c in SHOT_COLUMNS))
                    )
        written.append(shots)
    if result["music"]:
        with writing(beats) as part, part.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("path", "beat_seconds", "downbeat"))
            for track in result["music"]:
                strong = set(track["downbeats_seconds"])
                for beat in track["beats_seconds"]:
                    table.writerow((_cell(track["path"]), beat, int(beat in strong)))
        written.append(beats)
    return written


def _cell(text: str) -> str:
    """A name on one line that a spreadsheet does not take for a formula."""
    safe = printable(text).encode("utf-8", "replace").decode()
    return "'" + safe if safe[:1] in "=+-@" else safe


def _write_otio(result: Mapping[str, Any], path: Place) -> None:
    """A timeline of all clips, cut where the shots are."""
    import opentimelineio as otio

    document = otio.schema.Timeline(name="shots")
    track = otio.schema.Track(name="shots", kind=otio.schema.TrackKind.Video)
    for clip in result["footage"]:
        rate = float(Fraction(clip["fps_exact"]))
        begin = float(Fraction(clip["starts_at_seconds"]) * Fraction(clip["fps_exact"]))
        url = (
            media_url(clip["path"], path.parent)
            if isinstance(path, Path)
            else file_url(clip["path"])
        )

        def span(start: float, duration: float, rate: float = rate) -> Any:
            time = otio.opentime.RationalTime
            return otio.opentime.TimeRange(time(start, rate), time(duration, rate))

        for number, shot in enumerate(clip["shots"]):
            length = shot["stop_frame"] - shot["start_frame"]
            reference = otio.schema.ExternalReference(url, span(begin, clip["frames"]))
            track.append(
                otio.schema.Clip(
                    name=f"{printable(Path(clip['path']).name)} {number}",
                    media_reference=reference,
                    source_range=span(begin + shot["start_frame"], length),
                    metadata={"montage_shot": dict(shot)},
                )
            )
    document.tracks.append(track)
    with writing(path) as part:
        otio.adapters.write_to_file(document, str(part), adapter_name="otio_json")
