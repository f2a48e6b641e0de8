"""Traces: requests with times of their own, as a file holds them."""

import json
from collections.abc import Iterable
from typing import Any

from attendant.load.config import Replay, Request
from attendant.load.mix import parse_options

_KEYS = ("at_s", "text", "source_language", "target_language", "options")


def read_trace(
    lines: Iterable[tuple[str, str]], source_language: str, target_language: str
) -> Replay:
    """Reads a trace, one JSON object a line, in any order:

        {"at_s": 1.25, "text": "Two dogs.", "target_language": "fr", "options": {"beam_size": 4}}

    Only `at_s`, in seconds from any beginning, and `text` are needed. The first request is due at
    the start of the replay, the others as long after it as their times say.

    Args:
        lines: Where each line stands, as an error names it, and the line; empty ones are left out.
        source_language: Of requests that name none.
        target_language: Of requests that name none.

    Raises:
        ValueError: A line is no request; the message names it.
    """
    found = []
    for place, line in lines:
        if line.strip():
            try:
                found.append(_entry(line, source_language, target_language))
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from error
    found.sort(key=lambda entry: entry[0])
    begin_s = found[0][0] if found else 0.0
    due_s = tuple(at_s - begin_s for at_s, _ in found)
    return Replay(due_s, tuple(request for _, request in found))


def _entry(line: str, source_language: str, target_language: str) -> tuple[float, Request]:
    try:
        given = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(given, dict):
        raise ValueError("must be a JSON object")
    if unknown := sorted(set(given) - set(_KEYS)):
        raise ValueError(f"{unknown[0]}: there is no such key; there are {', '.join(_KEYS)}")
    request = Request(
        text=_text(given, "text", None),
        source_language=_text(given, "source_language", source_language),
        target_language=_text(given, "target_language", target_language),
        options=parse_options(_options(given)),
    )
    return _time(given), request


def _time(given: dict[str, Any]) -> float:
    at_s = given.get("at_s")
    if isinstance(at_s, bool) or not isinstance(at_s, int | float) or not abs(at_s) < 1e12:
        raise ValueError(f"at_s: must be a number of seconds, not {at_s!r}")
    return float(at_s)


def _text(given: dict[str, Any], key: str, default: str | None) -> str:
    text = given.get(key, default)
    if not isinstance(text, str):
        raise ValueError(f"{key}: must be text, not {text!r}")
    return text


def _options(given: dict[str, Any]) -> dict[str, str]:
    options = given.get("options", {})
    if not isinstance(options, dict):
        raise ValueError(f"options: must be a JSON object, not {options!r}")
    return {name: _spelled(value) for name, value in options.items()}


def _spelled(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool) else str(value)
