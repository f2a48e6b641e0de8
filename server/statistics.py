"""What one loaded model has done: requests, texts and decoder steps, and where the time went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from server.engine.engine import StepStats


@dataclass
class Duration:
    """How often, and how long together."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Counts one more."""
        self.count += 1
        self.seconds += seconds


class RequestClock:
    """The time of one request, from `started` by the monotonic clock to its end, in four parts."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._read = self._decoded = time.monotonic()
        self._waited_s = 0.0

    def decoded(self, waited_s: float) -> None:
        """The engine is done; for `waited_s` of its time the request waited for rows."""
        self._decoded = time.monotonic()
        self._waited_s = min(waited_s, self._decoded - self._read)

    def parts(self) -> tuple[float, float, float, float]:
        """Seconds of reading, waiting, decoding and writing; all of them until now."""
        decoding = self._decoded - self._read - self._waited_s
        writing = time.monotonic() - self._decoded
        return self._read - self._started, self._waited_s, decoding, writing


@dataclass
class ModelStatistics:
    """Counts since the model was loaded."""

    success: Duration = field(default_factory=Duration)
    """Requests that were answered."""
    failure: Duration = field(default_factory=Duration)
    """Requests that failed after they had been checked, or that their callers gave up."""
    reading: Duration = field(default_factory=Duration)
    """Checking and tokenising of the answered ones; the next three are theirs too."""
    waiting: Duration = field(default_factory=Duration)
    """For rows; of several texts the one that waited longest counts."""
    decoding: Duration = field(default_factory=Duration)
    writing: Duration = field(default_factory=Duration)
    """Making text of tokens; of a stream, only the end of it."""
    num_texts: int = 0
    """Of the answered requests."""
    last_ended: float = 0.0
    """When a request last ended, in seconds since 1970."""
    steps: dict[int, Duration] = field(default_factory=dict)
    """Decoder steps by their number of rows."""

    @contextmanager
    def request(self, started: float, num_texts: int) -> Iterator[RequestClock]:
        """Counts the block as a request that came at `started` and has been read by now."""
        clock = RequestClock(started)
        try:
            yield clock
        except BaseException:
            self._end(self.failure, sum(clock.parts()))
            raise
        parts = clock.parts()
        kinds = (self.reading, self.waiting, self.decoding, self.writing)
        for kind, seconds in zip(kinds, parts, strict=True):
            kind.add(seconds)
        self.num_texts += num_texts
        self._end(self.success, sum(parts))

    def _end(self, outcome: Duration, seconds: float) -> None:
        outcome.add(seconds)
        self.last_ended = time.time()

    def observe_step(self, stats: StepStats) -> None:
        """Takes a step's figures."""
        if stats.num_rows:
            self.steps.setdefault(stats.num_rows, Duration()).add(stats.seconds)
