"""Plain text: a line in, a line out. The end of every line written is a line feed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from attendant.cli.formats.unit import Unit
from attendant.cli.lines import Line


@dataclass(frozen=True)
class Txt:
    """One text a line."""

    is_document: ClassVar[bool] = False

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Yields a unit a line."""
        for line in lines:
            yield Unit(line.place, line.text + line.end, line.text, as_line)


def as_line(text: str) -> str:
    """Returns the text as one line, with its end."""
    return one_line(text) + "\n"


def one_line(text: str) -> str:
    """Returns the text without what ends a line or a column.

    Whoever reads counts lines: a break within a translation would shift all that follow.
    """
    return text.replace("\r", " ").replace("\n", " ").replace("\t", " ")
