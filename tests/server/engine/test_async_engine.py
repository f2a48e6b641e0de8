from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace

import pytest

from server.engine.async_engine import AsyncEngine, Completion
from server.engine.engine import Engine
from server.engine.hypothesis import FinishReason
from server.engine.worker import Worker
from server.errors import QueueFullError, UnavailableError
from tests.server.engine.fake_runner import EOS, FakeRunner, expected_tokens
from tests.server.engine.gated import (
    FOREVER,
    HOG,
    KEPT,
    WAIT_S,
    GatedRunner,
    cancel,
    job,
    running,
    submit,
    tokens,
)
from tests.server.engine.jobs import Clock

pytestmark = pytest.mark.asyncio


async def test_results_come_back_in_the_order_asked() -> None:
    lengths = [9, 1, 30, 2, 17]
    async with running(FakeRunner(num_slots=2)) as engine:
        completions = await engine.generate([job(length) for length in lengths])
        assert engine.num_pending == 0
    assert tokens(completions) == [expected_tokens(length) for length in lengths]
    assert [len(c.hypotheses[0].tokens) for c in completions] == lengths
    assert {c.hypotheses[0].finish_reason for c in completions} == {FinishReason.STOP}


async def test_nothing_asked_is_nothing_done() -> None:
    async with running(FakeRunner()) as engine:
        assert await engine.generate([]) == []


async def test_nothing_is_taken_before_the_start_or_after_the_end() -> None:
    engine = AsyncEngine([Worker(Engine(FakeRunner(), 1, EOS, [0, 1]), 0)], max_pending=1)
    with pytest.raises(UnavailableError):
        await engine.generate([job(1)])
    engine.start()
    await engine.close()
    with pytest.raises(UnavailableError):
        await engine.generate([job(1)])
    with pytest.raises(UnavailableError):
        await anext(engine.stream(job(1, is_streamed=True)))
    assert not engine.is_healthy(stuck_after_s=60)
    assert engine.num_pending == 0


async def test_a_full_queue_refuses_the_whole_request_and_keeps_the_others() -> None:
    runner = GatedRunner(num_slots=1)
    async with running(runner, max_pending=2) as engine:
        first = await submit(engine, job(1))
        await runner.begin()
        with pytest.raises(QueueFullError, match="1 texts are pending, 2 are allowed"):
            await engine.generate([job(2), job(2)])
        assert engine.num_pending == 1
        second = await submit(engine, job(3))
        runner.open()
        assert tokens([*await first, *await second]) == [expected_tokens(1), expected_tokens(3)]
    assert runner.encoded == [1, 3]


async def test_who_has_most_is_pushed_out_and_its_work_ends() -> None:
    runner = GatedRunner(num_slots=2)
    async with running(runner, max_pending=2) as engine:
        kept, victim = await submit(engine, KEPT), await submit(engine, HOG)
        await runner.begin()
        await runner.take(1)  # the first step may have begun before the second call
        newcomer = await submit(engine, job(4, "modest"))
        with pytest.raises(QueueFullError, match="a better claim"):
            await victim
        assert engine.num_pending == 2
        runner.open()
        assert tokens([*await kept, *await newcomer]) == [expected_tokens(9), expected_tokens(4)]
    assert runner.encoded == [9, FOREVER, 4]


async def test_a_victim_loses_all_of_its_request() -> None:
    runner = GatedRunner(num_slots=4)
    async with running(runner, max_pending=4) as engine:
        victim = await submit(engine, HOG, HOG, HOG, HOG)
        await runner.begin()
        await runner.take(1)
        newcomer = await submit(engine, job(2, "modest"))
        with pytest.raises(QueueFullError):
            await victim
        assert engine.num_pending == 1
        runner.open()
        assert tokens(await newcomer) == [expected_tokens(2)]
    assert runner.batch_sizes[1:] == [4, 1, 1]


async def test_a_pushed_out_stream_fails() -> None:
    runner = GatedRunner()
    async with running(runner, max_pending=2) as engine:
        hog = await submit(engine, HOG)
        stream = engine.stream(job(FOREVER, "greedy", is_streamed=True))
        part = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        newcomer = await submit(engine, job(1, "modest"))
        with pytest.raises(QueueFullError):
            await part
        runner.open()
        await newcomer
        await cancel(hog)


