"""Clients that misbehave: what they took comes back, and nobody else notices."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from attendant import Client
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub

from demos.server_process import ServerProcess, running_server
from tests.server.rpc.raw_http2 import (
    DATA,
    HEADERS,
    NO_WINDOW,
    PREFACE,
    SETTINGS,
    frame,
    frames,
    grpc_headers,
    grpc_message,
)

LONG = "nine thousand, nine hundred and ninety-nine"
LANGUAGES = {"source_language": "en", "target_language": "de"}
UNARY = "/attendant.v1.TranslationService/Translate"
STREAM = "/attendant.v1.TranslationService/TranslateStream"
WATCH = "/grpc.health.v1.Health/Watch"
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]
SPARE = {"fd": 4, "task": 4}
"""Connections of this test's own that may still be closing; threads of pools that were idle."""


@dataclass(frozen=True)
class Watched:
    """A server, and what it holds."""

    process: ServerProcess
    metrics_port: int

    def metrics(self) -> str:
        """As scraped."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as response:
            return str(response.read().decode())

    def gauge(self, name: str) -> float:
        """Of the only model."""
        found = re.search(rf'^{name}{{model="numbers"}} (\S+)$', self.metrics(), re.MULTILINE)
        assert found is not None
        return float(found[1])

    def num_open(self, kind: str) -> int:
        """Open file descriptors, `fd`, or threads, `task`, of its processes together."""
        pid = self.process.process.pid
        children = [
            child
            for file in Path(f"/proc/{pid}/task").glob("*/children")
            for child in file.read_text().split()
        ]
        return sum(len(os.listdir(f"/proc/{each}/{kind}")) for each in (pid, *children))  # noqa: PTH208

    def is_idle(self) -> bool:
        """Whether nothing runs, waits or holds a row."""
        names = ("sequences_running", "sequences_waiting", "cache_slots_used")
        return all(self.gauge(f"attendant_{name}") == 0 for name in names)


@pytest.fixture(scope="module")
def server(numbers_package: Path) -> Iterator[Watched]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ("--drain-delay-s", "0", "--metrics-port", str(port), "--handshake-timeout-s", "2")
    with running_server(numbers_package.parent.parent, *flags) as process:
        yield Watched(process, port)


@contextlib.contextmanager
def stub(server: Watched) -> Iterator[TranslationServiceStub]:
    with grpc.insecure_channel(server.process.target, OPTIONS) as channel:
        yield TranslationServiceStub(channel)


def request(count: int = 1) -> pb.TranslateRequest:
    return pb.TranslateRequest(texts=[LONG] * count, **LANGUAGES)


def connect(server: Watched) -> socket.socket:
    host, _, port = server.process.target.rpartition(":")
    return socket.create_connection((host, int(port)))


def never_read(server: Watched) -> None:
    """Opens streams, gives the server no window to send anything of them, and goes."""
    asked = pb.TranslateStreamRequest(text=LONG, **LANGUAGES).SerializeToString()
    with connect(server) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, NO_WINDOW))
        for stream in range(1, 121, 2):
            connection.sendall(grpc_headers(STREAM, stream) + grpc_message(asked, stream))
        time.sleep(0.5)
        kinds = [kind for kind, payload in frames(connection.recv(1 << 20)) if payload]
    assert HEADERS in kinds  # the calls were answered
    assert DATA not in kinds  # and wait with what they have to say


def dropped_midway(server: Watched) -> None:
    """Begins calls, and hangs up in the middle of a frame or of a message."""
    asked = pb.TranslateRequest(texts=[LONG], **LANGUAGES).SerializeToString()
    hello = PREFACE + frame(SETTINGS)
    whole = hello + grpc_headers(UNARY, 1) + grpc_message(asked, 1)
    generator = random.Random(1)
    for i in range(90):
        with connect(server) as connection:
            if i % 3 == 0:
                sent = whole[: generator.randrange(1, len(whole))]
            elif i % 3 == 1:  # more is announced than comes, and the call stays open
                sent = whole[: -len(asked) // 2]
            else:
                sent = hello + grpc_headers(UNARY, 1) + grpc_message(asked, 1, length=10_000)
            connection.sendall(sent)
            if i % 9 == 1:
                time.sleep(0.05)


def watching(server: Watched) -> None:
    """Watches health and reads nothing of it."""
    with connect(server) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, NO_WINDOW))
        for stream in range(1, 121, 2):
            connection.sendall(grpc_headers(WATCH, stream) + grpc_message(b"", stream))
        time.sleep(0.2)


def one_millisecond(server: Watched) -> None:
    """Gives no call the time that it needs."""
    with stub(server) as calls:
        futures = [calls.Translate.future(request(4), timeout=0.001) for _ in range(200)]
        codes = {future.code() for future in futures}
    assert codes <= {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.OK}


def cancelled(server: Watched) -> None:
    """Cancels every call, at any moment of it."""
    generator = random.Random(1)
    with stub(server) as calls:
        for _ in range(10):
            futures = [calls.Translate.future(request(4)) for _ in range(20)]
            time.sleep(generator.random() / 50)
            for future in futures:
                future.cancel()


def abandoned(server: Watched) -> None:
    """Closes the connection under calls that run."""
    for _ in range(10):
        with stub(server) as calls:
            for _ in range(10):
                calls.Translate.future(request(4))
            time.sleep(0.01)


def until(is_met: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_met():
        assert time.monotonic() < deadline, "it does not come back"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "misbehave", [never_read, dropped_midway, watching, one_millisecond, cancelled, abandoned]
)
def test_what_was_taken_comes_back(server: Watched, misbehave: Callable[[Watched], None]) -> None:
    with Client(server.process.target) as client:
        before = client.translate("six", **LANGUAGES)
        until(server.is_idle)
        misbehave(server)  # once to warm up: what it allocates for good it may keep
        until(server.is_idle)
        num_open = {kind: server.num_open(kind) for kind in SPARE}
        memory = server.process.resident_mb()
        for _ in range(3):
            misbehave(server)
            assert client.translate("six", **LANGUAGES) == before
        until(server.is_idle)
        for kind, spare in SPARE.items():
            until(lambda kind=kind, most=num_open[kind] + spare: server.num_open(kind) <= most)
        after = server.process.resident_mb()
    assert sum(after.values()) < sum(memory.values()) + 10
