"""Two results, side by side."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from attendant.load.compare import (
    Change,
    Comparison,
    compare,
    comparison_as_json,
    comparison_as_text,
    read_result,
)
from attendant.load.report_json import as_dict, as_json

from .results import BUSY, CALM, EMPTY, SLOWER


def changes(comparison: Comparison) -> dict[str, Change]:
    return {row.name: row.change for row in comparison.rows if row.change is not Change.UNJUDGED}


def test_a_slower_run_is_worse_and_the_other_way_round_better() -> None:
    there, back = (compare(as_dict(CALM), as_dict(SLOWER)), compare(as_dict(SLOWER), as_dict(CALM)))
    assert changes(there) == {
        "latency_p50": Change.WORSE,
        "latency_p99": Change.WORSE,
        "requests_per_s": Change.UNPROVEN,
    }
    assert changes(back)["latency_p99"] is Change.BETTER
    assert (there.is_worse, back.is_worse) == (True, False)
    (p50,) = (row for row in there.rows if row.name == "latency_p50")
    assert p50.relative == pytest.approx(0.3, abs=0.002)


def with_throughput(low: float, high: float) -> Any:
    run = json.loads(as_json(CALM))
    run["confidence"]["throughput"] |= {"low": low, "high": high}
    return run


@pytest.mark.parametrize(
    ("low", "high", "change"),
    [(10, 20, Change.WORSE), (90, 99, Change.BETTER), (40, 50, Change.UNPROVEN)],
)
def test_more_throughput_is_better(low: float, high: float, change: Change) -> None:
    assert changes(compare(as_dict(CALM), with_throughput(low, high)))["requests_per_s"] is change


def test_what_differs_besides_the_figures_is_noted() -> None:
    other = replace(BUSY, parameters={**BUSY.parameters, "rate": 60.0, "windows": 10})
    notes = compare(as_dict(CALM), as_dict(other)).notes
    assert notes == ["rate differs: 50 before, 60.0 after", "the client was a bottleneck after"]
    assert compare(as_dict(CALM), as_dict(CALM)).notes == []


def test_the_table_is_aligned() -> None:
    lines = comparison_as_text(compare(as_dict(CALM), as_dict(SLOWER))).splitlines()
    assert lines[0].split() == ["figure", "before", "after", "change"]
    assert lines[1].split() == ["latency_p50", "10.0", "ms", "13.0", "ms", "+30.0%", "worse"]
    assert not any(line.startswith("first_token") for line in lines)
    assert {line.find(" ms") for line in lines[1:7]} == {lines[1].find(" ms")}


def test_a_run_without_answers_can_be_compared() -> None:
    comparison = compare(as_dict(CALM), as_dict(EMPTY))
    assert "latency_p50" in comparison_as_text(comparison)
    rows = json.loads(comparison_as_json(comparison))["rows"]
    assert rows[0]["after"] is None
    assert rows[0]["relative"] is None


def test_results_are_read_from_files(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(as_json(CALM))
    assert read_result(str(path)) == json.loads(as_json(CALM))
    for text, problem in (
        ("{", "no JSON"),
        ("[]", "not a result"),
        ('{"format": 1}', "not a"),
        ('{"format": 9}', "not a"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"a\.json: {problem}"):
            read_result(str(path))
