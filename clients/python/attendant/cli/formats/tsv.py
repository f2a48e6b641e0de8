"""Columns between tabs, without quotes: the translation becomes the last column."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from attendant.cli.formats.txt import one_line
from attendant.cli.formats.unit import Unit
from attendant.cli.lines import InputError, Line


@dataclass(frozen=True)
class Tsv:
    """One text a line, in one of its columns."""

    is_document: ClassVar[bool] = False

    column: int
    """Which, counted from 1."""

    header: str | None = None
    """Name of the new column in the first line, which has names; None where it has none."""

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Yields a unit a line; raises `InputError` for one with too few columns."""
        iterator = iter(lines)
        if self.header is not None:
            yield from (_head(line, self.header) for line in _first(iterator))
        for line in iterator:
            text = self._text(line)
            yield Unit(line.place, line.text + line.end, text, partial(_append, line))

    def _text(self, line: Line) -> str:
        columns = line.text.split("\t")
        if len(columns) < self.column:
            found = f"column {self.column} is asked for, and there are {len(columns)}"
            raise InputError(f"{line.place}: {found}")
        return columns[self.column - 1]


def _first(lines: Iterator[Line]) -> Iterator[Line]:
    if (line := next(lines, None)) is not None:
        yield line


def _head(line: Line, name: str) -> Unit:
    return Unit(line.place, line.text + line.end, render=lambda _: _append(line, name))


def _append(line: Line, translation: str) -> str:
    return f"{line.text}\t{one_line(translation)}{line.end}"
