"""A text as sentences and the gaps between them, which joined give the text back to the letter."""

from __future__ import annotations

import itertools
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from server.text.boundaries import BoundaryFinder
from server.text.lines import Flow, find_flows, is_unspaced
from server.text.tokenizer import Span

_INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069"
"""Byte order marks, zero-width spaces and marks of direction."""
_OF_EMOJI = "\u200d\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
"""What pictures are joined and coloured with."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text, or a part of one."""

    start: int
    end: int
    """Where it lies, in characters of the text."""
    text: str
    """What the model reads: what lies there, but for line breaks of a wrapped paragraph, which are
    spaces.
    """
    wraps: tuple[Span, ...] = ()
    """Those line breaks, in characters of the text."""
    is_part: bool = False
    """Whether it is a piece of a sentence that was too long for the model."""


@dataclass(frozen=True)
class Document:
    """A text and its sentences, in order."""

    text: str
    sentences: list[Sentence]

    @property
    def gaps(self) -> list[str]:
        """What is before, between and after the sentences: white space, markers, and whatever has
        no letters. One more than there are sentences.
        """
        edges = [0, *itertools.chain(*((s.start, s.end) for s in self.sentences)), len(self.text)]
        return [self.text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def split(text: str, language: str, most: int | None = None) -> Document:
    """The sentences of `text`, which is in `language`; `most` ends the search after so many.

    None is without a letter, begins or ends with white space, or crosses a line break, other than
    one of a wrapped paragraph: server/text/lines.py says what that is.
    """
    finder = BoundaryFinder(language)
    found = (sentence for flow in find_flows(text) for sentence in _in_flow(text, flow, finder))
    return Document(text, list(itertools.islice(found, most)))


def whole(text: str) -> Document:
    """`text` as one sentence, as it is."""
    return Document(text, [Sentence(0, len(text), text)] if text.strip() else [])


def _in_flow(text: str, flow: Flow, finder: BoundaryFinder) -> Iterator[Sentence]:
    plain = unwrapped(text, flow.start, flow.end, flow.wraps)
    starts = [0, *finder.starts(plain), len(plain)]
    for start, end in itertools.pairwise(starts):
        first, last = trim(plain, start, end)
        if is_translatable(plain[first:last]):
            yield cut(text, flow.start + first, flow.start + last, flow.wraps)


def unwrapped(text: str, start: int, end: int, wraps: tuple[Span, ...]) -> str:
    """text[start:end] with its wraps blank, so that positions in it stay what they are."""
    pieces, position = [], start
    for wrap_start, wrap_end in wraps:
        pieces += [text[position:wrap_start], " " * (wrap_end - wrap_start)]
        position = wrap_end
    return "".join([*pieces, text[position:end]])


def cut(
    text: str, start: int, end: int, wraps: tuple[Span, ...], is_part: bool = False
) -> Sentence:
    """The sentence that lies there in `text`; `wraps` are in order, and some may lie elsewhere."""
    inside = wraps[bisect_left(wraps, (start, 0)) : bisect_left(wraps, (end, 0))]
    words, position = "", start
    for wrap_start, wrap_end in inside:
        words += text[position:wrap_start]
        words += "" if _belongs_together(text, wrap_start, wrap_end) else " "
        position = wrap_end
    return Sentence(start, end, words + text[position:end], inside, is_part)


def trim(text: str, start: int, end: int) -> Span:
    """The part of text[start:end] without what there is nothing to translate of at its edges: white
    space, invisible characters and pictures.
    """
    while start < end and _is_edge(text[start]):
        start += 1
    while start < end and _is_edge(text[end - 1]):
        end -= 1
    return start, end


def _is_edge(character: str) -> bool:
    if character < "\u2000":
        return character.isspace()
    is_picture = unicodedata.category(character) == "So" or character in _OF_EMOJI
    return is_picture or character.isspace() or character in _INVISIBLE


def _belongs_together(text: str, start: int, end: int) -> bool:
    """Whether the words around a wrap belong together: a word cut at its hyphen, or East Asian
    characters.
    """
    before, after = text[max(0, start - 2) : start], text[end]
    is_hyphenated = before[-1] == "-" and before[0].isalpha()
    return is_hyphenated or is_unspaced(before[-1]) or is_unspaced(after)


def is_translatable(piece: str) -> bool:
    """Whether there is a letter outside addresses of the web and of mailboxes."""
    return any(any(map(str.isalpha, word)) and not _is_address(word) for word in piece.split())


def _is_address(word: str) -> bool:
    return word.isascii() and ("://" in word or "@" in word or word.startswith("www."))
