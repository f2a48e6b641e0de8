"""A runner without a model: it follows each row's script, and shows how the engine drives it."""

from __future__ import annotations

import numpy as np

VOCABULARY = 100
EOS = 2


class FakeRunner:
    """Row behaviour is read off the source: [n] gives n - 1 times token 10 + n % 50, then ends.

    The state of a slot goes where `copy` takes it, so a scheduler that moves rows wrongly makes
    wrong text.
    """

    def __init__(self, num_slots: int = 4) -> None:
        self.num_slots = num_slots
        self.remaining = [0] * num_slots
        self.word = [0] * num_slots
        self.batch_sizes: list[int] = []
        self.num_copies = 0
        self.fails_at_step = -1

    def encode(self, sources: list[list[int]], slots: list[int]) -> None:
        assert len(set(slots)) == len(slots)
        for source, slot in zip(sources, slots, strict=True):
            self.remaining[slot] = source[0]
            self.word[slot] = 10 + source[0] % 50

    def decode_step(self, tokens: list[int]) -> np.ndarray:
        if len(self.batch_sizes) == self.fails_at_step:
            raise RuntimeError("the runner broke, as this test wants")
        self.batch_sizes.append(len(tokens))
        logits = np.zeros((len(tokens), VOCABULARY), np.float32)
        for slot in range(len(tokens)):
            self.remaining[slot] -= 1
            logits[slot, EOS if self.remaining[slot] <= 0 else self.word[slot]] = 1.0
        return logits

    def attention(self, slot: int) -> np.ndarray:
        return np.ones(1, np.float32)

    def copy(self, source: int, target: int, is_sibling: bool) -> None:
        self.num_copies += 1
        self.remaining[target] = self.remaining[source]
        self.word[target] = self.word[source]


def expected_tokens(length: int) -> list[int]:
    return [10 + length % 50] * (length - 1)
