"""HTTP/2, as far as it takes to misbehave."""

from __future__ import annotations

from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING, GOAWAY = 0, 1, 4, 6, 7
END_STREAM, END_HEADERS = 1, 4
NO_WINDOW = (4).to_bytes(2, "big") + bytes(4)
"""The setting that nothing may be sent on any stream: its reader does not read."""


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 9:
        end = 9 + int.from_bytes(data[:3], "big")
        yield data[3], data[9:end]
        data = data[end:]


def grpc_headers(method: str, stream: int) -> bytes:
    """The frame that begins a call."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(
        bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    return frame(HEADERS, block, END_HEADERS, stream)


def grpc_message(message: bytes, stream: int, length: int | None = None) -> bytes:
    """The frame with a call's only message, which says that it has `length` bytes."""
    said = len(message) if length is None else length
    return frame(DATA, b"\0" + said.to_bytes(4, "big") + message, END_STREAM, stream)
