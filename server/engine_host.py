"""python -m server.engine_host SOCKET: the process that the engines of one model live in, started
by server/engine/remote.py. It has the weights, once, and one thread an engine; it ends with its
socket.
"""

from __future__ import annotations

import functools
import logging
import signal
import socket
import sys
import threading
from collections import deque
from contextlib import suppress

from server.engine.engine import Engine, EngineLimits, StepResult, StepStats
from server.engine.wire import (
    BEAT_S,
    Add,
    Cancel,
    Failed,
    HostSpec,
    Outcome,
    Ready,
    Report,
    Unpacker,
    pack,
)
from server.engine.worker import Worker
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


class Host:
    """Passes commands to the workers and their results to the server."""

    def __init__(self, connection: socket.socket, engines: list[Engine]) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._workers = [Worker(engine, i) for i, engine in enumerate(engines)]
        self._stats: list[deque[StepStats]] = [deque() for _ in engines]
        for i, (engine, worker) in enumerate(zip(engines, self._workers, strict=True)):
            engine.on_step = self._stats[i].append
            worker.on_result = functools.partial(self._report, i)
            worker.on_death = self._hang_up

    def run(self, unpacker: Unpacker) -> None:
        """Until the server hangs up, or an engine dies."""
        for worker in self._workers:
            worker.start()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        with suppress(OSError):
            while data := self._connection.recv(RECEIVE_BYTES):
                for message in unpacker.feed(data):
                    self._do(message)
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            worker.join(JOIN_TIMEOUT_S)

    def _do(self, message: Add | Cancel) -> None:
        worker = self._workers[message.worker]
        if isinstance(message, Add):
            worker.add(message.jobs)
        else:
            worker.cancel(message.sequence_ids)

    def _beat(self) -> None:
        """Says now and then that the process is there, and how long each engine is in its step."""
        closed = threading.Event()
        while not closed.wait(BEAT_S):
            for i in range(len(self._workers)):
                self._report(i, StepResult())

    def _report(self, index: int, result: StepResult) -> None:
        stats, collected = [], self._stats[index]
        while collected:
            stats.append(collected.popleft())
        ended = [Outcome(s.sequence_id, s.status, s.hypotheses) for s in result.ended]
        silent_s = self._workers[index].silent_s
        self._send(Report(index, silent_s, stats, result.streamed, ended))

    def _send(self, report: Report) -> None:
        data = pack(report)
        with suppress(OSError), self._sending:  # the server has gone: `run` notices
            self._connection.sendall(data)

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def main(descriptor: int) -> int:
    """The exit code: 0 when the server has hung up, 1 if nothing could be loaded."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server decides when, after its drain
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    connection = socket.socket(fileno=descriptor)
    unpacker = Unpacker()
    spec = None
    while spec is None:
        data = connection.recv(RECEIVE_BYTES)
        if not data:
            return 1
        spec = next(unpacker.feed(data), None)
    try:
        variant, engines = load(spec)
    except AttendantError as error:
        connection.sendall(pack(Failed(error)))
        return 1
    connection.sendall(pack(Ready(variant, engines[0].num_rows)))
    Host(connection, engines).run(unpacker)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
