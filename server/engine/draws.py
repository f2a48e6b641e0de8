"""Uniform random numbers that depend on nothing but where they are used."""

from __future__ import annotations

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def uniform(seed: int, index: int, position: int) -> float:
    """A number in [0, 1) for the token at `position` of sample `index`: no state, so that neither
    load nor neighbours can shift the sequence. SplitMix64's output function (Steele et al. 2014,
    "Fast Splittable Pseudorandom Number Generators") over the three, one after the other.
    """
    state = _mix(seed & MASK)
    state = _mix(state ^ (index & MASK))
    state = _mix(state ^ (position & MASK))
    return (state >> 11) * 2.0**-53


def _mix(value: int) -> int:
    value = (value + GOLDEN) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)
