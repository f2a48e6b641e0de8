"""API keys: who calls, and what a key grants. The file holds hashes; a key itself is never kept.

The hash is SHA-256, a fast one, on purpose: slow hashes protect passwords, which people choose and
attackers can guess. A key has 256 random bits, and no number of guesses finds it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.config import PERMISSIONS
from server.errors import CredentialsError
from server.security.watched import read_bytes

KEY_PREFIX = "att_"
"""What a key begins with, so that scanners for leaked secrets know one."""
KEY_BYTES = 32
MAX_FILE_BYTES = 1 << 20
MAX_HASHES = 1000
"""A call is compared with each, which takes it about 40 µs where there are so many."""
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""No colon: a name is never taken for an address."""
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Limits:
    """How much a key's holder may ask for; 0 is no limit. Each is an entry of the file."""

    requests_per_s: float = 0.0
    request_burst: float = 0.0
    """Requests at once, after a rest; a second's worth where it is 0."""
    characters_per_s: float = 0.0
    """Of texts and target prefixes."""
    character_burst: float = 0.0
    """Characters at once, and so in one request; a second's worth where it is 0."""
    max_concurrent: int = 0
    """Calls at a time."""


@dataclass(frozen=True)
class ApiKey:
    """An entry of the file."""

    name: str
    """Whom calls are counted to; may be logged and shown."""
    hashes: tuple[bytes, ...] = field(repr=False)
    """Of the keys that are good for it; two while one takes the other's place."""
    permissions: frozenset[str]
    limits: Limits = Limits()


class KeyRing:
    """The keys of one file."""

    def __init__(self, keys: list[ApiKey]) -> None:
        self._by_hash = [(digest, key) for key in keys for digest in key.hashes]
        self.num_keys = len(keys)

    def find(self, presented: str) -> ApiKey | None:
        """Whose key `presented` is. Takes as long whichever it is, or none."""
        return self.find_digest(digest_of(presented))

    def find_digest(self, digest: bytes) -> ApiKey | None:
        """Whose key has the hash `digest`."""
        found = None
        for expected, key in self._by_hash:
            if hmac.compare_digest(expected, digest):
                found = key
        return found


def digest_of(key: str) -> bytes:
    """The hash of `key`, as the file has it."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def new_key() -> tuple[str, str]:
    """A new random key, and the hash that the file needs."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    return key, digest_of(key).hex()


def read_keys(path: Path) -> KeyRing:
    """The keys in `path`. Raises CredentialsError naming the file, the entry and what is wrong;
    never what was found there, for it might be a key.
    """
    try:
        document = tomllib.loads(read_bytes(path, MAX_FILE_BYTES).decode("utf-8"))
    except RecursionError:
        raise CredentialsError(f"{path}: no TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise CredentialsError(f"{path}: no TOML: {_place(error)}") from None
    except UnicodeDecodeError:
        raise CredentialsError(f"{path}: no TOML: not UTF-8") from None
    try:
        keys = _parse(document)
    except ValueError as error:
        raise CredentialsError(f"{path}: {error}") from None
    return KeyRing(keys)


def _place(error: tomllib.TOMLDecodeError) -> str:
    """Where it is wrong; the words before may quote the file."""
    _, found, place = str(error).rpartition("(at ")
    return f"at {place.rstrip(')')}" if found else "it cannot be read"


def _parse(document: dict[str, Any]) -> list[ApiKey]:
    if document.keys() - {"keys"}:
        raise ValueError("there is something outside of [keys.NAME]")
    entries = document.get("keys")
    if not isinstance(entries, dict) or not entries:
        raise ValueError("there is no entry [keys.NAME]")
    keys = [_parse_key(name, entry) for name, entry in entries.items()]
    hashes = [digest for key in keys for digest in key.hashes]
    if len(set(hashes)) < len(hashes):
        raise ValueError("the same sha256 is there twice")
    if len(hashes) > MAX_HASHES:
        raise ValueError(f"there are {len(hashes)} hashes, at most {MAX_HASHES} are allowed")
    return keys


def _parse_key(name: str, entry: object) -> ApiKey:
    if not NAME.fullmatch(name):
        raise ValueError("a name has letters, digits, - and _, 64 at most")
    if not isinstance(entry, dict):
        raise ValueError(f"keys.{name} is no table")
    rest = dict(entry)
    hashes = _list_of(name, "sha256", rest.pop("sha256", []))
    if not hashes or not all(HASH.fullmatch(digest) for digest in hashes):
        raise ValueError(f"keys.{name}.sha256 must be 64 digits of 0-9a-f, or a list of such")
    permissions = _list_of(name, "permissions", rest.pop("permissions", ["translate"]))
    if not permissions or not {*permissions} <= {*PERMISSIONS}:
        raise ValueError(f"keys.{name}.permissions must be of {', '.join(PERMISSIONS)}")
    digests = tuple(bytes.fromhex(digest) for digest in hashes)
    return ApiKey(name, digests, frozenset(permissions), _parse_limits(name, rest))


def _list_of(name: str, field_name: str, value: object) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ValueError(f"keys.{name}.{field_name} must be a text, or a list of texts")
    return values


def _parse_limits(name: str, entry: dict[str, Any]) -> Limits:
    kinds = {item: type(default) for item, default in vars(Limits()).items()}
    for item, value in entry.items():
        if item not in kinds:
            # Not the word itself: a key that was pasted here would end in the log.
            known = ", ".join(["sha256", "permissions", *kinds])
            raise ValueError(f"keys.{name} has an unknown entry; there are {known}")
        is_right = type(value) in (int, kinds[item]) and 0 <= value < float("inf")
        if not is_right:
            raise ValueError(f"keys.{name}.{item} must be a number of at least 0")
    for burst, rate in (
        ("request_burst", "requests_per_s"),
        ("character_burst", "characters_per_s"),
    ):
        if entry.get(burst) and not entry.get(rate):
            raise ValueError(f"keys.{name}.{burst} is given without {rate}")
    return Limits(**entry)
