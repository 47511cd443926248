"""Certificates of a cluster: what is in them, and that a real scheduler lets nobody in without them."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import dask
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from distributed import Client, Scheduler, Security, Worker

from montage_dask.cluster.certificates import SKEW, VALID, Certificates, make
from montage_dask.cluster.connect import connect
from montage_dask.cluster.tls_secret import host_names
from montage_dask.config import resolve
from montage_dask.errors import ClusterError, UsageError

NAMES = host_names("montage-1", "films")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """A Client that failed closes itself when it is collected; in the thread of another one's loop it would hang."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture(scope="module")
def ours():
    return make(NAMES)


@pytest.fixture(scope="module")
def strangers():
    return make(NAMES)


def extension(certificate, oid):
    return certificate.extensions.get_extension_for_oid(oid).value


def test_the_certificate_names_the_service_and_loopback(ours):
    read = x509.load_pem_x509_certificate(ours.certificate.encode())
    names = extension(read, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    assert set(names.get_values_for_type(x509.DNSName)) == {
        "montage-1-scheduler",
        "montage-1-scheduler.films",
        "montage-1-scheduler.films.svc",
        "montage-1-scheduler.films.svc.cluster.local",
        "localhost",
    }
    addresses = names.get_values_for_type(x509.IPAddress)
    assert set(addresses) == {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    usage = extension(read, ExtensionOID.EXTENDED_KEY_USAGE)
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_it_is_valid_for_a_bounded_time():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    made = make((), now)
    for text in (made.authority, made.certificate):
        read = x509.load_pem_x509_certificate(text.encode())
        assert read.not_valid_before_utc == now - SKEW
        assert read.not_valid_after_utc == now + VALID


def test_only_the_authority_signs_and_its_key_is_gone(ours):
    authority = x509.load_pem_x509_certificate(ours.authority.encode())
    signed = x509.load_pem_x509_certificate(ours.certificate.encode())
    signed.verify_directly_issued_by(authority)
    assert extension(authority, ExtensionOID.BASIC_CONSTRAINTS).path_length == 0
    assert not extension(signed, ExtensionOID.BASIC_CONSTRAINTS).ca
    assert "".join(ours.files().values()).count("PRIVATE KEY") == 2  # the one key's two marks
    assert authority.public_key() != signed.public_key()


def test_the_key_is_in_no_representation(ours):
    secret = ours.key.splitlines()[1]
    assert secret not in repr(ours)
    assert secret not in repr(ours.security())
    assert secret not in ours.security()._repr_html_()


def test_the_key_leaves_no_file(ours, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ours.security().get_connection_args("client")
    assert list(tmp_path.iterdir()) == []


def test_strict_tools_that_compare_names_accept_it(ours):
    """Dask compares none; openssl, curl and the like do."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        context = ours.security().get_listen_args("scheduler")["ssl_context"]

        def answer():
            with (
                listening.accept()[0] as plain,
                context.wrap_socket(plain, server_side=True) as end,
            ):
                end.recv(1)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        client = ours.security().get_connection_args("client")["ssl_context"]
        assert client.verify_mode == ssl.CERT_REQUIRED
        assert not client.check_hostname
        client.check_hostname = True
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        with (
            socket.create_connection(listening.getsockname()) as plain,
            client.wrap_socket(plain, server_hostname=NAMES[-1]) as end,
        ):
            end.sendall(b"x")
        thread.join(5)


def test_a_secret_is_read_back(ours):
    assert Certificates.of(ours.files(), "here") == ours


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"tls.key": ""}, "secrets/a has no tls.key"),
        ({"tls.crt": "nonsense"}, "tls.crt is no certificate"),
        ("late", "was valid until 2021-01-01"),
        ("early", "check this machine's clock"),
    ],
)
def test_a_secret_of_no_use_is_named(ours, change, what):
    if change == "late":
        files = make((), datetime(2021, 1, 1, tzinfo=UTC) - VALID).files()
    elif change == "early":
        files = make((), datetime.now(UTC) + timedelta(days=2)).files()
    else:
        files = {**ours.files(), **change}
    with pytest.raises(ClusterError, match=what) as caught:
        Certificates.of(files, "secrets/a")
    assert "\n" not in str(caught.value)


@contextmanager
def serving(certificates: Certificates, workers: int) -> Iterator[str]:
    """A real scheduler that speaks TLS; its address."""
    security = certificates.security()
    options = {"dashboard_address": "127.0.0.1:0", "host": "127.0.0.1", "security": security}
    ready, begun = threading.Event(), {}

    async def serve() -> None:
        async with Scheduler(port=0, **options) as served, AsyncExitStack() as stack:
            for _ in range(workers):
                worker = Worker(served.address, nthreads=1, **options)
                await stack.enter_async_context(worker)
            stop = asyncio.Event()
            begun.update(address=served.address, loop=asyncio.get_running_loop(), stop=stop)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(30)
    yield begun["address"]
    begun["loop"].call_soon_threadsafe(begun["stop"].set)
    thread.join(30)


@pytest.fixture(scope="module")
def scheduler(ours):
    with serving(ours, workers=1) as address:
        yield address


def test_with_the_certificate_work_is_done(scheduler, ours):
    assert scheduler.startswith("tls://")
    with Client(scheduler, security=ours.security(), timeout=10) as client:
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3


def test_another_authoritys_certificate_is_refused(scheduler, strangers):
    with pytest.raises(OSError, match="TLS certificate does not match"):
        Client(scheduler, security=strangers.security(), timeout=2)


def test_to_trust_the_authority_is_not_enough(scheduler, ours, strangers):
    """The scheduler asks for a certificate, too."""
    security = Certificates(ours.authority, strangers.certificate, strangers.key).security()
    with pytest.raises(OSError, match=r"Timed out|closed|SSL|TLS"):
        Client(scheduler, security=security, timeout=2)


def test_an_expired_certificate_is_refused():
    old = make(NAMES, datetime.now(UTC) - VALID - timedelta(days=1))
    with (
        serving(old, workers=0) as address,
        pytest.raises(OSError, match="TLS certificate does not match"),
    ):
        Client(address, security=old.security(), timeout=2)


def test_plain_tcp_is_refused(scheduler):
    with pytest.raises(OSError, match=r"Timed out|closed"):
        Client(scheduler.replace("tls://", "tcp://"), security=Security(), timeout=1)


@pytest.fixture
def files(ours, tmp_path):
    """The options of a client whose certificates are files."""
    names = {"tls-ca-file": "ca.crt", "tls-cert": "tls.crt", "tls-key": "tls.key"}
    for name, text in ours.files().items():
        (tmp_path / name).write_text(text)
    return {option: str(tmp_path / name) for option, name in names.items()}


@pytest.mark.parametrize("by", ["settings", "dask"])
def test_a_cluster_at_a_tls_address(scheduler, files, by):
    own = {
        "distributed.comm.tls.ca-file": files["tls-ca-file"],
        "distributed.comm.tls.client.cert": files["tls-cert"],
        "distributed.comm.tls.client.key": files["tls-key"],
    }
    with (
        dask.config.set(own if by == "dask" else {}),
        connect(resolve({"cluster": scheduler} | (files if by == "settings" else {}))) as client,
    ):
        assert client.submit(sum, [1, 2]).result(timeout=10) == 3


def test_a_tls_address_without_certificates_is_explained(scheduler):
    with (
        pytest.raises(ClusterError, match="give --tls-ca-file, --tls-cert and --tls-key"),
        connect(resolve({"cluster": scheduler})),
    ):
        pass


def test_the_wrong_certificates_are_explained(scheduler, files, strangers, tmp_path, monkeypatch):
    monkeypatch.setattr("montage_dask.cluster.preflight.CONNECT_SECONDS", 1)
    for name, text in strangers.files().items():
        (tmp_path / name).write_text(text)
    with (
        pytest.raises(ClusterError, match="that the scheduler's authority signed"),
        connect(resolve({"cluster": scheduler, **files})),
    ):
        pass


def test_half_of_the_files_is_no_use(files):
    del files["tls-cert"]
    with (
        pytest.raises(UsageError, match="--tls-cert is missing"),
        connect(resolve({"cluster": "tls://127.0.0.1:1", **files})),
    ):
        pass


def test_a_file_that_is_not_there_is_named(files, tmp_path):
    files["tls-key"] = str(tmp_path / "no.key")
    with (
        pytest.raises(UsageError, match=r"--tls-key .*no\.key: no file"),
        connect(resolve({"cluster": "tls://127.0.0.1:1", **files})),
    ):
        pass
