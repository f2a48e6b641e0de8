"""The highest rate at which a run holds: which rates to try. Knows nothing of what a run is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

_PRECISION = 1.05
_MAX_TRIALS = 24

Run = TypeVar("Run")


@dataclass(frozen=True, slots=True)
class Trial(Generic[Run]):
    """A run at one rate."""

    rate: float
    is_held: bool
    """Whether all objectives were kept."""

    is_bottleneck: bool
    """Whether the client may have been what broke them."""

    run: Run


class Ending(StrEnum):
    """Why a search ended."""

    FOUND = "found"
    """There is a rate that held, twice, and one little above it that did not."""

    NONE_HELD = "none held"
    """Not even the lowest rate held."""

    CLIENT = "client"
    """As found, but at the rate that did not hold the client may have been the bottleneck."""

    TRIALS = "trials"
    """The trials ran out: a higher rate may hold."""


@dataclass(frozen=True, slots=True)
class Search(Generic[Run]):
    """How a search went."""

    trials: Sequence[Trial[Run]]
    ending: Ending
    best: Trial[Run] | None
    """The last run at the highest rate that held."""


def find_highest_rate(try_rate: Callable[[float], Trial[Run]], start_rate: float) -> Search[Run]:
    """Looks for the highest rate at which a run holds.

    Doubles the rate until it does not hold, or halves it until it does; then halves the gap, by
    ratio, until it is 5 %. Then the rate must hold once more: of many trials near the edge a lucky
    one is not rare. Where it does not, it is lowered by 5 % until one holds twice.

    Args:
        try_rate: Makes a run at a rate.
        start_rate: The first.
    """
    search = _Searcher(try_rate)
    try:
        search.bracket(start_rate)
        search.narrow()
        search.confirm()
    except _Ended as ended:
        return Search(search.trials, ended.ending, search.best)
    return Search(search.trials, search.ending(), search.best)


class _Ended(Exception):  # noqa: N818 - no error
    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class _Searcher(Generic[Run]):
    """Tries rates and remembers them."""

    def __init__(self, try_rate: Callable[[float], Trial[Run]]) -> None:
        self._try_rate = try_rate
        self.trials: list[Trial[Run]] = []
        self.best: Trial[Run] | None = None
        self._low = 0.0
        """The highest rate that held."""
        self._high = 0.0
        """The lowest that did not."""
        self._is_client_limit = False
        """Whether that may have been the client's fault."""

    def bracket(self, rate: float) -> None:
        """Finds a rate that holds, and twice that, which does not."""
        while not (self._low and self._high):
            if self._try(rate):
                rate *= 2
            elif len(self.trials) > _MAX_TRIALS // 2:
                raise _Ended(Ending.NONE_HELD)
            else:
                rate /= 2

    def narrow(self) -> None:
        """Brings both within the precision."""
        while self._high / self._low > _PRECISION:
            self._try((self._low * self._high) ** 0.5)

    def confirm(self) -> None:
        """Has a rate hold twice."""
        rate, times_held = self._low, 1
        while times_held < 2:
            if self._try(rate):
                times_held += 1
            else:
                self.best, times_held = None, 0
                rate /= _PRECISION

    def ending(self) -> Ending:
        """What the search has found."""
        return Ending.CLIENT if self._is_client_limit else Ending.FOUND

    def _try(self, rate: float) -> bool:
        if len(self.trials) >= _MAX_TRIALS:
            raise _Ended(Ending.TRIALS if self.best else Ending.NONE_HELD)
        trial = self._try_rate(rate)
        self.trials.append(trial)
        if trial.is_held:
            self._low, self.best = rate, trial
        else:
            self._high, self._is_client_limit = rate, trial.is_bottleneck
        return trial.is_held
