"""The event loop that load is sent from: one whose timers are as exact as the system's."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_with_exact_timers(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine as `asyncio.run` does.

    asyncio's usual selector, epoll, sleeps whole milliseconds, rounded up: each request would leave
    half of one late. select sleeps microseconds, and a client of one connection has few sockets.
    """
    with asyncio.Runner(loop_factory=_loop) as runner:
        return runner.run(main)


def _loop() -> asyncio.SelectorEventLoop:
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
