"""What is not safe does not start: one line that names the file or the option, and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from server.__main__ import main
from server.config import ServerConfig, parse_config
from server.errors import ConfigError
from tests.certificates import DAMAGES, Authority, Pair


def start(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, str]:
    code = main(["--port", "0", *flags])
    output = capsys.readouterr()
    assert output.out == ""
    (line,) = output.err.splitlines()
    return code, line


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pair_that_cannot_be_used(
    tmp_path: Path, damage: Callable[[Pair, Pair], None], capsys: pytest.CaptureFixture[str]
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    damage(pair, authority.issue("other"))
    code, line = start(capsys, *pair.flags())
    assert code == 2
    assert line.startswith((f"error: {pair.certificate}: ", f"error: {pair.key}: "))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--host", "0.0.0.0"], "host is '0.0.0.0', which other machines can reach"),
        (["--tls-key", "a"], "tls_certificate is missing"),
        (["--api-keys", "/no/such/file"], "/no/such/file: No such file or directory"),
    ],
)
def test_what_is_not_safe(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = start(capsys, *flags)
    assert code == 2
    assert line.startswith(f"error: {message}")


def test_a_switch_is_a_flag_and_a_word_in_the_environment() -> None:
    assert parse_config(["--plaintext"], {}).plaintext is True
    for word, meaning in (("true", True), ("1", True), ("False", False), ("no", False)):
        assert parse_config([], {"ATTENDANT_PLAINTEXT": word}).plaintext is meaning
    assert parse_config(["--no-plaintext"], {"ATTENDANT_PLAINTEXT": "1"}).plaintext is False
    with pytest.raises(ConfigError, match="ATTENDANT_PLAINTEXT is 'perhaps': not bool"):
        parse_config([], {"ATTENDANT_PLAINTEXT": "perhaps"})


@pytest.mark.parametrize("value", ["everything", "translate,root", "translate admin"])
def test_a_permission_that_does_not_exist_is_named(value: str) -> None:
    with pytest.raises(ConfigError, match=f"without_keys is '{value}': it must be of translate"):
        ServerConfig(without_keys=value)
