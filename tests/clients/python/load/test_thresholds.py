"""Threshold files, and runs that keep to them or do not."""

import re

import pytest
from attendant.load.figures import FIGURES
from attendant.load.report_json import as_dict
from attendant.load.thresholds import Thresholds, check, parse_thresholds

from .results import BUSY, CALM, EMPTY, FAILING, STREAMED

FILE = """
[at_most]
latency_p99 = "100ms"
latency_p99_9 = "1.5s"
error_share = "0.1%"

[at_least]
requests_per_s = 49
"""


def test_a_file_is_read() -> None:
    assert parse_thresholds(FILE) == Thresholds(
        at_most={"latency_p99": 0.1, "latency_p99_9": 1.5, "error_share": 0.001},
        at_least={"requests_per_s": 49.0},
    )
    assert parse_thresholds(f"client_may_be_bottleneck = true\n{FILE}").client_may_be_bottleneck


def test_a_run_that_keeps_to_them_passes() -> None:
    verdict = check(parse_thresholds(FILE), as_dict(CALM))
    assert verdict.is_passed
    assert verdict.num_limits == 4


def test_what_is_missed_is_named_with_its_value() -> None:
    thresholds = parse_thresholds('[at_most]\nlatency_p99 = "5ms"\nerror_share = 0.001')
    verdict = check(thresholds, as_dict(FAILING))
    assert verdict.missed == (
        "latency_p99 is 100.0 ms, at most 5.0 ms is wanted",
        "error_share is 0.800%, at most 0.100% is wanted",
    )
    verdict = check(parse_thresholds("[at_least]\nrequests_per_s = 60"), as_dict(CALM))
    assert verdict.missed == ("requests_per_s is 50.0, at least 60.0 is wanted",)


def test_a_limit_itself_is_kept() -> None:
    rate = CALM.summary.throughput
    limits = {"requests_per_s": rate}
    assert check(Thresholds(limits, limits), as_dict(CALM)).is_passed


def test_a_figure_that_is_not_there_is_missed() -> None:
    thresholds = parse_thresholds('[at_most]\nfirst_token_p99 = "1s"')
    assert check(thresholds, as_dict(STREAMED)).is_passed
    assert check(thresholds, as_dict(CALM)).missed == (
        "first_token_p99 is none, at most 1,000.0 ms is wanted",
    )
    assert not check(parse_thresholds(FILE), as_dict(EMPTY)).is_passed


def test_a_client_that_was_the_bottleneck_does_not_pass() -> None:
    (line,) = check(parse_thresholds(FILE), as_dict(BUSY)).missed
    assert line.startswith("the client was a bottleneck")
    allowed = parse_thresholds(f"client_may_be_bottleneck = true\n{FILE}")
    assert check(allowed, as_dict(BUSY)).is_passed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "at_most, at_least: must hold a limit"),
        ("at_most = 1", "at_most: must be a table, not 1"),
        ("[most]\np99 = 1", "most: there is no such key; there are at_most, at_least"),
        ("[at_most]\np99 = '1s'", "at_most.p99: there is no such figure; there are latency_p50"),
        ("[at_most]\nlatency_p99 = 100", "at_most.latency_p99: must have a unit"),
        ("[at_most]\nlatency_p99 = 'fast'", "at_most.latency_p99: must be a time such as"),
        ("[at_most]\nerror_share = '0.1'", "at_most.error_share: must be a share such as"),
        ("[at_most]\nerror_share = true", "at_most.error_share: must be a number, not True"),
        ("[at_least]\nrequests_per_s = '9'", "at_least.requests_per_s: must be a number, not '9'"),
        ("client_may_be_bottleneck = 1\n" + FILE, "client_may_be_bottleneck: must be true or"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        parse_thresholds(text)


def test_every_figure_is_one_of_the_json() -> None:
    run = as_dict(STREAMED)
    assert {name: figure.value(run) for name, figure in FIGURES.items()} != {}
    assert [name for name, figure in FIGURES.items() if figure.value(run) is None] == []
    assert FIGURES["latency_max"].value(as_dict(EMPTY)) is None
