"""TLS through a line with nothing behind it: an error that is tried again, not one that ends the client."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from distributed import Security
from distributed.comm.core import CommClosedError, FatalCommClosedError

from montage_dask.cluster.cut_lines import _PatientConnector, be_patient


def dead_end(*, read: bool, answer: bytes = b"") -> int:
    """The port of a server that accepts and closes at once, or after the client's first words."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with server, server.accept()[0] as line:
            if read:
                line.recv(1 << 14)
            line.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return int(server.getsockname()[1])


def dial(port: int) -> None:
    arguments = Security.temporary().get_connection_args("client")
    asyncio.run(_PatientConnector().connect(f"127.0.0.1:{port}", **arguments))


@pytest.mark.parametrize("read", [False, True])
def test_a_line_that_is_closed_is_worth_another_try(read):
    with pytest.raises(OSError) as caught:  # noqa: PT011 - what Dask's own loop tries again
        dial(dead_end(read=read))
    assert not isinstance(caught.value, FatalCommClosedError)
    assert isinstance(caught.value, CommClosedError)


def test_what_is_no_tls_stays_fatal():
    with pytest.raises(FatalCommClosedError):
        dial(dead_end(read=True, answer=b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def test_it_is_made_so_once():
    from distributed.comm import registry

    before = registry.backends["tls"]
    try:
        be_patient()
        patient = registry.backends["tls"]
        be_patient()
        assert registry.backends["tls"] is patient
        assert patient.get_connector().__class__ is _PatientConnector
    finally:
        registry.backends["tls"] = before
