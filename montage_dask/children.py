"""Child processes that do not outlive what started them, however it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache


def dying_with_parent(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> list[str]:
    """A command whose process the kernel kills when the *thread* that starts it ends.

    util-linux' `setpriv` asks for it, and then becomes the command: the process is the same. `preexec_fn` would do without it,
    but forks this process with all its handlers: OpenBLAS then waits for its threads, for ever where another thread of ours is
    in the middle of a product.

    Args:
        command: program and arguments.
        environment: of the child, where it is not ours: its PATH tells where the program is.

    Returns:
        The command as it is where there is no such program, or no `setpriv` that can: who starts it is told by the system.
    """
    path = (os.environ if environment is None else environment).get("PATH")
    program = shutil.which(command[0], path=path)
    before = _before()
    return [*before, program, *command[1:]] if program and before else list(command)


@cache
def _before() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    before = (setpriv, "--pdeathsig", "KILL", "--")
    done = subprocess.run([*before, "true"], capture_output=True, check=False)
    return before if done.returncode == 0 else ()
