"""docs/kserve.md against the server: every tensor, parameter and extension, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from server.rpc.inference_v2.description import EXTENSIONS
from server.rpc.inference_v2.outputs import OUTPUTS
from server.rpc.inference_v2.parameters import PARAMETERS
from server.rpc.inference_v2.stream import MAX_AT_ONCE
from server.rpc.inference_v2.tensors import INPUTS

PAGE = (Path(__file__).parents[2] / "docs/kserve.md").read_text()
TYPES = {bool: {"bool"}, int: {"int64", "uint64"}, float: {"double"}, str: {"string"}}


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table whose first cell of its head is `heading`."""
    _, _, table = PAGE.partition(f"| {heading} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_the_tensors_are_the_servers() -> None:
    inputs = [name for row in rows_of("input") for name in names_in(row[0])]
    outputs = [name for row in rows_of("output") for name in names_in(row[0])]
    assert tuple(inputs) == INPUTS
    assert sorted(outputs) == sorted(OUTPUTS)
    for names, kind, *_ in rows_of("output"):
        assert all(OUTPUTS[name].datatype == kind.split(",")[0] for name in names_in(names))


def test_the_parameters_are_the_servers() -> None:
    listed = {name: row[1] for row in rows_of("parameter") for name in names_in(row[0])}
    assert sorted(listed) == sorted(PARAMETERS)
    assert all(kind in TYPES[PARAMETERS[name]] for name, kind in listed.items())


def test_the_extensions_and_limits_are_the_servers() -> None:
    assert f"`extensions`: {', '.join(EXTENSIONS)} |" in PAGE
    assert f"Up to {MAX_AT_ONCE} of them" in PAGE
