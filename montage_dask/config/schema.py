"""The table of settings as a JSON schema, by which editors complete and check job files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from montage_dask.config.declaration import Trust
from montage_dask.config.views import DEFINITIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": ["string", "number"]}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}


def job_schema(
    paths: Iterable[str], lists: Iterable[str], *, newest: int, trusted: bool = False
) -> dict[str, Any]:
    """What a job file may hold, as JSON schema.

    Args:
        paths: keys of a job file that are no settings and hold one path.
        lists: those that hold one text or several.
        newest: the newest `schema_version` of job files.
        trusted: for files of the user's own (`--trust-job`), which may hold all settings.
    """
    properties: dict[str, Any] = {
        "schema_version": {
            "description": "of job files; missing: the first",
            "type": "integer",
            "minimum": 1,
            "maximum": newest,
        }
    }
    properties |= {key: {"type": "string"} for key in paths}
    properties |= {key: _TEXTS for key in lists}
    for definition in DEFINITIONS.values():
        if trusted or definition.trust is Trust.MONTAGE:
            properties[definition.name] = {
                "description": definition.help,
                "default": definition.default,
                **definition.kind.schema,
            }
    return {
        "$schema": DIALECT,
        "title": "montage-dask job file",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
