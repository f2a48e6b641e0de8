"""Many calls at a time, results in the order of the input. Knows nothing of gRPC or files."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LINES_PER_CALL = 16
"""How many results may wait for an earlier one, for each call in flight.

Without such room one slow line would keep all calls idle; without a limit a stuck one would let the
whole input into memory.
"""


class Pipeline(Generic[T, R]):
    """Runs a call for each item, at most `in_flight` at a time, and writes results in order."""

    def __init__(self, call: Callable[[T], Awaitable[R]], in_flight: int) -> None:
        self._call = call
        self._slots = asyncio.Semaphore(in_flight)
        self._order: asyncio.Queue[asyncio.Future[R] | None] = asyncio.Queue(
            in_flight * _LINES_PER_CALL
        )
        self._unwritten: set[asyncio.Future[R]] = set()

    async def run(self, items: AsyncIterable[T], write: Callable[[R], None]) -> None:
        """Writes the result of each item as soon as those before it are written.

        What an item's call, or `items` itself, raises is raised here once all before it is written;
        the calls still running are then cancelled.
        """
        feeder = asyncio.create_task(self._start_calls(items))
        try:
            while (result := await self._order.get()) is not None:
                write(await result)
                self._unwritten.discard(result)
        finally:
            await _cancel(feeder, *self._unwritten)

    async def _start_calls(self, items: AsyncIterable[T]) -> None:
        try:
            async for item in items:
                await self._slots.acquire()
                call = asyncio.ensure_future(self._call(item))
                call.add_done_callback(lambda _: self._slots.release())
                await self._append(call)
        except Exception as error:
            await self._append(_failed(error))
        else:
            await self._order.put(None)

    async def _append(self, result: asyncio.Future[R]) -> None:
        self._unwritten.add(result)
        await self._order.put(result)


def _failed(error: Exception) -> asyncio.Future[R]:
    result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
    result.set_exception(error)
    return result


async def _cancel(*running: asyncio.Future[Any]) -> None:
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
