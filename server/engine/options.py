"""How one sequence is decoded, and for whom. Every row of a batch has its own."""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_ROWS = 16
"""Rows that one sequence may use: the widest beam, the most samples or alternatives."""


class EarlyStopping(enum.Enum):
    """When beam search gives up the hypotheses that still run."""

    PATIENCE = "patience"
    """Once round(beam_size * patience) hypotheses have ended (Kasai et al. 2022, "Beam Decoding
    with Controlled Patience"); patience 1 is "first come, first served".
    """
    HEURISTIC = "heuristic"
    """Once beam_size have ended and the best running one, normalised by its length now, is no
    better than the worst of them.
    """
    NEVER = "never"
    """Once beam_size have ended and no running one can become better than the worst of them,
    however long it grows: the only rule that loses nothing, the slowest.
    """


@dataclass(frozen=True)
class Sampling:
    """Draws each token instead of taking the best: temperature first, then top-k, then top-p."""

    seed: int
    temperature: float = 1.0
    """Divides the logits: below 1 sharpens, above 1 flattens."""
    top_k: int = 0
    """Draws from this many tokens only; 0 for all (Fan et al. 2018)."""
    top_p: float = 1.0
    """Draws from the fewest tokens whose probabilities sum to at least this (Holtzman et al.
    2020).
    """


@dataclass(frozen=True)
class DecodingOptions:
    """How one sequence is decoded. Lengths count generated tokens, forced ones and the end of
    sentence included.
    """

    max_target_tokens: int
    min_target_tokens: int = 0
    """The end of sentence is not generated before this many other tokens."""
    beam_size: int = 1
    length_penalty: float = 1.0
    """A hypothesis' score is its log-probability over length ** length_penalty."""
    patience: float = 1.0
    early_stopping: EarlyStopping = EarlyStopping.PATIENCE
    num_hypotheses: int = 1
    """Best hypotheses of a beam, or samples."""
    num_alternatives: int = 0
    """The most probable tokens after the prefix, each continued by itself; 0 for none."""
    sampling: Sampling | None = None
    prefix: tuple[int, ...] = ()
    """Forced first tokens; they count for lengths and penalties, not for scores."""
    no_repeat_ngram_size: int = 0
    """No n-gram of this size occurs twice in the target; 0 for off."""
    repetition_penalty: float = 1.0
    """Divides a positive and multiplies a negative logit of every token that the target already
    has (Keskar et al. 2019, CTRL, section 4.1).
    """
    suppressed: tuple[int, ...] = ()
    """Tokens that are never generated."""
    loop_guard: int = 0
    """Ends a hypothesis whose last tokens are one block, this many times in a row; 0 for off."""
    is_scored: bool = False
    """Whether log-probabilities are wanted; beams and samples have them anyway."""
    is_aligned: bool = False
    """Whether cross-attention is kept."""

    @property
    def num_rows(self) -> int:
        """Rows of the running batch that the sequence may come to use."""
        return max(self.beam_size, self.num_hypotheses, self.num_alternatives)

    @property
    def is_constrained(self) -> bool:
        """Whether logits must be changed before a token is picked."""
        return bool(
            self.min_target_tokens
            or self.no_repeat_ngram_size
            or self.suppressed
            or self.repetition_penalty != 1.0
        )
