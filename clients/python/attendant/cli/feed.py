"""Brings what a blocking iterator yields into the event loop, lazily."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


async def feed(items: Iterator[T], ahead: int) -> AsyncGenerator[T, None]:
    """Yields the items of an iterator that may block, read by a thread of its own.

    The thread is at most `ahead` items ahead, so an endless iterator is fine. It is a daemon: one
    that waits for a terminal cannot be woken, and must not keep the process alive. What the
    iterator raises is raised here, after the items before it.
    """
    reader = _Reader(items, ahead)
    threading.Thread(target=reader.read, name="attendant-reader", daemon=True).start()
    try:
        while (item := await reader.next()) is not None:
            yield item
    finally:
        reader.stop()


class _Reader(Generic[T]):
    """What the reading thread and the event loop share."""

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Queue[T | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(ahead)
        self._is_stopped = False

    def read(self) -> None:
        """Reads to the end, or until stopped. Runs in the thread."""
        try:
            for item in self._items:
                self._room.acquire()
                if self._is_stopped:
                    return
                self._hand_over(item)
            self._hand_over(None)
        except Exception as error:
            self._hand_over(error)

    async def next(self) -> T | None:
        """Returns the next item, or None after the last."""
        item = await self._ready.get()
        self._room.release()
        if isinstance(item, Exception):
            raise item
        return item

    def stop(self) -> None:
        """Ends the thread at its next item."""
        self._is_stopped = True
        self._room.release()

    def _hand_over(self, item: T | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ready.put_nowait, item)
