"""docs/clients.md: each of its examples, against the bundled model."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demos.server_process import REPOSITORY, ServerProcess, running_server
from tests.clients.node.test_node_client import check_node, run
from tests.docs import grpcurl

PAGE = (REPOSITORY / "docs/clients.md").read_text(encoding="utf-8")
ADDRESS = "127.0.0.1:50051"
TRANSLATION = "Zwei Hunde spielen."
TIMEOUT_S = 60


def examples(heading: str) -> list[str]:
    """The blocks of code below a heading, with a language."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server(Path("models"), "--drain-delay-s", "0") as server:
        yield server


def output(*command: str) -> str:
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=REPOSITORY
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_command(server: ServerProcess) -> None:
    (example,) = examples("The command")
    (shown,) = re.findall(r"\n\n```\n(.*?)```", PAGE, re.DOTALL)
    program, *arguments = shlex.split(example.replace(ADDRESS, server.target))
    assert program == ".venv/bin/attendant"
    assert output(sys.executable, "-m", "attendant", *arguments) == shown == TRANSLATION + "\n"


def test_python(server: ServerProcess) -> None:
    (example,) = examples("Python")
    lines = output(sys.executable, "-c", example.replace(ADDRESS, server.target)).splitlines()
    assert len(lines) == 2
    assert re.fullmatch(rf"-\d\.\d\d  {re.escape(TRANSLATION)}", lines[0])


def test_node(server: ServerProcess) -> None:
    (example,) = examples("Node")
    check_node()
    run("make", "clients/node/node_modules/installed", folder=REPOSITORY)
    if not (REPOSITORY / "clients/node/dist/index.js").exists():
        run("npm", "run", "build", folder=REPOSITORY / "clients/node")
    printed = output(*shlex.split(example.replace(ADDRESS, server.target)))
    assert f"de  {TRANSLATION}\n" in printed


def test_grpcurl(server: ServerProcess) -> None:
    translate, stream, health = (e.replace(ADDRESS, server.target) for e in examples("grpcurl"))
    (answer,) = grpcurl.run(translate)
    assert answer["translations"][0]["text"] == TRANSLATION
    *parts, end = grpcurl.run(stream)
    assert "".join(part["text"] for part in parts) == TRANSLATION
    assert end["translation"]["text"] == TRANSLATION
    assert grpcurl.run(health) == [{"status": "SERVING"}]


def test_tritonclient(server: ServerProcess) -> None:
    (example,) = examples("tritonclient")
    python = REPOSITORY / ".venv-tritonclient/bin/python"
    assert python.exists(), "make .venv-tritonclient/installed makes the environment of the client"
    assert output(str(python), "-c", example.replace(ADDRESS, server.target)) == TRANSLATION + "\n"


def test_every_example_has_a_test() -> None:
    headings = re.findall(r"\n## (.*)\n", PAGE)
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {heading.lower().replace(" ", "_") for heading in headings} <= tested
