"""Which lines of a text belong together: a paragraph that somebody wrapped is one flow of words,
the lines of a list, an address or a poem are one each.

A line break inside a flow is a wrap: it stands for a space. A paragraph, lines that follow each
other without a blank line, a marker or a deeper indentation between them, counts as wrapped if

- its longest line has 50 to 120 columns, East Asian characters counting two,
- each of its lines but the last is full, so that the next line's first word would not have fitted
  into the longest, or else ends a sentence, and
- it is no verse: of four lines or more, one begins with something other than a capital letter.

The breaks after its full lines are wraps then. Every other line break stays a break.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from server.text.tokenizer import Span

MIN_COLUMNS = 50
"""Below it are poems, addresses and subtitles, whose lines end where they are meant to."""
MAX_COLUMNS = 120
"""Above it nobody wraps: such lines are paragraphs."""
MIN_VERSE_LINES = 4
WIDE_WORD_COLUMNS = 6
"""What may be missing in a full line of East Asian text: a character, and punctuation that must not
begin a line.
"""

_BREAKS = "\n\r\v\f\x1c-\x1e\x85\u2028\u2029"
"""What str.splitlines splits at, as a set of a pattern."""
_LINE = re.compile(f"[^{_BREAKS}]+")
_ONE_BREAK = re.compile(f"\r\n|[{_BREAKS}]")
_LETTER = re.compile(r"[^\W\d_]")
_OPENING = re.compile(
    r"""
    (?P<quotes>(?:\s*>)*)                                       # an e-mail's, or Markdown's
    \s*
    (?P<marker>
      (?: (?:[-*+]\s+|[•‣◦▪●○·]\s*){1,4}                        # of a list
        | (?P<dash>[–—]\s+)                                     # of speech
        | (?P<hashes>\#{1,6}\s+)                                # of a heading
        | (?P<number>\d{1,3})\.\s+
        | (?:\(?\d{1,3}|\(?[A-Za-z]|\(?[ivxlc]{2,5})\)\s+
      )?
      (?:\[[ xX]\]\s+)?                                         # of a task
    )
    """,
    re.VERBOSE,
)
"""What a line begins with."""
_NUMBERED = re.compile(r"[\s>]*(\d{1,3})\.\s")
_EAST_ASIAN = (
    "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\U00020000-\U0003ffff"
)
_WIDE = re.compile(f"[\u1100-\u115f\uac00-\ud7a3{_EAST_ASIAN}]")
_UNSPACED = re.compile(f"[{_EAST_ASIAN}]")
_CELL = re.compile(r"[^\t]+")
_TABLE_CELL = re.compile(r"[^\t|]+")
_ENDING = re.compile(r"""[.!?…:。！？：]["'»“”’)\]」』]{0,3}$""")


@dataclass(frozen=True)
class Flow:
    """A part of a text that is read on end."""

    start: int
    end: int
    wraps: tuple[Span, ...] = ()
    """Line breaks that stand for spaces, with the white space and quote marks around them."""


@dataclass(frozen=True)
class _Line:
    """A line that has letters."""

    line: str
    begin: int
    """Where it begins in the whole text."""
    first: int
    """Where its words begin in it, after indentation and markers."""
    last: int
    """And where they end."""
    opening: re.Match[str]
    is_first: bool
    """Whether it begins a paragraph, by a marker or after a blank line."""

    @cached_property
    def text(self) -> str:
        return self.line[self.first : self.last]

    @property
    def start(self) -> int:
        return self.begin + self.first

    @property
    def end(self) -> int:
        return self.begin + self.last

    @cached_property
    def quotes(self) -> str:
        return "".join(self.opening["quotes"].split())

    @property
    def indent(self) -> int:
        return self.first - self.opening.end("quotes")

    @property
    def columns(self) -> int:
        return _columns(self.line[: self.last])

    @cached_property
    def is_alone(self) -> bool:
        """Whether it is a paragraph of its own: a heading or a row of a table."""
        return self.opening["hashes"] is not None or self.is_row

    @cached_property
    def is_row(self) -> bool:
        return self.text.startswith("|") or "\t" in self.text


def find_flows(text: str) -> Iterator[Flow]:
    """The flows of `text`, in order: they hold its letters. Between them are white space, markers
    and lines without letters.
    """
    paragraph: list[_Line] = []
    for line in _lines(text):
        if paragraph and not _goes_on(paragraph, line):
            yield from _flows(paragraph)
            paragraph = []
        paragraph.append(line)
    yield from _flows(paragraph)


def _lines(text: str) -> Iterator[_Line]:
    numbered = (_NUMBERED.match(line.group()) for line in _LINE.finditer(text))
    numbers = {int(match[1]) for match in numbered if match}
    last_end, is_after_end = 0, True
    for found in _LINE.finditer(text):
        begin, line = found.start(), found.group()
        opening = _OPENING.match(line)
        assert opening is not None  # every part of it may be empty
        is_next = _ONE_BREAK.fullmatch(text, last_end, begin) is not None
        has_marker = _has_marker(opening, numbers, is_after_end or not is_next)
        start = opening.end() if has_marker else opening.start("marker")
        if _LETTER.search(line, start):
            yield _Line(line, begin, start, len(line.rstrip()), opening, has_marker or not is_next)
            last_end, is_after_end = begin + len(line), _ENDING.search(line.rstrip()) is not None


def _has_marker(opening: re.Match[str], numbers: set[int], is_after_end: bool) -> bool:
    """Whether what looks like a marker is one: "3." is with a "2." or "4." in the text, and else
    part of a date; a dash is where no sentence is interrupted.
    """
    if opening["number"]:
        number = int(opening["number"])
        return number - 1 in numbers or number + 1 in numbers
    if opening["dash"]:
        return is_after_end
    return bool(opening["marker"])


def _goes_on(paragraph: list[_Line], line: _Line) -> bool:
    """Whether `line` belongs to the paragraph: its first line may be indented more or less."""
    last = paragraph[-1]
    if line.is_first or line.is_alone or last.is_alone or line.quotes != last.quotes:
        return False
    return line.indent == last.indent or (len(paragraph) == 1 and line.indent < last.indent)


def _flows(paragraph: list[_Line]) -> Iterator[Flow]:
    if len(paragraph) == 1 and paragraph[0].is_row:
        yield from _cells(paragraph[0])
        return
    width = _wrapped_width(paragraph)
    run: list[_Line] = []
    for line, after in itertools.zip_longest(paragraph, paragraph[1:]):
        run.append(line)
        if after is None or width is None or not _is_full(line, after, width):
            wraps = [(a.end, b.start) for a, b in itertools.pairwise(run)]
            yield Flow(run[0].start, line.end, tuple(wraps))
            run = []


def _cells(row: _Line) -> Iterator[Flow]:
    pattern = _TABLE_CELL if row.text.startswith("|") else _CELL
    for cell in pattern.finditer(row.text):
        yield Flow(row.start + cell.start(), row.start + cell.end())


def _wrapped_width(paragraph: list[_Line]) -> int | None:
    """The width that a paragraph was wrapped to; None where it was not."""
    widths = [line.columns for line in paragraph if " " in line.text or not line.text.isascii()]
    width = max(widths, default=0)
    if len(paragraph) < 2 or not MIN_COLUMNS <= width <= MAX_COLUMNS or _is_verse(paragraph):
        return None
    for line, after in itertools.pairwise(paragraph):
        if not _is_full(line, after, width) and not _ENDING.search(line.text):
            return None
    return width


def _is_full(line: _Line, after: _Line, width: int) -> bool:
    """Whether the first word of the line after would not have fitted."""
    if is_unspaced(after.text):
        return line.columns + WIDE_WORD_COLUMNS > width
    return line.columns + 1 + _columns(after.text.split(maxsplit=1)[0]) > width


def _is_verse(paragraph: list[_Line]) -> bool:
    if len(paragraph) < MIN_VERSE_LINES:
        return False
    firsts = [_LETTER.search(line.text) for line in paragraph]
    return all(first is not None and first.group().isupper() for first in firsts)


def is_unspaced(character: str) -> bool:
    """Whether it is of a script without spaces between words, Chinese or Japanese."""
    return _UNSPACED.match(character) is not None


def _columns(text: str) -> int:
    return len(text) if text.isascii() else len(text) + len(_WIDE.findall(text))
