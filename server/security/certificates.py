"""The server's certificate and key, and whom it trusts: read, and tried before they are used."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.errors import CredentialsError
from server.security.watched import read_bytes

MAX_PEM_BYTES = 1 << 20
FLIGHTS = 4
"""More than a handshake has."""


@dataclass(frozen=True)
class Certificates:
    """PEM texts that belong together."""

    certificate: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    """Authorities of the client certificates that are required; None asks for none."""


@dataclass(frozen=True)
class CertificateFiles:
    """Where they are."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def paths(self) -> list[Path]:
        """All of them."""
        return [path for path in (self.certificate, self.key, self.client_ca) if path is not None]

    def read(self) -> Certificates:
        """What the files hold, once a handshake with it has succeeded.

        Raises CredentialsError naming the file for what is missing, no PEM, expired, or does not
        belong together.
        """
        found = Certificates(
            read_bytes(self.certificate, MAX_PEM_BYTES),
            read_bytes(self.key, MAX_PEM_BYTES),
            read_bytes(self.client_ca, MAX_PEM_BYTES) if self.client_ca else None,
        )
        self._try(found)
        return found

    def _try(self, found: Certificates) -> None:
        trust = _authorities(self.certificate, found.certificate)
        if self.client_ca and found.client_ca is not None:
            _check_authorities(self.client_ca, _authorities(self.client_ca, found.client_ca))
        server = self._server_context(found)
        trust.check_hostname = False
        trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            _shake_hands(trust, server)
        except ssl.SSLCertVerificationError as error:
            raise CredentialsError(f"{self.certificate}: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise CredentialsError(f"{self.certificate}: {_reason(error)}") from error

    def _server_context(self, found: Certificates) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _in_memory(found.certificate) as certificate, _in_memory(found.key) as key:
            try:
                # Without a password of ours, one that is needed would be asked for at the terminal.
                context.load_cert_chain(certificate, key, password="")
            except ssl.SSLError as error:
                problem = f"not the key of {self.certificate}, or no PEM key without a password"
                raise CredentialsError(f"{self.key}: {problem} ({_reason(error)})") from error
        return context


def _authorities(path: Path, pem: bytes) -> ssl.SSLContext:
    """A client that trusts what is in `pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ValueError, ssl.SSLError) as error:
        raise CredentialsError(f"{path}: no certificate in PEM can be read from it") from error
    return context


def _check_authorities(path: Path, context: ssl.SSLContext) -> None:
    authorities: list[dict[str, Any]] = context.get_ca_certs()
    if not authorities:
        raise CredentialsError(f"{path}: there is no certificate of an authority in it")
    if all(ssl.cert_time_to_seconds(each["notAfter"]) < time.time() for each in authorities):
        raise CredentialsError(f"{path}: certificate has expired")


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to `content`: the key must be tried as it was read, and on no disk."""
    descriptor = os.memfd_create("pem")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _shake_hands(client_side: ssl.SSLContext, server_side: ssl.SSLContext) -> None:
    """A handshake in memory. Raises SSLError where it fails."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(FLIGHTS):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    client.do_handshake()


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "unknown").lower().replace("_", " ")
