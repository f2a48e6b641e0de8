"""JSON objects, one a line."""

import json
from typing import Any

import pytest
from attendant.cli.formats.jsonl import Jsonl
from attendant.cli.lines import InputError
from hypothesis import given
from hypothesis import strategies as st

from .rewriting import rewritten, texts_of, unchanged

NEW = Jsonl("text", "translation")
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"text": "a"}\n', '{"text": "a", "translation": "A"}\n'),
        ('{"text":"a","n":1.50}\r\n', '{"text":"a","n":1.50, "translation": "A"}\r\n'),
        ('{"n":1e400,"text":"a"}', '{"n":1e400,"text":"a", "translation": "A"}'),
        (' { "a" : [ ] ,\t"text" : "a" } ', ' { "a" : [ ] ,\t"text" : "a", "translation": "A" } '),
        ('{"translation": {"x": [1]}, "text": "a"}', '{"translation": "A", "text": "a"}'),
        (
            '{"translation": 1, "text": "a", "translation": 2}',
            '{"translation": 1, "text": "a", "translation": "A"}',
        ),
        ('{"text": "x", "text": "y"}', '{"text": "x", "text": "y", "translation": "Y"}'),
        (
            '{"t\\u0065xt": "f\\u00fc\\n\\""}',
            '{"t\\u0065xt": "f\\u00fc\\n\\"", "translation": "FÜ\\n\\""}',
        ),
        ('{"text": ""}\n\n  \n', '{"text": "", "translation": ""}\n\n  \n'),
        ('{"text": "}, {"}', '{"text": "}, {", "translation": "}, {"}'),
    ],
)
def test_one_member_is_set_and_all_else_stays(text: str, expected: str) -> None:
    assert rewritten(NEW, text) == expected


def test_the_text_itself_can_be_replaced() -> None:
    assert rewritten(Jsonl("text", "text"), '{"id": 1, "text": "a"}') == '{"id": 1, "text": "A"}'


def test_names_may_be_anything() -> None:
    assert rewritten(Jsonl("", 'ü"'), '{"": "a"}') == '{"": "a", "ü\\"": "A"}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("text", "no JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"text": "a"', "no JSON: Expecting ',' delimiter: line 1 column 13 (char 12)"),
        ('{"text": "a"} x', "no JSON: Extra data: line 1 column 15 (char 14)"),
        ('["text"]', "no JSON object"),
        ("null", "no JSON object"),
        ("{}", 'has no field "text"'),
        ('{"text": 1}', 'the field "text" is no string'),
        ('{"text": null}', 'the field "text" is no string'),
        ("[" * 200_000, "JSON that is nested too deeply"),
    ],
)
def test_what_is_no_such_object_is_named(line: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        texts_of(NEW, f'{{"text": "a"}}\n{line}\n')
    assert str(caught.value) == f"in:2: {message}"


@given(st.dictionaries(st.text(max_size=3), VALUE), st.text(), st.booleans(), st.booleans())
def test_an_object_is_the_same_but_for_one_member(
    members: dict[str, Any], text: str, is_ascii: bool, has_spaces: bool
) -> None:
    members = {**members, "text": text}
    separators = (" , ", " : ") if has_spaces else (",", ":")
    line = json.dumps(members, ensure_ascii=is_ascii, separators=separators)
    (again,) = map(json.loads, rewritten(NEW, line).split("\n"))
    assert list(again) == list({**members, "translation": ""})
    assert json.dumps(again) == json.dumps({**members, "translation": text.upper()})
    assert rewritten(Jsonl("text", "text"), json.dumps(members, ensure_ascii=False), unchanged) == (
        json.dumps(members, ensure_ascii=False)
    )
