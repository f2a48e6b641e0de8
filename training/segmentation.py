"""Text cut into pieces in varying ways (subword regularisation, Kudo 2018), reproducibly.

SentencePiece's own sampling draws from a generator that two processes never agree on. Its pieces
do not cross spaces, though, so a text's segmentations are those of its words: here each word's
likeliest ones are asked for once, and drawn from with a generator of the caller's.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from itertools import accumulate

import sentencepiece

from training.config import UNK_ID

NUM_SEGMENTATIONS = 16
"""Of a word, the likeliest; the rest of its probability is small."""


@dataclass(frozen=True)
class _Word:
    """A word's segmentations, as ids, the likeliest first."""

    segmentations: list[list[int]]
    cumulative_weights: list[float]


class SegmentationSampler:
    """Draws each word's segmentation with probability ~ p^alpha among its likeliest."""

    def __init__(self, processor: sentencepiece.SentencePieceProcessor, alpha: float) -> None:
        self._processor = processor
        self._alpha = alpha
        self._words: dict[str, _Word] = {}

    def draw(self, text: str, draws: random.Random) -> list[int]:
        """The ids of `text` in one of its segmentations."""
        ids: list[int] = []
        for spelled in self._processor.normalize(text).replace("\u2581", " ").split(" "):
            if not spelled:
                continue
            word = self._word(spelled)
            if len(word.segmentations) == 1:
                ids += word.segmentations[0]
            else:
                ids += draws.choices(word.segmentations, cum_weights=word.cumulative_weights)[0]
        return ids

    def _word(self, spelled: str) -> _Word:
        word = self._words.get(spelled)
        if word is None:
            word = self._words[spelled] = self._look_up(spelled)
        return word

    def _look_up(self, spelled: str) -> _Word:
        best = self._processor.encode(spelled)
        found = self._processor.nbest_encode(spelled, nbest_size=NUM_SEGMENTATIONS)
        others = [ids for ids in found if ids != best and UNK_ID not in ids]
        if best not in found:  # its characters are spelled in bytes: there is no other way
            return _Word([best], [1.0])
        segmentations = [best, *others]
        scores = [sum(map(self._processor.get_score, ids)) for ids in segmentations]
        weights = [math.exp(self._alpha * (s - scores[0])) for s in scores]
        return _Word(segmentations, list(accumulate(weights)))
