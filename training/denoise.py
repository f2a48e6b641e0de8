"""The denoising objective: a sentence is corrupted, and the model restores it.

Spans of pieces give way to one unknown token each, their lengths drawn from a Poisson distribution
(text infilling, Lewis et al. 2020), so the model has to find out what and how much is missing.
With it the Transformer is an auto-encoder, and learns from text that nobody translated.
"""

from __future__ import annotations

import math
import random

from training.config import UNK_ID

MEAN_SPAN = 3.0
"""Pieces that a hidden span has on average."""


def corrupt(pieces: list[int], mask_ratio: float, draws: random.Random) -> list[int]:
    """`pieces` with about `mask_ratio` of them hidden, span by span; at least one of them is."""
    budget = max(1, round(mask_ratio * len(pieces)))
    corrupted = list(pieces)
    hidden = 0
    while hidden < budget and corrupted:
        length = min(max(1, _poisson(MEAN_SPAN, draws)), budget - hidden)
        start = draws.randrange(len(corrupted))
        span = corrupted[start : start + length]
        hidden += sum(piece != UNK_ID for piece in span) or 1
        corrupted[start : start + length] = [UNK_ID]
    return corrupted


def _poisson(mean: float, draws: random.Random) -> int:
    """Knuth's method (The Art of Computer Programming, volume 2, section 3.4.1)."""
    limit, product, count = math.exp(-mean), draws.random(), 0
    while product > limit:
        product *= draws.random()
        count += 1
    return count
