"""A plan, a style, and what a verb made of many files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from montage_dask.edit.styles import Style
from montage_dask.notebook.page import dashboard_line, facts, frame, lines, table, title
from montage_dask.report.left_out import left_out_lines

COLOURS: Mapping[str, str] = {"cpu": "#5b8db8", "gpu": "#6aa84f", "cgpu": "#d18f1c"}
"""Of the targets."""


def plan_html(plan: Mapping[str, Any]) -> str:
    """What a job would do, where, and why there."""
    estimate, cluster, montage = plan["estimate"], plan["cluster"], plan["montage"]
    operations = plan["operations"]
    rows = (
        (
            o["operation"], o["target"], " ".join(f"{k}={v:g}" for k, v in o["resources"].items()), str(o["count"]),
            f"{o['cpu_seconds']:.1f}", o["reason"],
        )
        for o in operations
    )  # fmt: skip
    clips = (
        (
            Path(c["path"]).name, c["codec"], c["size"], f"{c['fps']:.4g}", f"{c['duration_seconds']:.1f} s",
            f"{c['windows_to_do']} of {c['windows']}",
        )
        for c in plan["clips"]
    )  # fmt: skip
    return frame(
        dashboard_line(cluster["dashboard"]),
        title(f"Plan of {Path(plan['output']).name}"),
        facts(
            {
                "montage": f"{montage['duration_seconds']:.1f} s, {montage['size']} at {montage['fps']:.4g} fps",
                "takes about": f"{estimate['wall_seconds']:.0f} s on {cluster['workers']} workers",
                "CPU": f"{estimate['cpu_seconds']:.0f} s",
                "disk": f"{estimate['disk_bytes'] / 1e6:.0f} MB of {estimate['disk_free_bytes'] / 1e9:.0f} GB free",
            }
        ),
        lines("muted", plan.get("notes", ())),
        lines("warn", (f"skipped {Path(s['path']).name}: {s['reason']}" for s in plan["skipped"])),
        lines("muted", left_out_lines(plan)),
        _parts(operations),
        table(("operation", "target", "resources", "tasks", "CPU s", "why there"), rows, numbers=(3, 4)),
        table(("clip", "codec", "size", "fps", "length", "windows to do"), clips, numbers=(3, 4, 5)),
    )  # fmt: skip


def _parts(operations: Sequence[Mapping[str, Any]]) -> Markup:
    """How the work is shared out among the stages: a bar, coloured by target."""
    total = sum(o["cpu_seconds"] for o in operations) or 1.0
    parts = [
        Markup('<i title="{}: {:.1f} CPU s on {}" style="width:{:.2f}%;background:{};opacity:{}">{}</i>').format(
            o["operation"], o["cpu_seconds"], o["target"], 100 * o["cpu_seconds"] / total,
            COLOURS.get(o["target"], "#888"), 1 if n % 2 else 0.75,
            o["operation"] if o["cpu_seconds"] > 0.09 * total else "",
        )
        for n, o in enumerate(operations)
    ]  # fmt: skip
    return Markup('<div class="parts">{}</div>').format(Markup("").join(parts))


def style_html(style: Style) -> str:
    """A style in words and numbers."""
    pace = ", ".join(f"{label} {beats}" for label, beats in style.beats_per_cut.items())
    weights = ", ".join(f"{name} {value:g}" for name, value in style.weights.items())
    return frame(
        title(f"Style {style.name}", style.description),
        facts(
            {
                "beats per cut": pace,
                "arc": style.arc,
                "looks for": weights,
                "shots": f"{style.minimum_shot_seconds:g} – {style.maximum_shot_seconds:g} s",
                "transition": f"{style.transition} at {style.transition_at}",
                "grade": style.grade,
                "slow motion": f"{float(style.slow_motion):g}×",
                "order": style.order,
                "on beats": ", ".join(
                    f"{n} on {e.at}" for n, e in style.beat_effects.items() if e.strength
                )
                or None,
            }
        ),
    )


def batch_html(
    verb: str, made: Sequence[Mapping[str, Any]], skipped: Sequence[Mapping[str, str]]
) -> str:
    """Files that were made."""
    rows = (
        (
            Path(m["path"]).name,
            f"{len(m['stills'])} stills" if "stills" in m else Path(m["output"]).name,
            str(m.get("frames", "")),
            f"{m['size_bytes'] / 1e6:.2f} MB" if "size_bytes" in m else "",
        )
        for m in made
    )
    return frame(
        title(f"{len(made)} files {verb}"),
        lines("warn", (f"skipped {Path(s['path']).name}: {s['reason']}" for s in skipped)),
        table(("from", "made", "frames", "size"), rows, numbers=(2, 3)),
    )
