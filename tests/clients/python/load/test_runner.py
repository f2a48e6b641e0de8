"""The open loop, in a time that stands still while there is anything to do."""

import asyncio

import pytest
from attendant import OverloadedError
from attendant.load.recorder import Recorder, Summary
from attendant.load.runner import run_open_loop

from ..virtual_time import block, now_s, run_in_virtual_time


def run(send: object, arrivals: list[float], drain_s: float = 1000) -> Summary:
    recorder = Recorder()
    run_in_virtual_time(run_open_loop(send, arrivals, recorder, drain_s))  # type: ignore[arg-type]
    return recorder.summary()


def test_requests_leave_when_due_however_slow_the_server_is() -> None:
    left_s = []

    async def send() -> None:
        left_s.append(now_s())
        await asyncio.sleep(100)

    summary = run(send, [0.5, 1.0, 1.25])
    assert left_s == [0.5, 1.0, 1.25]
    assert summary.answered == 3
    assert summary.latency is not None
    assert summary.latency.max_s == 100


def test_a_late_request_is_timed_from_when_it_was_due() -> None:
    async def send() -> None:
        block(5.0)

    summary = run(send, [0.0, 1.0])
    # The second leaves at 5 s, when the first lets go, and is done at 10 s: 9 s after it was due.
    assert summary.latency is not None
    assert summary.latency.max_s == 9.0
    assert summary.client.send_lateness_p99_s == 4.0
    assert summary.client.is_bottleneck


def test_errors_are_counted_by_status_and_the_run_goes_on() -> None:
    outcomes = iter([OverloadedError("full"), None, OverloadedError("full"), None])

    async def send() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    summary = run(send, [1, 2, 3, 4])
    assert (summary.answered, summary.errors) == (2, {"RESOURCE_EXHAUSTED": 2})


def test_what_never_ends_is_cancelled_and_stays_accounted_for() -> None:
    cancelled_s = []
    is_stuck = iter([False, True, True])

    async def send() -> None:
        if next(is_stuck):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled_s.append(now_s())

    summary = run(send, [1, 2, 3], drain_s=30)
    assert (summary.arrivals, summary.answered, summary.unfinished) == (3, 1, 2)
    assert cancelled_s == [33, 33]


def test_the_run_ends_with_its_last_answer_not_with_the_drain() -> None:
    async def send() -> None:
        await asyncio.sleep(2)

    async def measure() -> float:
        await run_open_loop(send, [1.0], Recorder(), drain_s=30)
        return now_s()

    assert run_in_virtual_time(measure()) == 3.0


def test_a_defect_in_sending_is_not_a_figure() -> None:
    async def send() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        run(send, [1.0])
    assert caught.group_contains(ZeroDivisionError)
