"""What a report shows of the model at work: translations beside their references, and where each
head looks while it writes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sacrebleu.metrics import CHRF
from torch import Tensor

from training.aligned import AlignedText
from training.attention import attention_maps
from training.config import BOS_ID, EOS_ID, DataConfig
from training.evaluate import translate_ids
from training.model import Transformer
from training.tokenizer import Tokenizer

MAX_SAMPLES = 48
"""Sentences that are translated over all directions, but at least the least number in each."""
SAMPLES_A_DIRECTION = range(3, 9)
MAX_MAPS = 6
"""Sentences whose attention is drawn, where none are asked for."""
READABLE_PIECES, NEIGHBOURS = 12, 50
"""Pieces that a source drawn unasked should have, and the lines that it is chosen from."""
MAX_WEIGHTS = 600_000
"""Attention weights in a report: at most about 2 MB."""

PUNCTUATION = r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u205e\u3001-\u303f"
IDEOGRAPHS = r"\u3040-\u30ff\u3400-\u9fff"
WORD = re.compile(rf"\s+|[^\s{PUNCTUATION}{IDEOGRAPHS}]+|.", re.DOTALL)
"""Spaces, a word, or one character of punctuation or of a script without spaces."""


@dataclass(frozen=True)
class Span:
    """A part of a sentence, and whether the other sentence lacks it there."""

    text: str
    is_different: bool


@dataclass(frozen=True)
class Sample:
    """One sentence of the validation text."""

    direction: tuple[str, str]
    source: str
    reference: list[Span]
    translation: list[Span]
    chrf: float


@dataclass(frozen=True)
class AttentionSample:
    """Where each head looks: weights in thousandths, row by row, as [layer][head][query * keys]."""

    direction: tuple[str, str]
    source: str
    translation: str
    source_pieces: list[str]
    target_pieces: list[str]
    """What the decoder reads, from the beginning of the sentence on, and what it writes last."""
    encoder: list[list[list[int]]]
    decoder: list[list[list[int]]]
    cross: list[list[list[int]]]


Request = tuple[str, tuple[str, str]]
"""A source text and its direction."""


class Samples:
    """Translates with `model`, sentence by sentence as a reader would ask for them."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer, data: DataConfig) -> None:
        self._model = model
        self._tokenizer = tokenizer
        pairs = [name.partition("-") for name in data.learned_directions()]
        self._directions = [(source, target) for source, _, target in pairs]

    def translated(self, text: AlignedText) -> list[Sample]:
        """Some pairs of `text` in each direction, greedily translated."""
        most, least = SAMPLES_A_DIRECTION[-1], SAMPLES_A_DIRECTION[0]
        count = min(most, max(least, MAX_SAMPLES // max(1, len(self._directions))))
        samples = []
        for source, target in self._directions:
            if source not in text.sides or target not in text.sides:
                continue
            pairs = list(zip(text.sides[source], text.sides[target], strict=True))
            pairs = [pair for pair in _spread(pairs, count) if self._fits(pair[0], target)]
            translations = self._translate([pair[0] for pair in pairs], target)
            for pair, translation in zip(pairs, translations, strict=True):
                samples.append(_sample((source, target), *pair, translation))
        return samples

    def readable(self, text: AlignedText) -> list[Request]:
        """Sources of `text` whose maps are neither trivial nor large, of several directions."""
        requests: dict[Request, None] = {}
        directions = [d for d in self._directions if d[0] in text.sides][:MAX_MAPS]
        for index in range(MAX_MAPS if directions else 0):
            source, target = directions[index % len(directions)]
            start = index * len(text) // MAX_MAPS
            lines = text.sides[source][start : start + NEIGHBOURS]
            lengths = [abs(len(ids) - READABLE_PIECES) for ids in self._tokenizer.encode(lines)]
            if lines:
                requests[lines[lengths.index(min(lengths))], (source, target)] = None
        return list(requests)

    def attended(self, requests: Sequence[Request]) -> tuple[list[AttentionSample], list[str]]:
        """The maps of `requests`, and what was wrong with those that have none."""
        samples, problems, num_weights = [], [], 0
        for text, direction in requests:
            if not self._fits(text, direction[1]):
                limit = self._model.config.max_length
                problems.append(f"“{_short(text)}” is longer than the model's {limit} tokens")
                continue
            source = self._tokenizer.encode_source(text, direction[1])
            target = [BOS_ID, *translate_ids(self._model, [source])[0], EOS_ID]
            target = target[: self._model.config.max_length + 1]
            more = self._num_weights(len(source), len(target) - 1)
            if num_weights + more > MAX_WEIGHTS:
                problems.append(f"“{_short(text)}” would make this page too large")
                continue
            num_weights += more
            samples.append(self._attend(text, direction, source, target))
        return samples, problems

    def _attend(
        self, text: str, direction: tuple[str, str], source: list[int], target: list[int]
    ) -> AttentionSample:
        maps, pieces = attention_maps(self._model, source, target[:-1]), self._tokenizer.pieces
        return AttentionSample(
            direction=direction,
            source=text,
            translation=self._tokenizer.decode(target),
            source_pieces=[pieces[i] for i in source],
            target_pieces=[pieces[i] for i in target],
            encoder=_thousandths(maps.encoder),
            decoder=_thousandths(maps.decoder),
            cross=_thousandths(maps.cross),
        )

    def _num_weights(self, num_source: int, num_target: int) -> int:
        shape = self._model.config
        encoder = shape.num_encoder_layers * num_source**2
        decoder = shape.num_decoder_layers * num_target * (num_target + num_source)
        return shape.num_heads * (encoder + decoder)

    def _translate(self, texts: list[str], target_language: str) -> list[str]:
        sources = [self._tokenizer.encode_source(text, target_language) for text in texts]
        return [self._tokenizer.decode(ids) for ids in translate_ids(self._model, sources)]

    def _fits(self, text: str, target_language: str) -> bool:
        source = self._tokenizer.encode_source(text, target_language)
        return len(source) <= self._model.config.max_length


def _thousandths(weights: Tensor) -> list[list[list[int]]]:
    rounded: list[list[list[int]]] = (weights * 1000).round().int().flatten(2).tolist()
    return rounded


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"


def _spread(pairs: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    return [pairs[i * len(pairs) // count] for i in range(count)] if len(pairs) > count else pairs


def _sample(direction: tuple[str, str], source: str, reference: str, translation: str) -> Sample:
    expected, found = differences(reference, translation)
    chrf = round(float(CHRF().sentence_score(translation, [reference]).score), 1)
    return Sample(direction, source, expected, found, chrf)


def differences(reference: str, translation: str) -> tuple[list[Span], list[Span]]:
    """Both sentences as spans: those words differ that are not in their order in the other one."""
    words = [WORD.findall(text) for text in (reference, translation)]
    solid = [[i for i, word in enumerate(side) if not word.isspace()] for side in words]
    sides = [[side[i] for i in kept] for side, kept in zip(words, solid, strict=True)]
    matcher = difflib.SequenceMatcher(None, sides[0], sides[1], autojunk=False)
    same: tuple[set[int], set[int]] = (set(), set())
    for block in matcher.get_matching_blocks():
        same[0].update(solid[0][block.a : block.a + block.size])
        same[1].update(solid[1][block.b : block.b + block.size])
    return _spans(words[0], same[0]), _spans(words[1], same[1])


def _spans(words: list[str], same: set[int]) -> list[Span]:
    """Neighbours alike become one span; space between two different words is different too."""
    flags = [i not in same and not word.isspace() for i, word in enumerate(words)]
    for i in range(1, len(words) - 1):
        if words[i].isspace():
            flags[i] = flags[i - 1] and flags[i + 1]
    spans: list[Span] = []
    for word, flag in zip(words, flags, strict=True):
        if spans and spans[-1].is_different == flag:
            spans[-1] = Span(spans[-1].text + word, flag)
        else:
            spans.append(Span(word, flag))
    return spans
