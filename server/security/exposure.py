"""Whom a listener can be reached by: plain text beyond this machine must be asked for by name."""

from __future__ import annotations

import ipaddress
import socket

from server.config import ServerConfig
from server.errors import CredentialsError


def check_exposure(config: ServerConfig) -> None:
    """Raises CredentialsError where texts and keys could cross a network in plain text unasked, or
    where TLS is asked for by halves.
    """
    for name in ("tls_certificate", "tls_key"):
        is_asked = config.tls_certificate or config.tls_key or config.tls_client_ca
        if is_asked and not getattr(config, name):
            raise CredentialsError(f"{name} is missing: TLS needs a certificate and its key")
    if config.plaintext and config.tls_certificate:
        raise CredentialsError("plaintext and tls_certificate are given: choose one")
    if not (config.tls_certificate or config.plaintext or is_loopback(config.host)):
        raise CredentialsError(
            f"host is {config.host!r}, which other machines can reach, and there is no TLS: give "
            "--tls-certificate and --tls-key, or --plaintext if it shall be readable on the way"
        )


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine can reach `host`; a name, if all its addresses say so."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        pass
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(ipaddress.ip_address(each).is_loopback for each in found)
