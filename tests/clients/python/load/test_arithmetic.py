"""Load against arithmetic: servers whose latencies theory knows.

In virtual time theory must be met exactly, but for the histogram's 0.1 %. Over a real socket the
server notes when it received and answered, and those notes, with the lateness that the client
reports of itself, say how near theory must be: a busy machine widens the tolerance by itself.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

import pytest
from attendant.load.answer import Answer
from attendant.load.config import (
    Arrivals,
    ClosedLoop,
    Content,
    Endpoint,
    LoadTest,
    OpenLoop,
    Pattern,
    Request,
    Timing,
)
from attendant.load.event_loop import run_with_exact_timers
from attendant.load.recorder import Recorder
from attendant.load.runner import Loop, RunClock, run_closed_loop, run_open_loop
from attendant.load.schedule import arrivals_of
from attendant.load.session import measure
from attendant.load.summary import Latency, Summary, summarize

from ..echo_server import PATIENCE_S, EchoServer, echo
from ..virtual_time import now_s, run_in_virtual_time

ANSWER = Answer(source_tokens=1, target_tokens=1, source_characters=1, target_characters=1)
REQUEST = Request("A dog.", "en", "de")
Serve = Callable[[], Awaitable[None]]


def simulated(serve: Serve, pattern: Pattern, duration_s: float) -> Summary:
    """A run in virtual time against a server that `serve` stands for."""
    recorder = Recorder(Timing(duration_s))

    async def send(request: Request) -> Answer:
        await serve()
        return ANSWER

    async def main() -> None:
        loop = Loop(send, recorder, RunClock(), drain_s=1000)
        requests: Iterator[Request] = itertools.repeat(REQUEST)
        if isinstance(pattern, OpenLoop):
            due_s = arrivals_of(pattern.arrivals, pattern.rate, duration_s, seed=1)
            await run_open_loop(loop, zip(due_s, requests, strict=False))
        elif isinstance(pattern, ClosedLoop):
            await run_closed_loop(loop, requests, pattern.concurrency, duration_s)

    run_in_virtual_time(main())
    return summarize(recorder.recording())


def latency_of(summary: Summary) -> Latency:
    assert summary.latency is not None
    return summary.latency


def test_a_server_that_sleeps_yields_that_latency_at_every_percentile() -> None:
    summary = simulated(lambda: asyncio.sleep(0.25), OpenLoop(50), duration_s=20)
    latency = latency_of(summary)
    for found_s in (latency.p50_s, latency.p99_s, latency.p99_99_s, latency.max_s, latency.mean_s):
        assert found_s == pytest.approx(0.25, rel=1e-3)
    assert summary.confidence.p99_s is not None
    assert summary.confidence.p99_s.low == pytest.approx(0.25, rel=1e-3)


class Stalling:
    """Answers in 1 ms, but from 5 s to 6 s not at all."""

    async def __call__(self) -> None:
        await asyncio.sleep(0.001)
        if 5.0 <= now_s() < 6.0:
            await asyncio.sleep(6.0 - now_s())


def test_a_stall_is_seen_by_all_who_came_in_it() -> None:
    # One request in 20 comes within the second, and waits for what is left of it: evenly 0 to 1 s.
    latency = latency_of(simulated(Stalling(), OpenLoop(100, Arrivals.CONSTANT), duration_s=20))
    gap_s = 0.01
    assert latency.p50_s == pytest.approx(0.001, rel=0.01)
    assert latency.p90_s == pytest.approx(0.001, rel=0.01)
    assert latency.p99_s == pytest.approx(0.8, abs=2 * gap_s)  # 1 % of 20 s before the stall's end
    assert latency.p99_9_s == pytest.approx(0.98, abs=2 * gap_s)
    assert latency.max_s == pytest.approx(1.0, abs=2 * gap_s)


def test_a_closed_loop_hides_the_same_stall() -> None:
    summary = simulated(Stalling(), ClosedLoop(1), duration_s=20)
    assert latency_of(summary).p99_9_s == pytest.approx(0.001, rel=0.01)
    assert latency_of(summary).max_s == pytest.approx(1.0, abs=0.01)


def test_a_queue_has_the_mean_wait_that_theory_gives_it() -> None:
    # One server, service of exactly 10 ms, Poisson arrivals at 70 % of what it can do. Mean wait in
    # an M/D/1 queue: utilisation * service / (2 * (1 - utilisation)) (Pollaczek-Khinchine).
    free_at_s = 0.0

    async def serve() -> None:
        nonlocal free_at_s
        free_at_s = max(free_at_s, now_s()) + 0.010
        await asyncio.sleep(free_at_s - now_s())

    latency = latency_of(simulated(serve, OpenLoop(70), duration_s=300))
    assert latency.mean_s == pytest.approx(0.010 + 0.7 * 0.010 / (2 * 0.3), rel=0.1)


def test_beyond_saturation_latency_grows_with_the_time() -> None:
    # 100 a second come, 80 are served: after t seconds 20 t wait, which take t / 4 s.
    free_at_s = 0.0

    async def serve() -> None:
        nonlocal free_at_s
        free_at_s = max(free_at_s, now_s()) + 1 / 80
        await asyncio.sleep(free_at_s - now_s())

    summary = simulated(serve, OpenLoop(100, Arrivals.CONSTANT), duration_s=40)
    assert latency_of(summary).max_s == pytest.approx(10.0, rel=0.01)
    assert latency_of(summary).p50_s == pytest.approx(5.0, rel=0.01)
    assert summary.throughput == pytest.approx(80, rel=0.01)
    first, last = summary.windows[0], summary.windows[-1]
    assert first.p50_s == pytest.approx(0.25 + 1 / 80, abs=0.03)
    assert last.p50_s == pytest.approx(9.75, abs=0.05)
    assert last.rates.answers == pytest.approx(80, rel=0.02)


@dataclass
class Noting:
    """An answer of a real server that notes how long each request was in it."""

    wait: Callable[[], None]
    held_s: list[float] = field(default_factory=list)

    def __call__(self, request: Any, context: Any) -> Any:
        received_s = time.monotonic()
        self.wait()
        answer = echo(request, context)
        self.held_s.append(time.monotonic() - received_s)
        return answer


def measured(server: EchoServer, rate: float, duration_s: float) -> Summary:
    test = LoadTest(
        endpoint=Endpoint(target=server.target, timeout_s=PATIENCE_S),
        pattern=OpenLoop(rate, Arrivals.CONSTANT),
        timing=Timing(duration_s, num_windows=5),
        content=Content(("A dog.",), "en", "de"),
    )
    return summarize(run_with_exact_timers(measure(test)))


def overhead_s(server: EchoServer) -> float:
    """What a request takes besides its time in the server: in the worst of some that do nothing."""
    instant = Noting(lambda: None)
    server.answer = instant
    summary = measured(server, rate=50, duration_s=1.0)
    return latency_of(summary).max_s


def test_a_real_server_that_sleeps_yields_that_latency(server: EchoServer) -> None:
    slowest_s = overhead_s(server)
    noting = Noting(lambda: time.sleep(0.1))
    server.answer = noting
    summary = measured(server, rate=50, duration_s=1.0)
    slowest_s = max(slowest_s, overhead_s(server))
    assert summary.answered == 50
    latency, held_s = latency_of(summary), noting.held_s[1:]  # without the one before the run
    # No request is faster than its time in the server, and the typical one is slower by no more
    # than the slowest of those that the server answered at once, before and after, and than what
    # this client was late by.
    assert latency.p50_s >= 0.1
    assert latency.p50_s >= median_low(held_s) * 0.999
    assert latency.max_s >= max(held_s) * 0.999
    tolerance_s = slowest_s + summary.client.send_lateness_max_s
    assert latency.p50_s <= median_low(held_s) + tolerance_s


class Stall:
    """Holds every request that comes within some time after the first few have come."""

    def __init__(self, after: int, length_s: float) -> None:
        self._after = after
        self._length_s = length_s
        self._num_received = 0
        self._lock = threading.Lock()
        self.begin_s = self.end_s = float("inf")
        self.last_release_s = 0.0

    def __call__(self) -> None:
        with self._lock:
            self._num_received += 1
            if self._num_received == self._after:
                self.begin_s = time.monotonic()
                self.end_s = self.begin_s + self._length_s
        now = time.monotonic()
        if self.begin_s <= now < self.end_s:
            time.sleep(self.end_s - now)
            self.last_release_s = max(self.last_release_s, time.monotonic())


def test_a_real_stall_is_in_the_percentiles_as_theory_says(server: EchoServer) -> None:
    slowest_s = overhead_s(server)
    duration_s, rate, stall = 2.5, 100, Stall(after=100, length_s=0.5)
    server.answer = Noting(stall)
    summary = measured(server, rate, duration_s)
    slowest_s = max(slowest_s, overhead_s(server))
    assert summary.answered == duration_s * rate
    latency = latency_of(summary)
    # What the machine, not the stall, may have added: requests that left late, were let go late, or
    # were slow on their way.
    tolerance_s = (
        slowest_s
        + summary.client.send_lateness_max_s
        + (stall.last_release_s - stall.end_s)
        + 2 / rate
    )
    # The share of requests that comes less than t before the stall's end is t / duration.
    for percent, found_s in ((90, latency.p90_s), (95, latency.p95_s), (99, latency.p99_s)):
        theory_s = 0.5 - (1 - percent / 100) * duration_s
        assert found_s == pytest.approx(theory_s, abs=tolerance_s)
    assert latency.max_s == pytest.approx(0.5, abs=tolerance_s)
    # Those that came in it waited half of it in the mean: that none was left out shows in the mean.
    assert latency.mean_s >= 0.9 * (0.5 / duration_s) * (0.5 / 2)
