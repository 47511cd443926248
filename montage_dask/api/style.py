"""`Style`: how a montage is paced, chosen and coloured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import yaml

from montage_dask.edit import styles
from montage_dask.edit.styles import load_style, parse_style, style_names
from montage_dask.errors import UsageError
from montage_dask.records import to_json
from montage_dask.schema_versions import with_version
from montage_dask.store import writing


class Style:
    """A style of the package, or of a file of yours.

        Style("trailer").but(grade="noir", maximum_shot_seconds=4)

    Args:
        name: one of `Style.names()`, or the path of a .yaml file.

    Raises:
        UsageError: there is no such style, or the file holds none.
    """

    def __init__(self, name: str | Path) -> None:
        self.record: styles.Style = load_style(str(name))
        """All that the style says; its fields are the keys of the file."""
        self.source: str | None = str(name)
        """Name or file that it is exactly; None when it was changed and not saved."""

    @staticmethod
    def names() -> tuple[str, ...]:
        """The styles that come with the package."""
        return style_names()

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    def but(self, name: str | None = None, **changes: Any) -> Self:
        """This style with some of its keys changed, checked as in a file.

        Args:
            name: of the new style; by default the old one with "-mine" after it.
            **changes: keys of a style file; of `beats_per_cut` and `weights` the parts that change suffice.

        Raises:
            UsageError: a key is unknown, or its value is wrong.
        """
        values = self._values()
        for key, value in changes.items():
            inside = isinstance(value, Mapping) and isinstance(values.get(key), Mapping)
            values[key] = {**values[key], **value} if inside else value
        new = name or (self.name if self.name.endswith("-mine") else f"{self.name}-mine")
        if not new.replace("-", "").replace("_", "").isalnum():
            raise UsageError(f"style {new!r}: a name has letters, digits, - and _")
        result = object.__new__(type(self))
        result.record = replace(parse_style(values, new, new), name=new)
        result.source = None
        return result

    def save(self, path: str | Path) -> Path:
        """Write it as a file that `style=` and `--style` take.

        Raises:
            UsageError: the name does not end in .yaml.
            StoreError: it cannot be written.
        """
        target = Path(path)
        if target.suffix not in (".yaml", ".yml"):
            raise UsageError(f"{target}: the name of a style's file ends in .yaml")
        told = with_version("style", self._values())
        with writing(target) as part:
            part.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
        return target

    def _values(self) -> dict[str, Any]:
        told = to_json(self.record)
        values = {f.name: told[f.name] for f in fields(self.record) if f.name != "name"}
        return {**values, "slow_motion": float(self.record.slow_motion)}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Style) and self.record == other.record

    def __hash__(self) -> int:
        return hash((self.record.name, self.record.description))

    def __repr__(self) -> str:
        return f"<Style {self.name}: {self.record.description}>"

    def _repr_html_(self) -> str:
        from montage_dask.notebook.plan import style_html

        return style_html(self.record)
