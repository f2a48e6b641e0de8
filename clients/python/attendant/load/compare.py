"""Two results, side by side: what changed, and whether more than chance changed it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from attendant.load.figures import FIGURES, Figure, Run
from attendant.load.report_json import FORMAT

_SHOWN = (
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
    "latency_p99_9",
    "latency_max",
    "first_token_p50",
    "first_token_p99",
    "between_tokens_p50",
    "between_tokens_p99",
    "requests_per_s",
    "target_tokens_per_s",
    "error_share",
)
_NEEDED = {"parameters", "client", "confidence"} | {figure.path[0] for figure in FIGURES.values()}


class Change(StrEnum):
    """What a difference means. Of the figures that have an interval, the intervals decide."""

    BETTER = "better"
    """The intervals do not overlap."""

    WORSE = "worse"
    """The intervals do not overlap."""

    UNPROVEN = "no difference shown"
    """The intervals overlap."""

    UNJUDGED = ""
    """There are no intervals."""


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of both results."""

    name: str
    before: float | None
    after: float | None
    change: Change

    @property
    def relative(self) -> float | None:
        """By what part of the first it changed."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return self.after / self.before - 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results."""

    rows: Sequence[Row]
    notes: Sequence[str]
    """What speaks against comparing them."""

    @property
    def is_worse(self) -> bool:
        """Whether a figure got worse by more than chance."""
        return any(row.change is Change.WORSE for row in self.rows)


def read_result(path: str) -> Run:
    """Reads a result that was saved. Raises OSError, and ValueError for what is none."""
    try:
        run = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: no JSON in UTF-8: {error}") from error
    if not isinstance(run, dict) or run.get("format") != FORMAT or not run.keys() >= _NEEDED:
        raise ValueError(f"{path}: not a result that this version of attendant load wrote")
    return run


def compare(before: Run, after: Run) -> Comparison:
    """Compares two results."""
    rows = [_row(name, before, after) for name in _SHOWN]
    present = [row for row in rows if row.before is not None or row.after is not None]
    return Comparison(present, _notes(before, after))


def comparison_as_text(comparison: Comparison) -> str:
    """Returns a table to read, the notes last."""
    cells = [("figure", "before", "after", "change", "")]
    cells += [_cells(row) for row in comparison.rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = [_line(line, widths) for line in cells]
    return "\n".join([*lines, *(f"note: {note}." for note in comparison.notes)])


def comparison_as_json(comparison: Comparison) -> str:
    """Returns the comparison as one JSON object."""
    rows = [{**asdict(row), "relative": row.relative} for row in comparison.rows]
    found = {"rows": rows, "notes": list(comparison.notes), "is_worse": comparison.is_worse}
    return json.dumps(found, indent=2)


def _row(name: str, before: Run, after: Run) -> Row:
    figure = FIGURES[name]
    return Row(name, figure.value(before), figure.value(after), _change(figure, before, after))


def _change(figure: Figure, before: Run, after: Run) -> Change:
    was, now = _interval(figure, before), _interval(figure, after)
    if was is None or now is None:
        return Change.UNJUDGED
    if now["low"] > was["high"]:
        return Change.BETTER if figure.is_better_high else Change.WORSE
    if now["high"] < was["low"]:
        return Change.WORSE if figure.is_better_high else Change.BETTER
    return Change.UNPROVEN


def _interval(figure: Figure, run: Run) -> Any:
    return run["confidence"][figure.interval] if figure.interval else None


def _notes(before: Run, after: Run) -> list[str]:
    was, now = before["parameters"], after["parameters"]
    notes = [
        f"{name} differs: {was.get(name, 'none')} before, {now.get(name, 'none')} after"
        for name in {**was, **now}
        if was.get(name) != now.get(name)
    ]
    for when, run in (("before", before), ("after", after)):
        if run["client"]["is_bottleneck"]:
            notes.append(f"the client was a bottleneck {when}")
    return notes


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    figure = FIGURES[row.name]
    relative = "" if row.relative is None else f"{row.relative:+.1%}"
    return row.name, figure.shown(row.before), figure.shown(row.after), relative, row.change


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers, change = cells
    aligned = (cell.rjust(width) for cell, width in zip(numbers, widths[1:4], strict=True))
    return "  ".join([name.ljust(widths[0]), *aligned, change]).rstrip()
