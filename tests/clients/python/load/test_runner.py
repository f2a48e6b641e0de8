"""The loops, in a time that stands still while there is anything to do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import repeat

import pytest
from attendant import OverloadedError
from attendant.load.answer import Answer
from attendant.load.config import Request, Timing
from attendant.load.recorder import Recorder
from attendant.load.runner import (
    Loop,
    RunClock,
    run_closed_loop,
    run_open_loop,
    watch_processor,
)
from attendant.load.summary import Summary, summarize

from ..virtual_time import block, now_s, run_in_virtual_time

ANSWER = Answer(source_tokens=1, target_tokens=1, source_characters=1, target_characters=1)
REQUEST = Request("A dog.", "en", "de")
TIMING = Timing(duration_s=100, num_windows=1)
Act = Callable[[], Awaitable[None]]


def answering(act: Act) -> Callable[[Request], Awaitable[Answer]]:
    async def send(request: Request) -> Answer:
        await act()
        return ANSWER

    return send


def run(act: Act, due_s: Sequence[float], drain_s: float = 1000) -> Summary:
    recorder = Recorder(TIMING)

    async def main() -> None:
        loop = Loop(answering(act), recorder, RunClock(), drain_s)
        await run_open_loop(loop, [(at_s, REQUEST) for at_s in due_s])

    run_in_virtual_time(main())
    return summarize(recorder.recording())


def run_closed(act: Act, concurrency: int, end_s: float) -> Summary:
    recorder = Recorder(Timing(duration_s=end_s, num_windows=1))

    async def main() -> None:
        loop = Loop(answering(act), recorder, RunClock(), 1000)
        await run_closed_loop(loop, repeat(REQUEST), concurrency, end_s)

    run_in_virtual_time(main())
    return summarize(recorder.recording())


def max_s(summary: Summary) -> float:
    assert summary.latency is not None
    return summary.latency.max_s


def test_requests_leave_when_due_however_slow_the_server_is() -> None:
    left_s = []

    async def act() -> None:
        left_s.append(now_s())
        await asyncio.sleep(100)

    summary = run(act, [0.5, 1.0, 1.25])
    assert left_s == [0.5, 1.0, 1.25]
    assert summary.answered == 3
    assert max_s(summary) == 100


def test_a_late_request_is_timed_from_when_it_was_due() -> None:
    async def act() -> None:
        block(5.0)

    summary = run(act, [0.0, 1.0])
    # The second leaves at 5 s, when the first lets go, and is done at 10 s: 9 s after it was due.
    assert max_s(summary) == 9.0
    assert summary.client.send_lateness_max_s == 4.0
    assert summary.client.is_bottleneck


def test_errors_are_counted_by_status_and_the_run_goes_on() -> None:
    outcomes = iter([OverloadedError("full"), None, OverloadedError("full"), None])

    async def act() -> None:
        if (error := next(outcomes)) is not None:
            raise error

    summary = run(act, [1, 2, 3, 4])
    assert (summary.answered, summary.errors) == (2, {"RESOURCE_EXHAUSTED": 2})


def test_what_never_ends_is_cancelled_and_stays_accounted_for() -> None:
    cancelled_s = []
    is_stuck = iter([False, True, True])

    async def act() -> None:
        if next(is_stuck):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled_s.append(now_s())

    summary = run(act, [1, 2, 3], drain_s=30)
    assert (summary.arrivals, summary.answered, summary.unfinished) == (3, 1, 2)
    assert cancelled_s == [33, 33]


def test_the_loop_ends_with_its_last_answer_not_with_the_drain() -> None:
    ended_s = []

    async def act() -> None:
        await asyncio.sleep(2)
        ended_s.append(now_s())

    assert run(act, [1.0], drain_s=30).answered == 1
    assert ended_s == [3.0]


def test_a_defect_in_sending_is_not_a_figure() -> None:
    async def act() -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        run(act, [1.0])
    assert caught.group_contains(ZeroDivisionError)


def test_parts_of_a_stream_are_timed_by_the_run_not_by_the_event_loop() -> None:
    recorder = Recorder(TIMING)

    async def send(request: Request) -> Answer:
        await asyncio.sleep(1)
        first_s = now_s()
        await asyncio.sleep(2)
        return Answer(1, 1, 1, 1, parts_s=(first_s, now_s()))

    async def main() -> None:
        await asyncio.sleep(50)
        await run_open_loop(Loop(send, recorder, RunClock(), 10), [(3.0, REQUEST)])

    run_in_virtual_time(main())
    summary = summarize(recorder.recording())
    assert summary.first_token is not None
    assert summary.between_tokens is not None
    assert (summary.first_token.max_s, summary.between_tokens.max_s) == (1.0, 2.0)


def test_a_closed_loop_asks_again_when_it_is_answered() -> None:
    begun_s = []

    async def act() -> None:
        begun_s.append(now_s())
        await asyncio.sleep(2.0)

    summary = run_closed(act, concurrency=2, end_s=5.0)
    assert [round(at_s, 6) for at_s in begun_s] == [0, 0, 2, 2, 4, 4]
    assert (summary.arrivals, summary.answered) == (6, 6)
    assert max_s(summary) == pytest.approx(2.0)


def test_a_closed_loop_shows_how_late_its_client_is() -> None:
    async def act() -> None:
        block(0.5)
        await asyncio.sleep(0.5)

    summary = run_closed(act, concurrency=1, end_s=10.0)
    assert summary.client.send_lateness_max_s == pytest.approx(0.5, abs=0.02)
    assert summary.client.is_bottleneck


def test_a_closed_loop_survives_a_server_that_refuses_at_once() -> None:
    calls = []

    async def act() -> None:
        calls.append(now_s())
        if len(calls) > 100:
            await asyncio.sleep(100)
        raise OverloadedError("full")

    summary = run_closed(act, concurrency=1, end_s=1.0)
    assert summary.errors == {"RESOURCE_EXHAUSTED": 101}


def test_the_processor_is_watched_window_by_window() -> None:
    recorder = Recorder(Timing(duration_s=4, warm_up_s=3, num_windows=2))

    async def main() -> None:
        await watch_processor(recorder, RunClock(), Timing(4, 3, 2))

    run_in_virtual_time(main())
    recording = recorder.recording()
    spans_s = [tally.cpu_span_s for tally in (recording.warm_up, *recording.windows)]
    assert spans_s == pytest.approx([3, 2, 2])
    assert recording.warm_up.cpu_s >= 0
