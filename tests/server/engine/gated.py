"""An asyncio engine over a runner that takes a step only when a test lets it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server.engine.async_engine import AsyncEngine, Completion
from server.engine.engine import Engine
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.engine.worker import Worker
from tests.server.engine.fake_runner import EOS, FakeRunner

OPTIONS = DecodingOptions(max_target_tokens=10**9)
FOREVER = 10**9
WAIT_S = 20.0
"""How long a test that fails waits for what does not come."""


class GatedRunner(FakeRunner):
    """Takes a step only when told to."""

    def __init__(self, num_slots: int = 4) -> None:
        super().__init__(num_slots)
        self.gate = threading.Semaphore(0)
        self.steps_begun = threading.Semaphore(0)
        self.encoded: list[int] = []
        self.is_open = False

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        super().encode(sources, slots)
        self.encoded += [source[0] for source in sources]

    def decode_step(self, tokens: list[int]):
        self.steps_begun.release()
        if not self.is_open:
            self.gate.acquire()
        return super().decode_step(tokens)

    def open(self) -> None:
        """Lets it run from now on."""
        self.is_open = True
        self.gate.release()

    async def begin(self) -> None:
        """Waits for the next step to have begun."""
        assert await asyncio.to_thread(self.steps_begun.acquire, timeout=WAIT_S)

    async def take(self, num_steps: int) -> None:
        """Lets the step that has begun end, and more, and waits for the one after them."""
        for _ in range(num_steps):
            self.gate.release()
            await self.begin()


def job(length: int, caller: str = "", **fields: object) -> Job:
    return Job([length], OPTIONS, caller=caller, **fields)


@asynccontextmanager
async def running(
    *runners: FakeRunner, max_pending: int = 100, clock: Callable[[], float] | None = None
) -> AsyncIterator[AsyncEngine]:
    timing = {"clock": clock} if clock else {}
    engines = [Engine(runner, 1, EOS, [0, 1], **timing) for runner in runners]
    engine = AsyncEngine([Worker(inner, i) for i, inner in enumerate(engines)], max_pending)
    engine.start()
    try:
        yield engine
    finally:
        for runner in runners:
            if isinstance(runner, GatedRunner):
                runner.open()
        await engine.close()


KEPT, HOG = job(9, "greedy"), job(FOREVER, "greedy")


async def submit(engine: AsyncEngine, *jobs: Job) -> asyncio.Task[list[Completion]]:
    """A call that has handed `jobs` over."""
    task = asyncio.create_task(engine.generate(list(jobs)))
    await asyncio.sleep(0)
    return task


async def cancel(call: asyncio.Task[list[Completion]]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def tokens(completions: list[Completion]) -> list[list[int]]:
    return [completion.hypotheses[0].token_ids for completion in completions]
