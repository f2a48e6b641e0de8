"""What a report says about text: how long its sentences are, which pieces they use, which
directions an epoch has. Knows nothing of models and of pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.aligned import AlignedText, CorpusError
from training.config import DataConfig
from training.corpus import load_corpus
from training.hygiene import clean
from training.tokenizer import Tokenizer

MAX_LINES = 100_000
"""Lines of a corpus that are cut into pieces; of a longer one, every second, third and so on."""
CHUNK_LINES = 10_000
MAX_BINS = 60
MAX_RANKS = 200
MAX_UNUSED = 300
SPECIAL = re.compile(r"<(pad|s|/s|unk|2[\w-]+|0x[0-9A-F]{2})>")
"""Pieces that no text spells: control symbols, language tags, single bytes."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Measure:
    """One text in numbers."""

    text: AlignedText
    stride: int
    """Every so many lines were cut."""
    lengths: dict[str, Counts]
    """Pieces of each line that was cut, by language."""
    uses: dict[str, Counts]
    """How often each piece of the vocabulary (V,) came, by language."""


@dataclass(frozen=True)
class Share:
    """How many examples of an epoch are of one kind."""

    name: str
    count: int
    weight: int
    fraction: float


@dataclass(frozen=True)
class Histogram:
    """Counts by sentence length in pieces; the last bin holds everything longer too."""

    starts: list[int]
    """First length of each bin."""
    series: dict[str, list[float]]
    """Share of the sentences in each bin, by name."""
    means: dict[str, float]


@dataclass(frozen=True)
class PieceShare:
    """The pieces that one language uses, as parts of all that could be used."""

    language: str
    num_alone: int
    """That no other language uses."""
    num_shared: int
    fraction_alone: float
    fraction_shared: float


@dataclass(frozen=True)
class Vocabulary:
    """Which pieces the text uses, and how often."""

    num_pieces: int
    """All but tags and other control symbols, and bytes."""
    num_used: int
    unused: list[str]
    """The first of those never used."""
    ranks: list[int]
    uses: list[int]
    pieces: list[str]
    """Rank, number of uses and spelling of some pieces, evenly apart on a logarithmic scale."""
    shares: list[PieceShare]


def load_texts(
    names: Sequence[str], data: DataConfig, part: str, is_cleaned: bool = False
) -> tuple[list[AlignedText], list[str]]:
    """The corpora that can be read, and what was wrong with the others."""
    texts, problems = [], []
    for name in names:
        try:
            text = load_corpus(name, data, part)
            texts.append(clean(text, data)[0] if is_cleaned else text)
        except (CorpusError, OSError) as error:
            problems.append(str(error))
    return texts, problems


