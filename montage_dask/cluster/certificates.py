"""TLS for one cluster: a certificate authority that is thrown away once it has signed the cluster's only certificate.

Scheduler, workers and client show that certificate to each other, and each side accepts only what this authority signed. Dask
does not compare host names (workers have addresses, not names); the names are in the certificate for tools that do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from montage_dask.errors import ClusterError

if TYPE_CHECKING:
    from cryptography import x509

VALID = timedelta(days=365)
"""A job's cluster takes its key with it after hours; a standing one has to be started anew once a year."""

SKEW = timedelta(hours=1)
"""Clocks of nodes may be so far behind this machine's."""

CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
"""Entries of a Secret of the type `kubernetes.io/tls`; cert-manager gives them the same names."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""What a client dials through a port-forward."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """What every part of one cluster holds, as PEM texts. The key is in no `repr`, so in no log."""

    authority: str
    """Certificate of the authority; its key is gone."""
    certificate: str
    key: str = field(repr=False)
    """Private key of the certificate, PKCS #8, not encrypted."""

    @classmethod
    def of(cls, files: Mapping[str, str], where: str) -> Certificates:
        """From the files of a Secret.

        Args:
            files: texts by name: `ca.crt`, `tls.crt`, `tls.key`.
            where: what holds them, for people.

        Raises:
            ClusterError: one is missing or unreadable, or the certificate is not valid now.
        """
        missing = [name for name in (CA, CERTIFICATE, KEY) if not files.get(name)]
        if missing:
            raise ClusterError(f"{where} has no {', '.join(missing)}: start a new cluster")
        made = cls(files[CA], files[CERTIFICATE], files[KEY])
        made._check(where)
        return made

    def files(self) -> dict[str, str]:
        """The files of a Secret."""
        return {CA: self.authority, CERTIFICATE: self.certificate, KEY: self.key}

    def security(self) -> Any:
        """The `distributed.Security` of a client, scheduler or worker.

        The texts stay in memory, but for the moment in which OpenSSL reads them from a temporary folder that only this user can
        enter.
        """
        from distributed import Security

        return Security(
            require_encryption=True,
            tls_ca_file=self.authority,
            **{f"tls_{r}_cert": self.certificate for r in ("client", "scheduler", "worker")},
            **{f"tls_{r}_key": self.key for r in ("client", "scheduler", "worker")},
        )

    def _check(self, where: str) -> None:
        from cryptography import x509

        try:
            read = x509.load_pem_x509_certificate(self.certificate.encode())
        except ValueError as error:
            raise ClusterError(f"{where}: {CERTIFICATE} is no certificate: {error}") from error
        now = datetime.now(UTC)
        if now > read.not_valid_after_utc:
            raise ClusterError(
                f"{where}: the certificate was valid until {read.not_valid_after_utc:%Y-%m-%d}: start a new cluster"
            )
        if now < read.not_valid_before_utc:
            raise ClusterError(
                f"{where}: the certificate is valid from {read.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: "
                "check this machine's clock"
            )


def make(names: Iterable[str], now: datetime | None = None) -> Certificates:
    """A new authority and the certificate that it signed; the authority's key is kept nowhere.

    Args:
        names: host names and IP addresses beside `LOOPBACK`.
        now: valid from `SKEW` before it, for `VALID`.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from cryptography.x509.oid import ExtendedKeyUsageOID

    now = now or datetime.now(UTC)
    signer, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("montage-dask authority")

    def begun(subject: x509.Name, public: Any) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - SKEW)
            .not_valid_after(now + VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    authority = (
        begun(issuer, signer.public_key())
        # It signs certificates of parts, and no further authorities.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(signer, hashes.SHA256())
    )
    signed = (
        begun(_name("montage-dask cluster"), key.public_key())
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        # Every part of a cluster both calls and is called.
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
            critical=False,
        )
        .add_extension(
            x509.SubjectAlternativeName([_alternative(n) for n in (*names, *LOOPBACK)]),
            critical=False,
        )
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificates(
        authority.public_bytes(Encoding.PEM).decode(),
        signed.public_bytes(Encoding.PEM).decode(),
        private.decode(),
    )


def _name(common: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
