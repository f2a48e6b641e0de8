"""TLS and keys: whom a client talks to, and who it is. Knows nothing of translation."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True, slots=True)
class TLS:
    """Encrypts the connection and checks the server's certificate. Files are PEM."""

    ca: str | Path | None = None
    """The authorities to trust; None for those that gRPC brings."""

    certificate: str | Path | None = None
    """The client's own certificate, for servers that ask for one (mutual TLS)."""

    certificate_key: str | Path | None = None
    """The private key of `certificate`."""

    server_name: str | None = None
    """The name that the server's certificate is for, where the target has another."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.certificate_key is None):
            raise ValueError("certificate and certificate_key: one is given without the other")

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. Raises OSError."""
        return grpc.ssl_channel_credentials(
            _read(self.ca), _read(self.certificate_key), _read(self.certificate)
        )

    def channel_options(self) -> list[tuple[str, str]]:
        """Returns gRPC's channel arguments."""
        if self.server_name is None:
            return []
        return [("grpc.ssl_target_name_override", self.server_name)]


def _read(path: str | Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def key_metadata(
    api_key: str | None, target: str, tls: TLS | None, allow_plaintext_key: bool
) -> tuple[tuple[str, str], ...]:
    """Returns what a call carries to show its key.

    Raises:
        ValueError: The key could be read on its way, and that was not allowed; or it is none.
    """
    if api_key is None:
        return ()
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise ValueError("api_key: must be printable ASCII without spaces")
    if tls is None and not allow_plaintext_key and not is_loopback(target):
        raise ValueError(
            f"api_key: {target} is not on this machine and the connection is not encrypted, so the "
            "key could be read on its way; use TLS, or allow_plaintext_key where that is no harm"
        )
    return (("authorization", f"Bearer {api_key}"),)


def is_loopback(target: str) -> bool:
    """Whether calls to `target` surely stay on this machine; of names only localhost does."""
    scheme, found, rest = target.partition(":")
    if found and scheme in ("unix", "unix-abstract"):
        return True
    if found and scheme in ("dns", "ipv4", "ipv6"):
        # What a name server of the target's own says of localhost is not known.
        target = rest.removeprefix("///")
    if "," in target:
        return False
    host = target.rpartition(":")[0] if target.count(":") == 1 or "]:" in target else target
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
