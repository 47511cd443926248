"""Views of the table of settings, by name."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from montage_dask.config.declaration import Definition, Trust
from montage_dask.config.settings import SECTIONS
from montage_dask.config.values import Kind

DEFINITIONS: Mapping[str, Definition] = {d.name: d for s in SECTIONS for d in s.settings}
"""Every setting, in the order of the table."""

KINDS: Mapping[str, Kind[Any]] = {
    d.name: replace(d.kind, in_job_files=d.trust is Trust.MONTAGE) for d in DEFINITIONS.values()
}
"""What each may be, and whether a job file may set it."""

ENVIRONMENT: Mapping[str, str] = {d.alias: d.name for d in DEFINITIONS.values() if d.alias}
"""Environment variables that work without the DASK_MONTAGE__ prefix, and the setting that each one sets."""

REPLACED: Mapping[str, str] = {
    "WORKER_MODE": "`worker` starts a worker, and WORKER_TYPE says which kind",
    "TASK_TYPE": "the scheduler tells a worker what to do, and its type (WORKER_TYPE) what it is fit for",
    "TASK_ID": "the scheduler tells a worker what to do; `jobs follow JOB` watches a job",
}
"""Environment variables of older set-ups that do nothing, and what took their place."""


def defaults() -> dict[str, Any]:
    """The defaults, by name, as a file would hold them."""
    return {d.name: copy.deepcopy(d.default) for d in DEFINITIONS.values()}


def descriptions() -> dict[str, str]:
    """What each setting does."""
    return {d.name: d.help for d in DEFINITIONS.values()}


def sections() -> dict[str, tuple[str, ...]]:
    """Names of the settings under the headings of the table."""
    return {s.heading: tuple(d.name for d in s.settings) for s in SECTIONS}
