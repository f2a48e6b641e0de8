"""Runs of `attendant translate --output` that break off, for the tests of taking them up."""

import json
from pathlib import Path
from typing import Any

import grpc
from attendant.cli.progress_file import SUFFIX

from ..echo_server import EchoServer, echo, refuse_text
from .test_decoding import run_here

LINES = [f"line {n} ü{'x' * (n % 7)}\n" for n in range(120)]
WHOLE = "".join(LINES).upper()


class Files:
    """An input, the output that it becomes, and what lies beside that until then."""

    def __init__(self, folder: Path) -> None:
        self.input = folder / "in.txt"
        self.input.write_text("".join(LINES), encoding="utf-8")
        self.output = folder / "out"
        self.progress = Path(f"{self.output}{SUFFIX}")

    def options(self, *more: str) -> list[str]:
        return ["--file", str(self.input), "--output", str(self.output), *more]

    def written(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def recorded(self) -> dict[str, Any]:
        found = json.loads(self.progress.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found


def breaking_at(server: EchoServer, text: str) -> None:
    server.answer = refuse_text(text, grpc.StatusCode.INTERNAL, "broken")


def asked_for(server: EchoServer) -> set[str]:
    """The texts that came; some came twice where the first call was cancelled on its way."""
    return {text for request in server.requests for text in request.texts}


def break_off(server: EchoServer, files: Files, at: int) -> None:
    """Lets a run fail at a line, and makes the server well again."""
    breaking_at(server, LINES[at].strip())
    assert run_here(server.target, *files.options()) == 4
    server.answer = echo
    server.requests.clear()
