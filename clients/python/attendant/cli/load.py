"""`attendant load`: what a server does under load. It needs an extra, and says so."""

import argparse
import importlib.util
from typing import TYPE_CHECKING

from attendant.cli.load_options import add_load_options, read_test, usage_error
from attendant.cli.outcome import ExitCode

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_EXTRA = ("hdrh", "rich")

_DESCRIPTION = """Sends requests and reports how they fared.

With --rate requests leave when they are due, however slow the server is, and are timed from then;
with --concurrency each of so many callers asks again when it is answered; --replay sends a trace at
its own times. One request is sent and not counted before the run: it opens the connection and shows
whether the server will take any. Exits with 0 if anything was answered: how much is for the figures
to say, or for --thresholds.
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser, with one of its own."""
    parser = subcommands.add_parser(
        "load",
        help="measure a server under load",
        usage="attendant load [options]\n       attendant load compare A.json B.json",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_load_options(parser)
    _add_report(parser.add_argument_group("report"))
    parser.set_defaults(run=run)
    own = parser.add_subparsers(title="commands", metavar="COMMAND", prog="attendant load")
    _add_compare(own)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Runs the load and reports."""
    test = read_test(arguments)
    _require_extra()
    from attendant.cli.load_run import run_load

    return run_load(test, arguments)


def run_compare(arguments: argparse.Namespace) -> ExitCode:
    """Compares two results."""
    _require_extra()
    from attendant.load.compare import (
        compare,
        comparison_as_json,
        comparison_as_text,
        read_result,
    )

    try:
        comparison = compare(read_result(arguments.before), read_result(arguments.after))
    except OSError as error:
        raise usage_error(f"{error.filename}: {error.strerror}") from error
    except ValueError as error:
        raise usage_error(str(error)) from error
    shown = comparison_as_json if arguments.json else comparison_as_text
    print(shown(comparison), flush=True)
    is_failure = comparison.is_worse and arguments.fail_if_worse
    return ExitCode.THRESHOLD if is_failure else ExitCode.OK


def _add_report(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--json", action="store_true", help="print the figures as JSON")
    group.add_argument("--save", metavar="FILE", help="write the JSON to a file too")
    group.add_argument("--html", metavar="FILE", help="write a page with plots, all in one file")
    group.add_argument(
        "--thresholds",
        metavar="FILE",
        help="limits of the figures, in TOML; exit with 5 if one is missed",
    )
    group.add_argument(
        "--find-slo",
        action="append",
        default=[],
        metavar="pN=TIME",
        help="look for the highest rate that holds, as p99=100ms; --rate is where to begin",
    )


def _add_compare(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "compare",
        help="compare two results that --save wrote",
        description="Prints two results side by side, and what changed by more than chance.",
    )
    parser.add_argument("before", metavar="A.json")
    parser.add_argument("after", metavar="B.json")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.add_argument(
        "--fail-if-worse", action="store_true", help="exit with 5 if a figure is worse"
    )
    parser.set_defaults(run=run_compare)


def _require_extra() -> None:
    if any(importlib.util.find_spec(name) is None for name in _EXTRA):
        raise usage_error("load needs more than the client does: pip install 'attendant[load]'")
