"""Examples to token batches in groups: inside a group sentences of like length, so that little is
padding; in a batch groups of unlike lengths, so that no update learns one length's habits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import PAD_ID
from training.examples import Example


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

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        return Batch(
            self.source.to(device), self.target_input.to(device), self.target_output.to(device)
        )


def make_batches(examples: list[Example], batch_tokens: int) -> Iterator[Batch]:
    """All of `examples` once, for measuring: sorted by length, cut by tokens."""
    for group in _cut(sorted(examples, key=lambda example: example.length), batch_tokens):
        yield collate(group)


def shuffled_batches(
    examples: list[Example], batch_tokens: int, num_groups: int, seed: int
) -> list[list[list[Example]]]:
    """One epoch in an order given by `seed`: each item is one update's batch, up to `num_groups`
    groups that have at most `batch_tokens` together, padding counted, or one example each.

    Groups are cut from the sentences sorted by length, then shuffled.
    """
    order = random.Random(seed)
    # Random tie-breaking keeps the company of a sentence different in every epoch.
    ranked = sorted(examples, key=lambda example: (example.length, order.random()))
    groups = list(_cut(ranked, batch_tokens // num_groups))
    order.shuffle(groups)
    return [groups[i : i + num_groups] for i in range(0, len(groups), num_groups)]


def share_of_batch(batch: list[list[Example]], index: int, count: int) -> list[list[Example]]:
    """Part `index` of `count` like parts of `batch`: whole groups where they can be dealt out
    evenly, for small groups waste time, and a part of every group otherwise.
    """
    if len(batch) % count == 0:
        return batch[index::count]
    return [group[index::count] for group in batch]  # still of like lengths: a group is sorted


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