async def test_a_pushed_out_stream_ends_before_its_reader_looks() -> None:
    runner = GatedRunner(num_slots=2)
    async with running(runner, max_pending=2) as engine:
        hog = await submit(engine, HOG)
        stream = engine.stream(job(FOREVER, "greedy", is_streamed=True))
        first = asyncio.create_task(anext(stream))
        await runner.begin()
        runner.open()
        await first
        newcomer = await submit(engine, job(4, "modest"))
        assert tokens(await newcomer) == [expected_tokens(4)]
        with pytest.raises(QueueFullError):
            [part async for part in stream]
        await cancel(hog)


async def test_a_cancelled_caller_frees_its_row_within_a_step() -> None:
    runner = GatedRunner(num_slots=1)
    async with running(runner) as engine:
        hog = await submit(engine, HOG)
        await runner.begin()
        await cancel(hog)
        assert engine.num_pending == 0
        successor = await submit(engine, job(1))
        runner.gate.release(2)  # the step that was under way, and the successor's only one
        assert tokens(await successor) == [[]]
    assert runner.encoded == [FOREVER, 1]


async def test_a_cancelled_request_ends_what_waits_and_what_runs() -> None:
    runner = GatedRunner(num_slots=2)
    async with running(runner) as engine:
        hog = await submit(engine, *[HOG] * 6)
        await runner.begin()
        await runner.take(1)
        await cancel(hog)
        successor = await submit(engine, job(5), job(6))
        assert engine.num_pending == 2
        runner.open()
        assert tokens(await successor) == [expected_tokens(5), expected_tokens(6)]
    assert runner.encoded == [FOREVER, FOREVER, 5, 6]


async def test_cancelling_makes_room_in_the_queue() -> None:
    runner = GatedRunner(num_slots=1)
    async with running(runner, max_pending=1) as engine:
        for _ in range(5):
            await cancel(await submit(engine, HOG))
        successor = await submit(engine, job(2))
        runner.open()
        assert tokens(await successor) == [expected_tokens(2)]


async def three_in_a_step(
    runner: GatedRunner, engine: AsyncEngine
) -> list[asyncio.Task[list[Completion]]]:
    """Calls in the same step, that is under way and ends all of them but the first."""
    hog = await submit(engine, HOG)
    await runner.begin()
    others = [await submit(engine, job(1)), await submit(engine, job(1))]
    await runner.take(1)
    return [hog, *others]


async def test_a_result_that_comes_after_its_caller_left_is_dropped() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        hog, caller, other = await three_in_a_step(runner, engine)
        await cancel(caller)
        runner.gate.release()
        assert tokens(await other) == [[]]
        await cancel(hog)
        assert engine.num_pending == 0


async def test_a_result_that_meets_its_callers_cancellation_is_dropped() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        hog, caller, other = await three_in_a_step(runner, engine)
        runner.gate.release()
        assert runner.steps_begun.acquire(timeout=WAIT_S)  # now the result waits for the loop
        await cancel(caller)
        assert tokens(await other) == [[]]
        await cancel(hog)
        assert engine.num_pending == 0


async def test_what_has_ended_is_pending_no_more_though_its_call_goes_on() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        call = await submit(engine, HOG, job(1))
        await runner.begin()
        await runner.take(2)
        assert engine.num_pending == 1
        await cancel(call)


async def test_a_dead_engine_fails_its_callers(caplog: pytest.LogCaptureFixture) -> None:
    runner = FakeRunner()
    runner.fails_at_step = 3
    async with running(runner) as engine:
        with pytest.raises(UnavailableError, match="the engine has died"):
            await engine.generate([job(50), job(60)])
        assert not engine.is_healthy(stuck_after_s=60)
        with pytest.raises(UnavailableError):
            await engine.generate([job(1)])
        assert engine.num_pending == 0
    assert "the runner broke, as this test wants" in caplog.text


