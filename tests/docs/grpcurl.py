"""What grpcurl does with a command line, for machines that have it not: the server is asked by
reflection what the method is, and the JSON is sent as its message.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


def run(command: str) -> list[dict[str, Any]]:
    """The answers to `grpcurl -plaintext -d JSON HOST:PORT SERVICE/METHOD`."""
    program, plaintext, data, content, target, name = shlex.split(command.replace("\\\n", " "))
    assert (program, plaintext, data) == ("grpcurl", "-plaintext", "-d")
    with grpc.insecure_channel(target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service, _, method_name = name.partition("/")
        method = pool.FindServiceByName(service).FindMethodByName(method_name)
        request = json_format.ParseDict(json.loads(content), _message(method.input_type))
        make = channel.unary_stream if method.server_streaming else channel.unary_unary
        call = make(
            f"/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answer = call(request, timeout=30)
        answers = list(answer) if method.server_streaming else [answer]
    return [json_format.MessageToDict(message) for message in answers]


def _message(kind: Descriptor) -> Any:
    return GetMessageClass(kind)()
