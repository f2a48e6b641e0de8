"""How figures are shown."""

import json
from dataclasses import replace

from attendant.load.recorder import ClientUse, Latency, Summary
from attendant.load.report import as_json, as_text

CALM = Summary(
    arrivals=1000,
    answered=1000,
    errors={},
    unfinished=0,
    elapsed_s=20.0,
    latency=Latency(p50_s=0.0101, p95_s=0.0202, p99_s=0.0303, max_s=0.0404),
    client=ClientUse(cpu_share=0.12, send_lateness_p99_s=0.0011),
)
FAILING = replace(CALM, answered=990, errors={"INTERNAL": 3, "DEADLINE_EXCEEDED": 5}, unfinished=2)
NOTHING = replace(CALM, answered=0, errors={"UNAVAILABLE": 1000}, latency=None)
BUSY = replace(CALM, client=ClientUse(cpu_share=0.97, send_lateness_p99_s=0.2))


def test_the_text_holds_every_figure() -> None:
    assert as_text(CALM).splitlines() == [
        "requests    1,000 in 20.0 s",
        "answered    1,000 (100.0%)",
        "throughput  50.0 answers a second",
        "latency     p50 10.1 ms  p95 20.2 ms  p99 30.3 ms  max 40.4 ms",
        "errors      none",
        "client      12% of a core, sends late by p99 1.1 ms",
    ]


def test_errors_are_named_and_the_latency_is_put_in_its_place() -> None:
    text = as_text(FAILING)
    assert "errors      DEADLINE_EXCEEDED 5  INTERNAL 3  unfinished 2\n" in text
    assert text.endswith("note: the latency is of answered requests alone.")


def test_a_run_without_answers_has_no_latency() -> None:
    assert "latency     none: no request was answered\n" in as_text(NOTHING)
    assert json.loads(as_json(NOTHING))["latency"] is None


def test_a_client_that_was_the_bottleneck_says_so() -> None:
    assert "WARNING" not in as_text(CALM)
    warning = as_text(BUSY).splitlines()[-1]
    assert warning.startswith("WARNING: this client was a bottleneck. It used 97% of a core")
    assert "200.0 ms" in warning


def test_the_json_holds_every_figure() -> None:
    assert json.loads(as_json(FAILING)) == {
        "arrivals": 1000,
        "answered": 990,
        "errors": {"INTERNAL": 3, "DEADLINE_EXCEEDED": 5},
        "unfinished": 2,
        "elapsed_s": 20.0,
        "throughput": 49.5,
        "latency": {"p50_s": 0.0101, "p95_s": 0.0202, "p99_s": 0.0303, "max_s": 0.0404},
        "client": {"cpu_share": 0.12, "send_lateness_p99_s": 0.0011, "is_bottleneck": False},
    }
