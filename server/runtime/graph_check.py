"""What a graph may hold: operators of ONNX and of ONNX Runtime, and weights of its own package.

ONNX Runtime refuses operators that nobody registered, but knows more domains than a translation
model has any use for; and it reads the external data of a graph inside another, such as the branch
of an `If`, from wherever in the working directory the graph says. So graphs are looked through
first, straight in protobuf's wire format, for which the server has no other library.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from server.errors import PackageError

DOMAINS = frozenset({"", "ai.onnx", "com.microsoft"})
MAX_DEPTH = 32
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Field = tuple[int, bytes | int]

# Fields of onnx.proto that lead to others, by message.
CHILDREN = {
    "model": {7: "graph", 8: "opset", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "inner", 10: "tensor", 11: "inner", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
DOMAIN_FIELDS = {"opset": 1, "node": 7, "function": 10}
LOCATION = b"location"


@dataclass(frozen=True)
class Contents:
    """What a graph refers to."""

    domains: frozenset[str]
    locations: frozenset[str]
    """Files of external data."""
    inner_locations: frozenset[str]
    """The same of graphs inside others, and of functions."""


def check_graph(name: str, model: bytes, weights: str) -> None:
    """Raises PackageError naming the graph, `name`, and the first thing in `model` that is not
    allowed; external data may be in the file `weights`.
    """
    try:
        found = read_contents(model)
    except ValueError as error:
        raise PackageError(f"{name}: no ONNX graph: {error}") from error
    if others := sorted(found.domains - DOMAINS):
        raise PackageError(f"{name}: operators of the domain {others[0]!r} are not allowed")
    if others := sorted((found.locations - {weights}) | found.inner_locations):
        raise PackageError(f"{name}: external data in {others[0]!r} is not allowed")


def read_contents(model: bytes) -> Contents:
    """Raises ValueError for bytes that are no message."""
    walk = _Walk()
    walk.visit("model", model, is_inner=False, depth=0)
    return Contents(
        frozenset(walk.domains), frozenset(walk.locations), frozenset(walk.inner_locations)
    )


class _Walk:
    def __init__(self) -> None:
        self.domains: set[str] = set()
        self.locations: set[str] = set()
        self.inner_locations: set[str] = set()

    def visit(self, kind: str, message: bytes, is_inner: bool, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")
        if kind == "inner":
            kind, is_inner = "graph", True
        elif kind == "entry":
            self._visit_entry(message, is_inner)
            return
        elif kind == "function":
            is_inner = True
        children = CHILDREN.get(kind, {})
        for number, value in _fields(message):
            if isinstance(value, int):
                continue
            if number == DOMAIN_FIELDS.get(kind):
                self.domains.add(value.decode("utf-8"))
            elif number in children:
                self.visit(children[number], value, is_inner, depth + 1)

    def _visit_entry(self, message: bytes, is_inner: bool) -> None:
        fields = list(_fields(message))
        if (1, LOCATION) in fields:
            found = {
                value.decode("utf-8") for n, value in fields if n == 2 and type(value) is bytes
            }
            (self.inner_locations if is_inner else self.locations).update(found or {""})


def _fields(message: bytes) -> Iterator[Field]:
    """Number and value of each field of a message."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire not in (FIXED64, FIXED32, BYTES):
            raise ValueError(f"wire type {wire} at byte {position}")
        length = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
        if wire == BYTES:
            length, position = _varint(message, position)
        if position + length > end:
            raise ValueError(f"it ends too early, at byte {end}")
        yield number, message[position : position + length] if wire == BYTES else 0
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and what comes after it."""
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError(f"it ends too early, at byte {position}")
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
    raise ValueError(f"a number without an end at byte {position}")
