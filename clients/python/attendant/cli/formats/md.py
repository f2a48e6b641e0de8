"""Markdown: prose is translated, paragraph by paragraph; everything else stays to the letter.

markdown-it-py says which lines are prose. Code, HTML, front matter, the targets of links and
definitions of them are none, and neither are the marks of headings, lists, quotes and tables.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from attendant.cli.formats.document import Document, Span, Style
from attendant.cli.formats.extra import needs
from attendant.cli.formats.unit import Unit
from attendant.cli.lines import Line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MARKS = re.compile(
    r"""
    (?P<ticks>(?<!`)`+(?!`)).+?(?<!`)(?P=ticks)(?!`)      # code
  | \\[!-/:-@\[-`{-~]                                     # a character that is no mark
  | &(?:\#\d+|\#[xX][0-9a-fA-F]+|[A-Za-z]\w*);            # a character by its name
  | !\[[^\[\]]*\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\[\]]*\])?   # an image
  | \[\^[^\[\]\s]+\]:?                                    # a footnote
  | \[(?=!\[|[^\[\]]+\][(\[])                             # where the text of a link begins
  | \]\([^()]*(?:\([^()]*\)[^()]*)*\) | \]\[[^\[\]]*\]    # where it ends, and the link's target
  | \[[^\[\]]+\](?![(\[])                                 # a link that is its own target
  | <!--.*?--> | <[A-Za-z/!?][^<>]*>                      # HTML, an address
  | (?:https?://|www\.)[^\s<>]*[^\s<>?!.,:*_~'")\]]       # an address
  | \*++(?=\S) | (?<=\S)\*++ | (?<!\w)_++(?=\S) | (?<=\S)_++(?!\w) | ~~    # emphasis
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK = re.compile(
    r"""
    \ * (?:
        (?: [-+*] | \#{1,6} | \d{1,9}[.)] )(?=\s|$)           # a list, a heading
      | >                                                     # a quote
      | = (?= =*\ *$ ) | - (?= -*\ *$ )                       # the rule below a heading
      | (?P<rule> [-*_] )(?= (?: \ *(?P=rule) ){2,} \ *$ )    # a rule
      | (?P<fence> [`~] )(?= (?P=fence){2} )                  # where code begins
    )
    """,
    re.VERBOSE,
)
"""What at the beginning of a line would make it something else than a line of a paragraph."""
_BARE_PIPE = re.compile(r"(?<!\\)\|")
_FRONT = ("---", "+++")
_LONE_RETURN = re.compile(r"\r(?!\n)")


@dataclass(frozen=True)
class Markdown:
    """A document in Markdown: CommonMark, with tables and strikethrough."""

    is_document: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _parser()  # what is missing is said before anything is written

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Yields a unit a paragraph, heading or cell of a table, and what lies between."""
        document = Document(lines)
        return document.cut(_passages(document), Style(_MARKS, _escape))


def _passages(document: Document) -> Iterator[list[Span]]:
    first = _end_of_front(document.lines)
    finder = _Finder(document, first)
    for token in _parse(document.text[document.starts[first] :]):
        if token.type == "inline" and token.map is not None:
            yield from _paragraphs(document.text, finder.find(token.content.split("\n"), token.map))


def _parse(text: str) -> "Sequence[Token]":
    return _parser().parse(_LONE_RETURN.sub(" ", text))  # no line of ours ends there


def _parser() -> "MarkdownIt":
    with needs("files", "Markdown"):
        from markdown_it import MarkdownIt
    return MarkdownIt("commonmark").enable(["table", "strikethrough"])


def _end_of_front(lines: Sequence[Line]) -> int:
    """The number of lines of front matter."""
    texts = [line.text.rstrip() for line in lines]
    if texts and texts[0] in _FRONT:
        for i, text in enumerate(texts[1:], start=2):
            if text == texts[0] or (text == "..." and texts[0] == "---"):
                return i
    return 0


class _Finder:
    """Finds where the parser's lines, which have lost their marks, lie in the document."""

    def __init__(self, document: Document, first: int) -> None:
        self._document = document
        self._first = first
        self._position = 0
        """Where the last one ends: cells of a table share a line."""

    def find(self, lines: Sequence[str], where: Sequence[int]) -> list[Span]:
        """Returns where each of the lines lies, which the parser has found in lines `where`.

        Empty where one is not there: the parser has changed it, and it is better left alone.
        """
        spans = []
        for number, line in zip(range(*where), lines, strict=False):
            start = self._document.starts[self._first + number]
            found = self._find_in_line(line.strip(), max(start, self._position), number)
            if found is None:
                return []
            spans.append(found)
            self._position = found[1]
        return spans

    def _find_in_line(self, text: str, start: int, number: int) -> Span | None:
        end = self._document.starts[self._first + number + 1]
        for spelling in (text, text.replace("|", "\\|")):  # as in a cell of a table
            found = self._document.text.find(spelling, start, end)
            if found >= 0:
                return found, found + len(spelling)
        return None


def _paragraphs(text: str, spans: Sequence[Span]) -> Iterator[list[Span]]:
    """Yields the lines between the breaks that are meant as such."""
    paragraph: list[Span] = []
    for i, (start, end) in enumerate(spans, start=1):
        has_backslash = i < len(spans) and text[end - 1] == "\\"
        paragraph.append((start, end - has_backslash))
        if has_backslash or text.startswith("  ", end):
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph


def _escape(line: str, source: str) -> str:
    """Takes the meaning from characters of a translated line that have one there by chance."""
    if (found := _BLOCK.match(line)) is not None:
        last = found.end() - 1
        line = f"{line[:last]}\\{line[last:]}"
    return line if _BARE_PIPE.search(source) else _BARE_PIPE.sub(r"\|", line)
