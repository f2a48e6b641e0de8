"""A load test in processes of their own: each with its event loop and connection, one recording.

Python runs one thread at a time, so one process sends only so much. The parent tells all workers
when to begin, watches, and puts their recordings together; it sends nothing itself.
"""

import asyncio
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import grpc

from attendant.errors import ERROR_BY_CODE, AttendantError
from attendant.load.config import LoadTest, Share
from attendant.load.event_loop import run_with_exact_timers
from attendant.load.progress import Progress, together
from attendant.load.recorder import Recording
from attendant.load.session import measure

_START_DELAY_S = 0.2

Watch = Callable[[Progress], None]
"""Is told, now and then, how all workers are getting on."""


class WorkerDied(Exception):  # noqa: N818 - named after what happened
    """A worker ended without a word."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """The worker has its connection and waits to be told when to begin."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """The server refused the worker's first request."""

    message: str
    code: grpc.StatusCode


_Report = _Ready | _Refused | Progress | Recording


def measure_in_processes(test: LoadTest, watch: Watch) -> Recording:
    """Runs a test in as many processes as it asks for and returns what they recorded together.

    Raises:
        AttendantError: The server refuses a worker's first request.
        WorkerDied: A process ended before it was done.
    """
    with _processes(test) as pipes:
        for pipe in pipes:
            if not isinstance(report := _receive(pipe), _Ready):
                raise _error_of(report)
        start_s = time.monotonic() + _START_DELAY_S
        for pipe in pipes:
            pipe.send(start_s)
        return _collect(pipes, watch)


def _collect(pipes: Sequence[Connection], watch: Watch) -> Recording:
    progress: dict[Connection, Progress] = {}
    recordings: dict[Connection, Recording] = {}
    while len(recordings) < len(pipes):
        for pipe in wait([pipe for pipe in pipes if pipe not in recordings]):
            assert isinstance(pipe, Connection)
            report = _receive(pipe)
            if isinstance(report, Recording):
                recordings[pipe] = report
            elif isinstance(report, Progress):
                progress[pipe] = report
                watch(together(list(progress.values())))
    first, *others = (recordings[pipe] for pipe in pipes)
    for other in others:
        first.add(other)
    return first


def _receive(pipe: Connection) -> _Report:
    try:
        report: _Report = pipe.recv()
    except EOFError:
        raise WorkerDied("a worker process ended before it was done") from None
    return report


def _error_of(report: _Report) -> Exception:
    if isinstance(report, _Refused):
        return ERROR_BY_CODE.get(report.code, AttendantError)(report.message, report.code)
    return WorkerDied("a worker process did not begin as it should")


@contextmanager
def _processes(test: LoadTest) -> Iterator[list[Connection]]:
    """Starts the workers and yields the parent's end of each one's pipe; ends them with the block.

    They are spawned, not forked: gRPC has threads, which a fork would leave behind.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[SpawnProcess] = []
    pipes: list[Connection] = []
    try:
        for index in range(test.workers):
            ours, theirs = context.Pipe()
            share = Share(index, test.workers)
            worker = context.Process(target=_work, args=(test, share, theirs), daemon=True)
            worker.start()
            theirs.close()  # so that a worker that dies is an end of file here
            workers.append(worker)
            pipes.append(ours)
        yield pipes
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for pipe in pipes:
            pipe.close()


def _work(test: LoadTest, share: Share, pipe: Connection) -> None:
    """What a worker process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    try:
        pipe.send(_outcome(test, share, pipe))
    except* (ConnectionError, EOFError):
        pass  # The parent has gone, and with it whoever wanted the load.


def _outcome(test: LoadTest, share: Share, pipe: Connection) -> Recording | _Refused:
    try:
        return run_with_exact_timers(_measure(test, share, pipe))
    except AttendantError as error:
        return _Refused(str(error), error.code)


async def _measure(test: LoadTest, share: Share, pipe: Connection) -> Recording:
    async def start() -> float:
        pipe.send(_Ready())
        start_s: float = await asyncio.to_thread(pipe.recv)
        return start_s

    return await measure(test, share, start, pipe.send)
