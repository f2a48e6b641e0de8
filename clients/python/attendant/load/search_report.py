"""How a search for a rate went, as rows to read and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attendant.load.rate_search import Ending, Search, Trial
from attendant.load.result import Result
from attendant.load.slo import Objective


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run of a search."""

    result: Result
    shares: Sequence[float]
    """What part of its requests was within the limit, for each objective."""


RateSearch = Search[Attempt]


def search_rows(search: RateSearch, objectives: Sequence[Objective]) -> list[tuple[str, str]]:
    """Returns what was found and each trial, each a heading and a line to read."""
    trials = [("", _trial_line(trial, objectives)) for trial in search.trials]
    return [("search", _found(search, objectives)), *trials]


def search_as_dict(search: RateSearch, objectives: Sequence[Objective]) -> dict[str, Any]:
    """Returns the search as JSON holds it."""
    return {
        "objectives": [str(objective) for objective in objectives],
        "ending": search.ending.value,
        "rate": search.best.rate if search.best else None,
        "trials": [
            {
                "rate": trial.rate,
                "is_held": trial.is_held,
                "is_bottleneck": trial.is_bottleneck,
                "shares": list(trial.run.shares),
            }
            for trial in search.trials
        ],
    }


def _found(search: RateSearch, objectives: Sequence[Objective]) -> str:
    wanted = " and ".join(map(str, objectives))
    if search.best is None:
        lowest = min(trial.rate for trial in search.trials)
        return f"no rate was found at which {wanted} holds, down to {lowest:,.1f} requests a second"
    text = f"{wanted} holds at {search.best.rate:,.1f} requests a second"
    above = [trial.rate for trial in search.trials if trial.rate > search.best.rate]
    if search.ending is Ending.TRIALS:
        return f"{text}; the trials ran out, and a higher rate may hold"
    text += f", and not at {min(above):,.1f}" if above else ""
    if search.ending is Ending.CLIENT:
        text += "; there this client was a bottleneck, so the server may do more"
    return text


def _trial_line(trial: Trial[Attempt], objectives: Sequence[Objective]) -> str:
    shares = ", ".join(
        f"{share:.3%} within {objective}"
        for share, objective in zip(trial.run.shares, objectives, strict=True)
    )
    held = "held" if trial.is_held else "missed"
    client = "; the client was a bottleneck" if trial.is_bottleneck else ""
    return f"{trial.rate:,.1f} a second: {held}, {shares}{client}"
