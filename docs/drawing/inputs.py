"""Measures what goes into a trained Transformer and what becomes of it: the model as an
auto-encoder, its embeddings, its positions.

Results are numbers and tensors; how they are written or drawn is decided elsewhere.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

import torch
from sacrebleu.metrics import CHRF
from torch import Tensor, nn

from docs.drawing.ablations import changed
from docs.drawing.sample import CONCEPTS, SENTENCE_LANGUAGE, SENTENCES, WORD_BEGIN, Sample
from training.config import EOS_ID
from training.denoise import corrupt

NUM_POSITIONS = 64
"""Of the table of positions, as many as figures show and means are over."""


@dataclass(frozen=True)
class Reconstruction:
    """What one language's sentences become, chrF against themselves, 0 to 100."""

    copied: float
    """Asked for in their own language."""
    num_copied: int
    """Of those, the ones that came back as they were."""
    num_in_language: int
    """Of those, the ones nearer to the sentence than to any translation of it."""
    restored: float
    """Asked for in their own language, with pieces hidden."""
    corrupted: float
    """Hidden pieces, and no model."""
    returned: float
    """Translated into another language and back."""
    other: float
    """Left in that other language: what sharing letters and names is worth."""


@cache
def reconstructions(sample: Sample) -> dict[str, Reconstruction]:
    """By language: the model as an auto-encoder of its own languages."""
    texts = {SENTENCE_LANGUAGE: list(SENTENCES)}
    for language in sample.config.data.languages:
        if language != SENTENCE_LANGUAGE:
            texts[language] = ask(sample, list(SENTENCES), language)
    return {
        language: _reconstruct(sample, texts, language) for language in sample.config.data.languages
    }


def _reconstruct(sample: Sample, texts: dict[str, list[str]], language: str) -> Reconstruction:
    own = texts[language]
    pivot = sample.target_language if language == SENTENCE_LANGUAGE else SENTENCE_LANGUAGE
    copied = ask(sample, own, language)
    nearest = [
        max(texts, key=lambda code: chrf([answer], [texts[code][i]]))
        for i, answer in enumerate(copied)
    ]
    draws, tag = random.Random(0), sample.tokenizer.tag(language)
    ratio = sample.config.data.mask_ratio
    holes = [corrupt(pieces, ratio, draws) for pieces in sample.tokenizer.encode(own)]
    restored = sample.translate([[tag, *pieces, EOS_ID] for pieces in holes])
    corrupted = [sample.tokenizer.decode(pieces) for pieces in holes]
    return Reconstruction(
        copied=chrf(copied, own),
        num_copied=sum(a == b for a, b in zip(copied, own, strict=True)),
        num_in_language=nearest.count(language),
        restored=chrf(restored, own),
        corrupted=chrf(corrupted, own),
        returned=chrf(ask(sample, ask(sample, own, pivot), language), own),
        other=chrf(texts[pivot], own),
    )


def ask(sample: Sample, texts: list[str], language: str) -> list[str]:
    """The model's answers to `texts` under the tag of `language`."""
    return sample.translate([sample.tokenizer.encode_source(text, language) for text in texts])


def chrf(hypotheses: list[str], references: list[str]) -> float:
    """Corpus chrF (Popovic 2015) by sacrebleu."""
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def known_words(sample: Sample) -> list[list[tuple[str, int]]]:
    """Of each concept that two of the model's languages have as one piece: words and their ids."""
    rows = []
    for concept in CONCEPTS:
        words = [concept[code] for code in sample.config.data.languages if code in concept]
        row = [(word, found) for word in words if (found := sample.word_id(word)) is not None]
        if len(row) > 1:
            rows.append(row)
    return rows


def embedding_cosines(sample: Sample, ids: list[int]) -> Tensor:
    """Cosines of the embeddings of `ids` with every row, float (len(ids), V)."""
    table = nn.functional.normalize(sample.model.embedding.words.weight.detach(), dim=-1)  # (V, D)
    return table[ids] @ table.T


def concept_cosines(sample: Sample) -> tuple[float, float]:
    """Mean cosine of two words for one concept, and of two words for different ones."""
    rows = known_words(sample)
    ids = [found for row in rows for _, found in row]
    concept = torch.tensor([i for i, row in enumerate(rows) for _ in row])
    cosines = embedding_cosines(sample, ids)[:, ids]  # (N, N)
    is_same = concept[:, None] == concept
    is_pair = ~torch.eye(len(ids), dtype=torch.bool)
    return float(cosines[is_same & is_pair].mean()), float(cosines[~is_same].mean())


def neighbours(sample: Sample, token: int, count: int) -> list[str]:
    """The words nearest to `token` by cosine: pieces that begin a word and have two letters."""
    pieces = sample.tokenizer.pieces
    ranked = embedding_cosines(sample, [token])[0].argsort(descending=True).tolist()
    words = [i for i in ranked if pieces[i][0] == WORD_BEGIN and pieces[i][2:].isalpha()]
    return sample.spell([i for i in words if i != token][:count])


def position_table(sample: Sample) -> Tensor:
    """Encodings of the first positions, float (NUM_POSITIONS, D)."""
    table: Tensor = sample.model.embedding.positions(torch.arange(NUM_POSITIONS))
    return table.detach()


def position_cosines(sample: Sample) -> Tensor:
    """Mean cosine of two positions by their distance, from 0 on, float (NUM_POSITIONS,)."""
    table = nn.functional.normalize(position_table(sample), dim=-1)
    cosines = table @ table.T
    return torch.stack([cosines.diagonal(distance).mean() for distance in range(NUM_POSITIONS)])


@torch.inference_mode()
def shuffle_effects(sample: Sample) -> tuple[float, float]:
    """How far the memory of a shuffled source is from the shuffled memory of the source, relative
    to the memory: without positions, and with them. Means over the sample.
    """
    draws = torch.Generator().manual_seed(0)
    orders = [torch.randperm(len(pair.source), generator=draws) for pair in sample.pairs]

    def effect() -> float:
        differences = []
        for pair, order in zip(sample.pairs, orders, strict=True):
            source = torch.tensor([pair.source])
            memory, shuffled = memory_of(sample, source), memory_of(sample, source[:, order])
            differences.append(float((memory[:, order] - shuffled).norm() / memory.norm()))
        return sum(differences) / len(differences)

    with changed([sample.model.embedding.positions], torch.zeros_like):
        without_positions = effect()
    return without_positions, effect()


def memory_of(sample: Sample, source: Tensor) -> Tensor:
    """The encoder's output for `source` int64 (B, S), float (B, S, D)."""
    return sample.model.encode(source, sample.model.padding_mask(source))
