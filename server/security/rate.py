"""What each key has used of its limits: requests, characters and calls at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from server.errors import InvalidRequestError, LimitExceededError
from server.security.keys import ApiKey, Limits

BUSY_RETRY_S = 0.1
"""When to try again where calls at a time are the limit: nobody knows when one ends."""
Clock = Callable[[], float]


class TokenBucket:
    """Fills at `rate` a second up to `burst`, which is where it starts; 0 never runs out."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate, self._clock = rate, clock
        self.burst = max(burst or rate, 1.0) if rate else float("inf")
        self._level, self._time = self.burst, clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` can be taken; 0 takes it now."""
        now = self._clock()
        self._level = min(self.burst, self._level + (now - self._time) * self._rate)
        self._time = now
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._rate


class _Usage:
    def __init__(self, limits: Limits, clock: Clock) -> None:
        self.limits = limits
        self.num_running = 0
        self.requests = TokenBucket(limits.requests_per_s, limits.request_burst, clock)
        self.characters = TokenBucket(limits.characters_per_s, limits.character_burst, clock)


class Quotas:
    """The usage of every key that has called; for one thread.

    Who calls without a key has no limits here, and is bounded as everybody is by the queue.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._usage: dict[str, _Usage] = {}

    def charge_request(self, key: ApiKey) -> None:
        """Counts a request. Raises LimitExceededError."""
        usage = self._usage.get(key.name)
        if usage is None or usage.limits != key.limits:
            num_running = usage.num_running if usage else 0
            usage = self._usage[key.name] = _Usage(key.limits, self._clock)
            usage.num_running = num_running
        if wait_s := usage.requests.wait_s(1):
            rate = usage.limits.requests_per_s
            allowed = f"{rate:g} requests a second, {usage.requests.burst:g} at once"
            raise LimitExceededError(f"key {key.name} may send {allowed}", wait_s)

    def charge_characters(self, name: str, count: int) -> None:
        """Counts the characters of a request of the key `name`.

        Raises LimitExceededError, or InvalidRequestError where waiting would not help.
        """
        usage = self._usage.get(name)
        if usage is None:
            return
        most, rate = usage.characters.burst, usage.limits.characters_per_s
        if count > most:
            problem = f"together they have {count} characters, key {name} may send {most:g} at once"
            raise InvalidRequestError("texts", problem)
        if wait_s := usage.characters.wait_s(count):
            allowed = f"{rate:g} characters a second, {most:g} at once"
            raise LimitExceededError(f"key {name} may send {allowed}", wait_s)

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Counts the block as a call of the key `name`. Raises LimitExceededError."""
        usage = self._usage.get(name)
        if usage is None:
            yield
            return
        most = usage.limits.max_concurrent
        if most and usage.num_running >= most:
            raise LimitExceededError(
                f"key {name} may have at most {most} calls running", BUSY_RETRY_S
            )
        usage.num_running += 1
        try:
            yield
        finally:
            # Not `usage`, which is another where the limits have changed meanwhile.
            self._usage[name].num_running -= 1
