"""Traces as files hold them."""

import re

import pytest
from attendant import Options
from attendant.load.config import Replay, Request
from attendant.load.trace import read_trace


def read(*lines: str) -> Replay:
    return read_trace(
        ((f"trace:{number}", line) for number, line in enumerate(lines, start=1)), "en", "de"
    )


def test_requests_are_due_as_long_after_the_first_as_they_were() -> None:
    trace = read(
        '{"at_s": 1002.5, "text": "third"}',
        '{"at_s": 1000, "text": "first"}',
        "",
        '{"at_s": 1000.25, "text": "second", "target_language": "fr", '
        '"options": {"beam_size": 4, "scores": true, "suppressed_tokens": ["a", "b"]}}',
    )
    assert trace.due_s == (0, 0.25, 2.5)
    options = Options(beam_size=4, scores=True, suppressed_tokens=("a", "b"))
    assert trace.requests == (
        Request("first", "en", "de"),
        Request("second", "en", "fr", options),
        Request("third", "en", "de"),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "trace:1: no JSON: "),
        ("[]", "trace:1: must be a JSON object"),
        ('{"text": "a"}', "trace:1: at_s: must be a number of seconds, not None"),
        ('{"at_s": true, "text": "a"}', "trace:1: at_s: must be a number of seconds, not True"),
        ('{"at_s": NaN, "text": "a"}', "trace:1: at_s: must be a number of seconds, not nan"),
        ('{"at_s": 1}', "trace:1: text: must be text, not None"),
        ('{"at_s": 1, "text": "a", "at": 2}', "trace:1: at: there is no such key"),
        ('{"at_s": 1, "text": "a", "options": {"beam": 2}}', "trace:1: beam: there is no such"),
        ('{"at_s": 1, "text": "a", "options": []}', "trace:1: options: must be a JSON object"),
        ("", "trace: must have a request"),
    ],
)
def test_a_line_that_is_no_request_is_named(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        read(line)
