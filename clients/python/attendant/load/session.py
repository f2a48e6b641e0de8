"""One worker's part of a load test, from its connection to its recording."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, suppress

from attendant.errors import OverloadedError
from attendant.load.answer import Send
from attendant.load.config import (
    ClosedLoop,
    Endpoint,
    LoadTest,
    OpenLoop,
    ProtocolName,
    Request,
    Share,
)
from attendant.load.mix import requests_of
from attendant.load.progress import Progress, nobody
from attendant.load.protocol_attendant import connect_attendant
from attendant.load.protocol_kserve import connect_kserve
from attendant.load.recorder import Recorder, Recording
from attendant.load.runner import (
    Loop,
    RunClock,
    run_closed_loop,
    run_open_loop,
    watch_processor,
)
from attendant.load.schedule import WHOLE, arrivals_of

_DRAIN_MARGIN_S = 1.0
_REPORT_PERIOD_S = 0.5


async def start_now() -> float:
    """When a worker that has nobody to wait for begins, by the event loop's clock."""
    return asyncio.get_running_loop().time()


async def measure(
    test: LoadTest,
    share: Share = WHOLE,
    start: Callable[[], Awaitable[float]] = start_now,
    watch: Callable[[Progress], None] = nobody,
) -> Recording:
    """Sends a worker's share of the load and returns what was recorded.

    One request goes before the run: it opens the connection and shows whether the server will take
    any. It is not counted.

    Args:
        test: What to do.
        share: Which part of it.
        start: Is asked, once the connection is there, when to begin, by the event loop's clock.
        watch: Is told, twice a second, how it is getting on; if it raises, the run ends.

    Raises:
        AttendantError: The server refuses the first request.
    """
    requests = requests_of(test.content, test.seed, share)
    async with connect(test.endpoint) as send:
        await _probe(send, next(requests))
        recorder, clock = Recorder(test.timing), RunClock(await start())
        # Each call has its own deadline: after it there should be nothing left to wait for.
        loop = Loop(send, recorder, clock, test.endpoint.timeout_s + _DRAIN_MARGIN_S)
        async with asyncio.TaskGroup() as beside:
            reporting = beside.create_task(_report(recorder, clock, watch))
            async with asyncio.TaskGroup() as run:
                run.create_task(watch_processor(recorder, clock, test.timing))
                run.create_task(_run(loop, test, share, requests))
            reporting.cancel()
        return recorder.recording()


def connect(endpoint: Endpoint) -> AbstractAsyncContextManager[Send]:
    """Returns a connection that speaks the protocol that is asked for."""
    if endpoint.protocol is ProtocolName.KSERVE:
        return connect_kserve(endpoint)
    return connect_attendant(endpoint)


async def _run(loop: Loop, test: LoadTest, share: Share, requests: Iterator[Request]) -> None:
    pattern, end_s = test.pattern, test.timing.end_s
    if isinstance(pattern, ClosedLoop):
        callers = pattern.concurrency // share.count
        callers += share.index < pattern.concurrency % share.count
        await run_closed_loop(loop, requests, callers, end_s)
    elif isinstance(pattern, OpenLoop):
        due_s = arrivals_of(pattern.arrivals, pattern.rate, end_s, test.seed, share)
        await run_open_loop(loop, zip(due_s, requests, strict=False))
    else:
        mine = slice(share.index, None, share.count)
        trace = zip(pattern.due_s[mine], pattern.requests[mine], strict=True)
        await run_open_loop(loop, trace)


async def _report(recorder: Recorder, clock: RunClock, watch: Callable[[Progress], None]) -> None:
    """Tells whoever watches, until it is cancelled."""
    before_s, used_s = clock.now_s(), time.process_time()
    while True:
        await asyncio.sleep(_REPORT_PERIOD_S)
        now_s, now_used_s = clock.now_s(), time.process_time()
        watch(recorder.progress(now_s, (now_used_s - used_s) / (now_s - before_s)))
        before_s, used_s = now_s, now_used_s


async def _probe(send: Send, request: Request) -> None:
    with suppress(OverloadedError):  # A server that is full already is still one to measure.
        await send(request)
