"""What is not safe does not start: one line that names the file or the option, and exit code 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.__main__ import main
from server.config import ServerConfig, parse_config
from server.errors import ConfigError
from tests.certificates import DAMAGES, Authority, Pair
from tests.server.rpc.secure import KeyFile

BUNDLED = Path(__file__).resolve().parents[2] / "models"


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


def test_the_command_talks_to_the_server_with_tls_and_a_key_and_strangers_fill_no_log(
    tmp_path: Path,
) -> None:
    authority, keys = Authority(tmp_path), KeyFile(tmp_path / "keys.toml")
    pair, key = authority.issue("server"), keys.add("web")
    flags = [*pair.flags(), "--api-keys", str(keys.path), "--drain-delay-s", "0", "--port", "0"]
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "--models", str(BUNDLED), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    target = server.stdout.readline().split()[-1]
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(target.rpartition(":")[2]))) as stranger:
            stranger.sendall(b"this is no handshake\r\n" * 10)
            stranger.recv(1000)
    good = run_attendant(target, "--ca", str(authority.file), key=key)
    bad = run_attendant(target, "--ca", str(authority.file), key=key + "x")
    running = Path(f"/proc/{server.pid}/cmdline").read_bytes()
    server.terminate()
    _, log = server.communicate(timeout=60)
    assert (good.returncode, good.stdout) == (0, "Zwei Hunde spielen.\n"), good.stderr
    assert bad.returncode == 1
    assert "UNAUTHENTICATED: a valid API key is needed" in bad.stderr
    assert server.returncode == 0
    assert [line for line in log.splitlines() if " INFO " not in line] == []
    assert key not in log + bad.stderr + running.decode()


def run_attendant(target: str, *options: str, key: str) -> subprocess.CompletedProcess[str]:
    arguments = [
        "--target",
        target,
        "--from",
        "en",
        "--to",
        "de",
        *options,
        "Two dogs are playing.",
    ]
    return subprocess.run(
        [sys.executable, "-m", "attendant", "translate", *arguments],
        env={**os.environ, "ATTENDANT_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
