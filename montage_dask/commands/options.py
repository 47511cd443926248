"""Options of commands, made of the table of settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from montage_dask.config import DEFINITIONS

Function = Callable[..., Any]


def grouped(*decorators: Function) -> Function:
    """One decorator of several; the first is the outermost, as if they stood above one another."""

    def apply(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def setting_option(name: str) -> Function:
    """The option that sets a setting, under the name of the setting in the function's arguments.

    Args:
        name: of a setting that has one.
    """
    definition = DEFINITIONS[name]
    option = definition.option
    assert option is not None, name
    return click.option(
        str(definition.flag),
        name.replace("-", "_"),
        metavar=option.metavar,
        help=option.help,
        multiple=option.multiple,
        # Not given is not "no": a file or the environment may say yes.
        default=None,
        is_flag=option.metavar is None,
    )


def setting_options(group: str) -> tuple[Function, ...]:
    """All options of a group, in the order of the table."""
    return tuple(
        setting_option(d.name)
        for d in DEFINITIONS.values()
        if d.option is not None and d.option.group == group and not d.option.many
    )
