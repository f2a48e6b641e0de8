"""When requests are due. Knows neither a clock nor a server.

Every schedule can be shared between several workers: what they send together is the whole of it.
"""

import itertools
import random
from collections.abc import Iterator

from attendant.load.config import Arrivals, Share

WHOLE = Share(0, 1)
"""The share of a worker that works alone."""

_SEED_STEP = 1_000_003


def poisson_arrivals(
    rate: float, duration_s: float, seed: int, share: Share = WHOLE
) -> Iterator[float]:
    """Yields the arrivals of a Poisson process in seconds from the start, in order.

    The gaps are independent and exponential with mean 1/rate, which is what many callers who know
    nothing of each other add up to. The same seed gives the same arrivals. Independent Poisson
    processes add up to one whose rate is their sum, so each worker draws its own.

    Args:
        rate: Mean number of arrivals a second, of all workers together.
        duration_s: No arrival is due at or after it.
        seed: Of the random numbers.
        share: Which worker asks.
    """
    gaps = random.Random(seed + share.index * _SEED_STEP)
    worker_rate = rate / share.count
    due_s = gaps.expovariate(worker_rate)
    while due_s < duration_s:
        yield due_s
        due_s += gaps.expovariate(worker_rate)


def constant_arrivals(rate: float, duration_s: float, share: Share = WHOLE) -> Iterator[float]:
    """Yields arrivals with even gaps of 1/rate, the first at 0; workers take turns.

    Args:
        rate: Arrivals a second, of all workers together.
        duration_s: No arrival is due at or after it.
        share: Which worker asks.
    """
    for number in itertools.count(share.index, share.count):
        due_s = number / rate  # not added up: a million additions would drift
        if due_s >= duration_s:
            return
        yield due_s


def arrivals_of(
    arrivals: Arrivals, rate: float, duration_s: float, seed: int, share: Share = WHOLE
) -> Iterator[float]:
    """Yields the arrivals of the kind that is asked for; see the functions above."""
    if arrivals is Arrivals.POISSON:
        return poisson_arrivals(rate, duration_s, seed, share)
    return constant_arrivals(rate, duration_s, share)
