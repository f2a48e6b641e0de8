"""Who is still being served: what shutdown waits for, and what turns newcomers away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import UnavailableError


class Drain:
    """Counts the calls in flight; once begun, admits no more.

    gRPC's own shutdown would cancel calls that it has received and not yet handed over, with a
    status that tells the caller nothing; here they are answered.
    """

    def __init__(self) -> None:
        self._num_in_flight = 0
        self._is_begun = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def num_in_flight(self) -> int:
        """Calls admitted and not yet answered."""
        return self._num_in_flight

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Counts the block as a call in flight. Raises UnavailableError once the drain began."""
        if self._is_begun:
            raise UnavailableError("the server is shutting down")
        self._num_in_flight += 1
        self._is_idle.clear()
        try:
            yield
        finally:
            self._num_in_flight -= 1
            if not self._num_in_flight:
                self._is_idle.set()

    async def finish(self, timeout_s: float) -> bool:
        """Admits no more and waits for what runs; False if some still does after `timeout_s`."""
        self._is_begun = True
        try:
            await asyncio.wait_for(self._is_idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
