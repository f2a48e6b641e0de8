from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.aligned import CorpusError
from training.word_vectors import read_word_vectors, start_from_word_vectors

PIECES = ["<pad>", "\u2581dog", "\u2581cat", "ing", "\u2581runs", "\u2581"]


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    return write(tmp_path / "v.txt", "3 2", "dog 1.0 2.0", "runs -3 0.5", "ing 9 9")


def test_covered_tokens_start_from_their_vectors_and_the_rest_stays(vectors: Path) -> None:
    embedding = torch.randn(6, 2)
    before = embedding.clone()
    assert start_from_word_vectors(embedding, PIECES, vectors) == 2
    scale = embedding[1, 0] / 1.0
    torch.testing.assert_close(embedding[1], scale * torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(embedding[4], scale * torch.tensor([-3.0, 0.5]))
    assert torch.equal(embedding[[0, 2, 3, 5]], before[[0, 2, 3, 5]])  # `ing` is no whole word


def test_vectors_are_scaled_to_the_spread_of_the_embedding(vectors: Path) -> None:
    embedding = 0.01 * torch.randn(6, 2)
    spread = embedding.std()
    start_from_word_vectors(embedding, PIECES, vectors)
    torch.testing.assert_close(embedding[[1, 4]].std(), spread)


def test_only_what_is_wanted_is_kept(vectors: Path) -> None:
    assert read_word_vectors(vectors, {"dog"}, 2).keys() == {"dog"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["dog 1 2"], "line 1: 'dog 1 2' is not `NUMBER_OF_WORDS DIMENSIONS`"),
        (["1 3", "dog 1 2 3"], "vectors of 3 numbers, model.d_model is 2"),
        (["1 2", "dog 1"], "line 2: not 2 finite numbers"),
        (["1 2", "dog 1 nan"], "line 2: not 2 finite numbers"),
        (["1 2", "dog 1 x"], "line 2: could not convert string to float: 'x'"),
        (["1 2", "bird 1 2"], "covers no token of the vocabulary"),
    ],
)
def test_another_form_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    path = write(tmp_path / "v.txt", *lines)
    with pytest.raises(CorpusError) as caught:
        start_from_word_vectors(torch.zeros(6, 2), PIECES, path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"none\.txt"):
        read_word_vectors(tmp_path / "none.txt", {"dog"}, 2)
