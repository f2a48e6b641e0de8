"""Puts marks around the words of a translation that come from the words they were around."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from attendant.cli.marks import Pair
from attendant.translation import TranslatedSentence, Translation

Span = tuple[int, int]

_WORD = re.compile(r"\S+")


class NowhereError(Exception):
    """The alignment does not say where a pair of marks belongs."""


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the translation."""

    span: Span
    """Where it lies there."""

    sources: tuple[Span, ...]
    """Where the words that it comes from lie in the text."""

    sentence: Span
    """Where their sentence lies in the text."""


def place(text: str, translation: Translation, pairs: Sequence[Pair]) -> str:
    """Returns the translation of `text`, split into sentences with alignments, with its pairs.

    Raises NowhereError where those do not help: no word comes from those that a pair was around,
    or one comes from those of two pairs.
    """
    words = [
        word for each in translation.sentences for word in _words(text, translation.text, each)
    ]
    return _Placer(text, translation.text, words).place(pairs, (0, len(translation.text)))


def _words(text: str, translated: str, sentence: TranslatedSentence) -> Iterator[_Word]:
    hypotheses = sentence.translation.hypotheses
    if not hypotheses or hypotheses[0].alignment is None:
        raise NowhereError
    sources = _spans(text, sentence.source)
    links = [tuple(map(int, link.split("-"))) for link in hypotheses[0].alignment.words.split()]
    for number, span in enumerate(_spans(translated, sentence.target)):
        found = [sources[s] for s, t in links if t == number and s < len(sources)]
        yield _Word(span, tuple(found), sentence.source)


def _spans(text: str, sentence: Span) -> list[Span]:
    """Where the words of a sentence lie in the text."""
    return [match.span() for match in _WORD.finditer(text, *sentence)]


class _Placer:
    """Places the pairs of one text."""

    def __init__(self, text: str, translated: str, words: Sequence[_Word]) -> None:
        self._text = text
        self._translated = translated
        self._words = words

    def place(self, pairs: Sequence[Pair], within: Span) -> str:
        """Returns a part of the translation with the pairs that belong there."""
        found = [(self._find(pair, within), pair) for pair in pairs]
        pieces, position = [], within[0]
        for span, pair in sorted(found, key=lambda each: each[0]):
            if span[0] < position:
                raise NowhereError
            pieces += [self._translated[position : span[0]], pair.opening]
            pieces += [self.place(pair.inner, span), pair.closing]
            position = span[1]
        return "".join([*pieces, self._translated[position : within[1]]])

    def _find(self, pair: Pair, within: Span) -> Span:
        """Where the words lie that come from within the pair only or, without such, also."""
        words = [word for word in self._words if _overlap(word.span, within)]
        row = _longest_row(words, pair, _comes_only_from) or _longest_row(words, pair, _comes_from)
        if not row:
            raise NowhereError
        span = max(row[0].span[0], within[0]), min(row[-1].span[1], within[1])
        return self._trim(span, self._text[pair.start : pair.end].strip())

    def _trim(self, span: Span, source: str) -> Span:
        """Leaves out punctuation at the edges, unless the pair was around such as well."""
        start, end = span
        if not _is_punctuation(source[0]):
            while start < end and _is_punctuation(self._translated[start]):
                start += 1
        if not _is_punctuation(source[-1]):
            while start < end and _is_punctuation(self._translated[end - 1]):
                end -= 1
        if start == end:
            raise NowhereError
        return start, end


def _longest_row(
    words: Sequence[_Word], pair: Pair, belongs: Callable[[_Word, Pair], bool]
) -> list[_Word]:
    """The most words that belong to the pair without one between them that comes from elsewhere."""
    rows: list[list[_Word]] = [[]]
    for word in words:
        if belongs(word, pair):
            rows[-1].append(word)
        elif word.sources and not _comes_from(word, pair):
            rows.append([])
    return max(rows, key=len)


def _comes_only_from(word: _Word, pair: Pair) -> bool:
    return _comes_from(word, pair) and all(
        _overlap(s, (pair.start, pair.end)) for s in word.sources
    )


def _comes_from(word: _Word, pair: Pair) -> bool:
    if pair.start <= word.sentence[0] and word.sentence[1] <= pair.end:
        return True
    return any(_overlap(source, (pair.start, pair.end)) for source in word.sources)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")
