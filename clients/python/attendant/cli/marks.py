"""Marks within a text, such as emphasis and tags: which belong together, and what is between.

Two marks that belong together are around words, and go where those go. Any other mark cuts the
text: what is before and after it is translated by itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_TAG = re.compile(r"<(/?)([A-Za-z][\w-]*)[^<>]*>")
_EMPHASIS = re.compile(r"[*_]+|~~")
_EMPTY_TAGS = frozenset({"br", "hr", "img", "input", "wbr"})


@dataclass(slots=True)
class Pair:
    """Two marks, and the part of a run's text that they are around."""

    opening: str
    start: int
    closing: str = ""
    end: int = 0
    inner: list["Pair"] = field(default_factory=list)
    """The pairs within, in order."""


@dataclass(slots=True)
class Run:
    """A part of a text that no mark cuts."""

    source: str = ""
    """As it stands there."""

    text: str = ""
    """Without marks."""

    pairs: list[Pair] = field(default_factory=list)
    """Those that are within no other, in order."""


def cut(text: str, pattern: re.Pattern[str]) -> list[Run | str]:
    """Returns the runs of a text and, between them, the marks that cut it."""
    matches = list(pattern.finditer(text))
    closings = _closings(text, matches)
    paired = closings.keys() | closings.values()
    parts: list[Run | str] = []
    position, run, is_open = 0, Run(), list[Pair]()
    for i, match in enumerate(matches):
        run.text += text[position : match.start()]
        run.source += text[position : match.start()]
        position = match.end()
        if i not in paired:
            parts += [run, match.group()]
            run = Run()
            continue
        run.source += match.group()
        if i in closings:
            pair = Pair(match.group(), len(run.text))
            (is_open[-1].inner if is_open else run.pairs).append(pair)
            is_open.append(pair)
        else:
            is_open[-1].closing, is_open[-1].end = match.group(), len(run.text)
            is_open.pop()
    run.text += text[position:]
    run.source += text[position:]
    return [*parts, run]


def cut_everywhere(text: str, pattern: re.Pattern[str]) -> list[Run | str]:
    """Returns the same as if no marks belonged together."""
    parts: list[Run | str] = []
    position = 0
    for match in pattern.finditer(text):
        between = text[position : match.start()]
        parts += [Run(between, between), match.group()]
        position = match.end()
    return [*parts, Run(text[position:], text[position:])]


def has_letters(text: str) -> bool:
    """Whether there is anything to translate."""
    return any(map(str.isalpha, text))


def _closings(text: str, matches: Sequence[re.Match[str]]) -> dict[int, int]:
    """For each mark that opens a pair, the one that closes it; both by their places in `matches`.

    Pairs lie within each other or apart. One that has a mark within that cuts, or no word, is none.
    """
    found: dict[int, int] = {}
    waiting: list[int] = []
    for i, match in enumerate(matches):
        candidates = reversed(waiting) if match[0] != "[" else iter(())
        opening = next((o for o in candidates if _closes(matches[o][0], match[0])), None)
        if opening is not None:
            del waiting[waiting.index(opening) :]
            found[opening] = i
        elif _can_open(match[0]):
            waiting.append(i)
    paired = found.keys() | found.values()
    cuts = [i for i in range(len(matches)) if i not in paired]
    return {
        first: last
        for first, last in found.items()
        if not any(first < i < last for i in cuts)
        and has_letters(text[matches[first].end() : matches[last].start()])
    }


def _can_open(mark: str) -> bool:
    tag = _TAG.fullmatch(mark)
    if tag is not None:
        return not tag[1] and tag[2].lower() not in _EMPTY_TAGS and not mark.endswith("/>")
    return mark == "[" or _EMPHASIS.fullmatch(mark) is not None


def _closes(opening: str, mark: str) -> bool:
    if opening == "[":
        return mark.startswith("](") or mark.startswith("][")
    tag, other = _TAG.fullmatch(opening), _TAG.fullmatch(mark)
    if tag is not None:
        return other is not None and other[1] == "/" and other[2].lower() == tag[2].lower()
    return opening == mark
