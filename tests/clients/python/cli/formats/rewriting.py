"""Formats without a server: what becomes of a text when each of its units is translated."""

from collections.abc import Callable, Iterator

from attendant.cli.formats.unit import Format, Unit, read_units
from attendant.cli.lines import Line, split_lines


def lines_of(text: str) -> Iterator[Line]:
    for number, raw in enumerate(split_lines([text.encode()]), start=1):
        line = raw.decode()
        bare = line.removesuffix("\n").removesuffix("\r")
        yield Line(f"in:{number}", bare, line[len(bare) :])


def units_of(form: Format, text: str) -> list[Unit]:
    """The units of a text; that their sources are the text holds for every format."""
    units = list(read_units(form, lines_of(text)))
    assert "".join(unit.source for unit in units) == text
    return units


def rewritten(form: Format, text: str, translate: Callable[[str], str] = str.upper) -> str:
    return "".join(
        unit.render(unit.source if unit.text is None else translate(unit.text))
        for unit in units_of(form, text)
    )


def texts_of(form: Format, text: str) -> list[str]:
    return [unit.text for unit in units_of(form, text) if unit.text is not None]


def unchanged(text: str) -> str:
    return text
