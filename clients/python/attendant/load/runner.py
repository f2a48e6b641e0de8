"""Sends requests and notes what becomes of them: an open loop and a closed one. No statistics."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from attendant.errors import AttendantError
from attendant.load.answer import Send
from attendant.load.config import Request, Timing
from attendant.load.recorder import Recorder

_LAG_PERIOD_S = 0.01


class RunClock:
    """Time since a run began, and the processor time of this process."""

    def __init__(self, start_s: float | None = None) -> None:
        """`start_s` is when the run begins by the event loop's clock; None for now."""
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time() if start_s is None else start_s

    def now_s(self) -> float:
        """Seconds since the run began; before that, below 0."""
        return self.since_start_s(self._loop.time())

    def since_start_s(self, loop_s: float) -> float:
        """Seconds from the beginning of the run to a moment of the event loop's clock."""
        return loop_s - self._start_s

    async def wait_until(self, due_s: float) -> None:
        """Sleeps, even when late: without a turn of the event loop no request would ever leave."""
        await asyncio.sleep(max(0.0, due_s - self.now_s()))


@dataclass(frozen=True, slots=True)
class Loop:
    """What both loops need besides their schedule."""

    send: Send
    recorder: Recorder
    clock: RunClock
    drain_s: float
    """How long to wait for answers after the last request has left."""


async def run_open_loop(loop: Loop, schedule: Iterable[tuple[float, Request]]) -> None:
    """Starts each request when it is due, then waits for those still running.

    A request never waits for another: a server that falls behind gets no easier load for it. What
    is still running when the wait is over is cancelled, and stays unfinished in the record.

    Args:
        loop: How to send, and whom to tell.
        schedule: When requests are due, in seconds from the start, ascending; and what they ask.
    """
    async with _draining() as (requests, drain):
        for due_s, request in schedule:
            await loop.clock.wait_until(due_s)
            loop.recorder.due(due_s)
            requests.create_task(_send_one(loop, due_s, request))
        drain.reschedule(asyncio.get_running_loop().time() + loop.drain_s)


async def run_closed_loop(
    loop: Loop, requests: Iterator[Request], concurrency: int, end_s: float
) -> None:
    """Keeps so many requests running until the end, then waits for the last ones.

    Each is due when the one before it has ended: a slow server slows its own test, which is what
    so many patient callers would do. How late this client is shows in timers beside them.

    Args:
        loop: How to send, and whom to tell.
        requests: What to ask, without end.
        concurrency: How many run at once.
        end_s: When the last may be begun.
    """
    async with _draining() as (tasks, drain):
        await loop.clock.wait_until(0.0)
        for _ in range(concurrency):
            tasks.create_task(_call_again(loop, requests, end_s))
        await _watch_lag(loop, end_s)
        drain.reschedule(asyncio.get_running_loop().time() + loop.drain_s)


async def watch_processor(recorder: Recorder, clock: RunClock, timing: Timing) -> None:
    """Notes the processor time of the warm-up and of each window, as they end."""
    before_s, used_s = clock.now_s(), time.process_time()
    ends_s = [timing.warm_up_s + n * timing.window_s for n in range(timing.num_windows + 1)]
    for end_s in ends_s:
        await clock.wait_until(end_s)
        now_s, now_used_s = clock.now_s(), time.process_time()
        recorder.used(before_s, now_s, now_used_s - used_s)
        before_s, used_s = now_s, now_used_s


async def _send_one(loop: Loop, due_s: float, request: Request) -> None:
    loop.recorder.sent(due_s, loop.clock.now_s())
    await _answer_one(loop, due_s, request)


async def _answer_one(loop: Loop, due_s: float, request: Request) -> None:
    try:
        answer = await loop.send(request)
    except AttendantError as error:
        loop.recorder.failed(due_s, error.code.name, request.entry)
        return
    loop.recorder.answered(due_s, loop.clock.now_s(), answer, request.entry)
    loop.recorder.streamed(due_s, [loop.clock.since_start_s(part_s) for part_s in answer.parts_s])


async def _call_again(loop: Loop, requests: Iterator[Request], end_s: float) -> None:
    while (due_s := loop.clock.now_s()) < end_s:
        loop.recorder.due(due_s)
        await _answer_one(loop, due_s, next(requests))
        await asyncio.sleep(0)  # A server that refuses at once would leave nobody else a turn.


async def _watch_lag(loop: Loop, end_s: float) -> None:
    due_s = loop.clock.now_s() + _LAG_PERIOD_S
    while due_s < end_s:
        await loop.clock.wait_until(due_s)
        loop.recorder.sent(due_s, loop.clock.now_s())
        due_s = max(due_s, loop.clock.now_s()) + _LAG_PERIOD_S
    await loop.clock.wait_until(end_s)


@asynccontextmanager
async def _draining() -> AsyncIterator[tuple[asyncio.TaskGroup, asyncio.Timeout]]:
    """A group of requests that is waited for only so long; the recorder counts what is not done."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as drain, asyncio.TaskGroup() as requests:
            yield requests, drain
