"""Deadlines, queues too long for them, partial results and streams."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import aclosing

import pytest

from server.engine.async_engine import CAUTION, Completion
from server.engine.hypothesis import FinishReason
from server.engine.pace import MIN_STEPS
from server.errors import DeadlineError, QueueFullError
from tests.server.engine.fake_runner import expected_tokens
from tests.server.engine.gated import (
    FOREVER,
    GatedRunner,
    cancel,
    job,
    running,
    submit,
    tokens,
)
from tests.server.engine.jobs import INTERACTIVE, STANDARD, Clock

pytestmark = pytest.mark.asyncio


async def test_a_deadline_fails_the_whole_request_and_ends_the_rest() -> None:
    runner, clock = GatedRunner(num_slots=2), Clock()
    async with running(runner, clock=clock) as engine:
        late = await submit(engine, job(FOREVER), job(FOREVER, deadline=5.0), job(3))
        await runner.begin()
        clock.now = 6.0
        runner.open()
        with pytest.raises(DeadlineError):
            await late
        assert engine.num_pending == 0
        assert tokens(await engine.generate([job(2), job(4)])) == [
            expected_tokens(2),
            expected_tokens(4),
        ]


async def test_a_request_behind_too_many_others_is_told_when_to_come_again() -> None:
    runner, clock = GatedRunner(num_slots=1), Clock()
    async with running(runner, clock=clock) as engine:
        for _ in range(MIN_STEPS):
            engine._workers[0]._engine._pace.observe_step(1.0)
        before = await submit(engine, *[job(3)] * 20)
        await runner.begin()
        late = await submit(engine, job(1, deadline=clock.now + 30.0))
        runner.open()
        with pytest.raises(QueueFullError, match="too long for this deadline") as caught:
            await late
        assert caught.value.retry_after_s is not None
        assert tokens(await before) == [expected_tokens(3)] * 20
        assert tokens(await engine.generate([job(1, deadline=clock.now + 30.0)])) == [
            expected_tokens(1)
        ]


async def test_a_call_too_long_for_its_own_deadline_is_no_matter_of_the_queue() -> None:
    runner, clock = GatedRunner(num_slots=1), Clock()
    runner.open()
    async with running(runner, clock=clock) as engine:
        for _ in range(MIN_STEPS):
            engine._workers[0]._engine._pace.observe_step(1.0)
        with pytest.raises(DeadlineError):
            await engine.generate([job(3, deadline=clock.now + 30.0)] * 20)
        assert engine.num_pending == 0


async def test_a_queue_too_long_is_told_before_any_work() -> None:
    runner = GatedRunner(num_slots=2)
    async with running(runner, runner2 := GatedRunner(num_slots=2), max_pending=1000) as engine:
        for worker in engine._workers:
            for _ in range(MIN_STEPS):
                worker._engine._pace.observe_step(1.0)
        row_s = engine._workers[0].row_s
        assert row_s == pytest.approx(16 / 2)  # seconds of a sequence, over the rows
        engine.check_queue(STANDARD, "a", 1, 0.0)  # nothing waits: the engine's to say
        calls = [await submit(engine, *[job(FOREVER, "a")] * 14)]
        wait_s = (CAUTION * 10 + 4) * row_s / 2  # behind ten, and as long as one of those takes
        now = time.monotonic()
        engine.check_queue(STANDARD, "a", 1, now + wait_s + 5)
        engine.check_queue(INTERACTIVE, "a", 1, now + 5)
        engine.check_queue(STANDARD, "b", 1, now + 5)  # its turn comes soon
        with pytest.raises(QueueFullError, match="too long for this deadline") as caught:
            engine.check_queue(STANDARD, "a", 1, now + wait_s - 5)
        with pytest.raises(QueueFullError):  # the last of them waits for the others
            engine.check_queue(STANDARD, "a", 3, now + wait_s + 5)
        assert caught.value.retry_after_s is not None
        await cancel(calls[0])
        engine.check_queue(STANDARD, "a", 1, now + 5)
        runner2.open()


async def test_a_partial_result_is_a_completion() -> None:
    runner, clock = GatedRunner(num_slots=1), Clock()
    async with running(runner, clock=clock) as engine:
        partial = {"deadline": 5.0, "takes_partial": True}
        late = await submit(engine, job(FOREVER, **partial), job(FOREVER, **partial))
        await runner.begin()
        await runner.take(2)
        clock.now = 6.0
        runner.open()
        running_one, waiting_one = await late
    assert tokens([running_one, waiting_one]) == [[10, 10, 10], []]
    reasons = {c.hypotheses[0].finish_reason for c in (running_one, waiting_one)}
    assert reasons == {FinishReason.DEADLINE}


async def test_a_stream_yields_tokens_as_they_come_and_then_the_completion() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        stream = engine.stream(job(4, is_streamed=True))
        parts = []
        for _ in range(3):
            runner.gate.release()
            parts.append(await anext(stream))
        runner.gate.release()
        parts += [part async for part in stream]
        assert engine.num_pending == 0
    assert parts[:-1] == [[token] for token in expected_tokens(4)]
    assert isinstance(parts[-1], Completion)
    assert tokens(parts[-1:]) == [expected_tokens(4)]


async def test_leaving_a_stream_early_frees_its_row() -> None:
    runner = GatedRunner(num_slots=1)
    async with running(runner) as engine:
        async with aclosing(engine.stream(job(FOREVER, is_streamed=True))) as stream:
            runner.gate.release()
            async for _ in stream:
                break
        assert engine.num_pending == 0
        successor = await submit(engine, job(2))
        runner.open()
        assert tokens(await successor) == [expected_tokens(2)]


async def test_a_stream_out_of_time_fails() -> None:
    runner, clock = GatedRunner(), Clock()
    async with running(runner, clock=clock) as engine:
        stream = engine.stream(job(FOREVER, is_streamed=True, deadline=5.0))
        runner.gate.release()
        assert len(await anext(stream)) == 1
        clock.now = 6.0
        runner.open()
        with pytest.raises(DeadlineError):
            [part async for part in stream]


async def test_a_stream_that_fails_after_it_was_left_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = GatedRunner()
    async with running(runner, max_pending=1) as engine:
        stream = engine.stream(job(FOREVER, "greedy", is_streamed=True))
        runner.gate.release()
        await anext(stream)
        closing = asyncio.create_task(engine.close())  # fails it, while nobody listens
        await asyncio.sleep(0)
        runner.open()
        await closing
        await stream.aclose()
    del stream
    gc.collect()
    assert caplog.text == ""
