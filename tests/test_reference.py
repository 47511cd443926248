"""docs/configuration.md and docs/styles.md are what the definitions say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from click.testing import CliRunner

from montage_dask.cli import cli
from montage_dask.commands.reference import options_of
from montage_dask.config import ENVIRONMENT, KINDS
from montage_dask.edit.styles import Style, style_names

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "configuration.md"


def test_the_page_is_in_step():
    """When it is not: python -m montage_dask config reference > docs/configuration.md"""
    made = CliRunner().invoke(cli, ["config", "reference"])
    assert made.exit_code == 0
    assert made.output == PAGE.read_text(encoding="utf-8")


def test_the_page_names_all_there_is():
    text = PAGE.read_text(encoding="utf-8")
    for name in KINDS:
        assert f"| `{name}`" in text
        assert f"`DASK_MONTAGE__{name.replace('-', '_').upper()}`" in text
    assert all(f"`{v}`" in text for v in ENVIRONMENT)


def test_options_are_found_whatever_their_names():
    options = options_of(cli)
    assert options["beats-file"] == ("--beats",)
    assert options["kubernetes-namespace"] == ("--namespace",)
    assert options["worker-type"] == ("worker --type",)
    assert options["upscale-model"] == ("--upscale-model", "upscale --model")
    assert "segment-frames" not in options


def test_the_gallery_is_in_step():
    """When it is not: python -m montage_dask config reference --styles > docs/styles.md"""
    made = CliRunner().invoke(cli, ["config", "reference", "--styles"])
    assert made.exit_code == 0
    assert made.output == (DOCS / "styles.md").read_text(encoding="utf-8")
    for key in {f.name for f in fields(Style)} - {"name"}:
        assert f"`{key}`" in made.output


def test_every_style_has_its_strip():
    """When one is missing: python -m montage_dask styles --demo -o made --duration 24, and copy NAME.jpg to docs/styles/"""
    found = {p.stem: p.stat().st_size for p in (DOCS / "styles").glob("*.jpg")}
    assert found.keys() == set(style_names())
    assert sum(found.values()) < 1_000_000
