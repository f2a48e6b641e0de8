"""Who is still being served: what shutdown waits for, and what turns newcomers away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import UnavailableError

QUIET_S = 0.1
"""Without a newcomer for so long, nobody is taken to be still sending."""
MAX_QUIET_WAITS = 20
"""Callers who never stop do not keep the process."""


class Drain:
    """Counts the calls in flight; once begun, admits no more.

    gRPC's own shutdown would cancel calls that it has received and not yet handed over, with a
    status that tells the caller nothing; here they are answered.
    """

    def __init__(self) -> None:
        self._num_in_flight = 0
        self._num_refused = 0
        self._begun = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()

    @property
    def num_in_flight(self) -> int:
        """Calls admitted and not yet answered."""
        return self._num_in_flight

    @property
    def begun(self) -> asyncio.Event:
        """Set once no more is admitted."""
        return self._begun

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Counts the block as a call in flight. Raises UnavailableError once the drain began."""
        if self._begun.is_set():
            self._num_refused += 1
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
        """Admits no more, waits for what runs, then until newcomers stop coming.

        False if some call still runs after `timeout_s`.
        """
        self._begun.set()
        try:
            await asyncio.wait_for(self._is_idle.wait(), timeout_s)
        except TimeoutError:
            return False
        await self._until_quiet()
        return True

    async def _until_quiet(self) -> None:
        for _ in range(MAX_QUIET_WAITS):
            num_refused = self._num_refused
            await asyncio.sleep(QUIET_S)
            if self._num_refused == num_refused:
                return
