"""All operations: how a small request becomes a call into analysis or render, and its result a small record.

Every function here only unpacks, calls and packs. A parameter belongs into `parameters` when it changes the result, into
`paths` when it only says where something stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import montage_dask.graph.effect_operations
import montage_dask.graph.music_operations  # noqa: F401 - all register their own
from montage_dask.graph.operation import Context, Operation, Request, register, source_of
from montage_dask.records import Music, Source, Timeline, Window, from_json, to_json
from montage_dask.store import Store, objects, writing

if TYPE_CHECKING:
    from montage_dask.media.encoders import Encoding


def _encoding(parameters: Mapping[str, Any]) -> Encoding:
    from montage_dask.media.encoders import encoding

    names = ("codec", "quality", "crf", "threads", "encoder")
    return encoding(**{n: parameters[n] for n in names if n in parameters})


def _probe(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.probe import probe

    source, index = probe(
        request.paths["path"], deinterlace=request.parameters.get("deinterlace", "auto")
    )
    with writing(context.file(request, ".npz")) as part:
        index.save(part)
    return {"source": to_json(source)}


def _strip(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.looks import step
    from montage_dask.analysis.strip import create_strip, strip_folder, write_window
    from montage_dask.media.index import FrameIndex

    source, p = source_of(request), request.parameters
    window = Window(p["window"], p["start_frame"], p["stop_frame"])
    folder = strip_folder(context.store, source, p["window_frames"], p.get("faces", True))
    create_strip(folder, source.frames, p["window_frames"], step(source.frame_rate))
    index = FrameIndex.load(Path(request.paths["index"]))
    return write_window(
        source,
        index,
        window,
        p["window_frames"],
        folder,
        threads=context.threads,
        device=context.device,
        faces=p.get("faces", True),
    )


def _strip_pieces(request: Request) -> list[str]:
    from montage_dask.analysis.strip import window_files

    p = request.parameters
    folder = strip_place(source_of(request), p["window_frames"], p.get("faces", True))
    return [f"{folder}/{name}" for name in window_files(p["window"])]


def strip_place(source: Source, window_frames: int, faces: bool) -> str:
    """Where a strip stands below any store."""
    from montage_dask.analysis.strip import strip_folder

    return str(strip_folder(Store(Path()), source, window_frames, faces))


def _scores_pieces(request: Request) -> list[str]:
    from montage_dask.analysis.transnet import scores_name
    from montage_dask.store.arrays import chunk_names

    p = request.parameters
    folder = strip_place(source_of(request), p["window_frames"], p.get("faces", True))
    names = chunk_names(scores_name(p["precision"]), p["window"], 0)
    return [f"{folder}/{name}" for name in names]


def _scores(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.strip import Strip, strip_folder
    from montage_dask.analysis.transnet import write_scores

    p = request.parameters
    window = Window(p["window"], p["start_frame"], p["stop_frame"])
    strip = Strip(
        strip_folder(context.store, source_of(request), p["window_frames"], p.get("faces", True))
    )
    return write_scores(
        strip, window, device=context.device, precision=p["precision"], threads=context.threads
    )


def _shots(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.scenes import detect_boundaries, with_holes
    from montage_dask.analysis.shots import describe_shots
    from montage_dask.analysis.strip import Strip, strip_folder
    from montage_dask.media.index import FrameIndex

    source, p = source_of(request), request.parameters
    strip = Strip(strip_folder(context.store, source, request.paths["window_frames"], p["faces"]))
    boundaries = detect_boundaries(
        strip,
        detector=p["detector"],
        threshold=p["threshold"],
        frame_rate=source.frame_rate,
        precision=p["precision"],
        weights=_optional(request.paths["scenes_weights"]),
    )
    index = FrameIndex.load(Path(request.paths["index"]))
    shots = describe_shots(
        source,
        index,
        strip,
        with_holes(boundaries, source),
        kind=p["embedding"],
        model=request.paths["embedding_model"],
        device=context.device,
    )
    return {"shots": to_json(shots)}


def _beats(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.music import analyse_music

    p = request.parameters
    music = analyse_music(
        request.paths["path"],
        tracker=p["tracker"],
        bpm=p["bpm"],
        beats_file=request.paths.get("beats_file"),
        beats_per_bar=p["beats_per_bar"],
        weights=_optional(request.paths["weights"]),
        checkpoint=_optional(request.paths["checkpoint"]),
        packed=request.paths.get("packed", False),
        device=context.device,
    )
    return {"music": to_json(music)}


def _optional(given: str | None) -> Path | None:
    return Path(given) if given else None


def _encode(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.mezzanine import stand_ins
    from montage_dask.render.segments import Segment, render_segment

    p, paths = request.parameters, request.paths
    sources = {k: from_json(Source, v) for k, v in paths["sources"].items()}
    indexes = {k: FrameIndex.load(Path(v)) for k, v in paths["indexes"].items()}
    output, tap = context.file(request, ".mp4"), context.file(request, ".tap")
    with (
        writing(output) as part,
        writing(tap) as small,
        stand_ins(paths["stand_ins"], part.parent) as made,
    ):
        return render_segment(
            from_json(Segment, p["segment"]),
            sources | {k: s for k, (s, _) in made.items()},
            indexes | {k: i for k, (_, i) in made.items()},
            part,
            fit=p["fit"],
            grade=paths["grade"],
            encoding=_encoding(p),
            threads=context.threads,
            work=part.parent,
            tap=small,
            further_back=paths.get("further_back", False),
        )


def _guard(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.steady import Steady
    from montage_dask.analysis.strip import Strip, strip_folder
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.expected import Steadied
    from montage_dask.render.guard import Claim, check_segment
    from montage_dask.render.segments import Segment

    p, paths = request.parameters, request.paths
    claims = {}
    for name, json in paths["sources"].items():
        source = from_json(Source, json)
        moves = zip(p["moves"][name], paths["moves"][name], strict=True)
        claims[name] = Claim(
            source,
            FrameIndex.load(Path(paths["indexes"][name])),
            Strip(
                strip_folder(
                    context.store,
                    source,
                    p["strips"][name]["window_frames"],
                    p["strips"][name].get("faces", True),
                )
            ),
            paths["start_frames"][name],
            tuple(Steadied(a, b, Steady.load(Path(f))) for (a, b, _), f in moves),
            redrawn=name in p["redrawn"],
        )
    return check_segment(
        from_json(Segment, p["segment"]),
        Path(paths["segment"]),
        Path(paths["tap"]),
        claims,
        fit=p["fit"],
        grade=paths["grade"],
        closely=paths["closely"],
    )


def _audio(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.render.audio import render_audio

    p, paths = request.parameters, request.paths
    with writing(context.file(request, ".m4a")) as part:
        return render_audio(
            from_json(Timeline, paths["timeline"]),
            paths["music"],
            {k: from_json(Source, v) for k, v in paths["sources"].items()},
            part,
            keep_audio=p["keep_audio"],
            loudness_lufs=p["loudness_lufs"],
            true_peak_db=p["true_peak_db"],
        )


def _assemble(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.render.assemble import assemble

    p, paths = request.parameters, request.paths
    output = Path(paths["output"])
    record = assemble(
        [Path(s) for s in paths["segments"]],
        Path(paths["audio"]) if paths["audio"] else None,
        output,
        frames=p["frames"],
        fps=Fraction(p["fps"]),
        metadata=p["metadata"],
    )
    return {**record, **objects.state_of(output)}


def _pictures(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.report.pictures import draw_run

    paths = request.paths
    music = from_json(Music, paths["music"])
    waveform, cells = draw_run(
        # Parameters say where the music was found, paths where it is.
        replace(from_json(Timeline, request.parameters["timeline"]), music_path=music.path),
        paths["sources"],
        music,
        Path(paths["output"]),
        contact_sheet_path=Path(paths["outputs"]["contact_sheet"]),
        timeline_path=Path(paths["outputs"]["timeline"]),
    )
    return {"waveform": waveform, "cells": cells}


def _stills(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.stills import extract_stills

    p, paths = request.parameters, request.paths
    written = extract_stills(
        source_of(request),
        FrameIndex.load(Path(paths["index"])),
        {int(k): Path(v) for k, v in paths["outputs"].items()},
        max_width=p["max_width"],
    )
    return {"written": [str(w) for w in written]}


def _transcode(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.transcode import transcode_window

    p = request.parameters
    with writing(context.file(request, ".mp4")) as part:
        return transcode_window(
            source_of(request),
            FrameIndex.load(Path(request.paths["index"])),
            p["start_frame"],
            p["stop_frame"],
            part,
            encoding=_encoding(p),
            size=None if p["size"] is None else (p["size"][0], p["size"][1]),
            grade=request.paths["grade"],
            threads=context.threads,
        )


def _grade(request: Request, context: Context) -> dict[str, Any]:
    """A transcode whose table a GPU applies; on a CPU ffmpeg does all of it."""
    if not context.device.startswith("cuda"):
        return _transcode(request, context)
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.lut_pictures import graded_pictures, in_rec709
    from montage_dask.render.pictures import even_size, write_pictures

    source, p = source_of(request), request.parameters
    transform = graded_pictures(source, request.paths["grade"], device=context.device)
    with writing(context.file(request, ".mp4")) as part:
        return write_pictures(
            in_rec709(source),
            FrameIndex.load(Path(request.paths["index"])),
            p["start_frame"],
            p["stop_frame"],
            part,
            transform=transform,
            size=even_size(source),
            encoding=_encoding(p),
            threads=context.threads,
            rate=source.frame_rate if source.constant_frame_rate else None,
            upright=True,
        )


def _join(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.transcode import join_transcode

    p, paths = request.parameters, request.paths
    output = Path(paths["output"])
    record = join_transcode(
        source_of(request),
        FrameIndex.load(Path(paths["index"])),
        [Path(s) for s in paths["parts"]],
        output,
        audio=p["audio"],
    )
    return {**record, **objects.state_of(output)}


for _op in (
    Operation("probe", "media.probe", _probe, files=(".npz",)),
    Operation("strip", "analysis.strip", _strip, gpu_speedup=2, pieces=_strip_pieces),
    Operation("scores", "analysis.transnet", _scores, gpu_speedup=100, pieces=_scores_pieces),
    Operation("shots", "analysis.shots", _shots),
    Operation("beats", "analysis.music", _beats, gpu_speedup=2),
    Operation("encode", "render.segments", _encode, gpu_speedup=6, files=(".mp4", ".tap")),
    Operation("guard", "render.guard", _guard),
    Operation("audio", "render.audio", _audio, files=(".m4a",)),
    Operation("assemble", "render.assemble", _assemble, outputs=("output",)),
    Operation("pictures", "report.pictures", _pictures, outputs=("outputs",)),
    Operation("stills", "render.stills", _stills, outputs=("outputs",)),
    Operation("transcode", "render.transcode", _transcode, gpu_speedup=6, files=(".mp4",)),
    Operation("grade", "render.transcode", _grade, gpu_speedup=1.5, files=(".mp4",)),
    Operation("join", "render.transcode", _join, outputs=("output",)),
):
    register(_op)
"""How much faster a GPU is was not measured yet: the speed-ups are guesses on the safe side, good enough to choose by."""
