"""One possible translation as it grows: its tokens, what they cost, and the row it lives in."""

from __future__ import annotations

import enum
from typing import Any


class FinishReason(enum.Enum):
    """Why a hypothesis ended."""

    STOP = "stop"
    """The model ended the sentence."""
    LENGTH = "length"
    """The limit of tokens was reached."""
    LOOP = "loop"
    """It repeated itself and the guard ended it."""
    DEADLINE = "deadline"
    """Time ran out, and the best so far was asked for."""


_LAST_RESORT = {FinishReason.DEADLINE: 1, FinishReason.LOOP: 2}


class Hypothesis:
    """Tokens of one row; `slot` is its row in the caches while it runs, -1 otherwise."""

    __slots__ = (
        "attention",
        "finish_reason",
        "index",
        "log_probability",
        "log_probs",
        "slot",
        "tokens",
    )

    def __init__(self, index: int = 0) -> None:
        self.index = index
        """Which of a sequence's samples or alternatives it is."""
        self.slot = -1
        self.tokens: list[int] = []
        """Target tokens, the end of sentence included once it came."""
        self.log_probs: list[float] = []
        """One a token; NaN where nobody asked."""
        self.log_probability = 0.0
        """Sum over the tokens that were not forced."""
        self.attention: list[Any] = []
        """Cross-attention of each token, float32 (S,) each, where asked for."""
        self.finish_reason: FinishReason | None = None

    def append(self, token: int, log_prob: float, is_forced: bool = False) -> None:
        """Takes its next token."""
        self.tokens.append(token)
        self.log_probs.append(log_prob)
        if not is_forced:
            self.log_probability += log_prob

    def fork(self, index: int | None = None) -> Hypothesis:
        """A copy that goes its own way from here, without a row yet."""
        child = Hypothesis(self.index if index is None else index)
        child.tokens = self.tokens.copy()
        child.log_probs = self.log_probs.copy()
        child.log_probability = self.log_probability
        child.attention = self.attention.copy()
        return child

    @property
    def token_ids(self) -> list[int]:
        """Tokens without the end of sentence."""
        return self.tokens[:-1] if self.finish_reason is FinishReason.STOP else list(self.tokens)

    def score(self, num_forced: int, length_penalty: float) -> float:
        """log P / length ** length_penalty over the tokens that were not forced, the end of
        sentence counted (Wu et al. 2016 normalise likewise, with another function of the length).
        """
        length = max(1, len(self.tokens) - num_forced)
        return self.log_probability / float(length**length_penalty)

    def rank(self, num_forced: int, length_penalty: float) -> tuple[int, float, int]:
        """Sorts ended hypotheses best first: what ended by itself or at its limit, then what time
        cut off, then loops; by falling score; equal ones as they were drawn.
        """
        assert self.finish_reason is not None
        order = _LAST_RESORT.get(self.finish_reason, 0)
        return order, -self.score(num_forced, length_penalty), self.index
