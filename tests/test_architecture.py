"""The house keeps its walls: who imports whom, and what the server brings along."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SERVE_PYTHON = REPOSITORY / ".venv" / "bin" / "python"

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import server
for module in pkgutil.walk_packages(server.__path__, "server."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
import server.__main__
print(*sorted(name for name in sys.modules if "." not in name))
"""


def run(command: list[str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_import_contracts_hold() -> None:
    command = "from importlinter.cli import lint_imports_command as main; main()"
    assert "0 broken" in run([sys.executable, "-c", command])


def test_the_servers_dependencies_alone_import_every_server_module() -> None:
    assert SERVE_PYTHON.exists(), "make test makes .venv, the environment without torch"
    loaded = run([str(SERVE_PYTHON), "-c", IMPORT_EVERYTHING]).split()
    assert "onnxruntime" in loaded
    assert not {"torch", "onnx", "training", "export", "attendant"} & set(loaded)


def test_the_servers_dependencies_bring_no_torch() -> None:
    names = run([str(SERVE_PYTHON), "-m", "pip", "list", "--format=freeze"]).lower()
    assert "onnxruntime==" in names
    assert "torch==" not in names


def test_no_name_is_a_drawer() -> None:
    drawers = {"utils.py", "helpers.py", "common.py", "manager.py"}
    found = [path for path in REPOSITORY.glob("*/**/*.py") if path.name in drawers]
    assert [path for path in found if ".venv" not in str(path)] == []
