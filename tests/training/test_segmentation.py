from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.tiny import SENTENCES, make_tokenizer
from training.tokenizer import Tokenizer

LINES = [line for pair in SENTENCES for line in pair]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")


def drawn(tokenizer: Tokenizer, alpha: float, seed: int, line: str, count: int) -> list[list[int]]:
    sampler, draws = tokenizer.sampler(alpha), random.Random(seed)
    return [sampler.draw(line, draws) for _ in range(count)]


@given(text=st.text(max_size=40), seed=st.integers(0, 99))
def test_every_segmentation_spells_the_text(tokenizer: Tokenizer, text: str, seed: int) -> None:
    (best,) = tokenizer.encode([text])
    for ids in drawn(tokenizer, 0.1, seed, text, 3):
        assert tokenizer.decode(ids) == tokenizer.decode(best)


@given(text=st.text(max_size=40))
def test_a_large_alpha_is_the_most_probable_segmentation(tokenizer: Tokenizer, text: str) -> None:
    assert drawn(tokenizer, 1e6, 1, text, 1) == tokenizer.encode([text])


def test_segmentations_come_as_often_as_they_are_likely(tokenizer: Tokenizer) -> None:
    score = tokenizer._processor.get_score
    counts = Counter(map(tuple, drawn(tokenizer, 0.5, 1, "schreibt", 20_000)))
    first, second = (ids for ids, _ in counts.most_common(2))
    odds = 0.5 * (sum(map(score, first)) - sum(map(score, second)))
    assert counts[first] / counts[second] == pytest.approx(2.718281828**odds, rel=0.1)


def test_a_small_alpha_varies_more(tokenizer: Tokenizer) -> None:
    variety = [
        sum(len({tuple(ids) for ids in drawn(tokenizer, alpha, 1, line, 50)}) for line in LINES)
        for alpha in (0.9, 0.1)
    ]
    assert variety[1] > 1.5 * variety[0]


def test_the_same_seed_draws_the_same_in_any_process(tokenizer: Tokenizer, tmp_path: Path) -> None:
    again = make_tokenizer(tmp_path / "tokenizer.model")
    for line in LINES:
        assert drawn(tokenizer, 0.2, 7, line, 3) == drawn(again, 0.2, 7, line, 3)
