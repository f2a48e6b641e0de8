"""Puts translated sentences back into the gaps of the text that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from server.text.boundaries import base_language
from server.text.lines import is_unspaced
from server.text.sentences import Document, Sentence
from server.text.tokenizer import Span

UNSPACED_LANGUAGES = frozenset({"ja", "zh"})
"""Languages that put no space between sentences."""


@dataclass(frozen=True)
class Assembled:
    """A translated text."""

    text: str
    spans: list[Span]
    """Where the translation of each sentence lies in it, in characters."""


def assemble(document: Document, translations: Sequence[str], language: str) -> Assembled:
    """`document` with `translations` of its sentences, which are in `language`, in their places.

    Gaps stay as they were, but for those between two sentences on one line, where languages
    differ: a space is dropped beside East Asian characters of a language that puts none there, and
    set where a language that puts one there would have none. The line breaks of a wrapped sentence
    come back at the spaces that are nearest to where they were.
    """
    pieces, spans, length = [], [], 0
    gaps = document.gaps
    for i, (sentence, translation) in enumerate(zip(document.sentences, translations, strict=True)):
        gap = gaps[i]
        if i > 0:
            gap = _gap(gap, translations[i - 1], translation, language)
        folded = _fold(document.text, sentence, translation)
        pieces += [gap, folded]
        spans.append((length + len(gap), length + len(gap) + len(folded)))
        length = spans[-1][1]
    return Assembled("".join([*pieces, gaps[-1]]), spans)


def _gap(gap: str, before: str, after: str, language: str) -> str:
    puts_no_space = base_language(language) in UNSPACED_LANGUAGES
    if not gap:
        return "" if puts_no_space or not before or not after else " "
    is_superfluous = is_unspaced(before[-1:]) or is_unspaced(after[:1])
    return "" if puts_no_space and is_superfluous and gap in (" ", "  ") else gap


def _fold(text: str, sentence: Sentence, translation: str) -> str:
    """`translation` with the line breaks of `sentence`, each after the same share of the length as
    before; without those that find no space any more.
    """
    pieces, position, offset = [], 0, sentence.start
    for start, end in sentence.wraps:
        share = (start - offset) / len(sentence.text)
        offset += end - start - 1  # the model reads a space
        place = _nearest_place(translation, round(share * len(translation)), position + 1)
        if place is None:
            break
        pieces += [translation[position : place[0]], text[start:end]]
        position = place[1]
    return "".join([*pieces, translation[position:]])


def _nearest_place(text: str, position: int, least: int) -> Span | None:
    """What a line break may take the place of: the space nearest to `position`, from `least` on; in
    a text without spaces, nothing between two East Asian characters there.
    """
    position = max(position, least)
    found = [text.rfind(" ", least, position), text.find(" ", position)]
    spaces = [space for space in found if space >= 0]
    if spaces:
        space = min(spaces, key=lambda space: abs(space - position))
        return space, space + 1
    while position < len(text) and not (is_unspaced(text[position]) and text[position].isalpha()):
        position += 1
    return (position, position) if position < len(text) else None
