"""`attendant tokenize`: the pieces that a model sees of each line."""

import argparse
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attendant.cli.arguments import add_target, add_timeout
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.lines import Line, lines_of_arguments, lines_of_file, lines_of_stdin
from attendant.cli.outcome import ExitCode, error_of_call
from attendant.client import Client
from attendant.errors import AttendantError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_LINES_A_CALL = 64


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "tokenize",
        help="show the pieces that a model sees",
        description="Writes the pieces of each line, between spaces; with --ids their numbers.",
    )
    add_target(parser)
    add_tls(parser)
    add_key(parser)
    parser.add_argument("--model", default="", metavar="NAME", help="needed if there are several")
    parser.add_argument(
        "--to",
        default="",
        dest="target_language",
        metavar="LANG",
        help="show what the model reads for a translation into LANG, its tag and end too",
    )
    parser.add_argument("--ids", action="store_true", help="write numbers, not pieces")
    add_timeout(parser, 30.0, f"{_LINES_A_CALL} lines")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE", help="a file, one text a line")
    source.add_argument(
        "texts", nargs="*", default=[], metavar="TEXT", help="texts; standard input if none"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Asks for some lines at a time and prints them."""
    connection = read_connection(arguments)
    with Client(arguments.target, timeout_s=arguments.timeout_s, **connection) as client:
        lines = _source(arguments)
        while some := list(itertools.islice(lines, _LINES_A_CALL)):
            try:
                found = client.tokenize(
                    [line.text for line in some],
                    model=arguments.model,
                    target_language=arguments.target_language,
                )
            except AttendantError as error:
                raise error_of_call(some[0].place, error) from error
            for text in found:
                print(*(text.ids if arguments.ids else text.pieces), flush=True)
    return ExitCode.OK


def _source(arguments: argparse.Namespace) -> Iterator[Line]:
    if arguments.texts:
        return lines_of_arguments(arguments.texts)
    if arguments.file is not None:
        return lines_of_file(arguments.file)
    return lines_of_stdin()
