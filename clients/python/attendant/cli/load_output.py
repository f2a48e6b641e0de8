"""What `attendant load` prints and writes of a run, and what it exits with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attendant.cli.load_request import Wanted
from attendant.cli.outcome import CommandError, ExitCode
from attendant.load.report_html import as_html
from attendant.load.report_json import as_json
from attendant.load.report_text import as_text
from attendant.load.result import Result
from attendant.load.search_report import RateSearch, search_as_dict, search_rows
from attendant.load.slo import Objective
from attendant.load.thresholds import Verdict

Rows = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run and what was made of it."""

    result: Result
    """Of the run; of a search, that of the run to quote."""

    objectives: Sequence[Objective]
    search: RateSearch | None
    verdict: Verdict | None
    """Of the thresholds."""


def write(outcome: Outcome, wanted: Wanted) -> None:
    """Prints the figures, then writes the files that are wanted: what a full disk cannot take has
    been printed. Raises CommandError.
    """
    found_as_json = as_json(outcome.result, _further(outcome))
    print(found_as_json if wanted.is_json else _as_text(outcome), flush=True)
    if wanted.save is not None:
        _write_file(wanted.save, found_as_json + "\n")
    if wanted.html is not None:
        _write_file(wanted.html, as_html(outcome.result, _sections(outcome)))


def exit_code(outcome: Outcome) -> ExitCode:
    """Returns what the command exits with."""
    summary = outcome.result.summary
    if summary.arrivals and not summary.answered:
        return ExitCode.UNAVAILABLE
    if outcome.search is not None and outcome.search.best is None:
        return ExitCode.THRESHOLD
    if outcome.verdict is not None and not outcome.verdict.is_passed:
        return ExitCode.THRESHOLD
    return ExitCode.OK


def _write_file(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", ExitCode.USAGE) from error


def _as_text(outcome: Outcome) -> str:
    rows = [row for _, rows in _sections(outcome) for row in rows]
    lines = [f"{heading:<12}{text}" for heading, text in rows]
    return "\n".join([as_text(outcome.result), *lines])


def _sections(outcome: Outcome) -> list[tuple[str, Rows]]:
    sections = []
    if outcome.search is not None:
        sections.append(("Search", search_rows(outcome.search, outcome.objectives)))
    if outcome.verdict is not None:
        sections.append(("Thresholds", _verdict_rows(outcome.verdict)))
    return sections


def _verdict_rows(verdict: Verdict) -> Rows:
    if verdict.is_passed:
        return [("thresholds", f"all {verdict.num_limits} held")]
    return [("MISSED", line) for line in verdict.missed]


def _further(outcome: Outcome) -> dict[str, Any]:
    further: dict[str, Any] = {}
    if outcome.search is not None:
        further["search"] = search_as_dict(outcome.search, outcome.objectives)
    if outcome.verdict is not None:
        verdict = outcome.verdict
        further["thresholds"] = {"is_passed": verdict.is_passed, "missed": list(verdict.missed)}
    return further
