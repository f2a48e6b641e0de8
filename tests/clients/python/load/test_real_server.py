"""Load against the real server with the bundled model, through both protocols."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attendant.cli.main import main

from demos.server_process import ServerProcess, running_server

LOAD = ("--rate", "10", "--duration", "2", "--warm-up", "1", "--windows", "4", "--json")
MODEL = ("--model", "multi30k")


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server(Path("models"), "--drain-delay-s", "0") as server:
        yield server


def load(server: ServerProcess, output: pytest.CaptureFixture[str], *options: str) -> Any:
    assert main(["load", "--target", server.target, *LOAD, *MODEL, *options]) == 0
    return json.loads(output.readouterr().out)


def test_both_protocols_send_the_same_and_get_the_same(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        load(server, capsys, "--arrivals", "constant", "--protocol", protocol)
        for protocol in ("attendant", "kserve")
    ]
    for run in runs:
        assert run["answered"] == run["arrivals"] == 20
        assert run["warm_up"]["answered"] == 10
    # The same texts give the same tokens and the same characters.
    volumes = [{k: v * run["elapsed_s"] for k, v in run["rates"].items()} for run in runs]
    assert volumes[0] == pytest.approx(volumes[1])
    assert volumes[0]["target_tokens"] > 100


def test_both_protocols_stream(server: ServerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    for protocol in ("attendant", "kserve"):
        run = load(server, capsys, "--protocol", protocol, "--stream")
        assert run["answered"] == run["first_token"]["count"] == run["arrivals"]
        # Greedy search sends text when a word is whole: more than one part a sentence, no more
        # than its tokens.
        num_tokens = run["rates"]["target_tokens"] * run["elapsed_s"]
        assert run["answered"] < run["between_tokens"]["count"] < num_tokens
        assert run["first_token"]["p50_s"] < run["latency"]["p50_s"]


def test_options_reach_the_model_through_both_protocols(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for protocol in ("attendant", "kserve"):
        options = ("--options", "1:max_target_tokens=2,priority=bulk", "--arrivals", "constant")
        run = load(server, capsys, "--protocol", protocol, *options)
        assert run["rates"]["target_tokens"] * run["elapsed_s"] == pytest.approx(2 * 20)


def test_a_model_that_is_not_there_is_named(
    server: ServerProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    for protocol in ("attendant", "kserve"):
        arguments = ("--model", "absent", "--protocol", protocol)
        assert main(["load", "--target", server.target, *LOAD, *arguments]) == 1
        assert "NOT_FOUND: model: there is no model 'absent'" in capsys.readouterr().err
