"""Documents: passages to translate, and all that lies between them, which stays."""

import itertools
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from attendant.cli.formats.unit import Unit
from attendant.cli.lines import Line

Span = tuple[int, int]
"""The first character of a part of a document, and the one after its last."""

_FIRST_UNSPACED = "\u2e80"
"""From here on are the scripts of East Asia, which put no spaces between words."""


@dataclass(frozen=True, slots=True)
class Style:
    """What a format makes of its passages."""

    marks: re.Pattern[str]
    """What within a text is no language, and must be the same in its translation."""

    escape: Callable[[str, str], str] = lambda line, source: line
    """Makes a line of a translation harmless; `source` is the text that was translated."""

    rest_of_gap: Callable[[str], str] = lambda gap: ""
    """What stays of what stood between two lines that have become one."""


class Document:
    """The lines of an input as one text."""

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines = list(lines)
        sources = [line.text + line.end for line in self.lines]
        self.text = "".join(sources)
        self.starts = list(itertools.accumulate(map(len, sources), initial=0))
        """Where each line begins; at last, where the text ends."""

    def cut(self, passages: Iterable[Sequence[Span]], style: Style) -> Iterator[Unit]:
        """Yields each passage as a unit, and what lies before, between and after them.

        A passage is the lines of one text, in order, each without what is not to be translated.
        One without a letter is none.
        """
        position = 0
        for spans in passages:
            start, end = spans[0][0], spans[-1][1]
            passage = self._passage(spans, style)
            if not any(map(str.isalpha, passage.text)):
                continue
            if position < start:
                yield Unit(self._place(position), self.text[position:start])
            source = self.text[start:end]
            yield Unit(self._place(start), source, passage.text, passage.render, style.marks)
            position = end
        if position < len(self.text):
            yield Unit(self._place(position), self.text[position:])

    def _place(self, position: int) -> str:
        return self.lines[bisect_right(self.starts, position) - 1].place

    def _passage(self, spans: Sequence[Span], style: Style) -> "_Passage":
        lines = [self.text[start:end] for start, end in spans]
        gaps = [self.text[a[1] : b[0]] for a, b in itertools.pairwise(spans)]
        return _Passage(tuple(lines), tuple(gaps), style)


@dataclass(frozen=True, slots=True)
class _Passage:
    """Lines that are one text, and what stands between them."""

    lines: tuple[str, ...]
    gaps: tuple[str, ...]
    style: Style

    @property
    def text(self) -> str:
        return " ".join(self.lines)

    def render(self, translation: str) -> str:
        """Breaks the translation into as many lines, where it has the spaces for it."""
        lines = self._lines(translation)
        pieces = [lines[0]]
        for gap, line in itertools.zip_longest(self.gaps, lines[1:]):
            pieces.append(self.style.rest_of_gap(gap) if line is None else gap + line)
        return "".join(pieces)

    def _lines(self, translation: str) -> Sequence[str]:
        if translation == self.text:
            return self.lines
        lines = wrap(one_paragraph(translation).strip(), self.lines)
        return [self.style.escape(line, self.text) for line in lines]


def one_paragraph(text: str) -> str:
    """Returns the text without line breaks: a blank line would end what it stands in."""
    return text.replace("\r", " ").replace("\n", " ")


def wrap(text: str, like: Sequence[str]) -> list[str]:
    """Breaks a text into lines that have about the same shares of it as those of `like` have.

    Breaks replace spaces; a text with too few of them comes back in fewer lines, and none is blank
    unless the text is. What those lines, joined with spaces, say comes back as those lines.
    """
    length = sum(map(len, like)) + len(like) - 1
    lines, position, end = [], 0, -1
    for line in like[:-1]:
        end += len(line) + 1
        first_word = len(text) - len(text[position:].lstrip(" "))
        found = _break(text, end * len(text) // length, first_word + 1)
        if found is None:
            break
        lines.append(text[position : found[0]])
        position = found[1]
    return [*lines, text[position:]]


def _break(text: str, wanted: int, least: int) -> Span | None:
    """The space nearest to `wanted`, from `least` on; in a text without spaces of a script that has
    none, that very place.
    """
    found = [text.rfind(" ", least, wanted + 1), text.find(" ", max(wanted, least))]
    spaces = [space for space in found if space >= 0]
    if spaces:
        space = min(spaces, key=lambda space: abs(space - wanted))
        return space, space + 1
    if " " in text or wanted < least or wanted >= len(text) or max(text) < _FIRST_UNSPACED:
        return None
    return wanted, wanted
