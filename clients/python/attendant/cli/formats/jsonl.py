"""A JSON object a line: one member is translated, one is set, and all else stays to the letter."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

from attendant.cli.formats.unit import Unit
from attendant.cli.lines import InputError, Line

_BETWEEN = re.compile(r"[ \t\n\r]*[{:,]?[ \t\n\r]*")
"""What stands between the parts of an object that is valid."""
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Jsonl:
    """One text a line, in a member of an object. Blank lines stay."""

    is_document: ClassVar[bool] = False

    field: str
    """Name of the member to translate."""

    output_field: str
    """Name of the member that the translation is set as."""

    def units(self, lines: Iterable[Line]) -> Iterator[Unit]:
        """Yields a unit a line; raises `InputError` for one that is no such object."""
        for line in lines:
            source = line.text + line.end
            if not line.text.strip():
                yield Unit(line.place, source)
                continue
            text = self._text(line)
            yield Unit(line.place, source, text, partial(_set, source, self.output_field))

    def _text(self, line: Line) -> str:
        try:
            found = json.loads(line.text)
        except ValueError as error:
            raise InputError(f"{line.place}: no JSON: {error}") from error
        except RecursionError as error:
            raise InputError(f"{line.place}: JSON that is nested too deeply") from error
        if not isinstance(found, dict):
            raise InputError(f"{line.place}: no JSON object")
        if self.field not in found:
            raise InputError(f'{line.place}: has no field "{self.field}"')
        text = found[self.field]
        if not isinstance(text, str):
            raise InputError(f'{line.place}: the field "{self.field}" is no string')
        return text


class _Member(NamedTuple):
    """A member of an object, and where its value lies."""

    name: str
    start: int
    end: int


def _members(source: str) -> Iterator[_Member]:
    """Yields the members of an object that is valid and has some."""
    position = _after(source, 0)
    while source[position] != "}":
        name, position = _DECODER.raw_decode(source, position)
        start = _after(source, position)
        _, end = _DECODER.raw_decode(source, start)
        yield _Member(name, start, end)
        position = _after(source, end)


def _after(source: str, position: int) -> int:
    match = _BETWEEN.match(source, position)
    assert match is not None  # it may be empty
    return match.end()


def _set(source: str, name: str, translation: str) -> str:
    """Sets a member of the object: the last of its name, which is the one that counts, or else a
    new one after all others.
    """
    value = json.dumps(translation, ensure_ascii=False)
    members = list(_members(source))
    for member in reversed(members):
        if member.name == name:
            return source[: member.start] + value + source[member.end :]
    end = members[-1].end  # the member that was translated is there at least
    return f"{source[:end]}, {json.dumps(name, ensure_ascii=False)}: {value}{source[end:]}"
