"""Who calls, and whether they may, by the key that comes in the metadata, as `authorization: Bearer
KEY` or `x-api-key: KEY`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from server.config import ServerConfig
from server.errors import PermissionDeniedError, UnauthenticatedError
from server.rpc.caller import caller_name, key_digest, permission
from server.security.keys import KeyRing, digest_of, read_keys
from server.security.rate import Quotas
from server.security.watched import Watched

OPEN = "open"
"""Needs no key: probes have none."""
Metadata = Iterable[tuple[str, str | bytes]]


class Access:
    """The rules of one server, and who has used how much of what they grant."""

    def __init__(self, config: ServerConfig) -> None:
        """Raises CredentialsError if the keys cannot be read."""
        self._anonymous = config.anonymous_permissions
        self.quotas = Quotas()
        self.keys: Watched[KeyRing] | None = None
        if config.api_keys:
            path = Path(config.api_keys)
            self.keys = Watched([path], lambda: read_keys(path))

    def enter(self, method: str, needed: str, metadata: Metadata) -> None:
        """Lets a call of `method` in, which needs the permission `needed`, and notes for its task
        who makes it.

        Raises UnauthenticatedError, PermissionDeniedError or LimitExceededError.
        """
        if needed == OPEN:
            return
        if self.keys is None:
            if needed not in self._anonymous:
                lacking = f"a key with the permission {needed}, and this server has no keys"
                raise PermissionDeniedError(f"{method} needs {lacking}")
            return
        permission.set(needed)
        key_digest.set(_digest(metadata))
        caller_name.set(self._charge(self.keys.value))

    def enter_again(self) -> None:
        """Lets in another request of a call that goes on: its key may be gone meanwhile, or worth
        less. Raises what `enter` raises.
        """
        if self.keys is not None:
            self._charge(self.keys.value)

    def _charge(self, ring: KeyRing) -> str:
        key, needed = ring.find_digest(key_digest.get()), permission.get()
        if key is None:
            raise UnauthenticatedError
        if needed not in key.permissions:
            raise PermissionDeniedError(f"key {key.name} has not the permission {needed}")
        self.quotas.charge_request(key)
        return key.name


def _digest(metadata: Metadata) -> bytes:
    """Of the key that a call brings; none where there are two that differ, for neither is clearly
    meant.
    """
    presented = {key for name, value in metadata if (key := _presented(name, value)) is not None}
    return digest_of(presented.pop()) if len(presented) == 1 else b""


def _presented(name: str, value: str | bytes) -> str | None:
    if not isinstance(value, str):
        return None
    if name == "x-api-key":
        return value
    if name == "authorization":
        scheme, _, key = value.partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""
    return None
