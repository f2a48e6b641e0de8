"""Promises about latency, and whether a run kept them."""

import re
from dataclasses import dataclass
from enum import StrEnum

from attendant.load.histogram import Histogram
from attendant.load.quantity import parse_time
from attendant.load.tally import Tally

_FORM = re.compile(r"(?:(first_token|between_tokens)_)?p(\d+(?:[._]\d+)?)=(.+)")


class Kind(StrEnum):
    """Which times a promise is about."""

    LATENCY = "latency"
    FIRST_TOKEN = "first_token"
    BETWEEN_TOKENS = "between_tokens"


@dataclass(frozen=True, slots=True)
class Objective:
    """So many percent of all requests take no longer than a limit. Those that fail take longer."""

    kind: Kind
    percent: float
    limit_s: float

    def __post_init__(self) -> None:
        if not 0 < self.percent < 100:
            raise ValueError(f"percentile: must be above 0 and below 100, not {self.percent:g}")

    def share(self, tally: Tally) -> float:
        """Returns what part of the requests was within the limit; of none, all."""
        if self.kind is Kind.BETWEEN_TOKENS:
            # Gaps are many a request, and a request that fails has none.
            answered = 1 - _failed(tally) / tally.arrivals if tally.arrivals else 1.0
            return answered * _within(tally.between_tokens, self.limit_s)
        times = tally.first_token if self.kind is Kind.FIRST_TOKEN else tally.latency
        return times.count_at_most(self.limit_s) / tally.arrivals if tally.arrivals else 1.0

    def is_held(self, tally: Tally) -> bool:
        """Whether it was kept."""
        return self.share(tally) >= self.percent / 100

    def __str__(self) -> str:
        kind = "" if self.kind is Kind.LATENCY else f"{self.kind}_"
        return f"{kind}p{self.percent:g}={self.limit_s * 1000:g}ms"


def parse_objective(text: str) -> Objective:
    """Reads "p99=100ms" or "first_token_p99.9=1s". Raises ValueError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"must be as p99=100ms or first_token_p95=50ms, not {text}")
    kind, percent, limit = found.groups()
    limit_s = parse_time(limit)
    return Objective(Kind(kind or Kind.LATENCY), float(percent.replace("_", ".")), limit_s)


def _failed(tally: Tally) -> int:
    return tally.arrivals - tally.answered.answers


def _within(times: Histogram, limit_s: float) -> float:
    return times.count_at_most(limit_s) / times.count if times.count else 1.0
