"""Medians, ratios and tables of what the runs showed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.training_throughput.runs import Contestant, Outcome

Speeds = Mapping[Contestant, Sequence[float]]
"""Target tokens a second in every window of every round."""


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as fast ours is: median over median."""
    return statistics.median(ours) / statistics.median(theirs)


def best_of_each(speeds: Speeds) -> list[Contestant]:
    """Of every trainer the configuration with the highest median, in the order of the trainers."""
    best: dict[str, Contestant] = {}
    for contestant, found in speeds.items():
        rival = best.get(contestant.trainer)
        if rival is None or statistics.median(found) > statistics.median(speeds[rival]):
            best[contestant.trainer] = contestant
    return list(best.values())


def speed_lines(speeds: Speeds, utilisation: Callable[[float], float] | None) -> list[str]:
    """The table of speeds, ours first; with the MFU where there is one."""
    ours = next(iter(speeds.values()))
    lines = []
    for contestant, found in speeds.items():
        median = statistics.median(found)
        line = f"{contestant.name:42} {median:9,.0f} tokens/s  ({min(found):,.0f} to "
        line += f"{max(found):,.0f})"
        line += f"; ours is {ratio(ours, found):.2f} times as fast" if found is not ours else ""
        line += f"; MFU {100 * utilisation(median):.1f} %" if utilisation else ""
        lines.append(line)
    return lines


def loss_lines(outcomes: Mapping[Contestant, Outcome]) -> list[str]:
    """The table of losses after as many tokens."""
    lines = []
    for contestant, outcome in outcomes.items():
        line = f"{contestant.name:42} loss {outcome.validation_loss:.4f} after "
        line += f"{outcome.num_tokens:,} target tokens in {outcome.num_updates} updates, at "
        line += f"{statistics.median(outcome.windows):,.0f} tokens/s"
        lines.append(line)
    return lines
