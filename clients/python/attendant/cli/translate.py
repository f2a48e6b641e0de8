"""`attendant translate`: a line in, a line out, in the same order, many at a time."""

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from attendant.async_client import AsyncClient
from attendant.cli.arguments import add_target, add_timeout, positive_count
from attendant.cli.backoff import Backoff, while_overloaded
from attendant.cli.feed import feed
from attendant.cli.lines import Line, lines_of_arguments, lines_of_file, lines_of_stdin
from attendant.cli.outcome import ExitCode, error_of_call
from attendant.cli.pipeline import Pipeline
from attendant.errors import AttendantError

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DESCRIPTION = """Translates lines of text, from the command line, a file or standard input.

Writes one translation a line, in the order of the input, as soon as it is there. A full server is
waited for, up to a minute a line. Any other failure ends the command: the translations of all lines
before it are written, and its line is named on standard error.
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "translate",
        help="translate lines of text",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    parser.add_argument("--from", required=True, dest="source_language", metavar="LANG")
    parser.add_argument("--to", required=True, dest="target_language", metavar="LANG")
    parser.add_argument("--model", default="", metavar="NAME", help="needed if there are several")
    parser.add_argument(
        "--in-flight",
        type=positive_count,
        default=64,
        metavar="N",
        help="lines to translate at a time (default: %(default)d)",
    )
    add_timeout(parser, 30.0, "one line")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE", help="a file to translate, one text a line")
    source.add_argument(
        "texts",
        nargs="*",
        default=[],
        metavar="TEXT",
        help="texts to translate; standard input if there are none",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Translates all lines."""
    asyncio.run(_translate_all(arguments))
    return ExitCode.OK


async def _translate_all(arguments: argparse.Namespace) -> None:
    async with AsyncClient(arguments.target, timeout_s=arguments.timeout_s) as client:

        async def translate(line: Line) -> str:
            return await _translate_line(client, arguments, line)

        async with aclosing(feed(_source(arguments), ahead=arguments.in_flight)) as lines:
            await Pipeline(translate, arguments.in_flight).run(lines, _write_line)


async def _translate_line(client: AsyncClient, arguments: argparse.Namespace, line: Line) -> str:
    async def call() -> str:
        translation = await client.translate(
            line.text,
            source_language=arguments.source_language,
            target_language=arguments.target_language,
            model=arguments.model,
        )
        return translation.text

    try:
        return await while_overloaded(call, Backoff())
    except AttendantError as error:
        raise error_of_call(line.place, error) from error


def _source(arguments: argparse.Namespace) -> Iterator[Line]:
    if arguments.texts:
        return lines_of_arguments(arguments.texts)
    if arguments.file is not None:
        return lines_of_file(arguments.file)
    return lines_of_stdin()


def _write_line(text: str) -> None:
    # Whoever reads counts lines: a break within a translation would shift all that follow.
    one_line = text.replace("\r", " ").replace("\n", " ")
    sys.stdout.buffer.write(one_line.encode() + b"\n")
    sys.stdout.buffer.flush()
