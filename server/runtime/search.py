"""Picks the next token of each row from its logits. Never sees a session."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from server.runtime.kv_cache import FloatArray


def greedy(logits: FloatArray, never: Sequence[int]) -> list[int]:
    """The most probable token of each row of `logits` float32 (B, V), overwritten where `never`
    names a token.
    """
    logits[:, list(never)] = -np.inf
    tokens: list[int] = logits.argmax(axis=1).tolist()  # (B,)
    return tokens
