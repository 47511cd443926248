"""What made a run what it is: its command, the settings that are not default, and the versions."""

from __future__ import annotations

import json
import os
import platform
import shlex
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from montage_dask.config import DEFINITIONS, Setting
from montage_dask.errors import MontageError
from montage_dask.job import JobSpec
from montage_dask.records import to_json


def described(job: JobSpec) -> dict[str, Any]:
    """Command, settings and versions of a job, ready for JSON."""
    return {
        "command": command(job),
        "folder": os.getcwd(),
        "settings": [
            {"name": s.name, "value": to_json(_shown(s)), "origin": s.origin}
            for s in job.settings.values()
            if s.origin != "default"
        ],
        "versions": versions(),
    }


def command(job: JobSpec) -> str:
    """A shell command that does the same again in the same folder, with the environment that counted."""
    words = ["python", "-m", "montage_dask", "run"]
    environment = []
    if job.music is not None:
        words += ["--music", job.music]
    words += ["--output", str(job.output)]
    run_dir = job.published or job.run_dir
    if run_dir != job.output.with_suffix(".montage"):
        words += ["--run-dir", str(run_dir)]
    if job.from_timeline is not None:
        words += ["--from-timeline", str(job.from_timeline)]
    for option in ("include", "exclude", "first", "last"):
        words += [f"--{option}={value}" for value in getattr(job, option)]
    words += [f"--pin={value}" for value in job.pins]
    words += [f"--focus={value}" for value in job.focus]
    for setting in job.settings.values():
        if setting.origin in ("default", "file"):
            continue
        value = to_json(_shown(setting))
        set_by, flag = DEFINITIONS[setting.name].option, DEFINITIONS[setting.name].flag
        if setting.origin.startswith("environment ") or set_by is None:
            environment.append(_variable(setting, value))
        elif set_by.metavar is None:
            words += [str(flag)] if value else []
        elif isinstance(value, bool):
            words.append(f"{flag}={'on' if value else 'off'}")
        elif isinstance(value, list):
            words += [f"{flag}={','.join(value)}"] if value else []
        elif value is not None:
            words.append(f"{flag}={value}")
    # Quoted as a whole, an assignment would be the name of a command.
    return " ".join([*environment, shlex.join([*words, "--", *job.footage])])


def _variable(setting: Setting, value: Any) -> str:
    name = setting.origin.removeprefix("environment ")
    if name == setting.origin:
        name = DEFINITIONS[setting.name].variables[0]
    return f"{name}={shlex.quote(value if isinstance(value, str) else json.dumps(value))}"


def _shown(setting: Setting) -> Any:
    """The value, without a user and password in an address."""
    if not (isinstance(setting.value, str) and "://" in setting.value and "@" in setting.value):
        return setting.value
    parts = urlsplit(setting.value)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def versions() -> dict[str, str]:
    """Of this package and what it stands on, where the job was started."""
    import dask

    from montage_dask._version import __version__
    from montage_dask.media.ffmpeg import version

    try:
        ffmpeg = version()
    except MontageError as error:
        ffmpeg = str(error)
    return {
        "montage-dask": __version__,
        "Python": platform.python_version(),
        "FFmpeg": ffmpeg,
        "dask": dask.__version__,
        "system": platform.platform(),
    }
