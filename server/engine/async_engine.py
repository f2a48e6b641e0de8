"""asyncio's side of the engine: futures and streams over one or several workers. No model work ever
runs on the event loop.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.engine.admission import Admission, Group
from server.engine.backlog import Backlog
from server.engine.engine import StepResult
from server.engine.hypothesis import Hypothesis
from server.engine.remote import RemoteWorker
from server.engine.sequence import Job, Priority, SequenceStatus
from server.engine.sequence import Sequence as EngineSequence
from server.engine.throughput import Throughput
from server.engine.times import Times
from server.engine.wire import Outcome, Report
from server.engine.worker import Worker
from server.errors import DeadlineError, QueueFullError, UnavailableError

logger = logging.getLogger(__name__)

AnyWorker = Worker | RemoteWorker
"""An engine in a thread of this process, or in a process of its own."""

TOO_LONG = "the queue is too long for this deadline: others' texts would take the time"

CAUTION = 1.4
"""A newcomer is let in where the queue may take so many times as long as it seems to. The engine
itself gives up only what cannot end any more: work that is begun and given up is lost to others.
"""

JOIN_TIMEOUT_S = 5.0
"""How long a step may take at shutdown: a stuck one must not keep the process."""


@dataclass(frozen=True)
class Completion:
    """A finished sequence."""

    hypotheses: list[Hypothesis]
    """Best first; at least one."""
    times: Times = field(default_factory=Times)


@dataclass
class _Pending:
    """A sequence in flight, and where its result goes."""

    worker: int
    job: Job
    is_behind_others: bool
    """Whether others waited when it came."""
    future: asyncio.Future[Completion]
    stream: asyncio.Queue[list[int] | None] | None
    """Tokens as they come; None where the future has the rest."""


class AsyncEngine:
    """Shares work among `workers` until closed. All methods belong to the event loop that called
    `start`.
    """

    def __init__(self, workers: Sequence[AnyWorker], max_pending: int) -> None:
        """`max_pending` bounds the sequences waiting and running together."""
        self._workers = list(workers)
        self._loads = [0] * len(self._workers)
        self._admission = Admission(max_pending)
        self._pending: dict[int, _Pending] = {}
        self._backlog = Backlog()
        self._throughput = Throughput()
        self._last_id = 0
        self._is_closing = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the workers; call once, on the event loop."""
        self._loop = asyncio.get_running_loop()
        for worker in self._workers:
            self._attach(worker)

    def _attach(self, worker: AnyWorker) -> None:
        if isinstance(worker, RemoteWorker):  # which speaks on the event loop already
            worker.on_result = self._resolve
            worker.on_death = functools.partial(self._fail_all, "the engine has died")
        else:
            worker.on_result = lambda result: self._call_on_loop(self._resolve, result)
            worker.on_death = lambda: self._call_on_loop(self._fail_all, "the engine has died")
        worker.start()

    @property
    def num_pending(self) -> int:
        """Sequences that have been submitted and have not ended."""
        return len(self._pending)

    @property
    def num_rows(self) -> int:
        """The most rows that one sequence may use."""
        return min(worker.num_rows for worker in self._workers)

    @property
    def is_alive(self) -> bool:
        """Whether every worker lives; one that has died does not come back."""
        return all(worker.is_alive for worker in self._workers)

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether every worker lives and moves; see Worker."""
        return all(worker.is_healthy(stuck_after_s) for worker in self._workers)

    def check_queue(self, priority: Priority, caller: str, count: int, deadline: float) -> None:
        """Raises QueueFullError where there is no room for `count` sequences, or where they would,
        by what is pending, not end before `deadline`, of the engines' clock. The engine looks
        again; but what is refused before any work costs the others little.
        """
        try:
            self._admission.check(caller, priority, count)
        except QueueFullError as error:
            error.retry_after_s = self._retry_after_s()
            raise
        waiting = self._num_rows_before(priority, caller)
        if waiting > 0 and time.monotonic() + self._expected_s(waiting + count - 1) >= deadline:
            raise QueueFullError(TOO_LONG, self._retry_after_s())

    def _expected_s(self, num_rows_before: int) -> float:
        """Seconds until a sequence ends, of average length, before which so many rows wait; 0
        where too little has been seen.
        """
        row_s = max(worker.row_s for worker in self._workers) / len(self._workers)
        return CAUTION * num_rows_before * row_s + self._num_rows_running * row_s

    def _num_rows_before(self, priority: Priority, caller: str) -> int:
        """Rows that wait before a newcomer's; those that run are not in its way for long."""
        return self._backlog.num_rows_before(priority, caller) - self._num_rows_running

    @property
    def _num_rows_running(self) -> int:
        """At most, in all workers together."""
        return sum(worker.num_rows for worker in self._workers)

    async def generate(self, jobs: list[Job]) -> list[Completion]:
        """Decodes `jobs` of one caller; the caller's cancellation ends them at the next step.

        Raises QueueFullError if not all of them fit, or those before them would take the time that
        they have; DeadlineError if one runs out of time, UnavailableError if the engine has died.
        """
        if not jobs:
            return []
        group = self._submit(jobs)
        futures = [self._pending[i].future for i in group.sequence_ids]
        try:
            return await asyncio.gather(*futures)
        finally:
            self._forget(group)

    async def stream(self, job: Job) -> AsyncGenerator[list[int] | Completion]:
        """Decodes `job`, which is_streamed: new tokens as soon as they are certain, in the end the
        Completion. Raises what `generate` raises; leaving the loop cancels the work.
        """
        group = self._submit([job])
        pending = self._pending[group.sequence_ids[0]]
        assert pending.stream is not None
        try:
            while (tokens := await pending.stream.get()) is not None:
                yield tokens
            yield await pending.future
        finally:
            self._forget(group)

    def _submit(self, jobs: list[Job]) -> Group:
        if self._loop is None or self._is_closing or not all(w.is_alive for w in self._workers):
            raise UnavailableError("the engine is not running")
        first_id = self._last_id + 1
        ids = tuple(range(first_id, first_id + len(jobs)))
        group = Group(jobs[0].caller, jobs[0].priority, ids)
        try:
            victims = self._admission.admit(group)
        except QueueFullError as error:
            error.retry_after_s = self._retry_after_s()
            raise
        for victim in victims:
            self._push_out(victim)
        self._last_id = ids[-1]
        self._dispatch(dict(zip(ids, jobs, strict=True)))
        return group

    def _dispatch(self, jobs: dict[int, Job]) -> None:
        """Gives each of `jobs` to the worker with the least to do."""
        first = next(iter(jobs.values()))
        is_behind_others = self._num_rows_before(first.priority, first.caller) > 0
        shares: dict[int, dict[int, Job]] = {}
        for sequence_id, job in jobs.items():
            index = self._loads.index(min(self._loads))
            self._loads[index] += 1
            self._pending[sequence_id] = self._expect(index, job, is_behind_others)
            shares.setdefault(index, {})[sequence_id] = job
        for index, share in shares.items():
            self._workers[index].add(share)

    def _expect(self, index: int, job: Job, is_behind_others: bool) -> _Pending:
        assert self._loop is not None
        stream: asyncio.Queue[list[int] | None] | None = None
        if job.is_streamed:
            stream = asyncio.Queue()
        self._backlog.add(job)
        return _Pending(index, job, is_behind_others, self._loop.create_future(), stream)

    def _push_out(self, group: Group) -> None:
        error = QueueFullError("the queue is full: another caller's texts had a better claim")
        error.retry_after_s = self._retry_after_s()
        for sequence_id in group.sequence_ids:
            if sequence_id in self._pending:
                _fail(self._pending[sequence_id], error)
        self._cancel(group)

    def _retry_after_s(self) -> float:
        """By then half of what is pending will have ended: enough room for many who come again."""
        return self._throughput.wait_s(self.num_pending // 2)

    def _forget(self, group: Group) -> None:
        """Drops what has ended and cancels what has not."""
        self._admission.leave(group)
        self._cancel(group)

    def _cancel(self, group: Group) -> None:
        unfinished: dict[int, list[int]] = {}
        for sequence_id in group.sequence_ids:
            pending = self._end(sequence_id)
            if pending is not None:
                pending.future.cancel()  # nobody waits for it; a result that is on its way is late
                unfinished.setdefault(pending.worker, []).append(sequence_id)
        for worker, sequence_ids in unfinished.items():
            self._workers[worker].cancel(sequence_ids)

    def _end(self, sequence_id: int) -> _Pending | None:
        pending = self._pending.pop(sequence_id, None)
        if pending is not None:
            self._loads[pending.worker] -= 1
            self._backlog.remove(pending.job)
        return pending

    async def close(self) -> None:
        """Stops the workers after their current step; what is still pending fails with
        UnavailableError.
        """
        self._is_closing = True
        for worker in self._workers:
            worker.close()
        for worker in self._workers:
            await asyncio.to_thread(worker.join, JOIN_TIMEOUT_S)
        self._fail_all("the engine was stopped")

    def _call_on_loop(self, function: Callable[[Any], None], argument: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            logger.warning("the event loop is gone; %s is not called", function)

    def _resolve(self, result: StepResult | Report) -> None:
        for sequence_id, tokens in result.streamed:
            pending = self._pending.get(sequence_id)
            if pending is not None and pending.stream is not None:
                pending.stream.put_nowait(tokens)
        for sequence in result.ended:
            if sequence.status is SequenceStatus.FINISHED:
                self._throughput.note_end()
            pending = self._end(sequence.sequence_id)
            if pending is not None:
                self._settle(pending, sequence)

    def _settle(self, pending: _Pending, sequence: EngineSequence | Outcome) -> None:
        is_refused = sequence.status is SequenceStatus.REFUSED
        if is_refused and pending.is_behind_others:
            _fail(pending, QueueFullError(TOO_LONG, self._retry_after_s()))
        elif is_refused or sequence.status is SequenceStatus.EXPIRED:
            # Where only texts of the same call are before it, coming again would not help.
            _fail(pending, DeadlineError("the deadline passed, or was too close for this text"))
        else:
            if not pending.future.done():
                pending.future.set_result(Completion(sequence.hypotheses, sequence.times))
            if pending.stream is not None:
                pending.stream.put_nowait(None)

    def _fail_all(self, reason: str) -> None:
        for sequence_id in list(self._pending):
            pending = self._end(sequence_id)
            if pending is not None:
                _fail(pending, UnavailableError(reason))


def _fail(pending: _Pending, error: Exception) -> None:
    if not pending.future.done():
        pending.future.set_exception(error)
        pending.future.exception()  # a stream that was left never looks: nothing to complain of
    if pending.stream is not None:
        pending.stream.put_nowait(None)
