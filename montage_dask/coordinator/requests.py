"""What a client asks for, checked: a job is a thing that one receives, as a job file is. `job.read_job` checks it again where
it runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from montage_dask.config import KINDS, checked, descriptions, resolve
from montage_dask.coordinator.accounts import Account
from montage_dask.coordinator.jobs import QueueError
from montage_dask.coordinator.verbs import OWN, kinds
from montage_dask.errors import UsageError, printable
from montage_dask.graph.costs import expected_seconds
from montage_dask.job import FILE_SUFFIXES, PATH_SETTINGS, SELECTORS
from montage_dask.store import is_url, place_of
from montage_dask.store.places import lies_in, scrubbed

MOST_FOOTAGE = 10_000
MOST_TEXT = 4096
"""Characters of an option on a command line."""
OF_RENDERING = ("size", "fps", "codec", "quality", "duration")
"""Settings that say how long rendering takes."""
PREVIEW_PIXELS = 360
"""The shorter side of a quick version."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Webhook(_Strict):
    """Whom to tell when a job has ended."""

    url: str = Field(pattern=r"^https?://[!-~]+$", max_length=2000)
    secret: str = Field(min_length=16, max_length=200)
    """Of the signature: X-Montage-Signature is sha256=HMAC of the body."""


class JobRequest(_Strict):
    """A montage to make, or another verb to do."""

    verb: Literal["run", "analyse", "frames", "transcode", "stabilise", "upscale", "grade", "styles"] = "run"  # fmt: skip
    footage: list[str] = Field(default=[], max_length=MOST_FOOTAGE)
    """Files, folders and globs: below the user's folder, or in one that its jobs may read."""
    music: str | None = None
    from_timeline: str | None = Field(None, alias="from-timeline")
    options: dict[str, Any] = {}
    title: str = Field("", max_length=200)
    priority: Literal["low", "normal", "high"] = "normal"
    parent: str | None = Field(None, max_length=64)
    preview: bool = False
    """A quick version of few pixels comes first, as a job of its own."""
    webhook: Webhook | None = None


class Clip(_Strict):
    """What a browser knows of a file that is not sent yet."""

    seconds: float = Field(ge=0, le=1e6)
    width: int = Field(ge=0, le=100_000)
    height: int = Field(ge=0, le=100_000)


class Estimate(_Strict):
    """A montage that somebody thinks of."""

    clips: list[Clip] = Field(max_length=MOST_FOOTAGE)
    music_seconds: float = Field(0, ge=0, le=1e6)
    options: dict[str, Any] = {}


@cache
def options_model(verb: str) -> type[BaseModel]:
    """What `options` of a job of this verb may hold, as the API's schema shows it."""
    told = descriptions()
    named = {n: " ".join([told.get(n, ""), f"({k.form})"]) for n, k in kinds(verb).items()}
    if verb == "run":
        named |= dict.fromkeys(SELECTORS, "clips, or moments of clips: CLIP[@t]")
    fields: dict[str, Any] = {
        name.replace("-", "_"): (Any, Field(None, alias=name, description=text))
        for name, text in named.items()
    }
    return create_model("Options", __base__=_Strict, **fields)


def expected(asked: Estimate, threads: int) -> float:
    """Seconds that a montage takes; a guess.

    Raises:
        UsageError: a setting is wrong.
    """
    wish = resolve({k: v for k, v in asked.options.items() if k in OF_RENDERING})
    size, fps, codec, quality, duration = (wish[k].value for k in OF_RENDERING)
    width, height = map(int, size.split("x"))
    clips = [(c.seconds, c.width * c.height) for c in asked.clips]
    length = min(float(duration or asked.music_seconds), asked.music_seconds or float("inf"))
    return expected_seconds(clips, length, width * height, fps, codec, quality, threads)


