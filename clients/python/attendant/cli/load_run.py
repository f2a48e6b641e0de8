"""What `attendant load` does once the command line is read. Needs the extra `load`."""

import argparse

from rich.console import Console

from attendant.cli.outcome import CommandError, ExitCode, error_of_call
from attendant.errors import AttendantError
from attendant.load.config import LoadTest
from attendant.load.event_loop import run_with_exact_timers
from attendant.load.live import live_view, nobody
from attendant.load.recorder import Recording
from attendant.load.report_json import as_json
from attendant.load.report_text import as_text
from attendant.load.result import Result, describe, now_utc, versions
from attendant.load.session import measure
from attendant.load.summary import Summary, summarize
from attendant.load.workers import WorkerDied, measure_in_processes


def run_once(test: LoadTest, arguments: argparse.Namespace) -> ExitCode:
    """Runs a test and prints its figures."""
    result = _result(test)
    print(as_json(result) if arguments.json else as_text(result), flush=True)
    return _exit_code(result.summary)


def _result(test: LoadTest) -> Result:
    started_at = now_utc()
    try:
        recording = _record(test)
    except AttendantError as error:
        raise error_of_call(test.endpoint.target, error) from error
    except WorkerDied as error:
        raise CommandError(str(error), ExitCode.FAILED) from error
    return Result(started_at, describe(test), versions(), summarize(recording))


def _record(test: LoadTest) -> Recording:
    """Sends from this process only if it has nothing else to do."""
    console = Console(stderr=True)
    if console.is_terminal:
        with live_view(console, test.timing) as watch:
            return measure_in_processes(test, watch)
    if test.workers > 1:
        return measure_in_processes(test, nobody)
    return run_with_exact_timers(measure(test))


def _exit_code(summary: Summary) -> ExitCode:
    if summary.arrivals and not summary.answered:
        return ExitCode.UNAVAILABLE
    return ExitCode.OK
