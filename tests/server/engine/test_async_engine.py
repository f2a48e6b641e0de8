from __future__ import annotations

import asyncio
import threading

import pytest

from server.engine.async_engine import AsyncEngine
from server.engine.engine import Engine
from server.engine.sequence import DecodingOptions, FinishReason
from server.errors import QueueFullError, UnavailableError
from tests.server.engine.fake_runner import EOS, FakeRunner, expected_tokens

OPTIONS = DecodingOptions(max_target_tokens=10**9)


class GatedRunner(FakeRunner):
    """Takes a step only when told to."""

    def __init__(self, num_slots: int = 4) -> None:
        super().__init__(num_slots)
        self.gate = threading.Semaphore(0)
        self.is_in_step = threading.Event()

    def decode_step(self, tokens: list[int]):
        self.is_in_step.set()
        self.gate.acquire()
        return super().decode_step(tokens)


def make_engine(runner: FakeRunner, max_pending: int = 100) -> AsyncEngine:
    return AsyncEngine(Engine(runner, bos_id=1, eos_id=EOS, never=[0, 1]), max_pending)


@pytest.mark.asyncio
async def test_results_come_back_in_the_order_asked() -> None:
    engine = make_engine(FakeRunner(num_slots=2))
    engine.start()
    lengths = [9, 1, 30, 2, 17]
    completions = await engine.generate([[length] for length in lengths], [OPTIONS] * 5)
    assert [c.token_ids for c in completions] == [expected_tokens(length) for length in lengths]
    assert [c.num_target_tokens for c in completions] == lengths
    assert {c.finish_reason for c in completions} == {FinishReason.STOP}
    assert engine.num_pending == 0
    await engine.close()


@pytest.mark.asyncio
async def test_a_full_queue_refuses_the_whole_request_and_keeps_the_others() -> None:
    runner = GatedRunner(num_slots=1)
    engine = make_engine(runner, max_pending=2)
    engine.start()
    first = asyncio.create_task(engine.generate([[1]], [OPTIONS]))
    await asyncio.to_thread(runner.is_in_step.wait)
    with pytest.raises(QueueFullError, match="1 texts are pending, 2 are allowed"):
        await engine.generate([[1], [1]], [OPTIONS] * 2)
    runner.gate.release()
    assert (await first)[0].finish_reason is FinishReason.STOP
    await engine.close()


@pytest.mark.asyncio
async def test_a_cancelled_caller_frees_its_slot_within_a_step() -> None:
    runner = GatedRunner(num_slots=1)
    engine = make_engine(runner)
    engine.start()
    hog = asyncio.create_task(engine.generate([[10**9]], [OPTIONS]))
    await asyncio.to_thread(runner.is_in_step.wait)
    hog.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hog
    assert engine.num_pending == 0
    successor = asyncio.create_task(engine.generate([[1]], [OPTIONS]))
    await asyncio.sleep(0)
    runner.gate.release(2)  # the step that was under way, and the successor's only one
    assert (await successor)[0].num_target_tokens == 1
    await engine.close()


@pytest.mark.asyncio
async def test_a_dead_engine_fails_its_callers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = FakeRunner()
    runner.fails_at_step = 3
    engine = make_engine(runner)
    engine.start()
    with pytest.raises(UnavailableError, match="the engine has died"):
        await engine.generate([[50], [60]], [OPTIONS] * 2)
    await engine.close()
    assert not engine.is_healthy(stuck_after_s=60)
    with pytest.raises(UnavailableError):
        await engine.generate([[1]], [OPTIONS])
    assert "the runner broke, as this test wants" in caplog.text


@pytest.mark.asyncio
async def test_a_stuck_engine_is_not_healthy_and_an_idle_one_is() -> None:
    runner = GatedRunner()
    engine = make_engine(runner)
    engine.start()
    await engine.generate([], [])
    assert engine.is_healthy(stuck_after_s=1e-9)
    task = asyncio.create_task(engine.generate([[1]], [OPTIONS]))
    await asyncio.to_thread(runner.is_in_step.wait)
    assert not engine.is_healthy(stuck_after_s=1e-9)
    assert engine.is_healthy(stuck_after_s=60)
    runner.gate.release()
    await task
    await engine.close()


@pytest.mark.asyncio
async def test_closing_fails_what_is_pending() -> None:
    runner = GatedRunner()
    engine = make_engine(runner)
    engine.start()
    task = asyncio.create_task(engine.generate([[50]], [OPTIONS]))
    await asyncio.to_thread(runner.is_in_step.wait)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)
    runner.gate.release()
    await closing
    with pytest.raises(UnavailableError, match="stopped"):
        await task
