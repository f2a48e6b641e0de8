"""The public proto in the style that buf's linter calls STANDARD, every part of it documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from attendant_protos.v1 import translation_pb2 as pb

FILE = pb.DESCRIPTOR
SOURCE = Path(__file__).resolve().parents[2] / "protos" / "attendant" / "v1" / "translation.proto"
CAMEL, SNAKE = re.compile(r"([A-Z][a-z0-9]+)+"), re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def fields() -> list[Any]:
    return [field for message in FILE.message_types_by_name.values() for field in message.fields]


def test_the_package_is_where_its_name_says_and_has_a_version() -> None:
    assert FILE.package == "attendant.v1"
    assert SOURCE.parent.parts[-2:] == ("attendant", "v1")


def test_names_are_in_the_usual_case() -> None:
    assert all(CAMEL.fullmatch(name) for name in FILE.message_types_by_name)
    assert all(CAMEL.fullmatch(name) for name in FILE.enum_types_by_name)
    assert all(SNAKE.fullmatch(field.name) for field in fields())


def test_services_and_their_messages_are_called_alike() -> None:
    for service in FILE.services_by_name.values():
        assert service.name.endswith("Service")
        for method in service.methods:
            assert CAMEL.fullmatch(method.name)
            assert method.input_type.name == f"{method.name}Request"
            assert method.output_type.name == f"{method.name}Response"


def test_values_of_enums_carry_its_name_and_the_first_says_nothing() -> None:
    for enum in FILE.enum_types_by_name.values():
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
        assert all(value.name.startswith(prefix) for value in enum.values)
        assert (enum.values[0].number, enum.values[0].name) == (0, f"{prefix}UNSPECIFIED")


LINES = SOURCE.read_text().splitlines()
DECLARATIONS = [
    i
    for i, line in enumerate(LINES)
    if re.match(r"(message|enum|service|  rpc|  .* = \d+;)\b|  .* = \d+;", line)
]


@pytest.mark.parametrize("i", DECLARATIONS, ids=lambda i: LINES[i].strip())
def test_every_part_is_documented(i: int) -> None:
    assert LINES[i - 1].strip().startswith("//")


def test_there_are_parts() -> None:
    assert len(DECLARATIONS) > len(fields())
