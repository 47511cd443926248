"""`token`: who may use the coordinator of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from montage_dask.commands.coordinator import folder_option
from montage_dask.commands.shared import EXIT_DONE, print_json


@click.group()
def token() -> None:
    """Who may use the coordinator of this machine; each user has a folder and sees nothing of the others."""


@token.command()
@click.argument("user")
@folder_option
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The user's folder; default: in --folder.",
)
@click.option(
    "--read",
    "reads",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Further folders that its jobs may read.",
)
@click.option("--admin", is_flag=True, help="May drain, and read the metrics.")
def add(
    user: str, folder: Path | None, root: Path | None, reads: tuple[Path, ...], admin: bool
) -> int:
    """A new token for USER, who is made if need be. It is shown once."""
    token_id, text = _accounts(folder).add(user, root, reads, admin=admin)
    click.echo(f"token {token_id} of {user}; it is not shown again:", err=True)
    click.echo(text)
    return EXIT_DONE


@token.command("list")
@folder_option
@click.option("--json", "as_json", is_flag=True)
def list_tokens(folder: Path | None, as_json: bool) -> int:
    """All tokens by their ids."""
    found = _accounts(folder).tokens()
    if as_json:
        print_json({"tokens": found})
    for one in () if as_json else found:
        click.echo(f"{one['id']}  {one['user']}")
    return EXIT_DONE


@token.command()
@click.argument("token_id", metavar="ID")
@folder_option
def revoke(token_id: str, folder: Path | None) -> int:
    """A token opens nothing any more, and who logged in with it is logged out."""
    _accounts(folder).revoke(token_id)
    return EXIT_DONE


def _accounts(folder: Path | None) -> Any:
    from montage_dask.coordinator.accounts import Accounts
    from montage_dask.coordinator.client import default_folder

    return Accounts(folder or default_folder())
