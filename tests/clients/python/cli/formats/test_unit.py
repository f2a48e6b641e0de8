"""What all formats do alike."""

import pytest
from attendant.cli.formats.jsonl import Jsonl
from attendant.cli.formats.md import Markdown
from attendant.cli.formats.srt import Srt
from attendant.cli.formats.tsv import Tsv
from attendant.cli.formats.txt import Txt
from attendant.cli.formats.unit import Format, Unit, read_units

from .rewriting import lines_of, rewritten, unchanged, units_of

FORMATS: list[Format] = [Txt(), Tsv(1), Jsonl("text", "text"), Srt(), Markdown()]
SAMPLES = {
    "Txt": "one\ntwo\n",
    "Tsv": "one\ttwo\n",
    "Jsonl": '{"text": "one"}\n',
    "Srt": "1\n00:00:01,000 --> 00:00:02,000\none\n",
    "Markdown": "# one\n\ntwo\n",
}


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: type(form).__name__)
def test_an_empty_input_has_no_units(form: Format) -> None:
    assert units_of(form, "") == []


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: type(form).__name__)
def test_a_byte_order_mark_stays_and_is_not_translated(form: Format) -> None:
    sample = SAMPLES[type(form).__name__]
    first, *others = units_of(form, "\ufeff" + sample)
    assert first == Unit("in:1", "\ufeff")
    assert [unit.source for unit in others] == [unit.source for unit in units_of(form, sample)]
    assert [unit.text for unit in others] == [unit.text for unit in units_of(form, sample)]
    assert rewritten(form, "\ufeff" + sample) == "\ufeff" + rewritten(form, sample)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: type(form).__name__)
def test_places_name_the_line(form: Format) -> None:
    sample = SAMPLES[type(form).__name__]
    last = [unit for unit in units_of(form, sample) if unit.text is not None][-1]
    assert last.place == f"in:{sample.count(chr(10))}"


@pytest.mark.parametrize("form", FORMATS[:3], ids=lambda form: type(form).__name__)
def test_lines_are_read_one_by_one(form: Format) -> None:
    sample = SAMPLES[type(form).__name__]

    def lines() -> object:
        yield from lines_of(sample)
        raise AssertionError("read on though a unit was there")

    units = read_units(form, lines())  # type: ignore[arg-type]
    assert [next(units).source for _ in sample.splitlines()] == sample.splitlines(keepends=True)


def test_lines_of_text_end_with_a_line_feed() -> None:
    assert rewritten(Txt(), "one\r\n\ntwo") == "ONE\n\nTWO\n"
    assert rewritten(Txt(), "one\n", lambda text: "a\nb\tc\rd") == "a b c d\n"
    assert rewritten(Txt(), "one\n", unchanged) == "one\n"
