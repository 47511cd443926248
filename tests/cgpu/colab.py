"""A loopback Colab: everything that cgpu 0.1.4 talks to, on 127.0.0.1, with real shells and real files.

    with loopback_colab(folder) as colab:
        variables = colab.environment(config_dir)          # for cgpu, over os.environ
        subprocess.run([cgpu, "run", "--", "echo hi"], env=os.environ | variables)
        colab.knobs.assign_outcome = 1                     # see loopback/knobs.py: every knob with its meaning
        colab.knobs.for_next(2, contents_status=500)       # two requests, then the default again
        colab.lose_runtime()                               # the machine is gone; cgpu gets a new one next time
        colab.count("POST", "/tun/m/assign")

**Runtimes.** An assignment is a machine with a folder of its own, shells on a pty and a mark in the environment of all
its processes. "Remote /" is the local "/", but files can be put only below the machine's folder (403 elsewhere), so tests
use absolute paths inside `colab.root()`. The folder of an account's GPU runtime is always the same path and always empty
when the machine is new: a replaced runtime has lost all files. Shells start in that folder, with `python3` being `python`.
`/proc/sys/kernel/random/boot_id` is the host's, hence equal on all machines; `LOOPBACK_VM` in a shell's environment differs.

**Accounts.** `environment(config_dir, account="other")` signs another account in; each has its own runtimes.

**Control from another process.** JSON over HTTP at `colab.url`: `PUT /_loopback/knobs {"assign_status": 412, "times": 1}`
(`times` may be left out), `POST /_loopback/lose-runtime {"variant": "GPU", "listed": true}`, `GET /_loopback/requests`.

At the end of the `with` nothing is left: processes of all machines are killed (detached ones too), folders removed. When
the test itself is killed, a guard kills them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from loopback.authority import make_authority
from loopback.backend import CLIENT_ID, Account, Backend
from loopback.knobs import Knobs
from loopback.machine import Machine
from loopback.processes import Guard, processes_of
from loopback.service import Logged, Service

__all__ = ["Colab", "Knobs", "Logged", "loopback_colab"]

T = TypeVar("T")
SCOPES = ["profile", "email", "https://www.googleapis.com/auth/colaboratory"]


class Colab:
    """Handle of a running loopback Colab; its methods can be called from any thread."""

    def __init__(
        self, service: Service, backend: Backend, authority: Path, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._service, self._backend, self._loop = service, backend, loop
        self._authority = authority
        self.knobs: Knobs = backend.knobs
        """What goes wrong: `knobs.NAME = value`, `knobs.set(…)`, `knobs.for_next(n, …)`, `knobs.reset()`."""

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`: Colab's API, the runtimes' proxy and the token endpoint's CONNECT proxy."""
        return self._backend.url

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # Clients

    def environment(
        self, config_dir: Path, account: str = "me", signed_in: bool = True
    ) -> dict[str, str]:
        """Write config.json and state/session.json, and say what cgpu's environment must have.

        Args:
            config_dir: made when it is missing; what is there is overwritten.
            account: its mail address is `ACCOUNT@example.com`, its label is the name with a capital.
            signed_in: False leaves session.json out (cgpu then asks for a login, for ever).

        Returns:
            Variables to lay over os.environ.
        """
        known = self._account(account)
        state = config_dir / "state"
        state.mkdir(parents=True, exist_ok=True)
        config = {
            "clientId": CLIENT_ID,
            "clientSecret": known.client_secret,
            "colabApiDomain": self.url,
            "colabGapiDomain": self.url,
        }
        (config_dir / "config.json").write_text(json.dumps(config))
        session = {
            "id": "5f6f1f7e-6d5c-4f0e-9a52-3a1d6f8b9c00",
            "refreshToken": known.refresh_token,
            "scopes": SCOPES,
            "account": {"id": known.mail, "label": account.capitalize()},
        }
        (state / "session.json").unlink(missing_ok=True)
        if signed_in:
            (state / "session.json").write_text(json.dumps(session))
        return {
            "CGPU_CONFIG_DIR": str(config_dir),
            "NODE_EXTRA_CA_CERTS": str(self._authority),
            "HTTPS_PROXY": self.url,
            "https_proxy": self.url,
            "NO_PROXY": "",
            "no_proxy": "",
        }

    def _account(self, name: str) -> Account:
        async def account() -> Account:
            return self._backend.account(name)

        return self._do(account())

    def secrets(self) -> list[str]:
        """Client secrets, refresh tokens, access tokens, proxy tokens and mail addresses that are in use.

        None of them may appear in what a driver logs, prints or writes.
        """

        async def collect() -> list[str]:
            return self._backend.secrets()

        return self._do(collect())

    # Runtimes

    def root(self, account: str = "me", variant: str = "GPU", slot: int = 1) -> Path:
        """The folder of an account's runtime (there only while the runtime is).

        Args:
            account: whose.
            variant: "GPU", "TPU" or "DEFAULT" (CPU).
            slot: 2 is the second one of the variant (`--new-runtime`).
        """
        return self._backend.root(account, variant, slot)

    @property
    def runtimes(self) -> list[Machine]:
        """Machines that are listed, lost but listed ones too: `.id`, `.root`, `.lost`, `.kept_alive` …"""
        return list(self._backend.machines)

    def lose_runtime(
        self,
        account: str = "me",
        variant: str = "GPU",
        listed: bool = False,
        silent: bool = False,
    ) -> int:
        """The machine is gone now: processes killed, files gone, terminals and uploads answer 404.

        Args:
            account: whose.
            variant: "GPU", "TPU" or "DEFAULT" (CPU).
            listed: Colab goes on listing it (its proxy token is a 404) until something new is assigned.
            silent: open websockets do not break, they never say anything again.

        Returns:
            How many machines it was.
        """
        return self._do(self._backend.lose(account, variant, listed, silent))

    def drop_connections(self) -> int:
        """Reset all websockets that are open now; the machines and their shells live on."""
        return self._do(self._sockets(silent=False))

    def silence(self) -> int:
        """Turn all websockets that are open now into black holes; the shells live on."""
        return self._do(self._sockets(silent=True))

    async def _sockets(self, silent: bool) -> int:
        sockets = [socket for machine in self._backend.machines for socket in machine.sockets]
        for socket in sockets:
            if silent:
                socket.silent = True
            else:
                socket.reset()
        return len(sockets)

    def processes(self) -> list[int]:
        """Process ids that run on the machines."""
        return [pid for machine in self.runtimes for pid in processes_of(machine.id)]

    # The log

    @property
    def requests(self) -> list[Logged]:
        """All requests so far, in the order of their replies."""
        return list(self._service.log)

    def count(self, method: str, path: str) -> int:
        """How many requests there were whose path starts so: "POST", "/token"; "WS", "/terminals/"."""
        return sum(each.method == method and each.path.startswith(path) for each in self.requests)


@contextlib.contextmanager
def loopback_colab(
    folder: Path,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
    *,
    listen: tuple[str, int] = ("127.0.0.1", 0),
    url: str = "",
) -> Iterator[Colab]:
    """Run a loopback Colab in a thread of this process.

    Args:
        folder: for certificates and the runtimes' folders; made when it is missing.
        python: what `python3` is on the runtimes.
        environment: of the runtimes' shells, over a minimal one (nothing of os.environ is inherited); a PATH here
            replaces theirs.
        listen: host and port; 0 is any free port.
        url: where clients reach it, unless that is where it listens (a Service of Kubernetes).
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, tls = make_authority(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loopback-colab", daemon=True)
    thread.start()

    async def start() -> tuple[Service, Backend]:
        backend = Backend(folder, python, dict(environment or {}), url)
        service = Service(backend, tls)
        await service.start(*listen)
        return service, backend

    try:
        service, backend = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        guard = Guard(backend.prefix)
        try:
            yield Colab(service, backend, authority, loop)
        finally:
            asyncio.run_coroutine_threadsafe(service.close(), loop).result(60)
            guard.dismiss()
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
