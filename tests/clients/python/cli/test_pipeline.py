"""Order and bounds of the pipeline, with calls that the test ends when it likes."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from attendant.cli.pipeline import Pipeline


async def each(items: Iterable[int]) -> AsyncIterator[int]:
    for item in items:
        yield item


class Calls:
    """Calls that stay open until the test sets their result."""

    def __init__(self) -> None:
        self.open: dict[int, asyncio.Future[str]] = {}
        self.cancelled: list[int] = []
        self.written: list[str] = []

    async def __call__(self, item: int) -> str:
        self.open[item] = asyncio.get_running_loop().create_future()
        try:
            return await self.open[item]
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        finally:
            del self.open[item]

    def start(self, items: AsyncIterator[int], in_flight: int) -> asyncio.Task[None]:
        return asyncio.create_task(Pipeline(self, in_flight).run(items, self.written.append))


async def settle() -> None:
    """Lets everything run that can."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_results_are_written_in_order_as_soon_as_it_permits() -> None:
    calls = Calls()
    run = calls.start(each(range(4)), in_flight=4)
    await settle()
    for item, written in ((2, ""), (0, "0"), (1, "012"), (3, "0123")):
        calls.open[item].set_result(str(item))
        await settle()
        assert "".join(calls.written) == written
    await run


@pytest.mark.asyncio
async def test_no_more_calls_run_than_allowed() -> None:
    calls = Calls()
    run = calls.start(each(range(5)), in_flight=2)
    await settle()
    assert set(calls.open) == {0, 1}
    calls.open[1].set_result("1")
    await settle()
    assert set(calls.open) == {0, 2}
    run.cancel()


@pytest.mark.asyncio
async def test_one_slow_call_lets_the_others_go_on_but_not_without_end() -> None:
    calls = Calls()
    run = calls.start(each(range(1000)), in_flight=2)
    await settle()
    while (item := max(calls.open)) > 0:
        calls.open[item].set_result(str(item))
        await settle()
    # 32 wait in order behind the first, which has been taken out; one more waits to join them.
    assert item == 0
    assert calls.written == []
    calls.open[0].set_result("0")
    await settle()
    assert calls.written == [str(n) for n in range(34)]
    run.cancel()


@pytest.mark.asyncio
async def test_a_failed_call_ends_the_run_after_all_before_it() -> None:
    calls = Calls()
    run = calls.start(each(range(4)), in_flight=4)
    await settle()
    calls.open[1].set_exception(ZeroDivisionError())
    await settle()
    assert not run.done()
    calls.open[0].set_result("0")
    with pytest.raises(ZeroDivisionError):
        await run
    assert calls.written == ["0"]
    assert sorted(calls.cancelled) == [2, 3]


@pytest.mark.asyncio
async def test_failed_input_ends_the_run_after_all_before_it() -> None:
    async def failing() -> AsyncIterator[int]:
        yield 0
        raise ZeroDivisionError

    calls = Calls()
    run = calls.start(failing(), in_flight=4)
    await settle()
    assert not run.done()
    calls.open[0].set_result("0")
    with pytest.raises(ZeroDivisionError):
        await run
    assert calls.written == ["0"]


@pytest.mark.asyncio
async def test_a_cancelled_run_leaves_no_call_behind() -> None:
    calls = Calls()
    run = calls.start(each(range(10)), in_flight=3)
    await settle()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(calls.cancelled) == [0, 1, 2]


@pytest.mark.asyncio
async def test_no_input_writes_nothing() -> None:
    calls = Calls()
    await calls.start(each([]), in_flight=1)
    assert calls.written == []
