"""Cuts what is too long for the model: at the end of a clause, else at a space, else anywhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from server.text.sentences import Document, Sentence, cut, is_translatable, trim, unwrapped

_CUTS = (
    re.compile(r"[.!?…;:)\]–—][\"'”’»]?\s|[。！？；：）]"),
    re.compile(r",\s|[，、]"),
    re.compile(r"\s"),
)
"""After what a sentence is cut, best first: a main clause, a clause or an item, a word."""
_JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""Joiners and variation selectors: they belong to the characters beside them."""


def shorten(document: Document, num_tokens: Callable[[str], int], max_tokens: int) -> Document:
    """`document` with every sentence cut near its middle, and its parts again, until `num_tokens`
    of each is at most `max_tokens`. A single character that has more stays.
    """
    shortened = [
        part
        for sentence in document.sentences
        for part in _parts(document.text, sentence, num_tokens, max_tokens)
    ]
    return Document(document.text, shortened)


def _parts(
    text: str, sentence: Sentence, num_tokens: Callable[[str], int], max_tokens: int
) -> Iterator[Sentence]:
    """In order; in a loop, as a sentence may be cut more often than Python may recurse."""
    waiting = [sentence]
    while waiting:
        part = waiting.pop()
        if num_tokens(part.text) <= max_tokens:
            yield part
            continue
        plain = unwrapped(text, part.start, part.end, part.wraps)
        middle = _cut_position(plain)
        if middle == len(plain):
            yield part
            continue
        spans = trim(plain, 0, middle), trim(plain, middle, len(plain))
        waiting += [
            cut(text, part.start + first, part.start + last, part.wraps, is_part=True)
            for first, last in reversed(spans)
            if is_translatable(plain[first:last])
        ]


def _cut_position(text: str) -> int:
    """Where `text` is best cut: at the best kind of place that there is in its middle half, as near
    to the middle as possible. Its end where it cannot be cut.
    """
    quarter, middle = len(text) // 4, (len(text) + 1) // 2
    for pattern in _CUTS:
        found = [m.end() for m in pattern.finditer(text, quarter, len(text) - quarter)]
        if found:
            return min(found, key=lambda position: abs(position - middle))
    while middle < len(text) and _is_joined(text[middle - 1], text[middle]):
        middle += 1
    return middle


def _is_joined(before: str, after: str) -> bool:
    """Whether two characters are one to the reader."""
    return bool(unicodedata.combining(after)) or after in _JOINERS or before in _JOINERS
