"""What the pages about the Transformer look at: a few sentences, a checkpoint's own translations of
them, and every attention weight on the way.

It knows nothing of pages, figures or formats.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from training.attention import AttentionMaps, attention_maps
from training.checkpoint import load_model
from training.config import Config
from training.evaluate import translate_ids
from training.model import Transformer
from training.tokenizer import Tokenizer

SENTENCES = (
    "A little girl in a red dress is playing with a dog in the park.",
    "Two men are repairing the roof of an old house.",
    "A woman reads a book on the beach.",
    "A boy in a blue shirt jumps over a small stream.",
    "Several people are waiting for the bus in front of a shop.",
    "An old man with a white beard is sitting on a bench.",
    "A brown dog runs through the snow with a ball in its mouth.",
    "Three children are building a castle out of sand.",
    "A young man is playing the guitar on a street corner.",
    "Two women in black coats are crossing a busy road.",
    "A chef is preparing food in the kitchen of a restaurant.",
    "A group of friends is having a picnic under a large tree.",
    "A man on a bicycle is riding along the river.",
    "The children are looking at a big fish in the water.",
    "A woman with long hair is taking a picture of a building.",
    "A football player in a green jersey kicks the ball.",
)
"""Captions of our own, in English; the first is the one that figures show."""

SENTENCE_LANGUAGE = "en"

CONCEPTS = (
    {"en": "dog", "de": "Hund", "fr": "chien", "cs": "pes"},
    {"en": "woman", "de": "Frau", "fr": "femme", "cs": "žena"},
    {"en": "man", "de": "Mann", "fr": "homme", "cs": "muž"},
    {"en": "water", "de": "Wasser", "fr": "eau", "cs": "voda"},
    {"en": "two", "de": "zwei", "fr": "deux", "cs": "dva"},
    {"en": "street", "de": "Straße", "fr": "rue", "cs": "ulice"},
    {"en": "snow", "de": "Schnee", "fr": "neige", "cs": "sníh"},
    {"en": "red", "de": "roten", "fr": "rouge", "cs": "červené"},
)
"""One idea a row, in every language that a bundled model has had."""


WORD_BEGIN = "\N{LOWER ONE EIGHTH BLOCK}"
"""SentencePiece's sign before a word."""


@dataclass(frozen=True)
class Pair:
    """One sentence and the model's greedy translation of it."""

    source: list[int]
    """Tag, pieces, end of sentence: S ids."""
    target: list[int]
    """Beginning of sentence and pieces, what the decoder reads: T ids."""
    maps: AttentionMaps


@dataclass(frozen=True, eq=False)
class Sample:
    """A checkpoint, and what it does with SENTENCES."""

    model: Transformer
    tokenizer: Tokenizer
    config: Config
    target_language: str
    pairs: list[Pair]

    def translate(self, sources: list[list[int]]) -> list[str]:
        """Greedy translations of `sources`, token ids with tag and end."""
        return [self.tokenizer.decode(ids) for ids in translate_ids(self.model, sources)]

    def spell(self, ids: list[int]) -> list[str]:
        """Each of `ids` as a label: a piece without the sign of its word's beginning."""
        pieces = self.tokenizer.pieces
        return [pieces[i].replace(WORD_BEGIN, "") or "_" for i in ids]

    def word_id(self, word: str) -> int | None:
        """The id of the piece that is all of `word`, or None where several pieces make it."""
        found = self.tokenizer.piece_id(WORD_BEGIN + word)
        return found if self.tokenizer.pieces[found] == WORD_BEGIN + word else None


@cache
def read_sample(checkpoint: Path) -> Sample:
    """Loads `checkpoint`, the tokenizer beside it, and translates SENTENCES into the first other
    language that the model has. Raises CheckpointError.
    """
    model, stored = load_model(checkpoint)
    tokenizer = Tokenizer(checkpoint.parent / "tokenizer.model")
    languages = stored.config.data.languages
    target_language = next(code for code in languages if code != SENTENCE_LANGUAGE)
    sources = [tokenizer.encode_source(text, target_language) for text in SENTENCES]
    pairs = []
    for source, translation in zip(sources, translate_ids(model, sources), strict=True):
        target = [model.config.bos_id, *translation]
        pairs.append(Pair(source, target, attention_maps(model, source, target)))
    return Sample(model, tokenizer, stored.config, target_language, pairs)


def pad(rows: list[list[int]], pad_id: int) -> Tensor:
    """`rows` of token ids as one batch, int64 (B, length of the longest)."""
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=pad_id)
