"""What the client's tests share."""

import socket
from collections.abc import Iterator

import pytest

from .echo_server import EchoServer


@pytest.fixture
def server() -> Iterator[EchoServer]:
    """A running server that echoes in upper case until the test says otherwise."""
    with EchoServer() as running:
        yield running


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A target that refuses every connection: its port is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