async def test_one_dead_worker_of_several_fails_every_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    healthy, failing = GatedRunner(), GatedRunner()
    failing.fails_at_step = 0
    async with running(healthy, failing) as engine:
        on_healthy = await submit(engine, job(FOREVER))
        on_failing = await submit(engine, job(FOREVER))
        stream = engine.stream(job(FOREVER, is_streamed=True))
        part = asyncio.create_task(anext(stream))
        await healthy.begin()
        await failing.begin()
        assert engine.is_healthy(stuck_after_s=60)
        failing.gate.release()
        for call in (on_healthy, on_failing, part):
            with pytest.raises(UnavailableError, match="the engine has died"):
                await call
        assert not engine.is_healthy(stuck_after_s=60)
        with pytest.raises(UnavailableError):
            await engine.generate([job(1)])
    assert "the runner broke, as this test wants" in caplog.text


async def test_one_stuck_worker_of_several_is_not_healthy_and_idle_ones_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("server.engine.worker.time", SimpleNamespace(monotonic=clock))
    idle, stuck = GatedRunner(), GatedRunner()
    async with running(stuck, idle) as engine:
        clock.now = 100.0
        assert engine.is_healthy(stuck_after_s=10.0)
        call = await submit(engine, job(1))
        await stuck.begin()
        assert engine.is_healthy(stuck_after_s=10.0)
        clock.now = 110.0
        assert not engine.is_healthy(stuck_after_s=10.0)
        stuck.gate.release()
        await call


async def test_closing_fails_what_is_pending() -> None:
    runner = GatedRunner(num_slots=2)
    async with running(runner) as engine:
        calls = [await submit(engine, job(50), job(50)), await submit(engine, job(1))]
        calls.append(asyncio.create_task(anext(engine.stream(job(50, is_streamed=True)))))
        await runner.begin()
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        runner.gate.release()
        await closing
        for call in calls:
            with pytest.raises(UnavailableError, match="stopped"):
                await call
        assert engine.num_pending == 0
    assert len(runner.batch_sizes) == 1


async def test_closing_does_not_wait_for_a_stuck_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.engine.async_engine.JOIN_TIMEOUT_S", 0.0)
    runner = GatedRunner()
    async with running(runner) as engine:
        call = await submit(engine, job(50))
        await runner.begin()
        await engine.close()
        with pytest.raises(UnavailableError, match="stopped"):
            await call


async def test_closing_keeps_what_the_last_step_finished() -> None:
    runner = GatedRunner()
    async with running(runner) as engine:
        call = await submit(engine, job(1))
        await runner.begin()
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        runner.gate.release()
        assert tokens(await call) == [[]]
        await closing


async def test_the_worker_with_least_to_do_gets_the_work() -> None:
    runners = [GatedRunner(num_slots=1) for _ in range(3)]
    async with running(*runners) as engine:
        calls = [await submit(engine, job(length)) for length in (10, 1, 12)]
        for runner in runners:
            await runner.begin()
        runners[1].gate.release()
        await calls.pop(1)
        await cancel(await submit(engine, HOG))
        calls += [await submit(engine, job(20 + i)) for i in range(4)]
        for runner in runners:
            runner.open()
        await asyncio.gather(*calls)
        assert engine._loads == [0, 0, 0]
    assert [[n for n in runner.encoded if n != FOREVER] for runner in runners] == [
        [10, 21],
        [1, 20, 22],
        [12, 23],
    ]


async def test_several_workers_give_everybody_their_own_results() -> None:
    runners = [FakeRunner(num_slots=3) for _ in range(3)]
    chance = random.Random(4)
    lengths = [chance.choices(range(1, 40), k=chance.randint(1, 9)) for _ in range(30)]
    async with running(*runners, max_pending=1000) as engine:
        assert engine.num_rows == 3
        calls = [await submit(engine, *(job(n, f"caller {i}") for n in lengths[i]))
                 for i in range(30)]  # fmt: skip
        results = await asyncio.gather(*calls)
        assert engine.num_pending == 0
    assert [tokens(result) for result in results] == [
        [expected_tokens(n) for n in request] for request in lengths
    ]
    assert all(runner.batch_sizes for runner in runners)


async def test_a_sequence_may_use_the_rows_of_the_smallest_worker() -> None:
    engine = AsyncEngine(
        [Worker(Engine(FakeRunner(n), 1, EOS, [0, 1]), n) for n in (5, 3, 4)], max_pending=1
    )
    assert engine.num_rows == 3
