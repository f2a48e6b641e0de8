"""When requests are due. Knows neither a clock nor a server."""

import random
from collections.abc import Iterator


def poisson_arrivals(rate: float, duration_s: float, seed: int) -> Iterator[float]:
    """Yields the arrivals of a Poisson process in seconds from the start, in order.

    The gaps are independent and exponential with mean 1/rate, which is what many callers who know
    nothing of each other add up to. The same seed gives the same arrivals.

    Args:
        rate: Mean number of arrivals a second.
        duration_s: No arrival is due at or after it.
        seed: Of the random numbers.
    """
    gaps = random.Random(seed)
    due_s = gaps.expovariate(rate)
    while due_s < duration_s:
        yield due_s
        due_s += gaps.expovariate(rate)
