"""What a run must keep to: a file of limits makes a load test a gate.

client_may_be_bottleneck = false

[at_most]
latency_p99 = "100ms"
error_share = "0.1%"

[at_least]
requests_per_s = 95
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attendant.load.figures import FIGURES, Run

_BOTTLENECK = "client_may_be_bottleneck"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits by figure."""

    at_most: Mapping[str, float]
    at_least: Mapping[str, float]
    client_may_be_bottleneck: bool = False
    """Whether a run may pass though its client may have set the figures."""

    def __post_init__(self) -> None:
        if not self.at_most and not self.at_least:
            raise ValueError("at_most, at_least: must hold a limit")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the thresholds."""

    num_limits: int
    missed: tuple[str, ...]
    """What was missed, each in a line that names the figure, its value and the limit."""

    @property
    def is_passed(self) -> bool:
        """Whether none was missed."""
        return not self.missed


def parse_thresholds(text: str) -> Thresholds:
    """Reads a threshold file, which is TOML. Raises ValueError naming the key."""
    given = tomllib.loads(text)  # its error is a ValueError
    known = ("at_most", "at_least", _BOTTLENECK)
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"{unknown[0]}: there is no such key; there are {', '.join(known)}")
    may_be_bottleneck = given.get(_BOTTLENECK, False)
    if not isinstance(may_be_bottleneck, bool):
        raise ValueError(f"{_BOTTLENECK}: must be true or false, not {may_be_bottleneck!r}")
    return Thresholds(_limits(given, "at_most"), _limits(given, "at_least"), may_be_bottleneck)


def check(thresholds: Thresholds, run: Run) -> Verdict:
    """Returns which thresholds a run missed; a figure that it does not have is missed."""
    missed = []
    for name, limit in thresholds.at_most.items():
        value = FIGURES[name].value(run)
        if value is None or value > limit:
            missed.append(_missed(name, value, "at most", limit))
    for name, limit in thresholds.at_least.items():
        value = FIGURES[name].value(run)
        if value is None or value < limit:
            missed.append(_missed(name, value, "at least", limit))
    if run["client"]["is_bottleneck"] and not thresholds.client_may_be_bottleneck:
        missed.append("the client was a bottleneck, so the figures are not the server's alone")
    return Verdict(len(thresholds.at_most) + len(thresholds.at_least), tuple(missed))


def _limits(given: Mapping[str, Any], table: str) -> dict[str, float]:
    limits = given.get(table, {})
    if not isinstance(limits, dict):
        raise ValueError(f"{table}: must be a table, not {limits!r}")
    return {name: _limit(table, name, value) for name, value in limits.items()}


def _limit(table: str, name: str, value: object) -> float:
    if name not in FIGURES:
        raise ValueError(f"{table}.{name}: there is no such figure; there are {', '.join(FIGURES)}")
    try:
        return FIGURES[name].parse(value)
    except ValueError as error:
        raise ValueError(f"{table}.{name}: {error}") from error


def _missed(name: str, value: float | None, relation: str, limit: float) -> str:
    figure = FIGURES[name]
    return f"{name} is {figure.shown(value)}, {relation} {figure.shown(limit)} is wanted"
