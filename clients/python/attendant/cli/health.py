"""`attendant health`: whether a server takes requests, as an exit code."""

import argparse
from typing import TYPE_CHECKING

from attendant.cli.arguments import add_target, add_timeout
from attendant.cli.connection import add_tls, read_tls
from attendant.cli.outcome import ExitCode, error_of_call
from attendant.client import Client
from attendant.errors import AttendantError

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "health",
        help="say whether a server takes requests",
        description="Prints 'serving' and exits with 0, or 'not serving' and exits with 1.",
    )
    add_target(parser)
    add_tls(parser)
    add_timeout(parser, 2.0, "the check")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Asks the server once."""
    with Client(arguments.target, tls=read_tls(arguments)) as client:
        try:
            is_serving = client.is_serving(arguments.timeout_s)
        except AttendantError as error:
            raise error_of_call(arguments.target, error) from error
    print("serving" if is_serving else "not serving", flush=True)
    return ExitCode.OK if is_serving else ExitCode.REFUSED
