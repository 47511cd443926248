"""What all pieces of HTML share: the frame, facts, tables, pictures. Names are data: Markup escapes them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from montage_dask.errors import printable

Picture = NDArray[np.uint8]

THUMBNAIL_HEIGHT = 54
MOST_ROWS = 60
"""Rows of a table; what is more is counted."""


@cache
def _style() -> Markup:
    own = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    chart = (Path(__file__).parent.parent / "report" / "page" / "chart.css").read_text(
        encoding="utf-8"
    )
    # Nested, so that nothing of it reaches the rest of the notebook.
    return Markup(f"<style>{own}\n.mdask {{\n{chart}}}</style>")


def frame(*parts: Markup | str) -> str:
    """A card. What is not markup is text."""
    inside = Markup("\n").join(p for p in parts if p)
    return str(Markup('<div class="mdask">{}{}</div>').format(_style(), inside))


def text(value: Any, limit: int = 200) -> str:
    """A name on one line, not longer than that."""
    shown = printable(str(value))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def title(what: str, more: str = "") -> Markup:
    """The heading of a card."""
    return Markup('<div><b class="title">{}</b> <span class="muted">{}</span></div>').format(
        text(what), text(more, 400)
    )


def dashboard_line(address: str | None) -> Markup:
    """The link that stands first."""
    if not address:
        return Markup("")
    if not address.startswith(("http://", "https://")):
        return Markup('<div class="muted">Dashboard: {}</div>').format(text(address))
    return Markup(
        '<div>Dashboard: <a href="{0}" target="_blank" rel="noopener">{0}</a></div>'
    ).format(text(address))


def facts(found: Mapping[str, Any]) -> Markup:
    """A line of names and values."""
    parts = [
        Markup("<div><span>{}</span> <b>{}</b></div>").format(name, text(value))
        for name, value in found.items()
        if value not in (None, "")
    ]
    return Markup('<div class="facts">{}</div>').format(Markup("").join(parts))


def table(
    head: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[int] = ()
) -> Markup:
    """A table of at most `MOST_ROWS` rows.

    Args:
        head: names of the columns.
        rows: cells; markup stays markup.
        numbers: columns that are set right.
    """
    all_rows = list(rows)
    cells = []
    for row in all_rows[:MOST_ROWS]:
        shown = [
            Markup("<td{}>{}</td>").format(
                Markup(' class="n"') if k in numbers else "",
                c if isinstance(c, Markup) else text(c),
            )
            for k, c in enumerate(row)
        ]
        cells.append(Markup("<tr>{}</tr>").format(Markup("").join(shown)))
    heads = [
        Markup("<th{}>{}</th>").format(Markup(' class="n"') if k in numbers else "", name)
        for k, name in enumerate(head)
    ]
    left = len(all_rows) - MOST_ROWS
    more = Markup('<div class="muted">… and {} more</div>').format(left) if left > 0 else ""
    return Markup(
        '<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{}'
    ).format(Markup("").join(heads), Markup("").join(cells), more)


def folded(name: str, *inside: Markup) -> Markup:
    """Something to unfold."""
    return Markup("<details><summary>{}</summary>{}</details>").format(
        name, Markup("").join(inside)
    )


def lines(kind: str, messages: Iterable[str], most: int = 10) -> Markup:
    """Messages, one a line; the class says how they look (warn, bad, muted)."""
    shown = list(messages)
    found = [Markup('<div class="{}">{}</div>').format(kind, text(m, 400)) for m in shown[:most]]
    if len(shown) > most:
        found.append(Markup('<div class="muted">… and {} more</div>').format(len(shown) - most))
    return Markup("").join(found)


def rail(share: float) -> Markup:
    """A bar of progress, 0 … 1."""
    percent = 100 * min(1.0, max(0.0, share))
    return Markup('<span class="rail"><i style="width:{:.1f}%"></i></span>').format(percent)


def data_url(pixels: Picture, quality: int = 82) -> str:
    """A picture as an address that holds it."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def picture(pixels: Picture, alt: str) -> Markup:
    """An embedded picture."""
    return Markup('<img alt="{}" src="{}">').format(text(alt), data_url(pixels))


def film(thumbnails: Sequence[Picture], aspect: float, alt: str) -> Markup:
    """Thumbnails side by side as one picture, in the shape of their source.

    Args:
        thumbnails: uint8 RGB [27, 48, 3], squeezed.
        aspect: width / height of the source.
        alt: what it is.
    """
    from PIL import Image

    if not thumbnails:
        return Markup('<span class="muted">no thumbnails here</span>')
    wide = max(16, min(160, round(THUMBNAIL_HEIGHT * aspect)))
    size, gap = (wide, THUMBNAIL_HEIGHT), 2
    sheet = Image.new("RGB", (len(thumbnails) * (wide + gap) - gap, size[1]), "white")
    for number, one in enumerate(thumbnails):
        small = Image.fromarray(np.ascontiguousarray(one)).resize(size, Image.Resampling.BICUBIC)
        sheet.paste(small, (number * (wide + gap), 0))
    return picture(np.asarray(sheet), alt)
