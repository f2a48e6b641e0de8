"""Which failed calls are made again, and when. Has no connection and never sleeps itself."""

import random
import time
from dataclasses import dataclass

from attendant.errors import AttendantError, OverloadedError, UnavailableError

_SAFE = (OverloadedError, UnavailableError)
"""Nothing was translated, or the answer is lost; a translation changes nothing, so that asking
again is always safe. What else can go wrong goes wrong again."""


@dataclass(frozen=True, slots=True)
class Retries:
    """Calls that found no server, or a full one, are made again within their deadline.

    Pauses double, each shortened at random so that callers do not come back together, and none is
    shorter than the server asks for. A stream that has brought a part is not begun again.
    """

    attempts: int = 4
    """How often a call is made at most."""

    first_s: float = 0.1
    """The first pause, in seconds, before it is shortened."""

    longest_s: float = 5.0
    """No pause is longer, unless the server asks for it."""

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts: must be at least 1, not {self.attempts}")
        for name, seconds in (("first_s", self.first_s), ("longest_s", self.longest_s)):
            if not seconds > 0:
                raise ValueError(f"{name}: must be above 0, not {seconds}")

    def begin(self, timeout_s: float | None) -> "Attempts":
        """Returns the attempts of one call, whose deadline is in `timeout_s` seconds."""
        return Attempts(self, timeout_s)


NO_RETRIES = Retries(attempts=1)


class Attempts:
    """The attempts of one call."""

    def __init__(self, retries: Retries, timeout_s: float | None) -> None:
        self._retries = retries
        self._end_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._num_failed = 0

    def left_s(self) -> float | None:
        """Seconds until the deadline; None where there is none."""
        return None if self._end_s is None else max(self._end_s - time.monotonic(), 0.0)

    def pause_s(self, error: AttendantError) -> float | None:
        """How long to wait before the call is made again after `error`; None where it is not."""
        self._num_failed += 1
        if not isinstance(error, _SAFE) or self._num_failed >= self._retries.attempts:
            return None
        doubled_s = self._retries.first_s * 2 ** (self._num_failed - 1)
        pause_s = min(doubled_s, self._retries.longest_s) * random.uniform(0.5, 1.0)
        if isinstance(error, OverloadedError) and error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        left_s = self.left_s()
        return None if left_s is not None and pause_s >= left_s else pause_s
