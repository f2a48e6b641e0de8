"""Text to length-bucketed token batches: sentences of like length together, so that little is
padding.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import PAD_ID
from training.corpus import ParallelText
from training.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """Token ids of one pair: `source` = tag, pieces, eos; `target` = bos, pieces, eos."""

    source: list[int]
    target: list[int]

    @property
    def length(self) -> int:
        """Tokens of the longer side."""
        return max(len(self.source), len(self.target))


@dataclass(frozen=True)
class Batch:
    """Padded ids: `source` int64 (B, S); `target_input` and `target_output` int64 (B, T), shifted
    by one.
    """

    source: Tensor
    target_input: Tensor
    target_output: Tensor

    @property
    def num_tokens(self) -> int:
        """Target tokens that count in the loss."""
        return int((self.target_output != PAD_ID).sum())


def tokenize(
    text: ParallelText,
    tokenizer: Tokenizer,
    languages: tuple[str, str],
    directions: tuple[str, ...],
) -> list[Example]:
    """Every pair of `text` in every direction."""
    examples = []
    for direction in directions:
        target_language = direction.split("-")[1]
        is_forward = target_language == languages[1]
        sides = (text.source, text.target) if is_forward else (text.target, text.source)
        for source, target in zip(*sides, strict=True):
            ids = tokenizer.encode_source(source, target_language)
            examples.append(Example(ids, tokenizer.encode_target(target)))
    return examples


def drop_long(examples: list[Example], max_tokens: int) -> list[Example]:
    """The examples with at most `max_tokens` on both sides."""
    return [example for example in examples if example.length <= max_tokens]


def make_batches(examples: list[Example], batch_tokens: int, seed: int) -> Iterator[Batch]:
    """One epoch in an order given by `seed`: shuffled, sorted by length, cut by tokens, batches
    shuffled.
    """
    order = random.Random(seed)
    # Random tie-breaking keeps the company of a sentence different in every epoch.
    ranked = sorted(examples, key=lambda example: (example.length, order.random()))
    groups = list(_cut(ranked, batch_tokens))
    order.shuffle(groups)
    for group in groups:
        yield collate(group)


def _cut(ranked: list[Example], batch_tokens: int) -> Iterator[list[Example]]:
    group: list[Example] = []
    for example in ranked:
        if group and (len(group) + 1) * example.length > batch_tokens:
            yield group
            group = []
        group.append(example)
    if group:
        yield group


def collate(examples: list[Example]) -> Batch:
    """Pads `examples` to one batch."""
    source = _pad([example.source for example in examples])  # (B, S)
    target = _pad([example.target for example in examples])  # (B, T + 1)
    return Batch(source, target[:, :-1], target[:, 1:])


def _pad(rows: list[list[int]]) -> Tensor:
    padded = torch.full((len(rows), max(map(len, rows))), PAD_ID)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = torch.tensor(row)
    return padded
