"""Sends requests when they are due, whatever the server does: an open loop. Knows no statistics."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from attendant.errors import AttendantError
from attendant.load.recorder import ANSWERED, Recorder


async def run_open_loop(
    send: Callable[[], Awaitable[object]],
    arrivals: Iterable[float],
    recorder: Recorder,
    drain_s: float,
) -> None:
    """Starts one request for each arrival at its time, then waits for those still running.

    A request never waits for another: a server that falls behind gets no easier load for it. What
    is still running `drain_s` seconds after the last arrival is cancelled, and stays unfinished in
    the record.

    Args:
        send: Makes one request; raises `AttendantError` if it fails.
        arrivals: When requests are due, in seconds from now, ascending.
        recorder: Is told of every event.
        drain_s: How long to wait for answers after the last arrival.
    """
    clock = _RunClock()
    try:
        async with asyncio.timeout(None) as drain, asyncio.TaskGroup() as requests:
            for due_s in arrivals:
                await clock.wait_until(due_s)
                recorder.due()
                requests.create_task(_send_one(send, due_s, recorder, clock))
            recorder.sending_ended(clock.now_s(), clock.cpu_s())
            drain.reschedule(asyncio.get_running_loop().time() + drain_s)
    except TimeoutError:
        pass  # The recorder counts what did not finish.


async def _send_one(
    send: Callable[[], Awaitable[object]], due_s: float, recorder: Recorder, clock: "_RunClock"
) -> None:
    recorder.sent(due_s, clock.now_s())
    status = ANSWERED
    try:
        await send()
    except AttendantError as error:
        status = error.code.name
    recorder.finished(due_s, clock.now_s(), status)


class _RunClock:
    """Time and processor time since the run began."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self._start_cpu_s = time.process_time()

    def now_s(self) -> float:
        return self._loop.time() - self._start_s

    def cpu_s(self) -> float:
        return time.process_time() - self._start_cpu_s

    async def wait_until(self, due_s: float) -> None:
        # Sleeps even when late: without a turn of the event loop no request would ever leave.
        await asyncio.sleep(max(0.0, due_s - self.now_s()))
