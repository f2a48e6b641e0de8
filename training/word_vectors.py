"""Embeddings that start from word vectors: a word2vec text file, skip-gram or CBOW (Mikolov et al.
2013).
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor

from training.aligned import CorpusError

WORD_START = "\u2581"
"""How SentencePiece marks a piece that begins a word."""


def read_word_vectors(path: Path, wanted: set[str], d_model: int) -> dict[str, Tensor]:
    """The vectors, float (D,), of those words of `path` that are `wanted`.

    The format: a line `NUMBER_OF_WORDS D`, then a line `WORD x_1 ... x_D` a word. Raises
    CorpusError naming the line of another form, or D where the model's is another.
    """
    vectors: dict[str, Tensor] = {}
    try:
        with path.open(encoding="utf-8", errors="strict", newline="\n") as file:
            _check_header(path, file.readline(), d_model)
            for number, line in zip(itertools.count(2), file, strict=False):
                word, *numbers = line.rstrip().split(" ")
                if word in wanted:
                    vectors[word] = _vector(path, number, numbers, d_model)
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: {error}") from error
    return vectors


def _check_header(path: Path, line: str, d_model: int) -> None:
    fields = line.split()
    if len(fields) != 2 or not all(field.isdecimal() for field in fields):
        raise CorpusError(f"{path}, line 1: {line.strip()!r} is not `NUMBER_OF_WORDS DIMENSIONS`")
    if int(fields[1]) != d_model:
        raise CorpusError(f"{path}: vectors of {fields[1]} numbers, model.d_model is {d_model}")


def _vector(path: Path, number: int, numbers: list[str], d_model: int) -> Tensor:
    try:
        vector = torch.tensor([float(value) for value in numbers])
    except ValueError as error:
        raise CorpusError(f"{path}, line {number}: {error}") from error
    if len(vector) != d_model or not vector.isfinite().all():
        raise CorpusError(f"{path}, line {number}: not {d_model} finite numbers")
    return vector


@torch.no_grad()
def start_from_word_vectors(embedding: Tensor, pieces: list[str], path: Path) -> int:
    """Replaces the rows of `embedding`, float (V, D), whose piece is a whole word that `path` has,
    scaled to the spread of the rows that were there. Returns how many.
    """
    words = {
        piece.removeprefix(WORD_START): i for i, piece in enumerate(pieces) if WORD_START in piece
    }
    vectors = read_word_vectors(path, set(words), embedding.size(1))
    if not vectors:
        raise CorpusError(f"{path}: covers no token of the vocabulary")
    found = torch.stack(list(vectors.values()))  # (number covered, D)
    found *= embedding.std() / found.std().clamp_min(1e-12)
    embedding[[words[word] for word in vectors]] = found.to(embedding)
    return len(vectors)
