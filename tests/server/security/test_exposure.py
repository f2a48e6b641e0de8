"""Plain text beyond this machine is refused unless it is asked for by name."""

from __future__ import annotations

import pytest

from server.config import ServerConfig
from server.errors import CredentialsError
from server.security.exposure import check_exposure, is_loopback

LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"]
BEYOND = ["0.0.0.0", "::", "[::]", "10.0.0.1", "192.168.1.7", "8.8.8.8", "no-such-host.invalid", ""]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_needs_nothing(host: str) -> None:
    assert is_loopback(host)
    check_exposure(ServerConfig(host=host))


@pytest.mark.parametrize("host", BEYOND)
def test_any_other_address_needs_tls_or_the_flag(host: str) -> None:
    with pytest.raises(CredentialsError, match=r"--tls-certificate and --tls-key, or --plaintext"):
        check_exposure(ServerConfig(host=host))
    check_exposure(ServerConfig(host=host, plaintext=True))
    check_exposure(ServerConfig(host=host, tls_certificate="a", tls_key="b"))


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"tls_certificate": "a"}, "tls_key"),
        ({"tls_key": "a"}, "tls_certificate"),
        ({"tls_client_ca": "a"}, "tls_certificate"),
        ({"tls_client_ca": "a", "tls_certificate": "b"}, "tls_key"),
    ],
)
def test_half_of_tls_is_not_taken_for_none(options: dict[str, str], missing: str) -> None:
    with pytest.raises(CredentialsError, match=f"^{missing} is missing"):
        check_exposure(ServerConfig(**options))


def test_both_at_once_are_refused() -> None:
    with pytest.raises(CredentialsError, match="choose one"):
        check_exposure(ServerConfig(plaintext=True, tls_certificate="a", tls_key="b"))
