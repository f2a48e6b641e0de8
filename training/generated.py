"""Text made by rule: numbers, ordinals, dates and times, the same in every language and with one
right answer. Spelled out by num2words, written by Babel (the Unicode CLDR's formats).
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from training.aligned import AlignedText, CorpusError

NUMBERS_LIMIT = 10_000
ORDINALS_LIMIT = 1_000
FIRST_DAY = datetime.date(1990, 1, 1)
NUM_DAYS = 20_000
MINUTES_A_DAY = 24 * 60

Write = Callable[[Any, str], str]
"""A value in a language."""


def _cardinal(number: int, language: str) -> str:
    from num2words import num2words

    return str(num2words(number, lang=language))


def _ordinal(number: int, language: str) -> str:
    from num2words import num2words

    return str(num2words(number, lang=language, to="ordinal"))


def _date(day: int, language: str) -> str:
    from babel.dates import format_date

    style = ("full", "long", "medium")[day % 3]
    date = FIRST_DAY + datetime.timedelta(days=day)
    return str(format_date(date, style, locale=language))


def _time(minute: int, language: str) -> str:
    from babel.dates import format_time

    written = format_time(datetime.time(minute // 60, minute % 60), "short", locale=language)
    return str(written).replace("\u202f", " ")  # CLDR's narrow space, which nobody types


@dataclass(frozen=True)
class _Kind:
    write: Write
    num_values: int
    first: int
    num_held_out: int
    """Values that `val` has and `train` has not."""


KINDS = {
    "numbers": _Kind(_cardinal, NUMBERS_LIMIT, 0, 500),
    "ordinals": _Kind(_ordinal, ORDINALS_LIMIT, 1, 50),
    "dates": _Kind(_date, NUM_DAYS, 0, 500),
    "times": _Kind(_time, MINUTES_A_DAY, 0, 70),
}


def generate(kind: str, languages: tuple[str, ...], part: str) -> AlignedText:
    """All values of `kind` in a fixed shuffled order; `val` holds values unseen in `train`.

    Raises CorpusError for a language that the library behind it lacks.
    """
    recipe = KINDS[kind]
    values = list(range(recipe.first, recipe.first + recipe.num_values))
    random.Random(recipe.num_values).shuffle(values)
    held_out = recipe.num_held_out
    chosen = values[held_out:] if part == "train" else values[:held_out]
    sides = {language: _side(kind, recipe.write, chosen, language) for language in languages}
    return AlignedText(f"{kind} ({part})", sides)


def _side(kind: str, write: Write, values: Sequence[int], language: str) -> list[str]:
    from babel import UnknownLocaleError

    try:
        return [write(value, language) for value in values]
    except (NotImplementedError, UnknownLocaleError, ValueError) as error:
        raise CorpusError(f"{kind}: there is no generator for the language {language!r}") from error
