"""Names of the figures of a result, for thresholds and comparisons; its JSON has the values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from attendant.load.quantity import milliseconds, parse_share, parse_time
from attendant.load.summary import PERCENTS

Run = Mapping[str, Any]
"""A result as JSON holds it."""


class Unit(StrEnum):
    """What a figure counts in."""

    SECONDS = "seconds"
    SHARE = "share"
    PER_SECOND = "per second"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a result."""

    path: tuple[str, ...]
    """Where the JSON holds it."""

    unit: Unit
    interval: str = ""
    """Name of its interval in `confidence`; empty where there is none."""

    @property
    def is_better_high(self) -> bool:
        """Whether more of it is better."""
        return self.unit is Unit.PER_SECOND

    def value(self, run: Run) -> float | None:
        """Returns it; None where the run has none."""
        found: Any = run
        for key in self.path:
            if found is None:
                return None
            found = found[key]
        return None if found is None else float(found)

    def parse(self, given: object) -> float:
        """Reads a value as a person writes it: a number, "100ms" or "0.1%". Raises ValueError."""
        if isinstance(given, str):
            if self.unit is Unit.SECONDS:
                return parse_time(given)
            if self.unit is Unit.SHARE:
                return parse_share(given)
        elif not isinstance(given, bool) and isinstance(given, int | float):
            if self.unit is not Unit.SECONDS:
                return float(given)
            raise ValueError(f'must have a unit, as "100ms" has, not {given!r}')
        raise ValueError(f"must be a number, not {given!r}")

    def shown(self, value: float | None) -> str:
        """Returns a value to read."""
        if value is None:
            return "none"
        if self.unit is Unit.SECONDS:
            return milliseconds(value)
        if self.unit is Unit.SHARE:
            return f"{value:.3%}"
        return f"{value:,.1f}"


def _all_figures() -> Iterator[tuple[str, Figure]]:
    for kind in ("latency", "first_token", "between_tokens"):
        for field in (*PERCENTS, "mean_s", "max_s"):
            interval = field if kind == "latency" and field in ("p50_s", "p99_s") else ""
            name = f"{kind}_{field.removesuffix('_s')}"
            yield name, Figure((kind, field), Unit.SECONDS, interval)
    yield "requests_per_s", Figure(("rates", "answers"), Unit.PER_SECOND, "throughput")
    for rate in ("source_tokens", "target_tokens", "source_characters", "target_characters"):
        yield f"{rate}_per_s", Figure(("rates", rate), Unit.PER_SECOND)
    yield "error_share", Figure(("error_share",), Unit.SHARE)


FIGURES: Mapping[str, Figure] = dict(_all_figures())
"""Every figure, by the name that a threshold file has for it."""
