"""Lines of the log: what is in them, and what is not unless it is asked for."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from attendant import Client, InvalidRequestError

from demos.server_process import start_server
from server.log import JsonFormatter, request_id

TEXT = "seventy-seven"
LANGUAGES = {"source_language": "en", "target_language": "de"}


def record(message: str = "said %s", *arguments: object, **extra: object) -> logging.LogRecord:
    found = logging.LogRecord("server.x", logging.INFO, "x.py", 1, message, arguments, None)
    found.__dict__.update(extra)
    return found


def test_a_line_of_json_has_what_a_search_needs() -> None:
    token = request_id.set("r-1")
    line = json.loads(JsonFormatter().format(record("said %s", "ü\n", fields={"code": "OK"})))
    request_id.reset(token)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "server.x",
        "message": "said ü\n",
        "request_id": "r-1",
        "code": "OK",
    }


def test_a_line_of_json_is_one_line_with_its_exception() -> None:
    failed = record("failed")
    try:
        raise ValueError("why\nand how")
    except ValueError:
        failed.exc_info = sys.exc_info()
    text = JsonFormatter().format(failed)
    assert "\n" not in text
    assert "ValueError: why\nand how" in json.loads(text)["exception"]


def log_of(capfd: pytest.CaptureFixture[str], package: Path, *flags: str) -> str:
    """What a server says on standard error of a call that succeeds and one that fails."""
    server = start_server(package.parent.parent, "--drain-delay-s", "0", *flags)
    with Client(server.target) as client:
        client.translate(TEXT, **LANGUAGES)
        with pytest.raises(InvalidRequestError):
            client.translate(TEXT + "\a", **LANGUAGES)
    server.process.terminate()
    server.process.communicate(timeout=30)
    return capfd.readouterr().err


def test_texts_are_not_logged(numbers_package: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert "seventy" not in log_of(capfd, numbers_package, "--log-requests")


def test_calls_are_logged_as_json_where_that_is_asked_for(
    numbers_package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = log_of(capfd, numbers_package, "--log-requests", "--log-format", "json")
    lines = [json.loads(line) for line in text.splitlines()]
    good, bad = [line for line in lines if line["logger"] == "server.access"]
    assert good["method"] == bad["method"] == "attendant.v1.TranslationService/Translate"
    assert (good["code"], good["model"]) == ("OK", "numbers")
    assert (bad["code"], bad["model"]) == ("INVALID_ARGUMENT", "numbers")
    assert good["duration_ms"] > 0
    assert good["caller"] == ""
    assert len(good["request_id"]) == 32
    assert good["request_id"] != bad["request_id"]


def test_texts_are_logged_where_that_is_asked_for(
    numbers_package: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert f"translated '{TEXT}' to '" in log_of(capfd, numbers_package, "--log-texts")
