"""What a run shows while it runs."""

from io import StringIO

import pytest
from attendant.load.config import Timing
from attendant.load.live import live_view, view_of
from attendant.load.progress import Counters, Progress
from rich.console import Console

TIMING = Timing(duration_s=20, warm_up_s=5)
EARLY = Progress(2.0, 100, 80, 5, tuple(n / 1000 for n in range(1, 102)), 0.25)
LATER = Progress(12.0, 600, 580, 5, (), 0.25)


def shown(now: Progress, before: Progress | None = None) -> str:
    output = StringIO()
    Console(file=output, width=100).print(view_of(now, before, TIMING))
    return output.getvalue()


def test_a_moment_is_shown() -> None:
    lines = [" ".join(line.split()) for line in shown(EARLY).splitlines()]
    assert lines == [
        "time warm-up, 2 of 5 s",
        "requests 100 sent, 15 waited for",
        "answers 80 (- a second)",
        "failures 5",
        "latency p50 51.0 ms p99 100.0 ms of the last answers",
        "client 25% of a core",
    ]


def test_the_rate_is_since_the_moment_before() -> None:
    text = shown(LATER, EARLY)
    assert "580 (50 a second)" in text
    assert "7 of 20 s" in text
    assert "waiting for the last answers" in shown(Progress(26.0, 1, 0, 0, (), 0.0))


def test_a_view_follows_the_run_and_goes_away() -> None:
    output = StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with live_view(console, "closed loop, [2] callers", TIMING) as watch:
        watch(EARLY)
        watch(LATER)
    assert "warm-up, 2 of 5 s" in output.getvalue()
    assert "580 (50 a second)" in output.getvalue()
    assert "closed loop, [2] callers" in output.getvalue()  # brackets are no markup


def test_counters_count() -> None:
    counters = Counters()
    for _ in range(3):
        counters.due()
    counters.failed()
    counters.answered(0.25)
    found = counters.progress(4.0, 0.5)
    assert found == Progress(4.0, 3, 1, 1, (0.25,), 0.5)
    assert found.in_flight == 1


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_answers_have_no_percentiles(count: int) -> None:
    assert "latency   -" in shown(Progress(2.0, 1, count, 0, (0.1,) * count, 0.0))
