"""docs/configuration.md: every setting, made from the table of settings and the options of the commands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from montage_dask.config import DEFINITIONS, KINDS, defaults, descriptions, sections
from montage_dask.job import may_be_in_job_files

HEAD = """\
# Configuration

Made by `python -m montage_dask config reference` from `montage_dask/config/settings.py`; do not edit it here.

A setting is taken from the first of these that has it:

1. the command line,
2. the job file (`run job.yaml`), by the name of the setting, where it is marked ¹,
3. the environment,
4. a file `~/.config/dask/*.yaml`, below `montage:`, by the name of the setting,
5. the default.

`python -m montage_dask config show` prints every value and where it comes from. A wrong one is refused by name.
From Python, options are keywords with underscores: `montage_dask.run(…, keep_audio=True)`.
"""


def reference(commands: click.Group) -> str:
    """The page, in Markdown.

    Args:
        commands: whose options set the settings.
    """
    options = options_of(commands)
    lines = [HEAD]
    for heading, names in sections().items():
        lines += [
            f"## {heading[0].upper()}{heading[1:]}",
            "",
            "| setting | what it does | default | may be | set by |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [_row(name, options.get(name, ())) for name in names]
        lines.append("")
    lines.append(
        "¹ By a job file, too: what a montage is. A job file is a thing that one receives, so it has no say in the others: "
        "where a job runs, what it may take, whom it asks. Of one that is yours, say `--trust-job`: it may set all of them."
    )
    return "\n".join(lines) + "\n"


def options_of(commands: click.Group) -> dict[str, tuple[str, ...]]:
    """The options that set a setting, by its name: `--style`, or with the command where not `run` has it."""
    found: dict[str, list[str]] = {
        d.name: [str(d.flag)] for d in DEFINITIONS.values() if d.option is not None
    }
    for path, command in sorted(_walk(commands, ()), key=lambda item: item[0] != ("run",)):
        for parameter in command.params:
            name = (parameter.name or "").replace("_", "-")
            if name not in KINDS or not isinstance(parameter, click.Option):
                continue
            option = next(o for o in parameter.opts if o.startswith("--"))
            known = found.setdefault(name, [])
            if not any(k.split()[-1] == option for k in known):
                known.append(option if path == ("run",) else " ".join([*path, option]))
    return {name: tuple(known) for name, known in found.items()}


def _walk(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from _walk(child, (*path, name))
    else:
        yield path, command


def _row(name: str, options: tuple[str, ...]) -> str:
    by = "<br>".join(f"`{b}`" for b in (*options, *DEFINITIONS[name].variables))
    mark = " ¹" if may_be_in_job_files(name) else ""
    cells = (f"`{name}`{mark}", descriptions()[name], _default(name), KINDS[name].form, by)
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def _default(name: str) -> str:
    value: Any = defaults()[name]
    if value is None:
        return "null"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