def measure(text: AlignedText, tokenizer: Tokenizer) -> Measure:
    """Cuts `text` into its most probable pieces and counts them."""
    stride = max(1, -(-len(text) // MAX_LINES))
    lengths, uses = {}, {}
    for language, side in text.sides.items():
        lines = side[::stride]
        total = np.zeros(tokenizer.vocabulary_size, np.int64)
        sizes: list[int] = []
        for start in range(0, len(lines), CHUNK_LINES):
            cut = tokenizer.encode(lines[start : start + CHUNK_LINES])
            sizes += map(len, cut)
            ids = np.fromiter((i for line in cut for i in line), np.int64)
            total += np.bincount(ids, minlength=len(total))
        lengths[language], uses[language] = np.array(sizes, np.int64), total
    return Measure(text, stride, lengths, uses)


def direction_shares(texts: Sequence[AlignedText], data: DataConfig) -> list[Share]:
    """What an epoch holds, before over-long examples go: translations, then restored sentences."""
    rows = []
    for direction, weight in data.weighted_directions().items():
        count = sum(len(text) * text.times for text in texts if _serves(text, direction))
        rows.append((" → ".join(direction), count * weight, weight))
    for language, weight in data.denoised_languages().items():
        count = sum(len(text) * text.times for text in texts if language in text.sides)
        rows.append((f"{language}, restored", count * weight, weight))
    total = sum(count for _, count, _ in rows)
    return [Share(name, count, weight, count / max(1, total)) for name, count, weight in rows]


def _serves(text: AlignedText, direction: tuple[str, str]) -> bool:
    has_both = all(language in text.sides for language in direction)
    return has_both and text.direction in (None, direction)


def side_lengths(measures: Sequence[Measure], data: DataConfig) -> Histogram | None:
    """Lengths of sources and targets, each direction by its weight."""
    sides: dict[str, list[Counts]] = {"source": [], "target": []}
    for found in measures:
        for direction, weight in data.weighted_directions().items():
            if _serves(found.text, direction):
                for name, language in zip(sides, direction, strict=True):
                    sides[name] += [found.lengths[language]] * (weight * found.text.times)
    return _histogram(sides)


def language_lengths(measures: Sequence[Measure]) -> Histogram | None:
    """Lengths by language."""
    languages: dict[str, list[Counts]] = {}
    for found in measures:
        for language, lengths in found.lengths.items():
            languages.setdefault(language, []).append(lengths)
    return _histogram(languages)


def _histogram(parts: dict[str, list[Counts]]) -> Histogram | None:
    joined = {name: np.concatenate(found) for name, found in parts.items() if found}
    lengths = {name: found for name, found in joined.items() if found.size}
    if not lengths:
        return None
    longest = int(np.percentile(np.concatenate(list(lengths.values())), 99.5)) + 1
    width = -(-longest // MAX_BINS)
    starts = list(range(0, longest + 1, width))
    series = {}
    for name, found in lengths.items():
        bins = np.minimum(found // width, len(starts) - 1)
        shares = np.bincount(bins, minlength=len(starts)) / found.size
        series[name] = [round(share, 5) for share in shares.tolist()]
    means = {name: float(found.mean()) for name, found in lengths.items()}
    return Histogram(starts, series, means)


def vocabulary(measures: Sequence[Measure], tokenizer: Tokenizer) -> Vocabulary | None:
    """Which pieces the texts use."""
    uses: dict[str, Counts] = {}
    for found in measures:
        for language, counts in found.uses.items():
            uses[language] = uses.get(language, np.zeros_like(counts)) + counts
    if not uses:
        return None
    pieces = tokenizer.pieces
    ordinary = np.array([SPECIAL.fullmatch(piece) is None for piece in pieces])
    total = np.where(ordinary, np.sum(list(uses.values()), axis=0), 0)
    order = np.argsort(-total, kind="stable")
    num_used = int((total > 0).sum())
    chosen = _spread_logarithmically(num_used)
    unused = np.flatnonzero(ordinary & (total == 0))
    return Vocabulary(
        num_pieces=int(ordinary.sum()),
        num_used=num_used,
        unused=[pieces[i] for i in unused[:MAX_UNUSED]],
        ranks=[rank + 1 for rank in chosen],
        uses=[int(total[order[rank]]) for rank in chosen],
        pieces=[pieces[order[rank]] for rank in chosen],
        shares=_piece_shares(uses, ordinary),
    )


def _spread_logarithmically(count: int) -> list[int]:
    if count == 0:
        return []
    points = np.geomspace(1, count, min(count, MAX_RANKS)).round().astype(int) - 1
    return sorted(set(points.tolist()))


def _piece_shares(uses: dict[str, Counts], ordinary: NDArray[np.bool_]) -> list[PieceShare]:
    is_used = {language: (counts > 0) & ordinary for language, counts in uses.items()}
    num_languages = np.sum(list(is_used.values()), axis=0)
    total = max(1, int(ordinary.sum()))
    shares = []
    for language, used in is_used.items():
        alone = int((used & (num_languages == 1)).sum())
        shared = int(used.sum()) - alone
        shares.append(PieceShare(language, alone, shared, alone / total, shared / total))
    return shares
