"""Connections by TLS through a line that may be cut, such as a port-forward: Dask tries again instead of giving up.

A port-forward accepts connections even while nothing is behind it, and closes them. Dask's connector takes a line that is closed
before or during the handshake for a fatal fault, or lets a ValueError of Tornado through: its client never comes back then.
"""

from __future__ import annotations

import ssl
from typing import Any

from distributed.comm import registry
from distributed.comm.core import CommClosedError, FatalCommClosedError
from distributed.comm.tcp import TLSBackend, TLSConnector


class _PatientConnector(TLSConnector):
    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> Any:
        try:
            return await super().connect(address, deserialize, **connection_args)
        except FatalCommClosedError as error:
            if not isinstance(error.__cause__, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                raise  # a wrong certificate stays one
            raise CommClosedError("the line was closed during the handshake") from error
        except ConnectionError as error:
            raise CommClosedError("the line was reset before or during the handshake") from error
        except ValueError as error:
            if "IOStream" not in str(error):
                raise
            raise CommClosedError("the line was closed before the handshake") from error


class _PatientBackend(TLSBackend):
    _connector_class = _PatientConnector


def be_patient() -> None:
    """Make all TLS connections of this process so; as often as one likes."""
    if not isinstance(registry.backends["tls"], _PatientBackend):
        registry.backends["tls"] = _PatientBackend()
