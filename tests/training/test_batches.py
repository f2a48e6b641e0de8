from __future__ import annotations

import random
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.tiny import random_examples
from training.batches import Batch, collate, make_batches, share_of_batch, shuffled_batches
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.examples import Example


@st.composite
def example_lists(draw: st.DrawFn) -> list[Example]:
    """Examples of lengths from 2 to 40, each recognisable by its own number."""
    lengths = st.tuples(st.integers(2, 40), st.integers(2, 40))
    return [
        Example([10 + i] * (source - 1) + [EOS_ID], [BOS_ID, *[10 + i] * (target - 2), EOS_ID])
        for i, (source, target) in enumerate(draw(st.lists(lengths, min_size=1, max_size=60)))
    ]


def epoch(examples: list[Example], batch_tokens: int, seed: int) -> list[Batch]:
    batches = shuffled_batches(examples, batch_tokens, 1, seed)
    return [collate(group) for batch in batches for group in batch]


def rows(batches: list[Batch]) -> Counter[tuple[int, ...]]:
    return Counter(tuple(row[row != PAD_ID].tolist()) for batch in batches for row in batch.source)


@given(example_lists(), st.integers(1, 200), st.integers(0, 1000))
def test_every_example_comes_exactly_once_an_epoch(
    examples: list[Example], batch_tokens: int, seed: int
) -> None:
    expected = Counter(tuple(e.source) for e in examples)
    assert rows(epoch(examples, batch_tokens, seed)) == expected
    assert rows(list(make_batches(examples, batch_tokens))) == expected


@given(example_lists(), st.integers(1, 200), st.integers(1, 6), st.integers(1, 5))
def test_the_shares_of_a_batch_are_the_batch(
    examples: list[Example], batch_tokens: int, num_groups: int, count: int
) -> None:
    for batch in shuffled_batches(examples, batch_tokens, num_groups, seed=1):
        shares = [share_of_batch(batch, i, count) for i in range(count)]
        dealt = Counter(id(e) for share in shares for group in share for e in group)
        assert dealt == Counter(id(e) for group in batch for e in group)
        # Each process computes as often as the others, for each waits for the others.
        assert len({len(share) for share in shares}) == 1


def test_groups_stay_whole_where_they_can_be_dealt_out() -> None:
    groups = [[Example([9], [BOS_ID, EOS_ID])] * 3 for _ in range(4)]
    assert share_of_batch(groups, 1, 2) == [groups[1], groups[3]]
    assert [len(group) for group in share_of_batch(groups, 0, 3)] == [1, 1, 1, 1]


@given(example_lists(), st.integers(1, 200), st.integers(1, 6))
def test_a_batch_of_groups_keeps_the_token_bound_of_the_batch(
    examples: list[Example], batch_tokens: int, num_groups: int
) -> None:
    for batch in shuffled_batches(examples, batch_tokens, num_groups, seed=1):
        assert 1 <= len(batch) <= num_groups
        padded = [len(group) * max(e.length for e in group) for group in batch if len(group) > 1]
        assert sum(padded) <= batch_tokens


def test_a_batch_mixes_lengths_that_its_groups_do_not() -> None:
    examples = [Example([5] * n, [5] * n) for n in range(5, 45) for _ in range(20)]

    def spread(lengths: list[int]) -> int:
        return max(lengths) - min(lengths)

    batches = shuffled_batches(examples, 400, 4, seed=1)
    groups = [spread([e.length for e in group]) for batch in batches for group in batch]
    whole = [spread([e.length for group in batch for e in group]) for batch in batches]
    assert max(groups) <= 2
    assert sum(whole) / len(whole) > 15


@given(example_lists(), st.integers(1, 200))
def test_a_batch_keeps_the_token_bound_unless_one_example_is_over_it(
    examples: list[Example], batch_tokens: int
) -> None:
    for batch in epoch(examples, batch_tokens, seed=1):
        longest = max(batch.source.size(1), batch.target_input.size(1) + 1)
        assert len(batch.source) * longest <= batch_tokens or len(batch.source) == 1


def test_batches_are_as_full_as_the_bound_allows() -> None:
    examples = [Example([5] * 10, [5] * 10)] * 40
    sizes = sorted(len(batch.source) for batch in epoch(examples, 85, seed=1))
    assert sizes == [8] * 5


def test_sentences_of_like_length_come_together() -> None:
    examples = random_examples(200)
    lengths = [Example(e.source, e.target).length for e in examples]
    random.Random(1).shuffle(examples)
    padded = sum(
        len(b.source) * max(b.source.size(1), b.target_input.size(1) + 1)
        for b in epoch(examples, 64, seed=1)
    )
    assert padded < 1.1 * sum(lengths)


def sources(seed: int) -> list[list[list[int]]]:
    return [batch.source.tolist() for batch in epoch(random_examples(50), 64, seed)]


def test_an_epoch_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    torch.manual_seed(1)
    first = sources(seed=7)
    torch.manual_seed(1)
    again = sources(seed=7)
    torch.manual_seed(1)
    other = sources(seed=8)
    assert first == again
    assert first != other


def test_the_company_of_a_sentence_differs_from_epoch_to_epoch() -> None:
    examples = random_examples(60)
    batches = [
        {frozenset(map(tuple, batch.source.tolist())) for batch in epoch(examples, 40, seed)}
        for seed in (1, 2)
    ]
    assert batches[0] != batches[1]


def test_the_input_is_the_output_shifted_right() -> None:
    batch = collate([Example([9, EOS_ID], [BOS_ID, 5, 6, EOS_ID]), Example([8], [BOS_ID, EOS_ID])])
    assert batch.target_input.tolist() == [[BOS_ID, 5, 6], [BOS_ID, EOS_ID, PAD_ID]]
    assert batch.target_output.tolist() == [[5, 6, EOS_ID], [EOS_ID, PAD_ID, PAD_ID]]
    assert batch.source.tolist() == [[9, EOS_ID], [8, PAD_ID]]


def test_padding_does_not_count_as_tokens() -> None:
    batch = collate([Example([9], [BOS_ID, 5, 6, EOS_ID]), Example([8], [BOS_ID, EOS_ID])])
    assert batch.num_tokens == 4
