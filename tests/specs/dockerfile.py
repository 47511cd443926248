"""Reads a Dockerfile, and carries out what it says in a root of its own, without an engine.

All stages share one root (so that `COPY --from` finds what it names), which is either an overlay over this machine, thrown away
afterwards, or a folder with a whole system in it:

    python tests/specs/dockerfile.py FOLDER [NAME=VALUE …]     # as root; build arguments
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Instruction:
    keyword: str
    value: str
    """With continued lines joined; variables stand as they were written."""


@dataclass(frozen=True)
class Stage:
    name: str
    base: str
    """The name of another stage, or an image."""
    instructions: tuple[Instruction, ...]


def parse(text: str, arguments: Mapping[str, str]) -> dict[str, Stage]:
    """The stages by name, in order; `arguments` are the build arguments."""
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    known: dict[str, str] = {}
    stages: dict[str, list[Instruction]] = {}
    bases: dict[str, str] = {}
    current: list[Instruction] | None = None
    for line in re.sub(r"\\\n", "", text).splitlines():
        if not line.strip():
            continue
        keyword, value = line.split(maxsplit=1)
        if keyword == "FROM":
            base, _, name = value.partition(" AS ")
            bases[name] = expand(base, known)
            current = stages.setdefault(name, [])
        elif current is None:
            assert keyword == "ARG", line
            name, _, default = value.partition("=")
            known[name] = arguments.get(name, default)
        else:
            if keyword == "ARG" and value in known:
                value = f"{value}={known[value]}"
            current.append(Instruction(keyword, value))
    return {name: Stage(name, bases[name], tuple(found)) for name, found in stages.items()}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Docker's `$NAME` and `${NAME}`."""
    return re.sub(
        r"\$(?:(\w+)|\{(\w+)\})", lambda m: values.get(m.group(1) or m.group(2), ""), text
    )


def context(ignore: str, folder: Path) -> Iterator[Path]:
    """The files of the build context, relative to `folder`: what `.dockerignore` (text) leaves of it."""
    rules = [
        (r.removeprefix("!"), r.startswith("!"))
        for r in ignore.splitlines()
        if r and not r.startswith("#")
    ]
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if ".git" in relative.parts or (path.is_dir() and not path.is_symlink()):
            continue
        wanted = True
        for pattern, kept in rules:
            # A rule holds for a path and for all that is below it; `**/` for any folder.
            tops = [relative, *relative.parents][:-1]
            any_folder = pattern.removeprefix("**/")
            if any((fnmatch.fnmatch(str(t), pattern) and pattern.count("/") == str(t).count("/")) or
                   (pattern != any_folder and fnmatch.fnmatch(t.name, any_folder)) for t in tops):  # fmt: skip
                wanted = kept
        if wanted:
            yield relative


