"""Notices a target that repeats itself."""

from __future__ import annotations

from collections.abc import Sequence

MAX_BLOCK = 16
"""Longest repeated block, in tokens, that is looked for."""


def is_loop(tokens: Sequence[int], num_repeats: int) -> bool:
    """Whether `tokens` ends in one block of at most MAX_BLOCK tokens, `num_repeats` times in a
    row.
    """
    num_tokens = len(tokens)
    for block in range(1, min(MAX_BLOCK, num_tokens // num_repeats) + 1):
        span = block * num_repeats
        # A run of period `block` equals itself shifted by one block.
        if tokens[num_tokens - 1] == tokens[num_tokens - 1 - block] and (
            tokens[num_tokens - span + block :] == tokens[num_tokens - span : num_tokens - block]
        ):
            return True
    return False
