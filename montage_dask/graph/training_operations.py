"""The operations of training: one piece of data, one leg of steps, the evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from montage_dask.graph.operation import Context, Operation, Request, register
from montage_dask.store import writing
from montage_dask.training import recipe_named


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


for _op in (
    Operation("synthesise", "training.recipe", _synthesise, files=(".npz",)),
    Operation("train", "training.recipe", _train, gpu_speedup=5, files=(".pt",)),
    Operation("evaluate", "training.recipe", _evaluate, files=(".npz",)),
):
    register(_op)