def preview_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The request of the quick version: the same cuts, few pixels."""
    named = {k: v for k, v in content.items() if k == "size"}
    width, height = map(int, resolve(named)["size"].value.split("x"))
    scale = min(1.0, PREVIEW_PIXELS / min(width, height))
    size = "x".join(str(max(2, round(side * scale / 2) * 2)) for side in (width, height))
    return {**content, "size": size, "quality": "preview", "upscale": "off"}


def job_content(asked: JobRequest, account: Account) -> dict[str, Any]:
    """What stands in the job file: absolute paths, and settings that a job file may hold.

    Raises:
        UsageError: one that it may not, a value that is wrong, or a path outside; names it.
    """
    content: dict[str, Any] = {} if asked.verb == "run" else {"verb": asked.verb}
    content |= {name: _option(asked.verb, name, value, account) for name, value in asked.options.items()}  # fmt: skip
    if asked.footage:
        content["footage"] = [_inside("footage", f, account) for f in asked.footage]
    for name, given in (("music", asked.music), ("from-timeline", asked.from_timeline)):
        if given is not None:
            content[name] = _inside(name, given, account)
    if asked.verb == "grade" and not content.get("grade"):
        raise UsageError("grade: a job of grade says which")
    if asked.verb != "run":
        if asked.preview or asked.from_timeline or not (asked.footage or asked.music):
            raise UsageError(f"a job of {asked.verb} has footage or music, and nothing of `run`")
        if asked.music and asked.verb not in ("analyse", "styles"):
            raise UsageError(f"music: {asked.verb} takes none")
    elif asked.from_timeline is None and not (asked.footage and asked.music):
        raise UsageError("a job has footage and music, or a timeline to render")
    return content


def _option(verb: str, name: str, value: Any, account: Account) -> Any:
    """An option of a job, as it may be passed on."""
    if verb == "run" and name in SELECTORS:
        return [_text(name, v) for v in (value if isinstance(value, list) else [value])]
    if name not in kinds(verb):
        if name in KINDS and not KINDS[name].in_job_files:
            raise UsageError(f"{name}: is a matter of the coordinator, not of a job")
        raise UsageError(f"{printable(name)}: is no option of {verb}")
    if name in OWN:
        try:
            return OWN[name](value)
        except (ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"{name}: {error}") from error
    checked(name, value, "job")
    if verb != "run":  # it goes through a command line
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if "\0" in _text(name, value) or len(str(value)) > MOST_TEXT:
            raise UsageError(f"{name}: {printable(str(value)[:40])}…: cannot be passed on")
    is_file = name == "beats-file" or str(value).lower().endswith(FILE_SUFFIXES)
    path = name in PATH_SETTINGS and is_file and value is not None
    return _inside(name, value, account) if path else value


def _text(name: str, value: Any) -> str:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise UsageError(f"{name}: {printable(str(value))}: is not text") from None
    if not isinstance(value, str | int | float):
        raise UsageError(f"{name}: must be text or a list of texts")
    return str(value)


def _inside(name: str, value: Any, account: Account) -> str:
    text = _text(name, value)
    if is_url(text):
        raise UsageError(f"{name}: {scrubbed(text)}: jobs of a coordinator name files, not URLs")
    place = place_of(os.path.normpath(account.root / text))
    if "\0" in text or not lies_in(place, account.roots):
        raise UsageError(f"{name}: {printable(text)}: lies outside your folders")
    return str(place)


def names(content: Mapping[str, Any]) -> list[Path]:
    """The paths that a job's content names."""
    values = [content.get(key) for key in ("footage", "music", "from-timeline", *PATH_SETTINGS)]
    texts = [t for v in values for t in (v if isinstance(v, list) else [v]) if isinstance(t, str)]
    return [Path(t) for t in texts if os.path.isabs(t)]


def title_of(asked: JobRequest) -> str:
    """What a job is called in lists."""
    named = (*asked.footage, asked.from_timeline or asked.music or "")[0]
    return printable(asked.title or PurePath(named).name or named)[:200]


def inside(folder: Path, path: str) -> Path:
    """A regular file below a folder, reached downwards and through no link.

    Raises:
        QueueError: 404.
    """
    parts, found = path.split("/"), folder
    if all(p and not p.startswith(".") and "\\" not in p for p in parts):
        try:
            for part in parts:
                found = found / part
                if stat.S_ISLNK(os.lstat(found).st_mode):
                    break
            else:
                if stat.S_ISREG(os.lstat(found).st_mode):
                    return found
        except (OSError, ValueError):
            pass
    raise QueueError("there is no such file", 404)
