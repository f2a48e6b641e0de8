from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training.tiny import make_tokenizer, random_examples
from training.batches import Example, collate, drop_long, make_batches, tokenize
from training.config import BOS_ID, EOS_ID, PAD_ID
from training.corpus import ParallelText
from training.tokenizer import language_tag


@st.composite
def example_lists(draw: st.DrawFn) -> list[Example]:
    """Examples of lengths from 2 to 40, each recognisable by its own number."""
    lengths = st.tuples(st.integers(2, 40), st.integers(2, 40))
    return [
        Example([10 + i] * (source - 1) + [EOS_ID], [BOS_ID, *[10 + i] * (target - 2), EOS_ID])
        for i, (source, target) in enumerate(draw(st.lists(lengths, min_size=1, max_size=60)))
    ]


def rows(examples: list[Example], batch_tokens: int, seed: int) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(row[row != PAD_ID].tolist())
        for batch in make_batches(examples, batch_tokens, seed)
        for row in batch.source
    )


@given(example_lists(), st.integers(1, 200), st.integers(0, 1000))
def test_every_example_comes_exactly_once_an_epoch(
    examples: list[Example], batch_tokens: int, seed: int
) -> None:
    assert rows(examples, batch_tokens, seed) == Counter(tuple(e.source) for e in examples)


@given(example_lists(), st.integers(1, 200))
def test_a_batch_keeps_the_token_bound_unless_one_example_is_over_it(
    examples: list[Example], batch_tokens: int
) -> None:
    for batch in make_batches(examples, batch_tokens, seed=1):
        longest = max(batch.source.size(1), batch.target_input.size(1) + 1)
        assert len(batch.source) * longest <= batch_tokens or len(batch.source) == 1


def test_batches_are_as_full_as_the_bound_allows() -> None:
    examples = [Example([5] * 10, [5] * 10)] * 40
    sizes = sorted(len(batch.source) for batch in make_batches(examples, 85, seed=1))
    assert sizes == [8] * 5


def test_sentences_of_like_length_come_together() -> None:
    examples = random_examples(200)
    lengths = [Example(e.source, e.target).length for e in examples]
    random.Random(1).shuffle(examples)
    padded = sum(
        len(b.source) * max(b.source.size(1), b.target_input.size(1) + 1)
        for b in make_batches(examples, 64, seed=1)
    )
    assert padded < 1.1 * sum(lengths)


def sources(seed: int) -> list[list[list[int]]]:
    return [batch.source.tolist() for batch in make_batches(random_examples(50), 64, seed)]


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
        {frozenset(map(tuple, batch.source.tolist())) for batch in make_batches(examples, 40, seed)}
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


def test_the_longer_side_decides_what_is_too_long() -> None:
    examples = [Example([5] * 3, [5] * 9), Example([5] * 9, [5] * 3), Example([5] * 8, [5] * 8)]
    assert drop_long(examples, 8) == examples[2:]


@pytest.mark.parametrize("directions", [("en-de",), ("de-en",), ("en-de", "de-en")])
def test_each_direction_has_its_tag_and_its_sides(
    tmp_path: Path, directions: tuple[str, ...]
) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer.model")
    text = ParallelText("pairs", ["a dog"], ["ein Hund"])
    examples = tokenize(text, tokenizer, ("en", "de"), directions)
    sides = {"en-de": ("a dog", "ein Hund"), "de-en": ("ein Hund", "a dog")}
    assert len(examples) == len(directions)
    for direction, example in zip(directions, examples, strict=True):
        source, target = sides[direction]
        assert example.source[0] == tokenizer.piece_id(language_tag(direction[-2:]))
        assert tokenizer.decode(example.source) == source
        assert tokenizer.decode(example.target) == target
