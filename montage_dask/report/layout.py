"""What the pages of runs and of other jobs have in common: one file that fetches nothing, its style, and pictures in it.

Names and a model's words are data: Jinja escapes them, and a page allows no script but its own, by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from montage_dask.errors import printable
from montage_dask.media.limits import too_large
from montage_dask.received import read_bytes
from montage_dask.report.chart import clock
from montage_dask.store import writing

if TYPE_CHECKING:
    from jinja2 import Environment

NAME = "report.html"
PICTURE_BYTES = 256 << 20
"""The largest picture of a run folder that is read."""
PICTURE_HEADS = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff"}
PAGE = Path(__file__).with_name("page")


def rendered(
    template: str, *, styles: Sequence[str] = (), beside: Path | None = None, **values: Any
) -> str:
    """A page as text.

    Args:
        template: name of one that extends `layout.html.j2`.
        styles: files beside `report.css`.
        beside: the folder of the template, if it is not this package's.
        **values: what the templates ask for.
    """
    script = _text("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment(beside)
        .get_template(template)
        .render(
            script=Markup(script),
            script_hash=digest,
            style=Markup("".join(_text(name) for name in ("report.css", *styles))),
            **values,
        )
    )


def write_page(text: str, folder: Path) -> Path:
    """Write a page into the folder that it is of, and return its path.

    Raises:
        StoreError: it cannot be written.
    """
    path = folder / NAME
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def there(folder: Path, names: Iterable[str]) -> list[str]:
    """Those of some files that are in a folder."""
    return [n for n in names if (folder / n).is_file()]


def embedded(path: Path, most_bytes: int) -> str | None:
    """A picture as a data URL, made smaller until it is small enough; None when there is none."""
    from io import BytesIO

    from PIL import Image

    try:
        # A received folder may hold a link to anything; and whoever gets the page gets what is in it.
        if path.is_symlink():
            return None
        data = read_bytes(path, PICTURE_BYTES)
        kind = next((k for k, head in PICTURE_HEADS.items() if data.startswith(head)), None)
        if kind is None:
            return None
        if len(data) > most_bytes:
            with Image.open(BytesIO(data)) as opened:
                if too_large(*opened.size):
                    return None
                image = opened.convert("RGB")
            image.thumbnail((2000, 4000))
            quality = 85
            while len(data) > most_bytes:
                buffer = BytesIO()
                image.save(buffer, "JPEG", quality=quality)
                data, kind = buffer.getvalue(), "jpeg"
                if quality > 60:
                    quality -= 10
                else:
                    image = image.resize(
                        (max(1, image.width * 4 // 5), max(1, image.height * 4 // 5))
                    )
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _text(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


@cache
def _environment(beside: Path | None) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([PAGE] if beside is None else [PAGE, beside]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters.update(clock=clock, name=lambda path: Path(str(path)).name)
    return environment


def _shown(value: Any) -> Any:
    """Every value on its way into the page: control characters and broken encodings are escaped, before HTML is."""
    if value is None:
        return ""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
