"""Times, counted in an HDR histogram: millions of them in little memory, to three digits."""

import math
from collections.abc import Sequence

from hdrh.histogram import HdrHistogram

_UNITS_PER_S = 1_000_000
_LONGEST_S = 3600.0
_DIGITS = 3


class Histogram:
    """Counts times from 1 microsecond to one hour, each to within 0.1 %; longer ones as one hour.

    Counts, the sum and the longest are exact. Histograms add up without loss, so those of windows
    and of workers make that of the run.
    """

    def __init__(self) -> None:
        self._counts = HdrHistogram(1, round(_LONGEST_S * _UNITS_PER_S), _DIGITS)
        self._sum_s = 0.0
        self._max_s = 0.0

    def record(self, seconds: float) -> None:
        """Counts a time; one below 0 as 0."""
        self._counts.record_value(_units(seconds))
        self._sum_s += seconds
        self._max_s = max(self._max_s, seconds)

    def add(self, other: "Histogram") -> None:
        """Counts all that the other has counted."""
        self._counts.add(other._counts)
        self._sum_s += other._sum_s
        self._max_s = max(self._max_s, other._max_s)

    @property
    def count(self) -> int:
        """How many times there are."""
        return int(self._counts.get_total_count())

    @property
    def mean_s(self) -> float:
        """Their mean; 0 for none."""
        return self._sum_s / self.count if self.count else 0.0

    @property
    def max_s(self) -> float:
        """The longest; 0 for none."""
        return self._max_s

    def percentile_s(self, percent: float) -> float:
        """Returns one percentile; see `percentiles_s`."""
        return self.percentiles_s([percent])[0]

    def percentiles_s(self, percents: Sequence[float]) -> list[float]:
        """Returns the smallest times that so many percent of all do not exceed (nearest rank).

        Args:
            percents: Above 0, up to 100.

        Returns:
            One time for each, to within 0.1 %, and never above the longest; 0 where there is none.
        """
        if not self.count:
            return [0.0] * len(percents)
        # The library rounds the rank that a percentile stands for to the nearest; asked for the
        # percentile of a whole rank it finds just that one.
        exact = [100 * self._rank(percent) / self.count for percent in percents]
        found = self._counts.get_percentile_to_value_dict(exact)
        return [min(found[percent] / _UNITS_PER_S, self._max_s) for percent in exact]

    def count_at_most(self, limit_s: float) -> int:
        """Returns how many times are no longer than a limit, which is taken to within 0.1 %."""
        if limit_s < 0:
            return 0
        last = self._counts.get_counts_array_index(_units(limit_s))
        return sum(self._counts.get_count_at_index(index) for index in range(last + 1))

    def encoded(self) -> str:
        """Returns it as HdrHistogram's own tools read it, in microseconds (V2, base64)."""
        return str(self._counts.encode().decode())

    @classmethod
    def decoded(cls, encoded: str) -> "Histogram":
        """Returns the one that `encoded` wrote; its sum and its longest are within 0.1 % only."""
        histogram = cls()
        histogram._counts.decode_and_add(encoded)
        histogram._sum_s = histogram._counts.get_mean_value() * histogram.count / _UNITS_PER_S
        histogram._max_s = histogram._counts.get_max_value() / _UNITS_PER_S
        return histogram

    def _rank(self, percent: float) -> int:
        # 99.9 % of 1,000 is 999.0000000000001 in binary.
        return max(1, math.ceil(round(self.count * percent / 100, 6)))

    def __getstate__(self) -> tuple[str, float, float]:
        return self.encoded(), self._sum_s, self._max_s

    def __setstate__(self, state: tuple[str, float, float]) -> None:
        Histogram.__init__(self)
        encoded, self._sum_s, self._max_s = state
        self._counts.decode_and_add(encoded)


def _units(seconds: float) -> int:
    return round(min(max(seconds, 0.0), _LONGEST_S) * _UNITS_PER_S)
