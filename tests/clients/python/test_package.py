"""What installing and importing the package brings along."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires

import attendant

from demos.server_process import REPOSITORY

PYPROJECT = REPOSITORY / "clients" / "python" / "pyproject.toml"


def test_installing_brings_grpc_and_protobuf_and_nothing_heavy() -> None:
    brought = [line for line in requires("attendant") or [] if "extra ==" not in line]
    names = {re.split(r"[<>=~! ]", line)[0] for line in brought}
    assert names == {"attendant-protos", "grpcio", "grpcio-health-checking", "protobuf"}


def test_what_needs_more_libraries_is_an_extra() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = {
        name: {re.split(r"[<>=~! ]", line)[0] for line in lines}
        for name, lines in project["optional-dependencies"].items()
    }
    assert extras == {
        "files": {"markdown-it-py"},
        "completion": {"shtab"},
        "load": {"hdrhistogram", "rich"},
    }


def test_importing_brings_nothing_of_the_server_or_of_training() -> None:
    code = "import sys, attendant, attendant.cli.main; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    top_level = {module.partition(".")[0] for module in modules}
    assert "attendant" in top_level
    assert not top_level & {"server", "training", "export", "torch", "numpy", "onnxruntime"}
    assert not top_level & {"markdown_it", "shtab", "hdrh", "rich"}  # of the extras


def test_every_public_name_is_there() -> None:
    assert all(hasattr(attendant, name) for name in attendant.__all__)
