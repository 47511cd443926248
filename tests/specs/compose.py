"""Reads compose.yaml as `docker compose` does, and starts its services as processes of this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPOSE = Path(__file__).parents[2] / "specs/compose.yaml"


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}`."""

    def found(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if values.get(name):
            return values[name]
        if kind == ":?":
            raise KeyError(f"{name}: {rest}")
        return rest or ""

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", found, text)


def load(values: Mapping[str, str]) -> dict[str, Any]:
    """The file with its variables replaced."""
    return yaml.safe_load(interpolate(COMPOSE.read_text(), values))


@dataclass(frozen=True)
class Processes:
    """Services as processes: what stands for a path, a host or a port inside a container is replaced everywhere."""

    services: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, str]
    more: Mapping[str, str]
    """Beside the environment of the services."""

    def here(self, text: str) -> str:
        wanted = "|".join(map(re.escape, self.places))
        return re.sub(wanted, lambda m: self.places[m[0]], text)

    def environment(self, service: str) -> dict[str, str]:
        own = {
            k: self.here(str(v))
            for k, v in (self.services[service].get("environment") or {}).items()
        }
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DASK_", "CGPU_"))}
        return clean | dict(self.more) | own

    def command(self, words: list[str]) -> list[str]:
        known = {"python": [sys.executable], "dask": [sys.executable, "-m", "dask"]}
        return [*known.get(words[0], words[:1]), *map(self.here, words[1:])]

    def start(self, service: str) -> subprocess.Popen[bytes]:
        """The service, with its command, in a process group of its own."""
        return subprocess.Popen(
            self.command(self.services[service]["command"]),
            env=self.environment(service),
            start_new_session=True,
        )

    def run(
        self, service: str, command: list[str] | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run the service, or another command in its place, to its end."""
        return subprocess.run(
            self.command(command or self.services[service]["command"]),
            env=self.environment(service),
            timeout=timeout, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def healthy(self, service: str) -> bool:
        """Whether the service's health check succeeds now."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.run(service, words, timeout=30).returncode == 0
