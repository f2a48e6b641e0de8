"""`attendant load` against a real server."""

import json
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from attendant.cli.main import main
from attendant.load.schedule import poisson_arrivals
from attendant.load.sentences import SENTENCES

from ..echo_server import PATIENCE_S, EchoServer, echo, refuse

Output = pytest.CaptureFixture[str]


def load(target: str, *options: str, rate: int = 100, duration_s: float = 0.5) -> int:
    return main(
        ["load", "--target", target, "--rate", f"{rate}", "--duration", f"{duration_s}", *options]
    )


def figures(output: Output) -> Any:
    return json.loads(output.readouterr().out)


def num_arrivals(seed: int = 0) -> int:
    return len(list(poisson_arrivals(100, 0.5, seed)))


def test_every_arrival_of_the_schedule_is_sent_and_answered(
    server: EchoServer, capsys: Output
) -> None:
    assert load(server.target, "--json") == 0
    run = figures(capsys)
    assert run["arrivals"] == run["answered"] == num_arrivals()
    assert (run["errors"], run["unfinished"]) == ({}, 0)
    # One more than was due: the request that goes before the run.
    assert len(server.requests) == num_arrivals() + 1
    latency = run["latency"]
    assert 0 < latency["p50_s"] <= latency["p95_s"] <= latency["p99_s"] <= latency["max_s"]
    assert 0 < run["throughput"] <= num_arrivals() / 0.4
    assert run["client"]["cpu_share"] > 0
    assert run["client"]["send_lateness_p99_s"] > 0


def test_the_seed_decides_the_arrivals(server: EchoServer, capsys: Output) -> None:
    assert load(server.target, "--json", "--seed", "8") == 0
    assert figures(capsys)["arrivals"] == num_arrivals(seed=8) != num_arrivals()


def test_the_figures_are_printed_to_be_read(server: EchoServer, capsys: Output) -> None:
    assert load(server.target) == 0
    lines = capsys.readouterr().out.splitlines()
    headings = ["load", "requests", "answered", "throughput", "latency", "windows", "errors"]
    assert [line.split()[0] for line in lines[:7]] == headings


def test_errors_are_counted_by_status_and_nothing_is_lost(
    server: EchoServer, capsys: Output
) -> None:
    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if request.texts[0] == SENTENCES[1]:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
        return echo(request, context)

    server.answer = answer
    assert load(server.target, "--json") == 0
    run = figures(capsys)
    # The second of eight sentences, the first having gone before the run.
    num_refused = (num_arrivals() + 7) // 8
    assert run["errors"] == {"RESOURCE_EXHAUSTED": num_refused}
    assert run["answered"] == num_arrivals() - num_refused


def test_requests_keep_coming_while_the_server_answers_none(
    server: EchoServer, capsys: Output
) -> None:
    is_over = threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Any:
        if len(server.requests) > 1:
            is_over.wait(PATIENCE_S)
        return echo(request, context)

    server.answer = answer
    try:
        assert load(server.target, "--json", "--timeout", "1") == 3
    finally:
        is_over.set()
    run = figures(capsys)
    assert run["errors"] == {"DEADLINE_EXCEEDED": num_arrivals()}
    assert run["latency"] is None


def test_texts_of_a_file_are_sent_in_turn(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    (tmp_path / "texts").write_text("ein Hund\n\neine Katze\n")
    options = ("--file", f"{tmp_path}/texts", "--from", "de", "--to", "en", "--model", "m")
    assert load(server.target, *options) == 0
    sent = [request.texts[0] for request in server.requests]
    assert abs(sent.count("ein Hund") - sent.count("eine Katze")) <= 1
    assert len(sent) == sent.count("ein Hund") + sent.count("eine Katze")
    assert {(r.source_language, r.target_language, r.model) for r in server.requests} == {
        ("de", "en", "m")
    }


def test_a_full_server_is_measured_all_the_same(server: EchoServer, capsys: Output) -> None:
    server.answer = refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
    assert load(server.target, "--json") == 3
    assert figures(capsys)["errors"] == {"RESOURCE_EXHAUSTED": num_arrivals()}


def test_a_run_that_cannot_succeed_is_not_begun(server: EchoServer, capsys: Output) -> None:
    server.answer = refuse(grpc.StatusCode.NOT_FOUND, "target_language: 'de'; there is fr")
    assert load(server.target) == 1
    message = f"attendant: {server.target}: NOT_FOUND: target_language: 'de'; there is fr\n"
    assert capsys.readouterr() == ("", message)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_one_line(nowhere: str, capsys: Output) -> None:
    assert load(nowhere) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"attendant: {nowhere}: UNAVAILABLE: ")


