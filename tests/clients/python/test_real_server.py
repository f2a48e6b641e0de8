"""The SDK and the command against the real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attendant import Client, FinishReason, InvalidRequestError, NotFoundError

from demos.server_process import ServerProcess, running_server


@pytest.fixture(scope="module")
def server(numbers_package: Path) -> Iterator[ServerProcess]:
    with running_server(numbers_package.parent.parent, "--drain-delay-s", "0") as server:
        yield server


def attendant(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "attendant", *arguments]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, timeout=60
    )


def test_lines_come_back_in_order_and_as_one_by_one(server: ServerProcess) -> None:
    lines = [f"{n} hundred and {m}" for n in ("one", "two", "six") for m in ("four", "ten", "")]
    result = attendant(
        "translate", "--target", server.target, "--from", "en", "--to", "de", text="\n".join(lines)
    )
    assert result.returncode == 0, result.stderr
    with Client(server.target) as client:
        alone = [client.translate(x, source_language="en", target_language="de") for x in lines]
    assert result.stdout.splitlines() == [translation.text for translation in alone]


def test_a_refusal_names_the_field(server: ServerProcess) -> None:
    with Client(server.target) as client:
        empty = client.translate("", source_language="en", target_language="de")
        assert empty.finish_reason is FinishReason.EMPTY
        with pytest.raises(InvalidRequestError, match=r"texts\[0\]: control character U\+0007"):
            client.translate("\a", source_language="en", target_language="de")
        with pytest.raises(NotFoundError, match="it has en, de"):
            client.translate("one", source_language="en", target_language="fr")


def test_load_counts_every_request_of_a_real_run(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("one hundred and four\nseven thousand and nine\n")
    result = attendant(
        *("load", "--target", server.target, "--rate", "40", "--duration", "2", "--json"),
        *("--file", str(tmp_path / "texts")),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["errors"] == {}
    assert 40 < report["answered"] < 130


def test_health_is_an_exit_code(server: ServerProcess) -> None:
    assert attendant("health", "--target", server.target).returncode == 0
