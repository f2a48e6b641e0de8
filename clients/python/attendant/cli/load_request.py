"""The options of `attendant load` that say what is wanted of a run: limits, a search, reports."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attendant.cli.load_options import usage_error
from attendant.load.config import LoadTest, OpenLoop
from attendant.load.slo import Kind, Objective, parse_objective
from attendant.load.thresholds import Thresholds, parse_thresholds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for besides a run."""

    objectives: Sequence[Objective]
    """What a rate is looked for that keeps; empty where there is a rate."""

    thresholds: Thresholds | None
    save: Path | None
    html: Path | None
    is_json: bool
    """Whether to print JSON."""


def read_wanted(test: LoadTest, arguments: argparse.Namespace) -> Wanted:
    """Reads and checks all of it before the run: what is wrong must not cost one.

    Raises CommandError.
    """
    return Wanted(
        _objectives(test, arguments.find_slo),
        None if arguments.thresholds is None else _thresholds(arguments.thresholds),
        _writable(arguments.save),
        _writable(arguments.html),
        arguments.json,
    )


def _objectives(test: LoadTest, given: Sequence[str]) -> list[Objective]:
    try:
        objectives = [parse_objective(text) for text in given]
    except ValueError as error:
        raise usage_error(f"--find-slo: {error}") from error
    if objectives and not isinstance(test.pattern, OpenLoop):
        raise usage_error("--find-slo: looks for the rate of an open loop; give --rate to begin")
    is_of_streams = any(objective.kind is not Kind.LATENCY for objective in objectives)
    if is_of_streams and not test.endpoint.is_streamed:
        raise usage_error("--find-slo: only with --stream there is a first token")
    return objectives


def _thresholds(path: str) -> Thresholds:
    try:
        return parse_thresholds(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise usage_error(f"{path}: {error}") from error


def _writable(path: str | None) -> Path | None:
    if path is None:
        return None
    wanted = Path(path)
    is_new = not wanted.exists()
    try:
        with wanted.open("a", encoding="utf-8"):
            pass
        if is_new:
            wanted.unlink()  # a run that is refused leaves nothing behind
    except OSError as error:
        raise usage_error(f"{path}: {error.strerror}") from error
    return wanted
