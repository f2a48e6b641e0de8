"""How far a figure can be trusted, judged by how it differs between the windows of a run.

The windows are taken as repetitions (the method of batch means: Law, Simulation Modeling and
Analysis, 5th ed., section 9.5.3). Of a figure in n windows the median is given with an interval
between two of its ordered values, chosen so that the true median lies between them with at least
95 % whatever the distribution: the number of windows below it is binomial(n, 1/2) (Le Boudec,
Performance Evaluation of Computer and Communication Systems, 2010, theorem 2.1). No normal
distribution is assumed, which a p99 does not have, and no random numbers are needed. Windows that
depend on each other, as while a queue grows, make the interval narrower than it should be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEVEL = 0.95
"""How surely an interval holds the true median."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The median of a figure over windows, and where the true one lies."""

    median: float
    low: float
    high: float
    num_windows: int
    """Windows that had the figure."""


def median_interval(values: Sequence[float]) -> Interval | None:
    """Returns the median of a figure in all windows with its interval.

    None where there are fewer than 6: even from the least to the greatest of five is no 95 %.
    """
    ordered = sorted(values)
    rank = _low_rank(len(ordered))
    if rank is None:
        return None
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank], len(ordered))


def _low_rank(count: int) -> int | None:
    """The greatest k for which the k-th value from either end enclose the median surely enough.

    They miss it if fewer than k values lie on one side: 2 * P(binomial(count, 1/2) < k).
    """
    outside, rank = 0.0, None
    for k in range(1, count // 2 + 1):
        outside += 2 * math.comb(count, k - 1) / 2**count
        if outside > 1 - LEVEL:
            break
        rank = k
    return rank
