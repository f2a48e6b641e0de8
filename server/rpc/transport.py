"""What gRPC is told of connections: certificates, and the bounds that it keeps itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import grpc

from server.config import ServerConfig
from server.security.certificates import CertificateFiles, Certificates
from server.security.watched import Watched

MAX_PING_STRIKES = 2
KEEPALIVE_TIMEOUT_S = 20.0
"""How long an answer to "do you live?" may take."""
MAX_AGE_GRACE_S = 60.0
"""How long the calls of a connection that grew too old may take to end."""
Argument = tuple[str, int]

logger = logging.getLogger(__name__)


def connection_arguments(config: ServerConfig) -> list[Argument]:
    """gRPC's channel arguments for the bounds of `config`."""
    arguments = [
        # Else a second server on a taken port would silently share it.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        # The same twice: between the two, gRPC would refuse at random.
        ("grpc.max_metadata_size", config.max_metadata_bytes),
        ("grpc.absolute_max_metadata_size", config.max_metadata_bytes),
        ("grpc.max_concurrent_streams", config.max_streams),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        ("grpc.server_handshake_timeout_ms", _ms(config.handshake_timeout_s)),
        ("grpc.max_connection_idle_ms", _ms(config.idle_timeout_s)),
        ("grpc.keepalive_time_ms", _ms(config.keepalive_s)),
        ("grpc.keepalive_timeout_ms", _ms(KEEPALIVE_TIMEOUT_S)),
        # One rule for pings, whether or not a call is running.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(config.min_ping_interval_s)),
        ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
    ]
    if config.max_connection_age_s:
        arguments += [
            ("grpc.max_connection_age_ms", _ms(config.max_connection_age_s)),
            ("grpc.max_connection_age_grace_ms", _ms(MAX_AGE_GRACE_S)),
        ]
    return arguments


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


class Tls:
    """A listener's certificates, which may change while it listens: each handshake takes what is
    there then. Connections that exist keep theirs.
    """

    def __init__(self, files: CertificateFiles) -> None:
        """Raises CredentialsError if the files cannot be used."""
        self.watched = Watched(files.paths(), files.read)
        self._served = self.watched.value

    def credentials(self) -> grpc.ServerCredentials:
        """What a port takes."""
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._served),
            cast("Any", self._fetch),  # None is allowed, which the stubs do not know
            require_client_authentication=self._served.client_ca is not None,
        )

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC at each handshake, in a thread of its own; None changes nothing."""
        newest = self.watched.value
        if newest is self._served:
            return None
        self._served = newest
        return _configuration(newest)


def _configuration(found: Certificates) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(found.key, found.certificate)], root_certificates=found.client_ca
    )


def tls_of(config: ServerConfig) -> Tls | None:
    """None where `config` asks for none. Raises CredentialsError."""
    if not config.tls_certificate:
        return None
    authorities = Path(config.tls_client_ca) if config.tls_client_ca else None
    certificate, key = Path(config.tls_certificate), Path(config.tls_key)
    return Tls(CertificateFiles(certificate, key, authorities))


def listen(server: grpc.aio.Server, address: str, tls: Tls | None = None) -> int:
    """The port. Raises RuntimeError if the address cannot be had."""
    if tls is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, tls.credentials())


def refresh_all(refreshes: Sequence[Callable[[], bool]]) -> None:
    """Reads again what has changed. Does not raise: the old stays."""
    for refresh in refreshes:
        try:
            refresh()
        except Exception:
            logger.exception("a file of credentials could not be read again")
