"""What happened to every request of a run, and the figures drawn from it. Has no clock of its own.

All times are in seconds from the start of the run.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ANSWERED = "OK"
"""The status of a request that brought a translation."""

_BUSY_CPU_SHARE = 0.8
_LATE_SEND_S = 0.010


@dataclass(frozen=True, slots=True)
class Latency:
    """How long answered requests took, from the moment they were due, in seconds."""

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class ClientUse:
    """What the measuring itself cost: whether the figures are the server's or the client's."""

    cpu_share: float
    """Processor time of this process over the time it sent in; 1.0 is one core."""

    send_lateness_p99_s: float
    """How late requests left, at the 99th percentile, in seconds after they were due."""

    @property
    def is_bottleneck(self) -> bool:
        """Whether this client, not the server, may have set the figures.

        Its event loop is one thread: near one core of use it cannot send or receive on time.
        """
        return self.cpu_share > _BUSY_CPU_SHARE or self.send_lateness_p99_s > _LATE_SEND_S


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run. `arrivals` is `answered`, `errors` and `unfinished` together."""

    arrivals: int
    """Requests that were due."""

    answered: int
    """Requests that brought a translation."""

    errors: Mapping[str, int]
    """Failed requests by status code."""

    unfinished: int
    """Requests that had neither an answer nor an error when the wait for them was over."""

    elapsed_s: float
    """Time from the start to the last answer, and no less than the time of sending."""

    latency: Latency | None
    """Of answered requests; None if there are none."""

    client: ClientUse
    """What the measuring cost."""

    @property
    def throughput(self) -> float:
        """Answered requests a second."""
        return self.answered / self.elapsed_s if self.elapsed_s > 0 else 0.0


class Recorder:
    """Collects a run's events, each request's as they happen: due, sent, finished."""

    def __init__(self) -> None:
        self._arrivals = 0
        self._statuses: Counter[str] = Counter()
        # Arrays of doubles: a long run holds millions of these.
        self._latencies_s = array("d")
        self._lateness_s = array("d")
        self._last_answer_s = 0.0
        self._sending_s = 0.0
        self._cpu_s = 0.0

    def due(self) -> None:
        """Counts a request, whatever becomes of it."""
        self._arrivals += 1

    def sent(self, due_s: float, sent_s: float) -> None:
        """Notes that a request has left."""
        self._lateness_s.append(max(0.0, sent_s - due_s))

    def finished(self, due_s: float, done_s: float, status: str) -> None:
        """Notes that a request was answered, or failed with the name of a status code.

        Timed from when it was due, not from when it left: a client that waits for a slow server
        before it sends again would leave out the very requests that the slowness hurts.
        """
        self._statuses[status] += 1
        if status == ANSWERED:
            self._latencies_s.append(done_s - due_s)
            self._last_answer_s = max(self._last_answer_s, done_s)

    def sending_ended(self, now_s: float, cpu_s: float) -> None:
        """Notes that the last request has been started, and the processor time used until then."""
        self._sending_s = now_s
        self._cpu_s = cpu_s

    def summary(self) -> Summary:
        """Returns the figures of all that has been noted."""
        errors = {status: n for status, n in self._statuses.items() if status != ANSWERED}
        lateness_s = sorted(self._lateness_s)
        return Summary(
            arrivals=self._arrivals,
            answered=self._statuses[ANSWERED],
            errors=errors,
            unfinished=self._arrivals - self._statuses.total(),
            elapsed_s=max(self._last_answer_s, self._sending_s),
            latency=_latency(sorted(self._latencies_s)),
            client=ClientUse(
                cpu_share=self._cpu_s / self._sending_s if self._sending_s > 0 else 0.0,
                send_lateness_p99_s=percentile(lateness_s, 99) if lateness_s else 0.0,
            ),
        )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Returns the smallest value that `percent` of all values do not exceed (nearest rank).

    Args:
        ordered: The values in ascending order, at least one.
        percent: Above 0, up to 100.
    """
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def _latency(ordered_s: Sequence[float]) -> Latency | None:
    if not ordered_s:
        return None
    p50_s, p95_s, p99_s = (percentile(ordered_s, percent) for percent in (50, 95, 99))
    return Latency(p50_s, p95_s, p99_s, max_s=ordered_s[-1])
