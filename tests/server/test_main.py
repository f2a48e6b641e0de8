"""python -m server as an operator meets it: output, exit codes, signals, memory."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from attendant import AttendantError, Client, UnavailableError

from demos.server_process import REPOSITORY, running_server, start_server

TEXTS = ["nine thousand, nine hundred and ninety-nine"] * 4


def failed_start(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *flags]
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_with_zero(numbers_package: Path, number: signal.Signals) -> None:
    server = start_server(numbers_package.parent.parent, "--drain-delay-s", "0")
    with Client(server.target) as client:
        assert client.translate("two", source_language="en", target_language="de").text
    server.process.send_signal(number)
    output, _ = server.process.communicate(timeout=30)
    assert server.process.returncode == 0
    assert output == "draining\n"


def test_a_server_drains_though_nobody_reads_what_it_prints(
    numbers_package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server = start_server(numbers_package.parent.parent, "--drain-delay-s", "0")
    assert server.process.stdout is not None
    server.process.stdout.close()
    server.process.terminate()
    assert server.process.wait(30) == 0
    assert "Error" not in capfd.readouterr().err


def test_a_signal_under_load_loses_no_call_that_was_let_in(numbers_package: Path) -> None:
    """Callers who never rest see answers, and then nothing but that the server is going."""
    server = start_server(numbers_package.parent.parent, "--drain-delay-s", "0.2")
    ends: list[AttendantError] = []
    num_answered: list[int] = []

    def call_until_it_goes() -> None:
        with Client(server.target) as client:
            for count in itertools.count():
                try:
                    client.translate(TEXTS, source_language="en", target_language="de")
                except AttendantError as error:
                    ends.append(error)
                    num_answered.append(count)
                    return

    callers = [threading.Thread(target=call_until_it_goes) for _ in range(16)]
    for caller in callers:
        caller.start()
    time.sleep(1.0)
    server.process.send_signal(signal.SIGTERM)
    for caller in callers:
        caller.join(30)
    output, _ = server.process.communicate(timeout=30)
    assert (server.process.returncode, output) == (0, "draining\n")
    assert min(num_answered) > 0
    assert {type(error) for error in ends} == {UnavailableError}
    # Said by the server, or by who finds nobody there: not by a call that was cut off.
    gone = ("the server is shutting down", "failed to connect")
    assert [str(e) for e in ends if not any(word in str(e).lower() for word in gone)] == []


def test_after_a_kill_it_serves_again_at_the_same_address(numbers_package: Path) -> None:
    models = numbers_package.parent.parent
    first = start_server(models, "--drain-delay-s", "0")
    port = first.target.rpartition(":")[2]
    first.process.kill()
    first.process.communicate(timeout=30)
    second = start_server(models, "--drain-delay-s", "0", "--port", port)
    assert second.target == first.target
    with Client(second.target) as client:
        assert client.translate("two", source_language="en", target_language="de").text
    assert second.stop() == 0
    second.process.communicate()


def test_the_version_is_told() -> None:
    result = failed_start("--version")
    assert (result.returncode, result.stdout) == (0, "attendant 0.1.0\n")


def test_metrics_are_scraped_over_http(numbers_package: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ("--drain-delay-s", "0", "--metrics-port", str(port))
    with running_server(numbers_package.parent.parent, *flags):
        page = (
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
        )
    assert 'attendant_cache_slots{model="numbers"} 64.0' in page


def test_a_taken_port_is_one_line_and_an_exit_code(numbers_package: Path) -> None:
    models = str(numbers_package.parent.parent)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        result = failed_start("--models", models, "--port", str(port))
    assert result.returncode == 1
    assert f"error: cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_model_folder_is_one_line(tmp_path: Path) -> None:
    result = failed_start("--models", str(tmp_path / "absent"), "--port", "0")
    assert result.returncode == 1
    assert "no model package" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_value_is_one_line() -> None:
    result = failed_start("--num-slots", "0")
    assert result.returncode == 1
    assert result.stderr == "error: num_slots is 0: it must be positive\n"


def test_an_edited_figure_is_named_and_nothing_serves(
    numbers_package: Path, tmp_path: Path
) -> None:
    shutil.copytree(numbers_package, tmp_path / "numbers" / "1")
    path = tmp_path / "numbers" / "1" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["evidence"]["cpu-int8"]["chrf"] = 99.9
    path.write_text(json.dumps(manifest), encoding="utf-8")
    result = failed_start("--models", str(tmp_path), "--port", "0")
    assert result.returncode == 1
    assert "evidence.cpu-int8.chrf was edited after the export" in result.stderr
    assert result.stdout == ""
