"""Constraints on what may come next, applied to one row of logits in place, before the softmax:
what is forbidden has no probability, and the rest share it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.runtime.kv_cache import FloatArray


def forbid(row: FloatArray, tokens: Sequence[int]) -> None:
    """Makes `tokens` impossible in `row`, float32 (V,)."""
    row[list(tokens)] = -np.inf


def penalise_repetition(row: FloatArray, tokens: Sequence[int], penalty: float) -> None:
    """Divides positive and multiplies negative logits of `tokens` in `row` float32 (V,), each
    token once (Keskar et al. 2019, CTRL, section 4.1).
    """
    repeated = np.unique(tokens)  # (R,)
    logits = row[repeated]  # (R,)
    row[repeated] = np.where(logits > 0, logits / np.float32(penalty), logits * np.float32(penalty))


def repeating_tokens(tokens: Sequence[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram of `size` tokens which `tokens` already has."""
    num_tokens = len(tokens)
    if num_tokens < size:
        return []
    ending = tuple(tokens[num_tokens - size + 1 :])
    return [
        tokens[i + size - 1]
        for i in range(num_tokens - size + 1)
        if tuple(tokens[i : i + size - 1]) == ending
    ]
