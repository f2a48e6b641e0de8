"""Aligned text to training examples: which pairs an epoch has, and how their text is cut into
pieces.

With sampling, every epoch cuts the text anew (Kudo 2018), and an epoch depends on its seed alone,
so that a run which is continued meets the same examples.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from training.aligned import AlignedText, CorpusError
from training.config import BOS_ID, EOS_ID, DataConfig
from training.denoise import corrupt
from training.tokenizer import Tokenizer


@dataclass(frozen=True)
class Example:
    """Token ids of one pair: `source` = tag, pieces, eos; `target` = bos, pieces, eos."""

    source: list[int]
    target: list[int]

    @property
    def length(self) -> int:
        """Tokens of the longer side."""
        return max(len(self.source), len(self.target))


Cut = dict[str, list[list[int]]]
"""The piece ids of every sentence, by language."""


class ExampleSource:
    """All pairs of `texts` in the recipe's directions, epoch after epoch."""

    def __init__(
        self, texts: Sequence[AlignedText], tokenizer: Tokenizer, data: DataConfig, max_length: int
    ) -> None:
        """`max_length` is the model's limit in tokens. Raises CorpusError where nothing is left."""
        self._texts = [text for text in texts for _ in range(text.times)]
        self._tokenizer = tokenizer
        self._data = data
        self._max_tokens = min(data.max_tokens, max_length)
        self._sampler = tokenizer.sampler(data.sampling_alpha)
        lengths = [example.length for example in self._make(self._best_cuts(), seed=0)]
        self.num_examples = sum(length <= self._max_tokens for length in lengths)
        """With every text cut in its most probable way."""
        self.num_too_long = len(lengths) - self.num_examples
        if not self.num_examples:
            names = ", ".join(text.name for text in texts)
            goals = ", ".join(data.directions + data.denoise)
            raise CorpusError(
                f"{names}: no example in {goals} has at most {self._max_tokens} tokens"
            )

    @functools.cached_property
    def examples(self) -> list[Example]:
        """All of them, with every text cut in its most probable way."""
        return self._keep_short(self._make(self._best_cuts(), seed=0))

    def epoch(self, seed: int) -> list[Example]:
        """The examples of one epoch; without sampling or corruption, the same ones each time."""
        if self._data.sampling_alpha == 0 and not self._data.denoise:
            return self.examples
        draws = random.Random(seed)
        is_sampled = self._data.sampling_alpha > 0
        cuts = [self._sample(t, draws) for t in self._texts] if is_sampled else self._best_cuts()
        return self._keep_short(self._make(cuts, seed))

    def _best_cuts(self) -> list[Cut]:
        return [
            {lang: self._tokenizer.encode(side) for lang, side in text.sides.items()}
            for text in self._texts
        ]

    def _sample(self, text: AlignedText, draws: random.Random) -> Cut:
        return {
            lang: [self._sampler.draw(sentence, draws) for sentence in side]
            for lang, side in text.sides.items()
        }

    def _make(self, cuts: list[Cut], seed: int) -> Iterator[Example]:
        draws = random.Random(seed)
        for text, sides in zip(self._texts, cuts, strict=True):
            yield from self._translations(text, sides)
            yield from self._restorations(sides, draws)

    def _translations(self, text: AlignedText, sides: Cut) -> Iterator[Example]:
        for direction, weight in self._data.weighted_directions().items():
            source, target = direction
            serves = text.direction in (None, direction)
            if serves and source in sides and target in sides:
                tag = self._tokenizer.tag(target)
                for s, t in zip(sides[source], sides[target], strict=True):
                    example = Example([tag, *s, EOS_ID], [BOS_ID, *t, EOS_ID])
                    for _ in range(weight):
                        yield example

    def _restorations(self, sides: Cut, draws: random.Random) -> Iterator[Example]:
        for language, weight in self._data.denoised_languages().items():
            for pieces in sides.get(language, []) * weight:
                corrupted = corrupt(pieces, self._data.mask_ratio, draws)
                tag = self._tokenizer.tag(language)
                yield Example([tag, *corrupted, EOS_ID], [BOS_ID, *pieces, EOS_ID])

    def _keep_short(self, examples: Iterable[Example]) -> list[Example]:
        return [example for example in examples if example.length <= self._max_tokens]
