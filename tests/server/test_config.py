from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from server.config import ServerConfig, parse_config
from server.errors import ConfigError


def test_a_flag_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"ATTENDANT_PORT": "1234", "ATTENDANT_MODELS": "/srv/models"}
    config = parse_config(["--port", "4321"], environment)
    assert (config.port, config.models) == (4321, Path("/srv/models"))
    assert config.num_slots == ServerConfig().num_slots


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_slots", 0),
        ("port", 70000),
        ("max_waiting", -1),
        ("stuck_after_s", 0.0),
        ("workers", 0),
        ("max_request_tokens", 0),
        ("max_sentences", 0),
        ("max_document_characters", -1),
        ("ageing_s", -0.5),
        ("ageing_s", float("nan")),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is {value}"):
        ServerConfig(**{name: value})


def test_every_option_has_a_flag_and_a_variable_of_its_own_type() -> None:
    flags = ["--workers", "3", "--ageing-s", "0.5", "--max-request-tokens", "99"]
    config = parse_config(flags, {"ATTENDANT_WORKERS": "2", "ATTENDANT_DRAIN_DELAY_S": "0"})
    assert (config.workers, config.ageing_s, config.max_request_tokens) == (3, 0.5, 99)
    assert config.drain_delay_s == 0.0
    variables = {
        f"ATTENDANT_{item.name.upper()}": str(getattr(ServerConfig(), item.name))
        for item in dataclasses.fields(ServerConfig)
    }
    assert parse_config([], variables) == ServerConfig()


def test_an_environment_variable_of_the_wrong_type_is_named() -> None:
    with pytest.raises(ConfigError, match="ATTENDANT_PORT is 'http'"):
        parse_config([], {"ATTENDANT_PORT": "http"})


def test_an_unknown_flag_ends_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_config(["--ports", "1", "--no-such"], {})
    assert caught.value.code == 2
    assert "--no-such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cpus", "threads"), [(0.5, 1), (1.5, 1), (2.0, 1), (3.9, 1), (4.0, 2), (64.0, 32)]
)
def test_half_of_the_available_processors_are_threads(
    cpus: float, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.config.available_cpus", lambda: cpus)
    assert ServerConfig().num_threads == threads
    assert ServerConfig(threads=7).num_threads == 7
