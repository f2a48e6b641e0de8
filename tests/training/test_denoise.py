from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.config import UNK_ID
from training.denoise import corrupt

pieces = st.lists(st.integers(10, 99), min_size=1, max_size=60)


def is_subsequence(short: list[int], long: list[int]) -> bool:
    rest = iter(long)
    return all(item in rest for item in short)


@given(pieces, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_what_is_left_is_the_text_in_its_order(text: list[int], ratio: float, seed: int) -> None:
    corrupted = corrupt(text, ratio, random.Random(seed))
    kept = [piece for piece in corrupted if piece != UNK_ID]
    assert is_subsequence(kept, text)
    assert UNK_ID in corrupted
    assert len(kept) < len(text)


@given(pieces, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_no_more_is_hidden_than_the_share(text: list[int], ratio: float, seed: int) -> None:
    corrupted = corrupt(text, ratio, random.Random(seed))
    num_hidden = len(text) - sum(piece != UNK_ID for piece in corrupted)
    assert num_hidden <= max(1, round(ratio * len(text)))


@pytest.mark.parametrize("ratio", [0.15, 0.3, 0.5])
def test_about_the_share_is_hidden(ratio: float) -> None:
    draws = random.Random(1)
    text = list(range(100, 140))
    hidden = [40 - sum(p != UNK_ID for p in corrupt(text, ratio, draws)) for _ in range(300)]
    assert sum(hidden) / 300 / 40 == pytest.approx(ratio, rel=0.05)


def test_a_span_gives_way_to_one_token() -> None:
    draws = random.Random(1)
    found = [corrupt(list(range(100, 130)), 0.1, draws) for _ in range(300)]  # three are hidden
    in_one_span = [corrupted for corrupted in found if len(corrupted) == 28]
    assert len(in_one_span) > 100
    assert all(corrupted.count(UNK_ID) == 1 for corrupted in in_one_span)


def test_the_same_draws_corrupt_the_same_way() -> None:
    text = list(range(100, 130))
    first, second = (corrupt(text, 0.3, random.Random(7)) for _ in range(2))
    assert first == second != corrupt(text, 0.3, random.Random(8))
