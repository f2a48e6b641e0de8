"""Certificates for tests, good ones and bad ones."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import trustme

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path

    def flags(self) -> list[str]:
        return ["--tls-certificate", str(self.certificate), "--tls-key", str(self.key)]


class Authority:
    """Issues certificates for this machine into a folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._ca, self._folder = trustme.CA(organization_name=name), folder
        self.pem = self._ca.cert_pem.bytes()
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.pem)

    def issue(self, name: str, *hosts: str, expired: bool = False) -> Pair:
        until = LONG_AGO if expired else None
        issued = self._ca.issue_cert(*(hosts or ("localhost", "127.0.0.1")), not_after=until)
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        pair.key.write_bytes(issued.private_key_pem.bytes())
        return pair


# What can happen to a pair while it is renewed


def halve(pair: Pair, _other: Pair) -> None:
    content = pair.certificate.read_bytes()
    pair.certificate.write_bytes(content[: len(content) // 2])


def replace_key(pair: Pair, other: Pair) -> None:
    shutil.copy(other.key, pair.key)


def replace_certificate(pair: Pair, other: Pair) -> None:
    shutil.copy(other.certificate, pair.certificate)


def remove(pair: Pair, _other: Pair) -> None:
    pair.key.unlink()


def expire(pair: Pair, other: Pair) -> None:
    expired = Authority(other.key.parent, "past").issue("expired", expired=True)
    shutil.copy(expired.key, pair.key)
    shutil.copy(expired.certificate, pair.certificate)


DAMAGES = [halve, replace_key, replace_certificate, remove, expire]
