"""docs/api.md is what the docstrings say, and they are complete."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

import montage_dask
from montage_dask import api

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_in_step():
    """When it is not: python docs/make_api.py > docs/api.md"""
    pytest.importorskip("montage_dask_training", reason="`train` is on it: pip install ./training")
    made = runpy.run_path(str(DOCS / "make_api.py"))["page"]()
    assert made == (DOCS / "api.md").read_text(encoding="utf-8")


def test_all_that_is_public_is_on_the_page():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in api.__all__:
        assert f"## {name}\n" in text, name
        assert getattr(montage_dask, name) is getattr(api, name)


@pytest.mark.parametrize("name", [n for n in api.__all__ if inspect.isclass(getattr(api, n))])
def test_every_verb_and_property_says_what_it_does(name):
    cls = getattr(api, name)
    assert inspect.getdoc(cls)
    for member, value in vars(cls).items():
        if not member.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


def test_verbs_that_take_time_have_a_twin():
    for name in ("Footage", "Music", "Job", "Timeline"):
        cls = getattr(api, name)
        for member, value in vars(cls).items():
            function = getattr(value, "__func__", value)
            if not inspect.isfunction(function) or member.startswith("_") or member == "start":
                continue
            if "progress" in inspect.signature(function).parameters and "_async" not in member:
                assert inspect.iscoroutinefunction(getattr(cls, f"{member}_async")), member
