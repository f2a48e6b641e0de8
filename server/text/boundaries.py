"""Where the sentences of a paragraph end: sentencex, and what is known better than it knows.

Nothing else may import the library, so that another one can take its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

MAX_WINDOW = 2048
"""Characters that the library sees at once: what it knows of quotation marks takes time that grows
with the square of the text.
"""

_NUM_BEFORE = 24
"""Characters before a boundary that the patterns may look at."""
_CONTINUED = re.compile(r"""(?:\d\.|["'»“”’)\]」』])\s*$""")
"""What ends no sentence where a small letter follows: an ordinal ("2. února") and speech
("„Pojď sem!“ řekla."); in Japanese, speech and a particle.
"""
_NO_END = {
    "de": re.compile(
        r"(?:\b(?:de[rmns]|die|das|[ai]m|vom|zu[mr]|beim|jede[rmns]?) \d{1,3}"
        r"|^\s*\d{1,3}|\b(?:inkl|exkl|zzgl))\.\s*$",
        re.IGNORECASE,
    ),
    "en": re.compile(r"\b(?:[Aa]pprox|[Cc]h|[Ss]ec|[Vv]ol)\.\s*$"),
    "fr": re.compile(
        r"(?:\b(?:MM?|Dr|Pr|Ste?|[Aa]rt|av|bd|c|[Cc]hap|coll|[Éé]d|[Ee]nv|[Jj]anv|[Ff]évr|[Jj]uill"
        r"|J|no?|s|[Tt]él)|-à-d|-C)\.\s*$"
    ),
    "cs": re.compile(r"\b(?:čl|odst|písm|pí|sl|vl)\.\s*$", re.IGNORECASE),
}
"""What ends no sentence, whatever follows: abbreviations that the library has not, and ordinals
before nouns, which German writes large as it does beginnings of sentences.
"""
_SURROGATES = re.compile("[\ud800-\udfff]")


class BoundaryFinder:
    """Finds ends of sentences in one language; takes time in proportion to the text."""

    def __init__(self, language: str) -> None:
        """`language` is a code such as "en" or "de-AT"; of one that the library has not, it knows
        punctuation alone.
        """
        self._language = base_language(language)

    def starts(self, text: str) -> list[int]:
        """Where the second and each further sentence of the paragraph `text` begins."""
        valid = _SURROGATES.sub("\ufffd", text)
        return [start for start in self._candidates(valid) if self._is_boundary(valid, start)]

    def _candidates(self, text: str) -> Iterator[int]:
        """What the library finds, window by window."""
        begin = 0
        while begin < len(text):
            window = text[begin : begin + MAX_WINDOW]
            boundaries = sentencex.get_sentence_boundaries(self._language, window)
            starts = [begin + boundary["start_index"] for boundary in boundaries[1:]]
            yield from starts
            if begin + len(window) == len(text):
                return
            begin = _next_window(text, begin, starts)

    def _is_boundary(self, text: str, start: int) -> bool:
        before = text[max(0, start - _NUM_BEFORE) : start]
        is_continuing = text[start].islower() or text[start] == "と"
        if is_continuing and _CONTINUED.search(before):
            return False
        known = _NO_END.get(self._language)
        return known is None or known.search(before) is None


def base_language(language: str) -> str:
    """The language of a code such as "de-AT": "de"."""
    return re.split("[-_]", language.lower(), maxsplit=1)[0]


def _next_window(text: str, begin: int, starts: list[int]) -> int:
    """A start of a sentence in the window's second half, or else a space there, or its end."""
    middle, end = begin + MAX_WINDOW // 2, begin + MAX_WINDOW
    if starts and starts[-1] >= middle:
        return starts[-1]
    space = text.rfind(" ", middle, end - 1)
    return end if space < 0 else space
