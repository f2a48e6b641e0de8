"""A result as lines to read, and the same as JSON."""

import json
from dataclasses import replace

import pytest
from attendant.load.report_json import as_json
from attendant.load.report_text import as_text
from attendant.load.summary import ClientUse

from .results import ANSWER, BUSY, CALM, EMPTY, FAILING, STREAMED, recorder_of, result_of


def test_the_text_holds_every_figure() -> None:
    assert as_text(CALM).splitlines() == [
        "load        open loop, poisson, 50 requests a second for 20 s to server:1 (attendant)",
        "warm-up     50 requests, 0 failed, p50 10.0 ms  p99 10.0 ms; not counted below",
        "requests    1,000 in 20.0 s",
        "answered    1,000 (100.0%)",
        "throughput  50.0 answers a second; tokens 150 in, 200 out; characters 500 in, 1,000 out",
        "latency     p50 10.0 ms  p90 10.0 ms  p95 10.0 ms  p99 10.0 ms  p99.9 100.0 ms  "
        "p99.99 100.0 ms  max 100.0 ms",
        "windows     10 of 2 s, median (95 % interval): p50 10.0 ms (10.0 to 10.0)  "
        "p99 10.0 ms (10.0 to 10.0)  throughput 50.0 a second (50.0 to 50.0)",
        "errors      none",
        "client      12% of a core, sends late by p50 0.2 ms  p99 1.1 ms; "
        "at 80% it would send about 333 a second",
        "note: of 1,000 answers p99.99 is the slowest one.",
    ]


def test_errors_are_named_and_the_latency_is_put_in_its_place() -> None:
    text = as_text(FAILING)
    assert "errors      INTERNAL 8\n" in text
    assert "note: the latency is of answered requests alone.\n" in text
    assert "note: of 992 answers p99.9 and p99.99 are the slowest one." in text


def test_unfinished_requests_are_named() -> None:
    result = replace(FAILING, summary=replace(FAILING.summary, unfinished=2))
    assert "errors      INTERNAL 8  unfinished 2\n" in as_text(result)


def test_a_run_without_answers_has_no_latency() -> None:
    text = as_text(EMPTY)
    assert "latency     none: no request was answered\n" in text
    assert "windows     fewer than 6 of 2 s had answers: no intervals\n" in text
    assert json.loads(as_json(EMPTY))["latency"] is None


def test_streams_have_lines_of_their_own() -> None:
    lines = as_text(STREAMED).splitlines()
    assert any(line.startswith("first text  p50 2.5 ms") for line in lines)
    assert any(line.startswith("then each   p50 5.0 ms  p90 5.0 ms") for line in lines)


def test_entries_of_a_mix_have_a_line_each() -> None:
    recorder = recorder_of()
    recorder.answered(3.0, 3.5, ANSWER, "beam_size=4")
    recorder.failed(4.0, "INTERNAL", "beam_size=4")
    recorder.failed(4.0, "INTERNAL", "defaults")
    result = result_of(recorder)
    lines = [line for line in as_text(result).splitlines() if line.startswith("of them")]
    assert lines == [
        "of them     beam_size=4: 1 answered, 1 failed, p50 500.0 ms  p99 500.0 ms  max 500.0 ms",
        "of them     defaults: 0 answered, 1 failed",
    ]
    assert [entry["options"] for entry in json.loads(as_json(result))["mix"]] == [
        "beam_size=4",
        "defaults",
    ]


def test_a_client_that_was_the_bottleneck_says_so() -> None:
    assert "WARNING" not in as_text(CALM)
    lines = as_text(BUSY).splitlines()
    assert lines[-1].startswith("WARNING: this client was a bottleneck. It used 97% of a core")
    assert "200.0 ms" in lines[-1]
    assert any(line.startswith("client      30%, 97% of a core") for line in lines)


@pytest.mark.parametrize(
    ("shares", "lateness_s", "is_bottleneck"),
    [([0.3], 0.002, False), ([0.1, 0.95], 0.002, True), ([0.3], 0.2, True), ([], 0.0, False)],
)
def test_a_busy_or_late_client_is_a_bottleneck(
    shares: list[float], lateness_s: float, is_bottleneck: bool
) -> None:
    use = ClientUse(
        cpu_shares=shares,
        send_lateness_p50_s=0.0,
        send_lateness_p99_s=lateness_s,
        send_lateness_max_s=lateness_s,
        sent_per_s=1.0,
    )
    assert use.is_bottleneck is is_bottleneck


def test_the_json_holds_every_figure() -> None:
    run = json.loads(as_json(FAILING))
    assert run["format"] == 1
    assert (run["arrivals"], run["answered"], run["unfinished"]) == (1000, 992, 0)
    assert run["errors"] == {"INTERNAL": 8}
    assert run["error_share"] == pytest.approx(0.008)
    assert (run["elapsed_s"], run["throughput"]) == (20.0, 49.6)
    assert set(run["latency"]) == {
        *("count", "mean_s", "p50_s", "p75_s", "p90_s", "p95_s"),
        *("p99_s", "p99_9_s", "p99_99_s", "max_s", "histogram"),
    }
    assert run["client"]["cpu_share"] == 0.12
    assert run["client"]["is_bottleneck"] is False
    assert run["client"]["ceiling_per_s"] == pytest.approx(333.3, rel=1e-3)
    assert len(run["windows"]) == 10
    assert run["windows"][-1]["errors"] == {"INTERNAL": 8}
    assert run["confidence"]["throughput"]["num_windows"] == 10
    assert run["parameters"]["rate"] == 50
    assert run["parameters"]["mean_characters"] == 7.5


def test_no_report_holds_a_key() -> None:
    assert "secret" not in as_json(CALM) + as_text(CALM)
