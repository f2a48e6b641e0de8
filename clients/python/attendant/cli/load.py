"""`attendant load`: what a server does under load. It needs an extra, and says so."""

import argparse
import importlib.util
from typing import TYPE_CHECKING

from attendant.cli.load_options import add_load_options, read_test
from attendant.cli.outcome import CommandError, ExitCode

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_EXTRA = ("hdrh", "rich")

_DESCRIPTION = """Sends requests and reports how they fared.

With --rate requests leave when they are due, however slow the server is, and are timed from then;
with --concurrency each of so many callers asks again when it is answered. One request is sent and
not counted before the run: it opens the connection and shows whether the server will take any.
Exits with 0 if anything was answered: how much is for the figures to say.
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "load",
        help="measure a server under load",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_load_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Runs the load and prints the figures."""
    test = read_test(arguments)
    _require_extra()
    from attendant.cli.load_run import run_once

    return run_once(test, arguments)


def _require_extra() -> None:
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        message = "load needs more than the client does: pip install 'attendant[load]'"
        raise CommandError(message, ExitCode.USAGE)
