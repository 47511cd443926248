#!/usr/bin/env -S python3 -IS
"""A stand-in for the `cgpu` CLI 0.1.4, traps included, for tests against `colab`.

It was written from the documented behaviour and holds nothing of cgpu's code. It speaks the same protocol in the same
environment, so that the real one can take its place (`CGPU_BIN`). It reaches loopback and private addresses only.

Differences: it never asks questions on a terminal (no set-up wizard) and never completes a login; keep-alives of
`connect` come every STAND_IN_KEEP_ALIVE_SECONDS (60).
"""

from __future__ import annotations

import os
import signal
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from stand_in.arguments import USAGE, Call, parse, remote_command
from stand_in.failure import Failure


def main(argv: list[str]) -> int:
    """Do what the command line says; every failure of whatever kind is exit code 1."""
    try:
        return _dispatch(parse(argv))
    except Failure as failure:
        if text := str(failure):
            print(text, file=sys.stderr)
        if os.environ.get("CGPU_DEBUG"):
            traceback.print_exc()
        return 1
    except BrokenPipeError:
        return 1


def _dispatch(call: Call) -> int:
    if call.verb == "":
        print(USAGE, end="", file=sys.stderr)
        return 1
    if call.verb == "help":
        print(USAGE, end="")
        return 0
    if call.verb == "serve":
        from stand_in.serving import serve

        return serve(call.options)

    from stand_in.settings import load_settings

    command = remote_command(call.operands) if call.verb == "run" else ""
    variant = call.variant
    settings = load_settings(call.options.get("config"))
    if call.verb == "logout":
        settings.session_file.unlink(missing_ok=True)
        print("Signed out and cleared session cache.")
        return 0

    from stand_in.account import sign_in
    from stand_in.runtimes import Spinner, choose, eligible

    account = sign_in(settings, "force-login" in call.options)
    if call.verb == "status":
        gpus = ", ".join(map(str, eligible(account)["eligibleGpus"]))
        print(f"Authenticated as {account.name}. Eligible GPUs: {gpus}")
        return 0
    print(f"Authenticated as {account.full_name}", flush=True)
    verbose = "verbose" in call.options
    runtime = choose(account, variant, "new-runtime" in call.options, Spinner(verbose))
    if call.verb == "run":
        from stand_in.running import run

        return run(runtime, command, verbose)
    if call.verb == "copy":
        from stand_in.copying import copy

        source, *destination = call.operands
        print(copy(runtime, source, destination[0] if destination else None))
        return 0

    from stand_in.connecting import connect

    return connect(account, runtime, call.options.get("startup-command"))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1
    sys.stderr.flush()
    # Threads that wait for keys or the next keep-alive must not hold the end up.
    os._exit(code)
