"""The operations of the effects that make files of their own: shake, steadying, upscaling. See `graph.operations`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from montage_dask.graph.operation import Context, Operation, Request, register, source_of
from montage_dask.store import writing


def _tremor(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.strip import Strip, strip_folder
    from montage_dask.analysis.tremor import rough_shake_percent
    from montage_dask.errors import DamagedArtefact

    source, p = source_of(request), request.parameters
    try:
        strip = Strip(strip_folder(context.store, source, p["window_frames"], p.get("faces", True)))
        thumbnails = strip.thumbnails(p["start_frame"], p["stop_frame"])
    except DamagedArtefact as damage:
        if not damage.missing:
            raise
        # The shots are known from a job with other windows: then the pictures themselves must tell.
        return {"shake_percent": None}
    aspect = source.coded_height / source.coded_width
    return {"shake_percent": round(rough_shake_percent(thumbnails, source.frame_rate, aspect), 4)}


def _motion(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.motion import measure_motion, save_motion
    from montage_dask.media.index import FrameIndex

    p = request.parameters
    motions = measure_motion(
        source_of(request),
        FrameIndex.load(Path(request.paths["index"])),
        p["start_frame"],
        p["stop_frame"],
        threads=context.threads,
    )
    with writing(context.file(request, ".npz")) as part:
        save_motion(part, motions)
    return {"frames": len(motions)}


def _path(request: Request, context: Context) -> dict[str, Any]:
    import numpy as np

    from montage_dask.analysis.motion import load_motion
    from montage_dask.analysis.steady import known_share, path_of, shake_percent, steady

    p = request.parameters
    motions = np.concatenate([load_motion(Path(m)) for m in request.paths["motions"]])
    rate, aspect = Fraction(p["frame_rate"]), p["aspect"]
    path = steady(motions, rate, aspect)
    with writing(context.file(request, ".npz")) as part:
        path.save(part)
    return {
        "shake_percent": round(shake_percent(path_of(motions), rate, aspect), 4),
        "known_share": round(known_share(motions), 4),
        "zoom": round(path.zoom, 4),
    }


def _stabilise(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.analysis.steady import Steady
    from montage_dask.media.encoders import encoding
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.pictures import MEZZANINE, even_size, write_pictures
    from montage_dask.render.stabilise import stabilise

    source, p = source_of(request), request.parameters
    files = [Steady.load(Path(f)) for f in request.paths["paths"]]
    shots = [(a, b, s) for (a, b, _), s in zip(p["paths"], files, strict=True)]
    wanted = p["encoding"]
    exact = wanted is not None and source.constant_frame_rate
    with writing(context.file(request, ".mp4")) as part:
        return write_pictures(
            source,
            FrameIndex.load(Path(request.paths["index"])),
            p["start_frame"],
            p["stop_frame"],
            part,
            transform=stabilise(shots, device=context.device),
            size=even_size(source),
            encoding=MEZZANINE if wanted is None else encoding(**wanted),
            threads=context.threads,
            rate=source.frame_rate if exact else None,
            upright=wanted is not None,
        )


def _upscale(request: Request, context: Context) -> dict[str, Any]:
    from montage_dask.media.encoders import encoding
    from montage_dask.media.index import FrameIndex
    from montage_dask.render.mezzanine import mezzanine_source
    from montage_dask.render.pictures import MEZZANINE, even_size, write_pictures
    from montage_dask.render.upscale import Upscaler, told_colour, upscaled

    p, paths = request.parameters, request.paths
    source, index = source_of(request), FrameIndex.load(Path(paths["index"]))
    start, stop = p["start_frame"], p["stop_frame"]
    if p["input"] is not None:
        source, index = mezzanine_source(
            source, index, Path(paths["input"]), start, identity=p["input"]
        )
        start, stop = 0, stop - start
    upscaler = Upscaler(
        paths["model"],
        p["scale"],
        device=context.device,
        # A GPU has one of its own; CPUs must agree on one.
        precision=p["precision"] if context.device == "cpu" else None,
        memory_limit_mb=paths["memory_limit_mb"],
        threads=context.threads,
    )
    width, height = even_size(source)
    wanted = p["encoding"]
    exact = wanted is not None and source.constant_frame_rate
    with writing(context.file(request, ".mp4")) as part:
        record = write_pictures(
            told_colour(source),
            index,
            start,
            stop,
            part,
            transform=lambda pictures: upscaled(pictures, upscaler, source),
            size=(width * p["scale"], height * p["scale"]),
            encoding=MEZZANINE if wanted is None else encoding(**wanted),
            threads=context.threads,
            rate=source.frame_rate if exact else None,
            upright=wanted is not None,
        )
    return {**record, "start_frame": p["start_frame"], "tile": upscaler.tile}


for _op in (
    Operation("tremor", "analysis.tremor", _tremor),
    Operation("motion", "analysis.motion", _motion, files=(".npz",)),
    Operation("path", "analysis.steady", _path, files=(".npz",)),
    Operation("stabilise", "render.stabilise", _stabilise, gpu_speedup=1.2, files=(".mp4",)),
    Operation("upscale", "render.upscale", _upscale, gpu_speedup=50, files=(".mp4",)),
):
    register(_op)
