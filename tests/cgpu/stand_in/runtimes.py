"""Which runtime a call goes to: the first one that is listed, else a new one."""

from __future__ import annotations

import sys
import uuid
from typing import Any, NamedTuple

from .account import Account
from .failure import Failure, HttpFailure
from .web import check_fields

_NUMBERS = {"DEFAULT": 0, "GPU": 1, "TPU": 2}
_NAMES = {"DEFAULT": "CPU", "GPU": "GPU", "TPU": "TPU"}
_KNOWN_GPUS = {"A100", "L4", "P100", "T4", "V100"}
_TUNNEL = {"X-Colab-Tunnel": "Google"}
_PROXY = {"token": str, "url": str}
_LISTING = {"accelerator": str, "endpoint": str, "variant": int}
_ASSIGNED = {**_LISTING, "runtimeProxyInfo.token": str, "runtimeProxyInfo.url": str}


class Runtime(NamedTuple):
    """A machine to talk to."""

    endpoint: str
    accelerator: str
    kind: str
    """"GPU", "TPU" or "CPU"."""
    url: str
    """Of its proxy, with a final slash."""
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What a request to the runtime carries."""
        return {"X-Colab-Runtime-Proxy-Token": self.token, "X-Colab-Client-Agent": "vscode"}

    @property
    def name(self) -> str:
        """As the user reads it: "GPU T4"."""
        return self.kind if self.kind == "CPU" else f"{self.kind} {self.accelerator}"


class Spinner:
    """Progress on stderr, with `-v` only. Without a terminal it prints each state once."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def __call__(self, mark: str, text: str) -> None:
        """Show a state: "-" goes on, "✔" done, "✖" failed."""
        if self._shown:
            print(f"{mark} {text}", file=sys.stderr, flush=True)


def choose(account: Account, variant: str, new: bool, spinner: Spinner) -> Runtime:
    """Reuse the first listed runtime of the variant, or have one assigned.

    Any failure on the way to reuse is swallowed: a dead runtime is silently replaced.

    Raises:
        Failure: nothing could be assigned.
    """
    if not new:
        spinner("-", f"Checking for existing Colab {_NAMES[variant]} runtimes...")
        try:
            runtime = _reuse(account, variant)
        except Failure:
            runtime = None
        if runtime is not None:
            spinner("✔", f"Reusing {_NAMES[variant]} runtime {runtime.accelerator}")
            return runtime
    return _assign(account, variant, new, spinner)


def _reuse(account: Account, variant: str) -> Runtime | None:
    reply = account.ask("GET", "assignments", fields={"assignments": list})
    for each in reply["assignments"]:
        check_fields(each, _LISTING)
        if each["variant"] == _NUMBERS[variant]:
            query = {"endpoint": each["endpoint"], "port": "8080"}
            proxy = account.ask("GET", "runtime-proxy-token", query, _TUNNEL, _PROXY)
            return _runtime(each, variant, proxy)
    return None


def _runtime(listing: dict[str, Any], variant: str, proxy: dict[str, Any]) -> Runtime:
    return Runtime(
        listing["endpoint"],
        listing["accelerator"],
        _NAMES[variant],
        proxy["url"].rstrip("/") + "/",
        proxy["token"],
    )


def eligible(account: Account) -> dict[str, Any]:
    """What Colab says on the account."""
    return account.ask("GET", "ccu-info", fields={"eligibleGpus": list, "eligibleTpus": list})


def _candidates(account: Account, variant: str) -> list[str]:
    info = eligible(account)
    if variant == "DEFAULT":
        return ["CPU"]
    if variant == "TPU":
        found = [str(each) for each in info["eligibleTpus"]]
    else:
        # A stable sort: known ones first, the order as reported otherwise.
        found = sorted(map(str, info["eligibleGpus"]), key=lambda name: name not in _KNOWN_GPUS)
    if not found:
        kind = _NAMES[variant]
        raise Failure(f"No eligible {kind} accelerators reported by Colab for this account.")
    return found


def _assign(account: Account, variant: str, new: bool, spinner: Spinner) -> Runtime:
    kind = _NAMES[variant]
    candidates = _candidates(account, variant)
    for accelerator in candidates:
        spinner("-", f"Requesting Colab {kind} runtime ({accelerator})...")
        try:
            runtime = _post_assign(account, variant, accelerator)
        except HttpFailure as failure:
            if failure.status >= 500:
                continue
            if failure.status == 412:
                return _reuse_after_refusal(account, variant, new, spinner)
            spinner("✖", f"Failed to assign {kind} runtime")
            raise
        spinner("✔", f"Assigned {kind} runtime {runtime.accelerator}")
        return runtime
    spinner(
        "✖",
        f"Colab is temporarily out of {kind} capacity for this account (tried: {', '.join(candidates)}). "
        "Give it a minute and retry, or reuse/disconnect runtimes from the Colab UI.",
    )
    raise Failure


def _reuse_after_refusal(account: Account, variant: str, new: bool, spinner: Spinner) -> Runtime:
    kind = _NAMES[variant]
    if new:
        raise Failure(
            f"Colab refused to attach a brand-new {kind} runtime. Disconnect existing sessions from the Colab UI "
            "or rerun without --new-runtime to reuse one."
        )
    runtime = _reuse(account, variant)
    if runtime is None:
        text = "Disconnect other runtimes from https://colab.research.google.com/ and try again."
        raise Failure(text)
    spinner("✔", f"Reusing {kind} runtime {runtime.accelerator}")
    return runtime


def _post_assign(account: Account, variant: str, accelerator: str) -> Runtime:
    notebook = str(uuid.uuid4()).replace("-", "_").ljust(44, ".")
    query = {"nbh": notebook}
    if variant != "DEFAULT":
        query |= {"variant": variant, "accelerator": accelerator}
    token = account.ask("GET", "assign", query, fields={"token": str})["token"]
    xsrf = {"X-Goog-Colab-Token": token}
    reply = account.ask("POST", "assign", query, xsrf, fields={"outcome": int})
    if reply["outcome"] in (1, 2):
        raise Failure("Insufficient quota to assign server")
    if reply["outcome"] == 5:
        raise Failure("Account has been blocked from accessing Colab servers.")
    check_fields(reply, _ASSIGNED)
    return _runtime(reply, variant, reply["runtimeProxyInfo"])


def keep_alive(account: Account, runtime: Runtime) -> None:
    """Tell Colab that somebody is there."""
    account.ask("GET", f"{runtime.endpoint}/keep-alive/", headers=_TUNNEL)
