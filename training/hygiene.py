"""Drops rows of a corpus that teach nothing or the wrong thing, and counts them by reason."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections import Counter
from functools import lru_cache

from training.aligned import AlignedText, CorpusError
from training.config import DataConfig

SCRIPTS = {
    **dict.fromkeys(["bg", "mk", "ru", "uk", "be"], "CYRILLIC"),
    **dict.fromkeys(["ar", "fa", "ur"], "ARABIC"),
    **dict.fromkeys(["hi", "mr", "ne"], "DEVANAGARI"),
    **dict.fromkeys(
        [
            "ca",
            "cs",
            "da",
            "de",
            "en",
            "es",
            "et",
            "fi",
            "fr",
            "hr",
            "hu",
            "id",
            "is",
            "it",
            "lt",
            "lv",
            "nl",
            "no",
            "pl",
            "pt",
            "ro",
            "sk",
            "sl",
            "sq",
            "sv",
            "tr",
            "vi",
        ],
        "LATIN",
    ),
    "el": "GREEK",
    "he": "HEBREW",
    "hy": "ARMENIAN",
    "ka": "GEORGIAN",
    "ko": "HANGUL",
    "th": "THAI",
    "zh": "CJK",
}
"""Language to the first word of its letters' Unicode names; others are not checked."""

SHORT = 20
"""Characters up to which a pair's lengths may differ as they like: `Oui.` is `Yes, I do.`"""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffd]")


def clean(text: AlignedText, data: DataConfig) -> tuple[AlignedText, dict[str, int]]:
    """`text` without the rows that `data` has no use for, and how many went for which reason, with
    `kept`. Raises CorpusError where none is left.
    """
    counts: Counter[str] = Counter()
    seen: set[tuple[str, ...]] = set()
    languages = tuple(text.sides)
    kept = []
    for row in zip(*text.sides.values(), strict=True):
        stripped = tuple(side.strip() for side in row)
        reason = _reason(stripped, languages, data)
        if not reason and data.is_deduplicated and stripped in seen:
            reason = "duplicate"
        counts[reason or "kept"] += 1
        if not reason:
            seen.add(stripped)
            kept.append(stripped)
    if not kept:
        raise CorpusError(f"{text.name}: no row is left: {describe(dict(counts)) or 'it is empty'}")
    sides = {language: [row[i] for row in kept] for i, language in enumerate(languages)}
    return dataclasses.replace(text, sides=sides), dict(counts)


def describe(counts: dict[str, int]) -> str:
    """`3 empty, 12 duplicate`: what went, for people; empty where nothing did."""
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.items()) if reason != "kept")


def _reason(row: tuple[str, ...], languages: tuple[str, ...], data: DataConfig) -> str:
    """Why `row` is of no use, or nothing."""
    lengths = [len(side) for side in row]
    if min(lengths) == 0:
        return "empty"
    if max(lengths) > data.max_characters:
        return "over-long"
    if any(CONTROL.search(side) for side in row):
        return "control characters"
    if max(lengths) > SHORT and max(lengths) > data.max_length_ratio * min(lengths):
        return "length ratio"
    if any(not _is_in_script(*pair) for pair in zip(row, languages, strict=True)):
        return "wrong script"
    return ""


def _is_in_script(text: str, language: str) -> bool:
    """Whether most letters are of the language's script."""
    script = SCRIPTS.get(language)
    if script is None or (text.isascii() and script == "LATIN"):
        return True
    letters = [_script(character) == script for character in text if character.isalpha()]
    return 2 * sum(letters) >= len(letters)


@lru_cache(maxsize=100_000)
def _script(character: str) -> str:
    return unicodedata.name(character, "?").split(" ")[0].removesuffix("-UNIFIED")
