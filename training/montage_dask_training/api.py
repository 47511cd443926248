"""Training of the networks of our own, as a function: `train`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from montage_dask.api.batch import batched, local_folder
from montage_dask.api.working import alone, logged, separate, shown
from montage_dask.config import resolve
from montage_dask.errors import UsageError
from montage_dask.graph.placement import TARGETS
from montage_dask.graph.telling import Progress
from montage_dask.progress_file import ProgressFile
from montage_dask.store.places import local_only
from montage_dask_training import job
from montage_dask_training.recipes import recipe_named


def train(
    network: str,
    data: Sequence[str | Path] = (),
    *,
    output: str | Path | None = None,
    target: str = "auto",
    size: str = "default",
    seed: int = 0,
    weights: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a network of our own: data is synthesised, then learnt in legs, then evaluated. Killed, it goes on when called again.

    Args:
        network: scenes or beats.
        data: own material: files, folders, globs.
        output: folder for `weights.npz`, `card.md`, `training.json`, `loss.png` and `report.html`; `trained-NETWORK` by default.
        target: where the legs run: auto, cpu, gpu or cgpu.
        size: default, or tiny: some seconds, which make no good network.
        seed: of all that is random.
        weights: a file to begin with.
        progress: told how far it is.
        **options: settings.

    Returns:
        The object of `training.json`, with the paths of the files, and what ran where.

    Raises:
        UsageError: an option is wrong.
        NothingToDoError: data was named, but none of it can be used.
    """
    made = recipe_named(network)
    if size not in made.legs:
        raise UsageError(f"--size {size}: must be one of {', '.join(made.legs)}")
    if target not in ("auto", *TARGETS):
        raise UsageError(f"--target {target}: must be auto, {', '.join(TARGETS)}")
    if not 0 <= seed < 2**31:
        raise UsageError(f"--seed {seed}: must lie between 0 and {2**31 - 1}")
    start = None if weights is None else Path(weights).absolute()
    if start is not None:
        made.check(start)
    store = resolve(separate(options)[0])["store"].value
    if store:
        local_only(store, "--store")
    folder = local_folder(output or f"trained-{network}")
    read = list(data) if start is None else [*data, start]
    how = job.Training(network, tuple(str(d) for d in data), size, seed, start, target)
    with (
        alone([folder]),
        shown(progress, f"training {network}") as heard,
        logged(folder),
        ProgressFile(folder, heard, folder / "weights.npz") as followed,
        batched("train", read, options, folder, followed, "") as (driver, settings),
    ):
        told = job.train(driver, settings, how, folder)
        ran = driver.told()
    return {
        **told,
        "weights": str(folder / "weights.npz"),
        "card": str(folder / "card.md"),
        "loss_plot": str(folder / "loss.png"),
        "report": str(folder / "report.html"),
        **ran,
    }
