"""A blocking iterator, read from the event loop."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from attendant.cli.feed import feed

from ..echo_server import PATIENCE_S


@pytest.mark.asyncio
async def test_all_items_come_in_order() -> None:
    assert [item async for item in feed(iter(range(100)), ahead=3)] == list(range(100))


@pytest.mark.asyncio
async def test_an_endless_iterator_is_read_no_further_than_allowed() -> None:
    num_read = 0
    may_stop = threading.Semaphore(0)

    def count() -> Iterator[int]:
        nonlocal num_read
        for num_read in itertools.count(1):
            may_stop.release()
            yield num_read

    async with aclosing(feed(count(), ahead=4)) as items:
        assert [await anext(items) for _ in range(10)] == list(range(1, 11))
        # Ten were taken, four more may wait here, and one more is in the thread's hands.
        for _ in range(15):
            assert await asyncio.to_thread(may_stop.acquire, timeout=PATIENCE_S)
        assert num_read == 15


@pytest.mark.asyncio
async def test_the_loop_runs_while_the_iterator_blocks() -> None:
    may_go_on = threading.Event()

    def blocking() -> Iterator[str]:
        yield "first"
        assert may_go_on.wait(PATIENCE_S)
        yield "second"

    async with aclosing(feed(blocking(), ahead=8)) as items:
        assert await anext(items) == "first"
        may_go_on.set()
        assert await anext(items) == "second"


@pytest.mark.asyncio
async def test_an_error_comes_after_the_items_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    async with aclosing(feed(failing(), ahead=8)) as items:
        assert await anext(items) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(items)


@pytest.mark.asyncio
async def test_the_thread_ends_when_nobody_wants_more() -> None:
    thread: threading.Thread | None = None

    def count() -> Iterator[int]:
        nonlocal thread
        thread = threading.current_thread()
        yield from itertools.count()

    async with aclosing(feed(count(), ahead=2)) as items:
        await anext(items)
    assert thread is not None
    await asyncio.to_thread(thread.join, PATIENCE_S)
    assert not thread.is_alive()
