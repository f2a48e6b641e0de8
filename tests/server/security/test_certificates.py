"""Which certificates are taken, and what is said of the others."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from server.errors import CredentialsError
from server.security.certificates import CertificateFiles
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def refusal_of(files: CertificateFiles) -> str:
    with pytest.raises(CredentialsError) as caught:
        files.read()
    return str(caught.value)


def test_a_pair_and_an_authority_are_read_as_they_are(authority: Authority) -> None:
    pair = authority.issue("server")
    found = CertificateFiles(pair.certificate, pair.key, authority.file).read()
    assert found.certificate == pair.certificate.read_bytes()
    assert found.key == pair.key.read_bytes()
    assert found.client_ca == authority.pem


def test_the_key_is_in_no_repr(authority: Authority) -> None:
    pair = authority.issue("server")
    assert "PRIVATE" not in repr(CertificateFiles(pair.certificate, pair.key).read())


def halve(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["certificate", "key"])
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (Path.unlink, "No such file or directory"),
        (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
        (halve, "PEM"),
        (lambda path: path.write_bytes(b""), "PEM"),
        (lambda path: path.write_bytes(b"\xff\x00" * 50), "PEM"),
        (lambda path: path.write_bytes(b"x" * (2 << 20)), "more than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, name: str, damage: Callable[[Path], object], problem: str
) -> None:
    pair = authority.issue("server")
    path = getattr(pair, name)
    damage(path)
    message = refusal_of(CertificateFiles(pair.certificate, pair.key))
    assert message.startswith(f"{path}: ")
    assert problem in message


def test_a_key_of_another_certificate_is_named(authority: Authority) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    message = refusal_of(CertificateFiles(one.certificate, other.key))
    assert message.startswith(f"{other.key}: not the key of {one.certificate}")


def test_a_key_with_a_password_is_refused_and_asked_for_nowhere(authority: Authority) -> None:
    pair = authority.issue("server")
    command = ["openssl", "ec", "-in", pair.key, "-aes128", "-passout", "pass:x", "-out", pair.key]
    subprocess.run(command, check=True, capture_output=True)
    assert "ENCRYPTED" in pair.key.read_text()
    message = refusal_of(CertificateFiles(pair.certificate, pair.key))
    assert message.startswith(f"{pair.key}: ")
    assert "without a password" in message


def test_a_certificate_that_has_expired_is_refused(authority: Authority) -> None:
    pair = authority.issue("server", expired=True)
    message = refusal_of(CertificateFiles(pair.certificate, pair.key))
    assert message == f"{pair.certificate}: certificate has expired"


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\nAAAA"])
def test_authorities_that_are_none_are_named(
    authority: Authority, tmp_path: Path, content: bytes
) -> None:
    pair, path = authority.issue("server"), tmp_path / "clients.pem"
    path.write_bytes(content)
    files = CertificateFiles(pair.certificate, pair.key, path)
    assert refusal_of(files) == f"{path}: no certificate in PEM can be read from it"


def test_a_certificate_of_nobodys_authority_is_no_authority(authority: Authority) -> None:
    pair: Pair = authority.issue("server")
    files = CertificateFiles(pair.certificate, pair.key, pair.certificate)
    assert "no certificate of an authority" in refusal_of(files)
