"""The Node client: its own tests, in its own language, against a server of this repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGE = REPOSITORY / "clients" / "node"
OLDEST_NODE = 20


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_node_clients_own_tests_pass_and_none_is_skipped() -> None:
    check_node()
    run("make", "clients/node/node_modules/installed", folder=REPOSITORY)
    output = run("npm", "test", folder=PACKAGE)
    assert count("tests", output) > 0
    assert count("pass", output) == count("tests", output)
    assert (count("skipped", output), count("todo", output)) == (0, 0)


def check_node() -> None:
    assert shutil.which("node"), f"the Node client needs Node.js {OLDEST_NODE} or later, with npm"
    version = run("node", "--version", folder=REPOSITORY)
    major = int(version.removeprefix("v").partition(".")[0])
    assert major >= OLDEST_NODE, f"Node.js is {version}, {OLDEST_NODE} or later is needed"


def run(*command: str, folder: Path) -> str:
    """What the command prints; it must succeed."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def count(what: str, output: str) -> int:
    """The number in the line of the summary that begins with `what`."""
    (number,) = re.findall(rf"^\S+ {what} (\d+)$", output, re.MULTILINE)
    return int(number)
