"""How far running work is: the dashboard first, then a bar per stage; of many runs a line each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from montage_dask.notebook.page import (
    dashboard_line,
    folded,
    frame,
    lines,
    rail,
    table,
    text,
    title,
)

SHOWN_NOTES = 5


def progress_html(found: Sequence[Mapping[str, Any]]) -> str:
    """One run in detail, or many as a table.

    Args:
        found: `Run.progress` of each.
    """
    if len(found) == 1:
        return _one(found[0])
    link = next((f["dashboard"] for f in found if f["dashboard"]), None)
    counts: dict[str, int] = {}
    for f in found:
        counts[f["state"]] = counts.get(f["state"], 0) + 1
    told = ", ".join(f"{n} {state}" for state, n in counts.items())
    # Those that go on first, then those that failed.
    ranks = {"running": 0, "failed": 1, "cancelled": 2, "waiting": 3, "finished": 4}
    rows = (
        (f["title"], _state(f), rail(_share(f)), _stage(f), f"{f['seconds']:.0f} s")
        for f in sorted(found, key=lambda f: ranks[f["state"]])
    )
    return frame(
        dashboard_line(link),
        title(f"{len(found)} runs", told),
        table(("run", "state", "", "stage", "since"), rows, numbers=(4,)),
    )


def _one(f: Mapping[str, Any]) -> str:
    # The link stands first already.
    notes = [n for n in f["notes"] if not n.startswith("watch it at ")]
    rows = (
        (
            stage["name"],
            rail(stage["done"] / stage["total"] if stage["total"] else 1.0),
            f"{stage['done']}/{stage['total']} {stage['unit']}".rstrip(),
            f"{stage['speed']:.1f}×" if stage["speed"] else "",
            f"about {stage['eta_seconds']:.0f} s left" if stage["eta_seconds"] else f"{stage['seconds']:.1f} s",
        )
        for stage in f["stages"]
        # Of a stage that was done before, nothing comes.
        if stage["done"] or f["state"] not in ("finished", "cancelled", "interrupted", "failed")
    )  # fmt: skip
    stages = (
        table(("stage", "", "done", "speed", ""), rows, numbers=(3,)) if f["stages"] else Markup("")
    )
    if f["state"] == "finished" and not notes:
        # What matters now is the result: one line is enough.
        told = text(f"{f['title']}: finished after {f['seconds']:.1f} s", 300)
        return frame(folded(told, dashboard_line(f["dashboard"]), stages))
    return frame(
        dashboard_line(f["dashboard"]),
        Markup("<div>{} {}</div>").format(
            title(f["title"]), Markup("{} after {:.0f} s").format(_state(f), f["seconds"])
        ),
        stages,
        lines("muted", [f["label"]] if f["label"] and f["state"] == "running" else []),
        lines("warn", notes[-SHOWN_NOTES:]),
        lines("bad", [f["error"]] if f["error"] else []),
    )


def _state(f: Mapping[str, Any]) -> Markup:
    kind = {"failed": "bad", "cancelled": "warn", "interrupted": "warn", "waiting": "muted"}.get(
        f["state"], ""
    )
    return Markup('<span class="{}">{}</span>').format(kind, f["state"])


def _stage(f: Mapping[str, Any]) -> str:
    if f["error"]:
        return text(f["error"], 160)
    if f["state"] != "running" or not f["stage"]:
        return ""
    return f"{f['stage']} {f['done']}/{f['total']} {f['unit']}".rstrip()


def _share(f: Mapping[str, Any]) -> float:
    """How much is done, of what is known so far, each stage alike: a bar that tells that something moves."""
    if f["state"] == "finished":
        return 1.0
    stages = [s["done"] / s["total"] for s in f["stages"] if s["total"]]
    # More stages come: strip, shots, beats, sound, segments, assembly, pictures …
    return sum(stages) / max(9, len(stages)) if stages else 0.0
