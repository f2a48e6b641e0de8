"""How a run is getting on, for whoever watches. Costs the run next to nothing."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_RECENT = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """A worker's run at one moment."""

    now_s: float
    """Since the start of the warm-up."""

    arrivals: int
    answered: int
    failed: int
    recent_s: Sequence[float]
    """Latencies of the last answers."""

    cpu_share: float
    """Of a core, since the last moment."""

    @property
    def in_flight(self) -> int:
        """Requests that have neither an answer nor an error yet."""
        return self.arrivals - self.answered - self.failed


class Counters:
    """Counts what happens, from the beginning of the warm-up to the last answer."""

    def __init__(self) -> None:
        self._arrivals = self._answered = self._failed = 0
        self._recent_s: deque[float] = deque(maxlen=_RECENT)

    def due(self) -> None:
        """Counts a request."""
        self._arrivals += 1

    def failed(self) -> None:
        """Counts a failure."""
        self._failed += 1

    def answered(self, latency_s: float) -> None:
        """Counts an answer."""
        self._answered += 1
        self._recent_s.append(latency_s)

    def progress(self, now_s: float, cpu_share: float) -> Progress:
        """Returns where it stands."""
        return Progress(
            now_s,
            self._arrivals,
            self._answered,
            self._failed,
            tuple(self._recent_s),
            cpu_share,
        )


def together(workers: Sequence[Progress]) -> Progress:
    """Returns how several workers are getting on; the processor's share is the busiest one's."""
    return Progress(
        now_s=max(worker.now_s for worker in workers),
        arrivals=sum(worker.arrivals for worker in workers),
        answered=sum(worker.answered for worker in workers),
        failed=sum(worker.failed for worker in workers),
        recent_s=tuple(latency_s for worker in workers for latency_s in worker.recent_s),
        cpu_share=max(worker.cpu_share for worker in workers),
    )


def nobody(progress: Progress) -> None:
    """Watches nothing."""
