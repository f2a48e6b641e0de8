"""`attendant translate`: a line in, a line out, in the same order, many at a time."""

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

from attendant.async_client import AsyncClient
from attendant.cli.arguments import add_target, add_timeout, positive_count
from attendant.cli.backoff import Backoff, while_overloaded
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.decoding import (
    add_decoding,
    columns_of,
    format_translation,
    one_line,
    read_options,
)
from attendant.cli.feed import feed
from attendant.cli.lines import Line, lines_of_arguments, lines_of_file, lines_of_stdin
from attendant.cli.outcome import ExitCode, error_of_call
from attendant.cli.pipeline import Pipeline
from attendant.errors import AttendantError
from attendant.options import Options
from attendant.translation import TranslationPart

if TYPE_CHECKING:
    from argparse import _SubParsersAction

T = TypeVar("T")

_DESCRIPTION = """Translates lines of text, from the command line, a file or standard input.

Writes one translation a line, in the order of the input, as soon as it is there. A full server is
waited for, up to a minute a line. Any other failure ends the command: the translations of all lines
before it are written, and its line is named on standard error.

With --num-hypotheses each text gives several lines, best first, that begin with its number and a
tab. --scores and --alignment add columns, each after a tab.
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
    add_tls(parser)
    add_key(parser)
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
    add_decoding(parser)
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
    asyncio.run(_translate_all(arguments, read_options(arguments)))
    return ExitCode.OK


async def _translate_all(arguments: argparse.Namespace, options: Options) -> None:
    connection = read_connection(arguments)
    async with AsyncClient(arguments.target, timeout_s=arguments.timeout_s, **connection) as client:
        caller = _Caller(client, arguments, options)
        numbered = enumerate(_source(arguments), start=1)
        async with aclosing(feed(numbered, ahead=arguments.in_flight)) as lines:
            if not arguments.stream:
                await Pipeline(caller.translate, arguments.in_flight).run(lines, _write_line)
                return
            async for _, line in lines:
                await caller.stream(line)


class _Caller:
    """Translates lines as the command line says."""

    def __init__(
        self, client: AsyncClient, arguments: argparse.Namespace, options: Options
    ) -> None:
        self._client = client
        self._arguments = arguments
        self._options = options

    async def translate(self, numbered: tuple[int, Line]) -> str:
        """Returns what is written for a line."""
        number, line = numbered

        async def call() -> str:
            translation = await self._client.translate(
                line.text,
                source_language=self._arguments.source_language,
                target_language=self._arguments.target_language,
                model=self._arguments.model,
                options=self._options,
            )
            return format_translation(translation, number, self._options)

        return await _patiently(line, call)

    async def stream(self, line: Line) -> None:
        """Writes the translation of a line as it grows."""
        parts, part = await _patiently(line, lambda: self._begin(line))
        async with aclosing(parts):
            while part.translation is None:
                _write(one_line(part.text))
                try:
                    part = await anext(parts)
                except AttendantError as error:
                    _write_line("")
                    raise error_of_call(line.place, error) from error
        _write_line(one_line(part.text) + columns_of(part.translation, self._options))

    async def _begin(
        self, line: Line
    ) -> tuple[AsyncGenerator[TranslationPart, None], TranslationPart]:
        parts = self._client.translate_stream(
            line.text,
            source_language=self._arguments.source_language,
            target_language=self._arguments.target_language,
            model=self._arguments.model,
            options=self._options,
        )
        return parts, await anext(parts)


async def _patiently(line: Line, call: Callable[[], Awaitable[T]]) -> T:
    """Makes a call, again while the server is full; raises `CommandError` naming the line."""
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
    _write(text + "\n")


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
