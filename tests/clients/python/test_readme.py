"""The client's README: each of its examples runs as it stands, against the bundled model."""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demos.server_process import REPOSITORY, ServerProcess, running_server

README = REPOSITORY / "clients" / "python" / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server(Path("models"), "--drain-delay-s", "0") as server:
        yield server


def run(source: str, names: dict[str, Any]) -> None:
    """Runs an example, awaiting what it awaits."""
    code = compile(source, str(README), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, names)
    if inspect.isawaitable(result):
        asyncio.run(awaited(result))


async def awaited(result: Any) -> None:
    await result


def test_every_example_runs_in_the_order_of_the_page(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {}
    for example in EXAMPLES:
        if "AsyncClient(" in example:
            names["client"].close()  # whose name it takes
        run(example.replace("localhost:50051", server.target), names)
    printed = capsys.readouterr().out
    assert "multi30k" in printed
    assert "Two dogs run. -> Zwei Hunde" in printed
    assert len(names["translations"]) == 2


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5
