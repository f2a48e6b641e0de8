"""What the formats have in common. Knows neither files nor servers."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

from attendant.cli.lines import Line

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Unit:
    """A part of the input; the sources of all units, joined, are the input."""

    place: str
    """Where it begins, as an error names it: "FILE:3"."""

    source: str
    """What stands there."""

    text: str | None = None
    """What of it is translated; None for nothing."""

    render: Callable[[str], str] = str
    """What to write: of the translation or, where nothing is translated, of the source."""

    marks: re.Pattern[str] | None = None
    """What within the text is no language, and must be the same in its translation."""


class Format(Protocol):
    """A format of files. Its `repr` names all that decides what becomes of a text."""

    is_document: ClassVar[bool]
    """Whether it is read as a whole, and its texts are prose, to be split into sentences."""

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Cuts the lines of an input into units; raises `InputError` for what is not the format."""
        ...


def read_units(form: Format, lines: Iterable[Line]) -> Iterator[Unit]:
    """Yields the units of an input, a byte order mark before its first line as one of its own."""
    iterator = iter(lines)
    first = next(iterator, None)
    if first is None:
        return
    if first.text.startswith(_BYTE_ORDER_MARK):
        yield Unit(first.place, _BYTE_ORDER_MARK)
        first = replace(first, text=first.text.removeprefix(_BYTE_ORDER_MARK))
    yield from form.units(itertools.chain([first], iterator))
