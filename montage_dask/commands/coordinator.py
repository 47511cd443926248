"""The commands of the coordinator: `coordinator` serves, `submit` and `jobs` speak to one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from montage_dask.commands.shared import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_SKIPPED,
    montage_options,
    print_json,
)
from montage_dask.errors import UsageError, printable

if TYPE_CHECKING:
    from montage_dask.coordinator.client import Coordinator

CODES: Mapping[str, int] = {
    "finished": EXIT_DONE,
    "partly": EXIT_SKIPPED,
    "failed": EXIT_FAILED,
    "cancelled": EXIT_INTERRUPTED,
}
"""Exit code by how a job ended."""

NOT_OURS = (
    "cluster", "tls-ca-file", "tls-cert", "tls-key", "insecure", "n-workers", "store", "run-dir", "trust-job", "director-url",
    "director-model", "director-api",
)  # fmt: skip
"""Options of `run` that say where and how it runs: a matter of the coordinator."""

folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Queue, users and their files; default: montage-dask/coordinator in the user's data folder.",
)
url_option = click.option(
    "--url",
    metavar="URL",
    help="Of the coordinator; default: COORDINATOR_URL, or http://127.0.0.1:8080.",
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@folder_option
@click.option("--cluster", default="local", show_default=True, metavar="WHERE", help="As of `run`.")
@click.option(
    "--at-once",
    type=click.IntRange(1, 64),
    help="Jobs under way; default: 1 on local workers, else 4.",
)
@click.option(
    "--read",
    "reads",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folders that jobs of this machine's user may read; default: the home folder and the current one.",
)
@click.option("--no-auth", is_flag=True, help="No tokens: all on this machine are its user.")
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen beyond this machine without TLS, behind a proxy that has it; also for --cluster.",
)
@click.option("--tls-cert", type=click.Path(exists=True, path_type=Path), metavar="FILE")
@click.option("--tls-key", type=click.Path(exists=True, path_type=Path), metavar="FILE")
@click.option("--prefix", default="", metavar="/PATH", help="Below which a proxy shows it.")
@click.option(
    "--keep-days",
    type=click.FloatRange(0),
    metavar="N",
    help="Ended jobs are removed after so long.",
)
@click.option("--quota", metavar="SIZE", help="Of each user, such as 50GB.")
@click.option(
    "--webhook-private",
    is_flag=True,
    help="Webhooks may go to addresses of this machine and its networks.",
)
def coordinator(
    cluster: str,
    at_once: int | None,
    quota: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    **given: Any,
) -> int:
    """Serve a queue of jobs: a page, an API, and the processes that work on it. REDIS_URL: several share one queue."""
    from dask.utils import parse_bytes

    from montage_dask.coordinator.serve import Serving, serve

    try:
        quota_bytes = None if quota is None else int(parse_bytes(quota))
    except ValueError:
        raise UsageError(f"--quota {printable(str(quota))}: a size is such as 50GB") from None
    serve(
        Serving(
            cluster=cluster, at_once=at_once or (1 if cluster == "local" else 4), quota_bytes=quota_bytes,
            options=["--insecure"] if given["insecure"] and "://" in cluster else [],
            tls=None if tls_cert is None else (tls_cert, tls_key), **given,
        ),
        lambda line: click.echo(line, err=True),
    )  # fmt: skip
    return EXIT_DONE


def connect(url: str | None) -> Coordinator:
    """The coordinator that is meant."""
    from montage_dask.config import resolve
    from montage_dask.coordinator.client import Coordinator

    named = url or resolve()["coordinator-url"].value
    return Coordinator(named if named and named.startswith(("http://", "https://")) else None)


@click.command()
@montage_options
@url_option
@click.option("--priority", type=click.Choice(["low", "normal", "high"]), default="normal")
@click.option("--title", help="Default: the name of the footage.")
@click.option("--parent", metavar="JOB", help="The job whose timeline this one renders again.")
@click.option(
    "--verb",
    default="run",
    show_default=True,
    metavar="NAME",
    help="Another: analyse, frames, transcode, stabilise, upscale, grade, styles.",
)
@click.option("--set", "more", multiple=True, metavar="NAME=VALUE", help="An option of that verb.")
@click.option(
    "--webhook", metavar="URL", help="Told when it has ended, signed by MONTAGE_WEBHOOK_SECRET."
)
@click.option(
    "--upload/--no-upload", default=None, help="Send the files; default: to another machine."
)
@click.option("--follow", is_flag=True, help="Wait for it, and bring the montage here.")
def submit(
    footage: tuple[str, ...], url: str | None, follow: bool, as_json: bool, **given: Any
) -> int:
    """Give a job to a coordinator; Ctrl-C leaves it running."""
    there = connect(url)
    job, output = send(there, footage, given)
    if as_json and not follow:
        print_json(job)
    elif not follow:
        click.echo(job["id"])
    return follow_job(there, job["id"], output, as_json=as_json) if follow else EXIT_DONE


def send(
    there: Coordinator, footage: tuple[str, ...], given: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """Submit what the options of `run` say.

    Returns:
        The job, and where its montage is to stand.

    Raises:
        UsageError: an option that a coordinator does not take.
    """
    options = {k.replace("_", "-"): v for k, v in given.items() if v is not None and v != ()}
    for name in ("quiet", "verbose", "demo", "as-json", "follow", "url"):
        options.pop(name, None)
    more = {name: options.pop(name, None) for name in ("priority", "title", "parent", "verb")}
    options |= dict(pair.partition("=")[::2] for pair in options.pop("more", ()))
    hook, secret = options.pop("webhook", None), os.environ.get("MONTAGE_WEBHOOK_SECRET", "")
    if hook is not None:
        if len(secret) < 16:
            raise UsageError("--webhook: set MONTAGE_WEBHOOK_SECRET to at least 16 characters")
        more["webhook"] = {"url": hook, "secret": secret}
    upload = options.pop("upload", None)
    output = str(options.pop("output", "montage.mp4"))
    foreign = sorted(options.keys() & set(NOT_OURS))
    if foreign:
        raise UsageError(
            f"--{foreign[0]}: is a matter of the coordinator; with --cluster local, `run` works without one"
        )
    music = options.pop("music", None)
    if upload or (upload is None and not there.is_here):
        footage, music = _uploaded(there, footage, music, options)
    else:
        footage = tuple(os.path.abspath(f) for f in footage)
        music = None if music is None else os.path.abspath(music)
    for name in ("from-timeline", "grade", "style", "beats-file"):
        if name in options and os.path.exists(str(options[name])):
            options[name] = os.path.abspath(str(options[name]))
    more |= {"music": music, "from-timeline": options.pop("from-timeline", None)}
    named = {k: v for k, v in more.items() if v is not None}
    return there.submit({"footage": footage, "options": options, **named}), output


def _uploaded(
    there: Coordinator, footage: tuple[str, ...], music: str | None, options: dict[str, Any]
) -> tuple[tuple[str, ...], str | None]:
    """Send the files of a job, into a folder of its own there."""
    import time

    named: list[Path] = []
    for text in footage:
        path = Path(text)
        found = sorted(path.rglob("[!.]*")) if path.is_dir() else [path]
        named += [p for p in found if p.is_file()]
    if not named:
        raise UsageError("no footage to send: name files or folders")
    folder = time.strftime("%Y-%m-%d %H-%M-%S")
    sent = []
    for path in [*named, *([Path(music)] if music else [])]:
        click.echo(f"sending {printable(path.name)}", err=True)
        try:
            sent.append(there.upload(path, folder))
        except OSError as error:
            raise UsageError(f"{printable(str(path))}: cannot be read: {error.strerror}") from error
    return tuple(sent[: len(named)]), sent[-1] if music else None


def follow_job(
    there: Coordinator, job_id: str, output: str | None, *, as_json: bool = False
) -> int:
    """Say how a job goes on until it has ended; then bring its montage here, if it is told where to."""
    told = ""
    click.echo(f"job {job_id} at {printable(there.url)}; Ctrl-C leaves it running", err=True)
    for kind, data in there.events(job_id):
        if kind == "state":
            reason = f": {data['reason']}" if data.get("reason") else ""
            line = f"{data['state']}{reason}"
        else:
            done, total = data.get("done") or 0, data.get("total") or 0
            line = f"{data.get('stage') or 'starting'}: {done}/{total} {data.get('unit') or ''}"
        if line != told:
            click.echo(printable(line.rstrip()), err=True)
            told = line
    job = there.call("GET", f"/api/jobs/{job_id}")
    if job["state"] in ("finished", "partly"):
        if output is not None:
            target = Path(output).absolute()
            target.parent.mkdir(parents=True, exist_ok=True)
            for path in _montages(there, job_id):
                here = (
                    target.with_name(target.stem + path[len("montage") :])
                    if path != "montage.mp4"
                    else target
                )
                there.download(job_id, path, here)
                if not as_json:
                    click.echo(str(here))
    else:
        click.echo(f"{job['state']}: {printable(job['reason'])}", err=True)
    if as_json:
        print_json(job)
    return CODES.get(job["state"], EXIT_FAILED)


def _montages(there: Coordinator, job_id: str) -> list[str]:
    files = there.call("GET", f"/api/jobs/{job_id}/files")
    return [f["path"] for f in files if "/" not in f["path"] and f["path"].endswith(".mp4")]


@click.group()
def jobs() -> None:
    """Look at the jobs of a coordinator, and change them."""


def _line(job: Mapping[str, Any]) -> str:
    told = job["progress"]
    stage = (
        f" {told['stage']} {told['done']}/{told['total']}"
        if job["state"] == "running" and told.get("stage")
        else ""
    )
    reason = f": {job['reason']}" if job["reason"] else ""
    return printable(
        f"{job['id']}  {job['state'] + stage:<20}  {job['priority']:<6}  {job['title']}{reason}"
    )


@jobs.command("list")
@url_option
@click.option("--json", "as_json", is_flag=True)
def listed(url: str | None, as_json: bool) -> int:
    """All of yours, the youngest first, whatever is paused or drained."""
    there, found, before = connect(url), [], ""
    while True:
        page = there.call("GET", f"/api/jobs?most=1000{before}")
        found += page["jobs"]
        if not page["jobs"]:
            break
        before = f"&before={page['before']}"
    if as_json:
        print_json({"jobs": found})
    for job in () if as_json else found:
        click.echo(_line(job))
    return EXIT_DONE


@jobs.command()
@click.argument("job")
@url_option
def show(job: str, url: str | None) -> int:
    """Everything about one, as JSON."""
    print_json(connect(url).call("GET", f"/api/jobs/{job}"))
    return EXIT_DONE


@jobs.command()
@click.argument("job")
@url_option
def follow(job: str, url: str | None) -> int:
    """Watch one until it ends. Exit code: that of `run`."""
    return follow_job(connect(url), job, None)


def _act(verb: str, job: str, url: str | None) -> int:
    click.echo(_line(connect(url).call("POST", f"/api/jobs/{job}/{verb}")))
    return EXIT_DONE


@jobs.command()
@click.argument("job")
@url_option
def cancel(job: str, url: str | None) -> int:
    """Stop one for good."""
    return _act("cancel", job, url)


@jobs.command()
@click.argument("job")
@url_option
def retry(job: str, url: str | None) -> int:
    """Begin one again that failed, was cancelled or left clips out; what is made is not made again."""
    return _act("retry", job, url)


@jobs.command()
@click.argument("job")
@click.option("--off", is_flag=True, help="Go on.")
@url_option
def pause(job: str, off: bool, url: str | None) -> int:
    """Stop one for now; what is made is kept."""
    return _act("resume" if off else "pause", job, url)


@jobs.command()
@click.option("--off", is_flag=True, help="Begin jobs again.")
@url_option
def drain(off: bool, url: str | None) -> int:
    """Let running jobs end and begin no more on the coordinator's cluster, also after a restart."""
    found = connect(url).call("PUT", f"/api/drain?on={'false' if off else 'true'}")["drained"]
    click.echo(
        f"drained by {found['by']}: `jobs drain --off` ends it" if found else "jobs begin again"
    )
    return EXIT_DONE


@jobs.command()
@click.argument("job")
@url_option
def log(job: str, url: str | None) -> int:
    """What its process said."""
    click.echo(connect(url).text(f"/api/jobs/{job}/log"), nl=False)
    return EXIT_DONE


@jobs.command()
@click.argument("job")
@click.argument("file", required=False)
@click.option("-o", "--output", metavar="FILE", help="Default: its name, here.")
@url_option
def get(job: str, file: str | None, output: str | None, url: str | None) -> int:
    """Bring a FILE of a job here; without one, list them."""
    there = connect(url)
    if file is None:
        for found in there.call("GET", f"/api/jobs/{job}/files"):
            click.echo(f"{found['bytes']:>12}  {printable(found['path'])}")
        return EXIT_DONE
    target = Path(output or Path(file).name)
    there.download(job, file, target)
    click.echo(str(target))
    return EXIT_DONE
