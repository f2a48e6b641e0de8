"""Short texts from long ones: what sentences begin with, such as "Two dogs", beside what says the
same in another language.

A model that has only seen captions makes a caption of "A dog.". Words are aligned with IBM model 1
(Brown et al. 1993) that prefers the diagonal (Dyer et al. 2013), in both ways, of which the common
links count; phrases are what such links tie to each other and to nothing else (Och & Ney 2004).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from training.aligned import AlignedText

ITERATIONS = 5
"""Of expectation maximisation: model 1 changes little afterwards."""

DIAGONAL = 4.0
"""How much less likely a link is, in nats, from one end of a sentence to the other."""

MIN_COUNT, MIN_SHARE = 2, 0.3
"""How often a pair must have been seen, and how large a part of what either side was seen with."""

MIN_END_SHARE = 0.01
"""How often a word must end a sentence in order to end a phrase: "in", "a" and "is" do not."""

_WORD = re.compile(r"\w+(?:['’]\w*)?|[^\w\s]")  # l' and aujourd'hui are one


def extract_phrases(
    text: AlignedText, languages: tuple[str, str], max_words: int = 6
) -> list[tuple[str, str]]:
    """Pairs of phrases in the two languages, sorted; each with a full stop and without.

    Of all that a phrase was seen with, only what it was seen with most often.
    """
    sides = [[_WORD.findall(line) for line in text.sides[language]] for language in languages]
    rows = [(one, two) for one, two in zip(*sides, strict=True) if one and two]
    links = _common_links(rows)
    ends = [_ends([row[side] for row in rows]) for side in (0, 1)]
    counts = Counter(
        (" ".join(one), " ".join(two))
        for row, linked in zip(rows, links, strict=True)
        for one, two in _first_phrases(*row, linked, max_words)
        if one[-1] in ends[0] and two[-1] in ends[1]
    )
    return _as_texts(_most_frequent(counts))


def _common_links(rows: list[tuple[list[str], list[str]]]) -> list[set[tuple[int, int]]]:
    forward = _best_links(rows)
    backward = _best_links([(two, one) for one, two in rows])
    return [
        links & {(i, j) for j, i in others} for links, others in zip(forward, backward, strict=True)
    ]


def _best_links(rows: list[tuple[list[str], list[str]]]) -> list[set[tuple[int, int]]]:
    """For each row, (i, j): the first side's word i that best explains the second side's word j."""
    sizes = [(len(one), len(two)) for one, two in rows]
    one = _numbered(one for one, _ in rows)
    two = _numbered(two for _, two in rows)
    # All possible links of all rows, one after the other: row by row, word j by word j, i by i.
    first = np.concatenate([np.tile(a, len(b)) for a, b in zip(one, two, strict=True)])
    second = np.concatenate([np.repeat(b, len(a)) for a, b in zip(one, two, strict=True)])
    prior = np.concatenate([_diagonal(*size) for size in sizes])
    starts = np.concatenate([np.full(size[1], size[0]) for size in sizes])
    starts = np.concatenate([[0], np.cumsum(starts)[:-1]])
    kinds, kind = np.unique(first * (second.max() + 1) + second, return_inverse=True)
    word = kinds // (second.max() + 1)
    probability = np.ones(len(kinds))
    for _ in range(ITERATIONS):
        weight = prior * probability[kind]
        weight /= np.repeat(
            np.add.reduceat(weight, starts), np.diff(np.append(starts, len(weight)))
        )
        counts = np.bincount(kind, weight)
        probability = counts / np.bincount(word, counts)[word]
    return list(_links_by_row(prior * probability[kind], sizes))


def _numbered(sentences: Iterator[list[str]]) -> list[NDArray[np.int64]]:
    numbers: dict[str, int] = {}
    return [
        np.array([numbers.setdefault(word.lower(), len(numbers)) for word in words])
        for words in sentences
    ]


def _diagonal(num_first: int, num_second: int) -> NDArray[np.float64]:
    """exp(-DIAGONAL |i/I - j/J|), of shape [J * I]."""
    i = (np.arange(num_first) + 0.5) / num_first
    j = (np.arange(num_second) + 0.5) / num_second
    return np.exp(-DIAGONAL * np.abs(i[None, :] - j[:, None])).ravel()


def _links_by_row(
    weight: NDArray[np.float64], sizes: list[tuple[int, int]]
) -> Iterator[set[tuple[int, int]]]:
    position = 0
    for num_first, num_second in sizes:
        end = position + num_first * num_second
        best = weight[position:end].reshape(num_second, num_first).argmax(axis=1)
        yield {(int(i), j) for j, i in enumerate(best)}
        position = end


def _ends(sentences: list[list[str]]) -> set[str]:
    """The words that end sentences often enough, in the spelling that they have there."""
    seen = Counter(word for words in sentences for word in words)
    last = Counter(words[-2] for words in sentences if len(words) > 1 and words[-1] == ".")
    return {word for word, count in last.items() if count >= MIN_END_SHARE * seen[word]}


def _first_phrases(
    one: list[str], two: list[str], links: set[tuple[int, int]], max_words: int
) -> Iterator[tuple[list[str], list[str]]]:
    """The beginnings of both sentences that have no links but with each other, and end linked."""
    for length in range(1, min(max_words, len(one)) + 1):
        inside = [j for i, j in links if i < length]
        if not inside or not all(word[0].isalnum() for word in one[:length]):
            continue
        end = max(inside) + 1
        is_closed = all(i < length for i, j in links if j < end)
        is_tied = any(i == length - 1 for i, j in links)
        if is_closed and is_tied and all(word[0].isalnum() for word in two[:end]):
            yield one[:length], two[:end]


def _most_frequent(counts: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    of_first: Counter[str] = Counter()
    of_second: Counter[str] = Counter()
    for (one, two), count in counts.items():
        of_first[one] += count
        of_second[two] += count
    return sorted(
        (one, two)
        for (one, two), count in counts.items()
        if count >= MIN_COUNT
        and count >= MIN_SHARE * of_first[one]
        and count >= MIN_SHARE * of_second[two]
    )


def _as_texts(phrases: list[tuple[str, str]]) -> list[tuple[str, str]]:
    joined = [tuple(re.sub(r"(?<=['’]) ", "", side) for side in pair) for pair in phrases]
    return [(one + stop, two + stop) for one, two in joined for stop in ("", ".")]
