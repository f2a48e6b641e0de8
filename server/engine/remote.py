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

from server.engine.engine import StepStats
from server.engine.sequence import Job
from server.engine.wire import Failed, HostSpec, Ready, Report, Unpacker, pack
from server.engine.worker import Add, Cancel, Command
from server.errors import PackageError

logger = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parent.parent.parent
RECEIVE_BYTES = 1 << 18
KILL_TIMEOUT_S = 5.0


class EngineProcess:
    """A process with engines over one model package, a socket to each."""

    def __init__(self, spec: HostSpec) -> None:
        """Starts the process, which begins to load."""
        self._spec = spec
        pairs = [socket.socketpair() for _ in range(spec.num_workers)]
        self._sockets = [ours for ours, _ in pairs]
        self._process = _start([theirs for _, theirs in pairs])
        self._unpacker = Unpacker()
        self.workers: list[RemoteWorker] = []
        """Known once it is ready."""
        self._sockets[0].sendall(pack(spec))

    def wait_until_ready(self) -> str:
        """Returns the variant when the engines are loaded and warm; for any thread. Raises what
        refused them, PackageError if the process ended.
        """
        while data := _read(self._sockets[0]):
            for message in self._unpacker.feed(data):
                if isinstance(message, Failed):
                    self.kill()
                    raise message.error
                assert isinstance(message, Ready)
                self.workers = [RemoteWorker(self, s, message.num_rows) for s in self._sockets]
                return message.variant
        code = self._process.wait()
        self._close_sockets()
        raise PackageError(f"{self._spec.folder}: its process ended with {code} while it loaded")

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def resident_bytes(self) -> int:
        """Memory that it holds now; 0 where this system does not tell."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def join(self, timeout_s: float) -> None:
        """Waits until the process, its sockets closed, has ended; kills it where it does not."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            logger.error("the process of the engines, %d, does not end and is killed", self.pid)
            self.kill()

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()
        self._process.wait(KILL_TIMEOUT_S)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for connection in self._sockets:
            connection.close()


def _start(sockets: list[socket.socket]) -> subprocess.Popen[bytes]:
    """The process, which `sockets` belong to; they are closed here."""
    path = os.pathsep.join(p for p in (str(REPOSITORY), os.environ.get("PYTHONPATH")) if p)
    descriptors = [connection.fileno() for connection in sockets]
    process = subprocess.Popen(
        [sys.executable, "-m", "server.engine_host", *map(str, descriptors)],
        stdin=subprocess.DEVNULL,
        pass_fds=descriptors,
        env={**os.environ, "PYTHONPATH": path},
    )
    for connection in sockets:
        connection.close()
    return process


def _read(connection: socket.socket) -> bytes:
    """What has arrived; nothing where the process has gone."""
    try:
        return connection.recv(RECEIVE_BYTES)
    except ConnectionError:  # it went with bytes unread
        return b""


class RemoteWorker:
    """One engine of the process; what Worker is to an engine in a thread. All of it belongs to the
    event loop, but for `join`.
    """

    def __init__(self, process: EngineProcess, connection: socket.socket, num_rows: int) -> None:
        self._process = process
        self._socket = connection
        self.num_rows = num_rows
        """Rows that the engine decodes at once."""
        self.row_s = 0.0
        """See Pace; as last reported."""
        self._unpacker = Unpacker()
        self._unsent = bytearray()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False
        self._silent_s = 0.0
        self._last_report = time.monotonic()
        self.on_result: Callable[[Report], None] = lambda _report: None
        """Called when something has ended or is streamed."""
        self.on_death: Callable[[], None] = lambda: None
        """Called if the process ends by itself."""
        self.on_step: Callable[[StepStats], None] = lambda _stats: None
        """Called for each step, a moment later."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs, and has not been told to stop."""
        return not self._is_closing and self._process.is_alive

    def start(self) -> None:
        """Begins to listen; call once, on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._last_report = time.monotonic()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._receive)

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether the process runs and speaks, and, if there is work, began a step within
        `stuck_after_s`.
        """
        silent_s = self._silent_s + time.monotonic() - self._last_report
        return self.is_alive and silent_s < stuck_after_s

    def add(self, jobs: dict[int, Job]) -> None:
        """Sends `jobs`, by sequence id, for the next step: all of them for the same one."""
        self._send(Add(jobs))

    def cancel(self, sequence_ids: list[int]) -> None:
        """Ends sequences at the next step."""
        self._send(Cancel(sequence_ids))

    def _send(self, command: Command) -> None:
        """Sends `command`, later where the socket is full: the loop never waits."""
        assert self._loop is not None
        if not self._unsent:  # what else this turn of the loop brings goes with it
            self._loop.call_soon(self._flush)
        self._unsent += pack(command)

    def _flush(self) -> None:
        assert self._loop is not None
        if self._is_closing:
            return
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
            data = _read(self._socket)
        except BlockingIOError:
            return
        if not data:
            logger.error("the process of the engines, %d, has ended", self._process.pid)
            self.close()
            self.on_death()
        for message in self._unpacker.feed(data):
            self._take(message)

    def _take(self, report: Report) -> None:
        self._silent_s, self._last_report = report.silent_s, time.monotonic()
        self.row_s = report.row_s
        for stats in report.stats:
            self.on_step(stats)
        if report.ended or report.streamed:
            self.on_result(report)

    def close(self) -> None:
        """Tells the engine to end after the step that it is in; nothing is received any more."""
        if self._is_closing:
            return
        self._is_closing = True
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket.close()

    def join(self, timeout_s: float) -> None:
        """Waits for the process, which ends with the last of its engines."""
        self._process.join(timeout_s)
