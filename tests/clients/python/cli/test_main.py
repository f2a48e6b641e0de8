"""The command itself, and `attendant health`."""

import subprocess
import sys
from importlib.metadata import entry_points, version

import grpc
import pytest
from attendant.cli.main import main
from attendant.cli.outcome import ExitCode
from grpc_health.v1 import health_pb2

from ..echo_server import EchoServer


def test_the_command_is_installed_and_says_its_version() -> None:
    (script,) = entry_points(group="console_scripts", name="attendant")
    assert script.load() is main
    done = subprocess.run(
        [sys.executable, "-m", "attendant", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"attendant {version('attendant')}\n"


def test_a_missing_subcommand_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == ExitCode.USAGE
    assert "COMMAND" in capsys.readouterr().err


def test_help_lists_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out.partition("exit codes:\n")[2]
    assert [int(line.split()[0]) for line in listed.splitlines()] == [
        code.value for code in ExitCode
    ]


def test_health_says_serving(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--target", server.target]) == 0
    assert capsys.readouterr().out == "serving\n"


def test_health_says_not_serving(server: EchoServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert main(["health", "--target", server.target]) == 1
    assert capsys.readouterr().out == "not serving\n"


def test_health_of_nobody_is_not_serving(nowhere: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--target", nowhere]) == 1
    assert capsys.readouterr().out == "not serving\n"


def test_health_of_another_kind_of_server_is_a_failure(
    server: EchoServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.health.first = [grpc.StatusCode.UNIMPLEMENTED]
    assert main(["health", "--target", server.target]) == 4
    assert capsys.readouterr().err.startswith(f"attendant: {server.target}: UNIMPLEMENTED: ")
