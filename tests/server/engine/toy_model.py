"""A model without weights: the logits of a row are a pure function of its source and of every
token fed to it so far. Whoever mixes up rows gets other logits.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

BOS, EOS = 1, 2
NEVER = [0, 1]
"""No translation may hold padding or the beginning of sentence."""

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class ToyModel:
    """Pseudo-random logits, shaped enough to make every rule of a search matter."""

    vocabulary_size: int = 12
    spread: float = 4.0
    """Width of the logits."""
    eos_bias: float = 0.0
    """Added to the logit of the end of sentence."""
    habit: float = 0.0
    """Share of the logits that only the last token decides: a habitual model runs into loops."""
    step: float = 0.0
    """Logits are multiples of it, so that many of them are equal; 0 for any number."""

    @functools.lru_cache(maxsize=100_000)  # noqa: B019
    def logits(self, source: Tokens, fed: Tokens) -> np.ndarray:
        """What follows `fed`, the beginning of sentence included, float32 (V,); read-only."""
        size = self.vocabulary_size
        history, last = noise(size, source, fed), noise(size, source, fed[-1:], "last")
        row = self.spread * ((1 - self.habit) * history + self.habit * last)
        row[EOS] += self.eos_bias
        if self.step:
            row = np.round(row / self.step) * self.step
        row = row.astype(np.float32)
        row.flags.writeable = False
        return row


def noise(size: int, *key: object) -> np.ndarray:
    """Numbers in [-0.5, 0.5) that depend on `key` only, float64 (size,)."""
    digest = hashlib.shake_128(repr(key).encode()).digest(4 * size)
    return np.frombuffer(digest, np.uint32) / 2**32 - 0.5


def toy_attention(source: Tokens, fed: Tokens) -> np.ndarray:
    """What the step that was fed `fed` attended to, float32 (S,)."""
    return noise(len(source), source, fed, "attention").astype(np.float32)


class ToyRunner:
    """Runs a ToyModel in slots. A slot knows its source and what it was fed; both move with
    `copy`, the source only where the copy is not between siblings.
    """

    def __init__(self, model: ToyModel, num_slots: int) -> None:
        self.num_slots = num_slots
        self.num_copies = 0
        self._model = model
        self._sources: list[Tokens | None] = [None] * num_slots
        self._fed: list[Tokens] = [()] * num_slots

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        assert len(set(slots)) == len(slots) == len(sources)
        for source, slot in zip(sources, slots, strict=True):
            self._sources[slot], self._fed[slot] = tuple(source), ()

    def decode_step(self, tokens: list[int]) -> np.ndarray:
        rows = []
        for slot, token in enumerate(tokens):
            source, fed = self._sources[slot], (*self._fed[slot], token)
            assert source is not None, f"slot {slot} was never filled"
            assert (token == BOS) == (len(fed) == 1), f"slot {slot} begins with {fed}"
            self._fed[slot] = fed
            rows.append(self._model.logits(source, fed))
        return np.stack(rows)

    def attention(self, slot: int) -> np.ndarray:
        source = self._sources[slot]
        assert source is not None
        return toy_attention(source, self._fed[slot])

    def copy(self, source: int, target: int, is_sibling: bool) -> None:
        self.num_copies += 1
        if is_sibling:
            assert self._sources[target] == self._sources[source], "no siblings"
        self._sources[target] = self._sources[source]
        self._fed[target] = self._fed[source]
