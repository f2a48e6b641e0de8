"""Whether the API still understands every client of a released one.

    python protos/compatibility.py RELEASED_DIR CURRENT_DIR FILE.proto

compares FILE.proto of both folders and prints a line for each change that breaks a client, on the
wire or at its compiler: the rules that buf calls WIRE_JSON, and names of messages and methods. The
exit code is 1 if there is one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc


def read_proto(folder: Path, name: str) -> FileDescriptorProto:
    """The description of `name` in `folder`, without what it imports. Raises ValueError for what
    protoc does not compile.
    """
    with tempfile.NamedTemporaryFile() as file:
        arguments = ["protoc", f"-I{folder}", f"--descriptor_set_out={file.name}", name]
        if protoc.main(arguments):
            raise ValueError(f"{folder / name} does not compile")
        (found,) = FileDescriptorSet.FromString(Path(file.name).read_bytes()).file
    return found


def breaking_changes(released: FileDescriptorProto, current: FileDescriptorProto) -> Iterator[str]:
    """What a client of `released` would trip over, each as a sentence."""
    if released.package != current.package:
        yield f"package {released.package} is called {current.package}"
    messages = {message.name: message for message in current.message_type}
    for message in released.message_type:
        yield from _of_message(message, messages.get(message.name))
    enums = {enum.name: enum for enum in current.enum_type}
    for enum in released.enum_type:
        yield from _of_enum(enum, enums.get(enum.name))
    services = {service.name: service for service in current.service}
    for service in released.service:
        yield from _of_service(service, services.get(service.name))


def _of_message(released: DescriptorProto, current: DescriptorProto | None) -> Iterator[str]:
    if current is None:
        yield f"message {released.name} is gone"
        return
    numbers = {field.number: field for field in current.field}
    for field in released.field:
        name = f"field {released.name}.{field.name} = {field.number}"
        found = numbers.get(field.number)
        if found is None:
            if not _is_reserved(field, current):
                yield f"{name} is gone, and neither its number nor its name is reserved"
        elif found.name != field.name:
            yield f"{name} is called {found.name}"
        elif _kind(found) != _kind(field):
            yield f"{name} is {_kind(found)}, and was {_kind(field)}"


def _is_reserved(field: FieldDescriptorProto, message: DescriptorProto) -> bool:
    is_number = any(r.start <= field.number < r.end for r in message.reserved_range)
    return is_number and field.name in message.reserved_name


def _kind(field: FieldDescriptorProto) -> str:
    """Type, cardinality and presence."""
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    presence = "explicit" if field.proto3_optional else "implicit"
    kind = field.type_name or FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_")
    return f"{label} {kind.lower() if not field.type_name else kind} of {presence} presence"


def _of_enum(released: EnumDescriptorProto, current: EnumDescriptorProto | None) -> Iterator[str]:
    if current is None:
        yield f"enum {released.name} is gone"
        return
    names = {value.number: value.name for value in current.value}
    for value in released.value:
        found = names.get(value.number)
        if found != value.name:
            what = "is gone" if found is None else f"is called {found}"
            yield f"value {released.name}.{value.name} = {value.number} {what}"


def _of_service(
    released: ServiceDescriptorProto, current: ServiceDescriptorProto | None
) -> Iterator[str]:
    if current is None:
        yield f"service {released.name} is gone"
        return
    methods = {method.name: method for method in current.method}
    for method in released.method:
        found = methods.get(method.name)
        if found is None:
            yield f"method {released.name}.{method.name} is gone"
        elif (found.input_type, found.client_streaming) != (
            method.input_type,
            method.client_streaming,
        ):
            yield f"method {released.name}.{method.name} takes something else"
        elif (found.output_type, found.server_streaming) != (
            method.output_type,
            method.server_streaming,
        ):
            yield f"method {released.name}.{method.name} answers something else"


def main(released: str, current: str, name: str) -> int:
    """The exit code."""
    pair = (read_proto(Path(folder), name) for folder in (released, current))
    problems = list(breaking_changes(*pair))
    for problem in problems:
        print(f"{name}: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
