"""Subtitles in SubRip's format: numbers, times and tags at the edges stay, what is said does not.

The lines of a cue are one text, but for dialogues, whose lines begin with dashes: each speech is a
text of its own then.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from attendant.cli.formats.document import Document, Span, Style
from attendant.cli.formats.unit import Unit
from attendant.cli.lines import Line

_TIMES = re.compile(r"\s*\d+:\d+:\d+[,.]\d+\s*-->\s*\d+:\d+:\d+[,.]\d+")
_NUMBER = re.compile(r"\s*\d+\s*")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}")
_OPENING = re.compile(rf"(?:\s|{_TAG.pattern})*(?P<dash>[-–—]+\s*)?(?:\s|{_TAG.pattern})*")
_CLOSING = re.compile(rf"(?:\s+|{_TAG.pattern})\Z")
_REOPENED = re.compile(r"</(\w+)>\s*<\1(?:\s[^<>]*)?>", re.IGNORECASE)


@dataclass(frozen=True)
class Srt:
    """Subtitles."""

    is_document: ClassVar[bool] = True

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Yields a unit a speech, and what lies between."""
        document = Document(lines)
        speeches = (speech for cue in _cues(document.lines) for speech in _speeches(document, cue))
        return document.cut(speeches, Style(_TAG, rest_of_gap=_tags))


def _cues(lines: Sequence[Line]) -> Iterator[range]:
    """Yields the numbers of each cue's lines of text: those up to the next cue."""
    texts = [line.text for line in lines]
    i = 0
    while i < len(texts):
        i += 1
        if _TIMES.match(texts[i - 1]):
            first = i
            while i < len(texts) and not _begins_cue(texts[i : i + 2]):
                i += 1
            yield range(first, i)


def _begins_cue(lines: Sequence[str]) -> bool:
    if _TIMES.match(lines[0]):
        return True
    is_number = _NUMBER.fullmatch(lines[0]) is not None
    return is_number and len(lines) > 1 and _TIMES.match(lines[1]) is not None


def _speeches(document: Document, cue: range) -> Iterator[list[Span]]:
    """Yields the speeches of a cue, each as what its lines say."""
    speech: list[Span] = []
    for i in cue:
        start, text = document.starts[i], document.lines[i].text
        opening = _OPENING.match(text)
        assert opening is not None  # every part of it may be empty
        first, last = opening.end(), _end(text, opening.end())
        if speech and (opening["dash"] or not text.strip()):
            yield speech
            speech = []
        if first < last:
            speech.append((start + first, start + last))
    if speech:
        yield speech


def _end(text: str, first: int) -> int:
    """Where the tags and spaces begin that end a line."""
    last = len(text)
    while (match := _CLOSING.search(text, first, last)) is not None:
        last = match.start()
    return last


def _tags(gap: str) -> str:
    """What stays of a gap between lines that have become one."""
    return _REOPENED.sub("", "".join(match.group() for match in _TAG.finditer(gap)))
