"""Requests from bytes: what is no message is refused as any other wrong request is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message

from server.errors import InvalidRequestError

M = TypeVar("M", bound=Message)


def parser(message: type[M]) -> Callable[[bytes], M | DecodeError]:
    """Gives the request, or the error as a value: raised here, gRPC would answer UNKNOWN before any
    handler ran.
    """

    def parse(data: bytes) -> M | DecodeError:
        try:
            return message.FromString(data)
        except DecodeError as error:
            return error

    return parse


def checked(request: Any, name: str) -> Any:
    """The request, which is to be a message `name`. Raises InvalidRequestError if it was none."""
    if isinstance(request, DecodeError):
        raise InvalidRequestError("request", f"these bytes are no {name}")
    return request
