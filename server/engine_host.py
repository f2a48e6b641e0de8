"""python -m server.engine_host SOCKET ...: the process that a model's engines live in, started by
server/engine/remote.py. It has the weights, once, and an engine, a thread and a socket for each
worker; it ends with its sockets.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from server.engine.engine import Engine, EngineLimits, StepResult, StepStats
from server.engine.wire import BEAT_S, Failed, HostSpec, Outcome, Ready, Report, Unpacker, pack
from server.engine.worker import Command, Worker
from server.engines import check_samples, choose_variant, make_engines
from server.errors import AttendantError
from server.package import TOKENIZER_FILE, open_package
from server.runtime.sessions import Sessions, check_device
from server.text.tokenizer import Tokenizer

RECEIVE_BYTES = 1 << 16
JOIN_TIMEOUT_S = 5.0
SWITCH_INTERVAL_S = 0.0005
"""How long a busy thread keeps the interpreter while another engine's asks for it; Python's own
5 ms is several steps.
"""


def load(spec: HostSpec) -> tuple[str, list[Engine]]:
    """The variant, and engines over it, warm, their samples checked. Raises PackageError or
    ConfigError.
    """
    check_device(spec.device)
    package = open_package(spec.folder)
    variant = choose_variant(package, spec.variant, spec.device)
    package.check_files()
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    limits = EngineLimits(ageing_s=spec.ageing_s)
    sessions = Sessions(package, variant, spec.num_threads)
    engines = make_engines(sessions, spec.num_slots, spec.num_workers, limits)
    for engine in engines:
        check_samples(package, variant, tokenizer, engine)
    return variant, engines


class SocketInbox:
    """The commands that the server sends; the engine's thread reads them itself, for a thread
    between would cost it the interpreter.
    """

    def __init__(self, connection: socket.socket, on_hang_up: Callable[[], None]) -> None:
        self._connection = connection
        self._on_hang_up = on_hang_up
        self._unpacker = Unpacker()

    def wait(self) -> None:
        """See Inbox."""
        select.select([self._connection], [], [])

    def take(self) -> list[Command]:
        """See Inbox."""
        commands: list[Command] = []
        try:
            while data := self._connection.recv(RECEIVE_BYTES, socket.MSG_DONTWAIT):
                commands += self._unpacker.feed(data)
        except BlockingIOError:
            return commands
        except OSError:
            pass
        self._on_hang_up()
        return commands

    def put(self, command: Command) -> None:
        """Nobody here gives commands."""
        raise NotImplementedError

    def wake(self) -> None:
        """Ends the conversation."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class Hosted:
    """One engine with its thread and its socket."""

    def __init__(self, engine: Engine, index: int, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._stats: deque[StepStats] = deque()
        self.worker = Worker(engine, index, SocketInbox(connection, lambda: self.worker.close()))
        engine.on_step = self._stats.append
        self.worker.on_result = self.report
        self.worker.on_death = lambda: os._exit(1)  # the others of this model are no use without it

    def report(self, result: StepResult) -> None:
        """Tells the server what a step brought, and that this engine lives."""
        stats = []
        while self._stats:
            stats.append(self._stats.popleft())
        ended = [Outcome(s.sequence_id, s.status, s.hypotheses, s.times) for s in result.ended]
        data = pack(Report(self.worker.silent_s, self.worker.row_s, stats, result.streamed, ended))
        with suppress(OSError), self._sending:  # the server has gone: the inbox notices
            self._connection.sendall(data)


def run(engines: list[Engine], connections: list[socket.socket]) -> None:
    """Until the server hangs up."""
    hosted = [Hosted(e, i, c) for i, (e, c) in enumerate(zip(engines, connections, strict=True))]
    for each in hosted:
        each.worker.start()
    while any(each.worker.is_alive for each in hosted):
        for each in hosted:
            each.report(StepResult())
        hosted[0].worker.join(BEAT_S)
    for each in hosted:
        each.worker.join(JOIN_TIMEOUT_S)


def main(descriptors: list[int]) -> int:
    """The exit code: 0 when the server has hung up, 1 if nothing could be loaded."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server decides when, after its drain
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    connections = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    spec = _first_message(connections[0])
    if spec is None:
        return 1
    try:
        variant, engines = load(spec)
    except AttendantError as error:
        connections[0].sendall(pack(Failed(error)))
        return 1
    connections[0].sendall(pack(Ready(variant, engines[0].num_rows)))
    run(engines, connections)
    return 0


def _first_message(connection: socket.socket) -> HostSpec | None:
    """None where the server has gone."""
    unpacker = Unpacker()
    while data := connection.recv(RECEIVE_BYTES):
        for spec in unpacker.feed(data):
            assert isinstance(spec, HostSpec)
            return spec
    return None


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
