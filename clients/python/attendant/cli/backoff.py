"""How often and how long to wait for a server whose queue is full."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from attendant.errors import OverloadedError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double, each shortened at random so that callers do not come back together."""

    first_s: float = 0.05
    """The first pause, in seconds, before it is shortened."""

    longest_s: float = 2.0
    """No pause is longer."""

    give_up_s: float = 60.0
    """The pauses of one call are no longer than this together."""

    def pauses(self) -> Iterator[float]:
        """Yields the pauses of one call, in seconds."""
        pause_s, left_s = self.first_s, self.give_up_s
        while left_s > 0:
            shortened_s = min(pause_s * random.uniform(0.5, 1.0), left_s)
            yield shortened_s
            left_s -= shortened_s
            pause_s = min(pause_s * 2, self.longest_s)


async def while_overloaded(call: Callable[[], Awaitable[T]], backoff: Backoff) -> T:
    """Makes a call again for as long as the server's queue is full and there is time; no sooner
    than the server says, where it does.

    Raises:
        OverloadedError: The queue was still full at the end, or will be for longer.
    """
    waited_s = 0.0
    for pause_s in backoff.pauses():
        try:
            return await call()
        except OverloadedError as error:
            asked_s = error.retry_after_s or 0.0
            if asked_s and waited_s + asked_s > backoff.give_up_s:
                raise
            waited_s += max(pause_s, asked_s)
            await asyncio.sleep(max(pause_s, asked_s))
    return await call()
