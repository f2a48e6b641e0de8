"""Jobs, sequences and a clock, for tests of what schedules them."""

from __future__ import annotations

import pickle

from server.engine.options import DecodingOptions
from server.engine.sequence import Job, Priority, Sequence, make_search
from tests.server.engine.fake_runner import EOS

INTERACTIVE, STANDARD, BULK = Priority


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_sequence(
    sequence_id: int,
    *,
    length: int = 3,
    width: int = 1,
    priority: Priority = STANDARD,
    caller: str = "",
    arrival: float = 0.0,
) -> Sequence:
    """One that waits; of `width` rows, its source of `length` tokens."""
    options = DecodingOptions(100, num_alternatives=width if width > 1 else 0)
    job = Job([7] * length, options, priority, caller)
    return Sequence(sequence_id, job, make_search(options, EOS), arrival)


def memory(state: object) -> int:
    """Bytes of everything that `state` holds on to, whatever its fields are called."""
    return len(pickle.dumps(state))