def test_a_missing_extra_is_named(nowhere: str, capsys: Output, monkeypatch: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert load(nowhere) == 2
    assert capsys.readouterr().err == (
        "attendant: load needs more than the client does: pip install 'attendant[load]'\n"
    )


def test_a_missing_target_is_named(capsys: Output) -> None:
    assert main(["load", "--rate", "1", "--duration", "1"]) == 2
    assert capsys.readouterr().err == "attendant: --target: must name the server\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--duration", "1"),
            "--rate, --concurrency or --replay: one of them says how much to send",
        ),
        (("--rate", "1"), "--duration: must say for how long"),
        (("--rate", "1", "--duration", "1", "--warm-up", "-1"), "warm_up_s: must be a number"),
        (("--rate", "1", "--duration", "1", "--windows", "9999"), "windows: must be 1 to 1000"),
        (("--rate", "1", "--duration", "1", "--workers", "65"), "workers: must be 1 to 64"),
        (("--rate", "1", "--duration", "1", "--protocol", "kserve"), "model: must be named"),
        (("--concurrency", "1", "--duration", "1", "--workers", "2"), "concurrency: must be at"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused(
    nowhere: str, capsys: Output, options: tuple[str, ...], message: str
) -> None:
    assert main(["load", "--target", nowhere, *options]) == 2
    assert capsys.readouterr().err.startswith(f"attendant: {message}")


def test_a_closed_loop_keeps_so_many_requests_running(server: EchoServer, capsys: Output) -> None:
    options = ("--concurrency", "3", "--duration", "0.5", "--warm-up", "0.2", "--json")
    assert main(["load", "--target", server.target, *options]) == 0
    run = figures(capsys)
    assert server.max_in_flight <= 3
    assert run["arrivals"] == run["answered"] > 3
    assert run["warm_up"]["answered"] > 3
    # One more than was due: the request that goes before the run.
    assert len(server.requests) == run["arrivals"] + run["warm_up"]["arrivals"] + 1
    assert run["parameters"]["loop"] == "closed"


def test_a_trace_is_replayed_at_its_own_times(
    server: EchoServer, capsys: Output, tmp_path: Path
) -> None:
    lines = [
        f'{{"at_s": {50 + n / 20}, "text": "text {n}", "options": {{"beam_size": {n}}}}}'
        for n in range(1, 11)
    ]
    (tmp_path / "trace").write_text("\n".join(lines))
    options = ("--replay", f"{tmp_path}/trace", "--json", "--warm-up", "0.12")
    assert main(["load", "--target", server.target, *options]) == 0
    run = figures(capsys)
    assert (run["warm_up"]["answered"], run["answered"]) == (3, 7)
    assert [request.options.beam_size for request in server.requests[1:]] == list(range(1, 11))
    assert run["parameters"]["loop"] == "replay"
    assert main(["load", "--target", server.target, *options, "--duration", "0.1"]) == 0
    assert figures(capsys)["answered"] == 2
    assert main(["load", "--target", server.target, *options, "--options", "1"]) == 2


def test_two_workers_make_one_report(server: EchoServer, capsys: Output) -> None:
    assert load(server.target, "--workers", "2", "--arrivals", "constant", "--json") == 0
    run = figures(capsys)
    assert (run["arrivals"], run["answered"]) == (50, 50)
    assert len(run["client"]["cpu_shares"]) == 2


def test_options_are_mixed_by_weight(server: EchoServer, capsys: Output) -> None:
    mix = ("--options", "1", "--options", "3:beam_size=4,priority=bulk")
    assert load(server.target, *mix) == 0
    capsys.readouterr()
    beams = [request.options.beam_size for request in server.requests]
    assert set(beams) == {0, 4}
    assert beams.count(4) > beams.count(0)


def test_a_stream_is_timed_to_its_first_text(server: EchoServer, capsys: Output) -> None:
    assert load(server.target, "--stream", "--json") == 0
    run = figures(capsys)
    assert not server.requests
    assert run["answered"] == num_arrivals() == len(server.stream_requests) - 1
    assert run["first_token"]["count"] == run["answered"]
    assert run["first_token"]["p50_s"] <= run["latency"]["p50_s"]
    num_words = sum(len(request.text.split()) for request in server.stream_requests[1:])
    assert run["between_tokens"]["count"] == num_words - run["answered"]


def test_a_file_without_text_is_refused(nowhere: str, capsys: Output, tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("\n \n")
    assert load(nowhere, "--file", f"{tmp_path}/texts") == 2
    assert capsys.readouterr().err == f"attendant: {tmp_path}/texts: has no text in it\n"


def test_built_in_sentences_are_not_sent_as_another_language(nowhere: str, capsys: Output) -> None:
    assert load(nowhere, "--from", "de") == 2
    assert "--file" in capsys.readouterr().err


@pytest.mark.parametrize(("rate", "duration_s"), [(0, 1), (-1, 1), (1, 0), (1, float("nan"))])
def test_a_rate_or_duration_of_nothing_is_refused(
    nowhere: str, rate: int, duration_s: float, capsys: Output
) -> None:
    with pytest.raises(SystemExit) as caught:
        load(nowhere, rate=rate, duration_s=duration_s)
    assert caught.value.code == 2
    assert "must be a number above 0" in capsys.readouterr().err