@dataclass
class Build:
    """One build: `folder` becomes the file system."""

    root: Path
    stages: Mapping[str, Stage]
    arguments: Mapping[str, str]
    source: Path = REPOSITORY
    """The build context."""
    overlay: Path | None = None
    """A scratch folder: the root is this machine under an overlay, and what is written goes there."""
    environment: dict[str, str] = field(default_factory=dict)
    """Beside what the image sets; for the RUN lines alone."""
    skip: str = "(?!)"
    """A RUN line that matches is passed over."""
    log: list[str] = field(default_factory=list)
    """The RUN lines that were run."""

    def run_stage(self, name: str) -> dict[str, str]:
        """Carry out a stage and what it is made from; returns its environment."""
        stage = self.stages[name]
        environment = dict(self.run_stage(stage.base)) if stage.base in self.stages else {
            "PATH": self.environment.get("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        }  # fmt: skip
        arguments: dict[str, str] = {}
        user, folder = "0:0", "/"
        for instruction in stage.instructions:
            values = environment | arguments
            match instruction.keyword:
                case "ARG":
                    key, _, default = instruction.value.partition("=")
                    arguments[key] = self.arguments.get(key, default)
                case "ENV":
                    for word in shlex.split(instruction.value):
                        key, _, value = word.partition("=")
                        environment[key] = expand(value, values)
                case "WORKDIR":
                    folder = instruction.value
                    self._call(["mkdir", "-p", folder], {}, "/", "0:0")
                case "USER":
                    user = instruction.value
                case "COPY":
                    self._copy(shlex.split(expand(instruction.value, values)), folder)
                case "RUN" if not re.search(self.skip, instruction.value):
                    self.log.append(instruction.value)
                    self._call(
                        ["/bin/bash", "-euo", "pipefail", "-c", instruction.value],
                        self.environment | values, folder, user,
                    )  # fmt: skip
        return environment

    def call(self, command: list[str], environment: Mapping[str, str], user: str = "10001:10001") -> str:  # fmt: skip
        """What a command of the finished image prints."""
        return self._call(command, {**self.environment, **environment}, "/", user)

    def _copy(self, words: list[str], folder: str) -> None:
        if words[0].startswith("--from="):
            return  # the root is shared
        *sources, target = words
        files = list(context((self.source / ".dockerignore").read_text(), self.source))
        staged = self.root.parent / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        for source in sources:
            found = 0
            for path in files:
                if path.parts[0] == source or fnmatch.fnmatch(str(path), source):
                    below = path.relative_to(source) if path.parts[0] == source != str(path) else Path(path.name)  # fmt: skip
                    to = staged / below
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(self.source / path, to, follow_symlinks=False)
                    found += 1
            assert found or "*" in source, f"COPY {source}: nothing in the context"
        where = str(PurePosixPath(folder) / target)
        self._call(["mkdir", "-p", where], {}, "/", "0:0")
        packed = subprocess.run(
            ["tar", "-C", str(staged), "--owner=0", "--group=0", "-c", "."],
            stdout=subprocess.PIPE, check=True,
        )  # fmt: skip
        self._call(["tar", "-C", where, "-x"], {}, "/", "0:0", packed.stdout)

    def _call(
        self, command: list[str], environment: Mapping[str, str], folder: str, user: str,
        given: bytes = b"",
    ) -> str:  # fmt: skip
        """Run a command in the root, in a mount namespace that ends with it."""
        mounts = ""
        if self.overlay:
            upper, work = self.overlay / "upper", self.overlay / "work"
            upper.mkdir(exist_ok=True)
            work.mkdir(exist_ok=True)
            mounts = f"mount -t overlay overlay -o lowerdir=/,upperdir={upper},workdir={work} {self.root}; "
        mounts += f"for m in proc dev; do mount --rbind /$m {self.root}/$m; done; "
        enter = f'exec chroot --userspec={user} {self.root} /usr/bin/env -i "$@"'
        variables = [f"{k}={v}" for k, v in ({"PATH": "/usr/bin:/bin"} | dict(environment)).items()]
        inner = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *command]
        done = subprocess.run(
            ["unshare", "--mount", "--", "sh", "-euc", mounts + enter, "sh", *variables, *inner],
            input=given, capture_output=True, check=False, timeout=1800,
        )  # fmt: skip
        if done.returncode:
            said = (done.stdout + done.stderr)[-4000:].decode(errors="replace")
            raise RuntimeError(f"{shlex.join(command)}: exit code {done.returncode}\n{said}")
        return done.stdout.decode(errors="replace")


def overlay_works(folder: Path) -> bool:
    """Whether this process may put an overlay over the machine's root."""
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    for name in ("root", "upper", "work"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    script = f"mount -t overlay overlay -o lowerdir=/,upperdir={folder}/upper,workdir={folder}/work {folder}/root"
    return subprocess.run(["unshare", "--mount", "--", "sh", "-c", script], capture_output=True).returncode == 0  # fmt: skip


def main(root: str, *given: str) -> None:
    arguments = dict(word.split("=", 1) for word in given if not word.startswith("env:"))
    environment = dict(w.removeprefix("env:").split("=", 1) for w in given if w.startswith("env:"))
    stages = parse((REPOSITORY / "Dockerfile").read_text(), arguments)
    build = Build(Path(root), stages, arguments, environment=environment)
    for stage in ("build", *(["node"] if arguments.get("VARIANT") == "cgpu" else []), "montage"):
        began = time.monotonic()
        final = build.run_stage(stage)
        print(f"{stage}: {time.monotonic() - began:.0f} s", json.dumps(final), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
