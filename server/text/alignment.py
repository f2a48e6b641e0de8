"""Attention of target tokens to source tokens, as links between tokens and between words."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.text.tokenizer import Span, TokenizedText


@dataclass(frozen=True)
class TokenLink:
    """The source token that a target token attends to most."""

    source: int
    target: int
    weight: float
    """Its share of the attention, 0 to 1."""


@dataclass(frozen=True)
class Alignment:
    """Links of one translation."""

    source_pieces: list[str]
    links: list[TokenLink]
    """One a target token, in their order; a link to a special source token means "nothing"."""
    words: str
    """Pharaoh format: "0-0 1-2", source word and target word, counted from 0, words being what
    white space separates.
    """


def align(
    source: TokenizedText, target: TokenizedText, attention: Sequence[npt.NDArray[np.float32]]
) -> Alignment:
    """Alignment by the most attended source token; `attention` float32 (S,) for each target token.

    Punctuation links no words: it attends to whatever it pleases.
    """
    links = []
    for position, weights in enumerate(attention):
        best = int(np.argmax(weights))
        links.append(TokenLink(best, position, float(weights[best])))
    source_words, target_words = _words(source), _words(target)
    pairs = {
        (source_words[link.source], target_words[link.target])
        for link in links
        if link.target < len(target_words)
    }
    words = sorted((s, t) for s, t in pairs if s is not None and t is not None)
    return Alignment(source.pieces, links, " ".join(f"{s}-{t}" for s, t in words))


def _words(tokenized: TokenizedText) -> list[int | None]:
    """For each token the index of the word it belongs to; None for special tokens and
    punctuation.
    """
    text = tokenized.text
    word_at, word = [], -1
    for i, character in enumerate(text):
        is_start = not character.isspace() and (i == 0 or text[i - 1].isspace())
        word += is_start
        word_at.append(word)
    return [_word(text, word_at, span) for span in tokenized.spans]


def _word(text: str, word_at: list[int], span: Span) -> int | None:
    begin, end = span
    if begin == end and (begin == len(text) or (begin, end) == (0, 0)):
        return None
    while begin < len(text) and text[begin].isspace():
        begin += 1
    surface = text[begin : max(end, begin + 1)]
    if not surface or all(unicodedata.category(c).startswith("P") for c in surface):
        return None
    return word_at[begin]
