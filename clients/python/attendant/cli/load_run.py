"""What `attendant load` does once the command line is read. Needs the extra `load`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from rich.console import Console

from attendant.cli.load_output import Outcome, exit_code, write
from attendant.cli.load_request import read_wanted
from attendant.cli.outcome import CommandError, ExitCode, error_of_call
from attendant.errors import AttendantError
from attendant.load.config import LoadTest, OpenLoop
from attendant.load.event_loop import run_with_exact_timers
from attendant.load.live import live_view
from attendant.load.progress import nobody
from attendant.load.rate_search import Trial, find_highest_rate
from attendant.load.recorder import Recording
from attendant.load.report_json import as_dict
from attendant.load.report_text import describe_load
from attendant.load.result import Result, describe, now_utc, versions
from attendant.load.search_report import Attempt
from attendant.load.session import measure
from attendant.load.slo import Objective
from attendant.load.summary import summarize
from attendant.load.thresholds import check
from attendant.load.workers import WorkerDied, measure_in_processes


def run_load(test: LoadTest, arguments: argparse.Namespace) -> ExitCode:
    """Runs a test, or a search of several, and reports."""
    wanted = read_wanted(test, arguments)
    if wanted.objectives and isinstance(test.pattern, OpenLoop):
        search = find_highest_rate(_trying(test, wanted.objectives), test.pattern.rate)
        result = (search.best or search.trials[-1]).run.result
    else:
        search, (_, result) = None, _measured(test)
    limits = wanted.thresholds
    verdict = None if limits is None else check(limits, as_dict(result))
    outcome = Outcome(result, wanted.objectives, search, verdict)
    write(outcome, wanted)
    return exit_code(outcome)


def _trying(test: LoadTest, objectives: Sequence[Objective]) -> Callable[[float], Trial[Attempt]]:
    """Returns what makes a run at a rate."""

    def try_rate(rate: float) -> Trial[Attempt]:
        assert isinstance(test.pattern, OpenLoop)
        recording, result = _measured(replace(test, pattern=replace(test.pattern, rate=rate)))
        tally = recording.measured()
        return Trial(
            rate=rate,
            is_held=all(objective.is_held(tally) for objective in objectives),
            is_bottleneck=result.summary.client.is_bottleneck,
            run=Attempt(result, [objective.share(tally) for objective in objectives]),
        )

    return try_rate


def _measured(test: LoadTest) -> tuple[Recording, Result]:
    started_at = now_utc()
    try:
        recording = _record(test)
    except AttendantError as error:
        raise error_of_call(test.endpoint.target, error) from error
    except WorkerDied as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    return recording, Result(started_at, describe(test), versions(), summarize(recording))


def _record(test: LoadTest) -> Recording:
    """Sends from this process only if it has nothing else to do."""
    console = Console(stderr=True)
    # Not rich's own guess: an environment that forces colours makes it take a file for a terminal.
    if sys.stderr.isatty() and not console.is_dumb_terminal:
        with live_view(console, describe_load(describe(test)), test.timing) as watch:
            return measure_in_processes(test, watch)
    if test.workers > 1:
        return measure_in_processes(test, nobody)
    return run_with_exact_timers(measure(test))
