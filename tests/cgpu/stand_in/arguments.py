"""The command line as cgpu's parser reads it, with the options that it swallows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from .failure import Failure

USAGE = """\
Usage: cgpu [options] [command]

Options:
  -c, --config <path>          path to config file
  --force-login                ignore cached session and re-authenticate
  -h, --help                   display help for command

Commands:
  connect [options]            connect to a Colab runtime
  run [options] <command...>   run a command on a Colab runtime
  copy [options] <source> [destination]
                               upload a file to a Colab runtime
  status                       show the account and its eligible GPUs
  logout                       forget the cached session
  serve [options]              serve the Responses API through the Gemini CLI
  help [command]               display help for command
"""

_RUNTIME = {"--new-runtime": "", "--tpu": "", "--cpu": ""}
_GLOBAL = {"-c": "path", "--config": "path", "--force-login": "", "-h": "", "--help": ""}
_OPTIONS: dict[str, dict[str, str]] = {
    "connect": {**_RUNTIME, "--startup-command": "cmd"},
    "run": {**_RUNTIME, "-v": "", "--verbose": ""},
    "copy": _RUNTIME,
    "status": {},
    "logout": {},
    "serve": {
        "-p": "port",
        "--port": "port",
        "-H": "host",
        "--host": "host",
        "--gemini-bin": "path",
        "--default-model": "model",
        "--timeout": "ms",
        "--workspace-dir": "path",
        "--list-models": "",
    },
    "help": {},
}
_LONG = {"-c": "config", "-h": "help", "-v": "verbose", "-p": "port", "-H": "host"}
_LEAST = {"run": ("command",), "copy": ("source",)}
_MOST = {"copy": 2, "status": 0, "logout": 0, "connect": 0, "serve": 0, "help": 1}


class Call(NamedTuple):
    """A parsed command line."""

    verb: str
    """"" when there is none; "help" for -h."""
    options: dict[str, str]
    """By long name; a flag's value is ""."""
    operands: list[str]

    @property
    def variant(self) -> str:
        """The kind of runtime: "GPU", "TPU" or "DEFAULT" (CPU)."""
        if "cpu" in self.options and "tpu" in self.options:
            raise Failure("Choose either --cpu or --tpu, not both.")
        return "DEFAULT" if "cpu" in self.options else "TPU" if "tpu" in self.options else "GPU"


def parse(argv: Sequence[str]) -> Call:
    """Read a command line.

    Known options are taken wherever they stand, between a remote command's words too; unknown ones of `run` belong to
    the remote command. After `--` nothing is an option.

    Raises:
        Failure: a usage error.
    """
    verb = ""
    options: dict[str, str] = {}
    operands: list[str] = []
    words = iter(argv)
    for word in words:
        known = _GLOBAL | _OPTIONS.get(verb, {})
        name, equals, value = word.partition("=")
        if word == "--":
            operands += words
        elif name in known and (not equals or name.startswith("--")):
            if known[name] and not equals:
                value = next(words, "")
                if not value:
                    raise Failure(f"error: option '{name} <{known[name]}>' argument missing")
            options[_LONG.get(name, name.lstrip("-"))] = value
        elif word.startswith("-") and word != "-" and verb != "run":
            raise Failure(f"error: unknown option '{word}'")
        elif verb:
            operands.append(word)
        elif word in _OPTIONS:
            verb = word
        else:
            raise Failure(f"error: unknown command '{word}'")
    if "help" in options:
        return Call("help", {}, [])
    for name in _LEAST.get(verb, ())[len(operands) :]:
        raise Failure(f"error: missing required argument '{name}'")
    if len(operands) > _MOST.get(verb, len(operands)):
        raise Failure(f"error: too many arguments for '{verb}'.")
    return Call(verb, options, operands)


def remote_command(operands: Sequence[str]) -> str:
    """The text that is typed: the first word as it is, the others quoted for a POSIX shell."""
    first, *others = operands
    command = " ".join([first, *map(shlex.quote, others)])
    if not command.strip():
        raise Failure("Cannot run an empty command")
    return command
