"""The operations of training: one piece of data, one leg of steps, the evaluation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from montage_dask.graph.operation import Context, Operation, Request
from montage_dask.graph.parcel import Carrier, Parcel, Shipment
from montage_dask.store import Store, writing
from montage_dask_training.recipes import recipe_named

DISTRIBUTION = "montage-dask-training"


def _synthesise(request: Request, context: Context) -> dict[str, Any]:
    p = request.parameters
    with writing(context.file(request, ".npz")) as part:
        return recipe_named(p["recipe"]).synthesise(p["part"], request.paths["inputs"], part)


def _train(request: Request, context: Context) -> dict[str, Any]:
    p, paths = request.parameters, request.paths
    with writing(context.file(request, ".pt")) as part:
        return recipe_named(p["recipe"]).train(
            p,
            [Path(x) for x in paths["parts"]],
            Path(paths["state"]) if paths["state"] else None,
            part,
            start=Path(paths["start"]) if paths["start"] else None,
            device=context.device,
            threads=context.threads,
        )


def _evaluate(request: Request, context: Context) -> dict[str, Any]:
    paths, made = request.paths, recipe_named(request.parameters["recipe"])
    with writing(context.file(request, ".npz")) as part:
        chosen = made.export(Path(paths["state"]), [Path(x) for x in paths["validation"]], part)
        figures = made.evaluate(part, [Path(x) for x in paths["test"]])
        size_bytes = part.stat().st_size
    return {"chosen": chosen, "figures": figures, "size_bytes": size_bytes}


def _pack(request: Request, store: Store, folder: Path) -> Parcel:
    """The parts and the state before go along."""
    shipment = Shipment(request, store)
    paths = {
        "parts": [shipment.add(p) for p in request.paths["parts"]],
        **{k: shipment.add(p) if (p := request.paths[k]) else None for k in ("state", "start")},
    }
    return Parcel(replace(request, paths=paths, label=""), shipment.files)


SYNTHESISE = Operation(
    "synthesise", "recipe", _synthesise, files=(".npz",), distribution=DISTRIBUTION
)
TRAIN = Operation(
    "train", "recipe", _train, gpu_speedup=5, files=(".pt",), distribution=DISTRIBUTION, carrier=Carrier(_pack),
)  # fmt: skip
EVALUATE = Operation("evaluate", "recipe", _evaluate, files=(".npz",), distribution=DISTRIBUTION)
