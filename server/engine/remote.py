"""The server's side of the process that its engines live in; the other is server/engine_host.py.

A process and not threads: beside a busy event loop an engine in a thread waits for the interpreter
at every operation (docs/experiments.md has the figures).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.engine.engine import StepStats
from server.engine.sequence import Job
from server.engine.wire import Add, Cancel, Failed, HostSpec, Ready, Report, Unpacker, pack
from server.errors import PackageError

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent.parent.parent
RECEIVE_BYTES = 1 << 18
KILL_TIMEOUT_S = 5.0


class EngineProcess:
    """A process with engines over one model package. `wait_until_ready` may run in any thread,
    everything else belongs to the event loop.
    """

    def __init__(self, spec: HostSpec) -> None:
        """Starts the process, which begins to load."""
        self._socket, theirs = socket.socketpair()
        path = os.pathsep.join(p for p in (str(REPOSITORY), os.environ.get("PYTHONPATH")) if p)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "server.engine_host", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": path},
            )
        self._unpacker = Unpacker()
        self._unsent = bytearray()
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._spec = spec
        self.workers: list[RemoteWorker] = []
        """Known once it is ready."""
        self._socket.sendall(pack(spec))

    def wait_until_ready(self) -> str:
        """Returns the variant when the engines are loaded and warm. Raises what refused them,
        PackageError if the process ended.
        """
        while data := self._read():
            for message in self._unpacker.feed(data):
                if isinstance(message, Failed):
                    self.kill()
                    raise message.error
                assert isinstance(message, Ready)
                rows, count = message.num_rows, self._spec.num_workers
                self.workers = [RemoteWorker(self, i, rows) for i in range(count)]
                return message.variant
        code = self._process.wait()
        self._socket.close()
        raise PackageError(f"{self._spec.folder}: its process ended with {code} while it loaded")

    def _read(self) -> bytes:
        """What has arrived; nothing where the process has gone."""
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except ConnectionError:  # it went with bytes unread
            return b""

    @property
    def is_alive(self) -> bool:
        """Whether it runs and has not been told to stop."""
        return not self._is_closing and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def start(self) -> None:
        """Begins to listen on the running event loop; more calls change nothing."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._socket.setblocking(False)
            self._loop.add_reader(self._socket, self._receive)

    def send(self, message: Any) -> None:
        """Sends `message`, later where the socket is full: the loop never waits."""
        if self._is_closing:
            return
        self._unsent += pack(message)
        self._flush()

    def _flush(self) -> None:
        assert self._loop is not None
        try:
            del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it is gone; reading tells, too
            self._unsent.clear()
        if self._unsent:
            self._loop.add_writer(self._socket, self._flush)
        else:
            self._loop.remove_writer(self._socket)

    def _receive(self) -> None:
        try:
            data = self._read()
        except BlockingIOError:
            return
        if not data:
            self._on_end()
        for message in self._unpacker.feed(data):
            if isinstance(message, Report):
                self.workers[message.worker].take(message)

    def _on_end(self) -> None:
        """The process has gone, or is going."""
        was_closing = self._is_closing
        self.close()
        if not was_closing:
            logger.error("the process of the engines, %d, has ended", self._process.pid)
            for worker in self.workers:
                worker.on_death()

    def close(self) -> None:
        """Tells the process to end after the steps that it is in; nothing is received any more."""
        if not self._is_closing:
            self._is_closing = True
            if self._loop is not None:
                self._loop.remove_reader(self._socket)
                self._loop.remove_writer(self._socket)
            self._socket.close()

    def join(self, timeout_s: float) -> None:
        """Waits until the process has ended; kills it where it does not."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            logger.error("the process of the engines, %d, does not end and is killed", self.pid)
            self.kill()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait(KILL_TIMEOUT_S)
        self._socket.close()


class RemoteWorker:
    """One engine of the process; what Worker is to an engine in a thread."""

    def __init__(self, process: EngineProcess, index: int, num_rows: int) -> None:
        self._process = process
        self._index = index
        self.num_rows = num_rows
        """Rows that the engine decodes at once."""
        self._silent_s = 0.0
        self._last_report = time.monotonic()
        self.on_result: Callable[[Report], None] = lambda _report: None
        """Called on the event loop when something has ended or is streamed."""
        self.on_death: Callable[[], None] = lambda: None
        """Called on the event loop if the process ends by itself."""
        self.on_step: Callable[[StepStats], None] = lambda _stats: None
        """Called on the event loop for each step, a moment later."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self._process.is_alive

    def start(self) -> None:
        """Begins to listen."""
        self._last_report = time.monotonic()
        self._process.start()

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether the process runs and speaks, and, if there is work, began a step within
        `stuck_after_s`.
        """
        silent_s = self._silent_s + time.monotonic() - self._last_report
        return self.is_alive and silent_s < stuck_after_s

    def add(self, jobs: dict[int, Job]) -> None:
        """Sends `jobs`, by sequence id, for the next step: all of them for the same one."""
        self._process.send(Add(self._index, jobs))

    def cancel(self, sequence_ids: list[int]) -> None:
        """Ends sequences at the next step."""
        self._process.send(Cancel(self._index, sequence_ids))

    def close(self) -> None:
        """Stops the process."""
        self._process.close()

    def join(self, timeout_s: float) -> None:
        """Waits for the process."""
        self._process.join(timeout_s)

    def take(self, report: Report) -> None:
        """Passes on what the engine did."""
        self._silent_s, self._last_report = report.silent_s, time.monotonic()
        for stats in report.stats:
            self.on_step(stats)
        if report.ended or report.streamed:
            self.on_result(report)
