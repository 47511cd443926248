"""The commands of clusters on Kubernetes: `cluster up`, `status`, `scale`, `down`, `logs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from montage_dask.commands.options import grouped, setting_option
from montage_dask.commands.shared import print_json
from montage_dask.errors import ClusterError, UsageError

_where = (setting_option("kubernetes-namespace"),)
_what = tuple(
    setting_option(f"kubernetes-{name}")
    for name in ("image", "cpu-workers", "gpu-workers", "cgpu-workers")
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def _settings(given: Mapping[str, Any]) -> Mapping[str, Any]:
    from montage_dask.config import resolve

    return resolve({k.replace("_", "-"): v for k, v in given.items() if v is not None})


@click.group()
def cluster() -> None:
    """Clusters on Kubernetes."""


@cluster.command()
@grouped(*_where, *_what)
def up(**given: Any) -> int:
    """Start a cluster that stays, and print its name; `run --cluster kubernetes --attach NAME` uses it."""
    from montage_dask.cluster.standing import start_standing

    name = start_standing(_settings(given))
    click.echo(f"run … --cluster kubernetes --attach {name}", err=True)
    click.echo(name)
    return 0


@cluster.command()
@click.argument("name", required=False)
@grouped(*_where)
@as_json
def status(name: str | None, as_json: bool, **given: Any) -> int:
    """Clusters, their groups and pods, and why a pod does not run."""
    from montage_dask.cluster.standing import examine

    found = examine(_settings(given), name)
    if as_json:
        print_json(found)
        return 0
    if not found["clusters"]:
        click.echo(f"no clusters in namespace {found['namespace']}", err=True)
    for item in found["clusters"]:
        lost = "  its client is gone" if item["orphaned"] else ""
        click.echo(f"{item['name']}  {item['phase']}  {item['launched_by']}{lost}")
        for group in item["groups"]:
            click.echo(f"  {group['kind']}: {group['running']} of {group['replicas']} workers run")
        for pod in item["pods"]:
            lack = f"  {pod['trouble']}" if pod["trouble"] else ""
            click.echo(f"  {pod['name']}  {pod['phase']}  restarts {pod['restarts']}{lack}")
    return 0


@cluster.command()
@click.argument("name")
@click.argument("group", type=click.Choice(["cpu", "gpu", "cgpu"]))
@click.argument("workers", type=click.IntRange(0, 1000))
@grouped(*_where)
def scale(name: str, group: str, workers: int, **given: Any) -> int:
    """Bring the GROUP of cluster NAME to so many WORKERS. Work of workers that go moves to others; other groups keep theirs."""
    from montage_dask.cluster.standing import scale_standing

    settings = _settings({**given, "kubernetes_attach": name})
    click.echo(f"{group}: {scale_standing(settings, group, workers)} workers")
    return 0


@cluster.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All clusters of montage-dask in the namespace.")  # fmt: skip
@grouped(*_where)
def down(names: tuple[str, ...], everything: bool, **given: Any) -> int:
    """Remove clusters with all their pods."""
    from montage_dask.cluster.standing import remove_standing

    if bool(names) == everything:
        raise UsageError("cluster down: give names (`cluster status` lists them), or --all")
    left = remove_standing(_settings(given), names or None)
    if left:
        raise ClusterError("still there: " + ", ".join(left))
    return 0


@cluster.command()
@click.argument("name")
@click.argument("pod", required=False)
@click.option("--tail", type=click.IntRange(1), default=100, show_default=True, metavar="LINES")
@grouped(*_where)
def logs(name: str, pod: str | None, tail: int, **given: Any) -> int:
    """What the pods of cluster NAME said, or those whose name begins with POD."""
    from montage_dask.cluster.standing import read_logs

    for title, text in read_logs(_settings(given), name, pod or "", tail):
        click.echo(f"==> {title}", err=True)
        click.echo(text)
    return 0
