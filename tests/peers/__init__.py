"""Other people's implementations of what we serve, so that ours can be checked against them.

Each runs in this process on one thread; none of them needs a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class PeerHypothesis:
    """One translation by a peer."""

    tokens: tuple[int, ...]
    """Generated tokens: a forced prefix left out, cut after the end of sentence where it came."""
    score: float
    """Log-probability over length ** length_penalty, by the peer's own definition of both."""
    attention: tuple[tuple[float, ...], ...] = ()
    """One row over the source a token, where asked for."""


@contextmanager
def single_thread() -> Iterator[None]:
    """PyTorch on one thread, as long as it lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
