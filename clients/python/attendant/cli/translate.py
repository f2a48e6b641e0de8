"""`attendant translate`: texts in, translations out, in the same order, many at a time."""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from attendant.async_client import AsyncClient
from attendant.cli.arguments import add_target, add_timeout, positive_count
from attendant.cli.as_json import as_json
from attendant.cli.caller import Caller, Direction
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.decoding import add_decoding, columns_of, format_translation, read_options
from attendant.cli.feed import feed
from attendant.cli.files import (
    add_input,
    add_output,
    input_size,
    read_format,
    read_lines,
    read_output,
)
from attendant.cli.formats.txt import Txt, one_line
from attendant.cli.formats.unit import Format, Unit, read_units
from attendant.cli.outcome import CommandError, ExitCode
from attendant.cli.output import Numbered, Output, OutputFile, StandardOutput, write_now
from attendant.cli.pipeline import Pipeline
from attendant.cli.progress_bar import ProgressBar, make_progress_bar
from attendant.options import Options

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_DESCRIPTION = """Translates texts, from the command line, a file or standard input.

Writes the translations in the order of the input, each as soon as it is there. A full server is
waited for, up to a minute a text. Any other failure ends the command: the translations of all texts
before it are written, and its place is named on standard error.

formats of files:
  txt    a text a line, and a translation a line
  tsv    columns between tabs: that of --column is translated, the translation is a new last one
  jsonl  a JSON object a line: --field is translated, the translation is set as --output-field
  srt    subtitles: numbers, times and tags at the edges of lines stay
  md     Markdown: prose is translated; code, targets of links, HTML and all marks stay

With --num-hypotheses each text gives several lines, best first, that begin with its number and a
tab. --scores and --alignment add columns, each after a tab. With --json each text gives one line,
an object that has all of that.

With --output a run that broke off, for whatever reason, goes on where it stopped if it is started
again with --resume, and writes the same bytes as one that did not. Until a run is over, a file that
ends in .attendant-progress lies beside its output.
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "translate",
        help="translate texts and files",
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
        help="texts to translate at a time (default: %(default)d)",
    )
    add_timeout(parser, 30.0, "one text")
    add_decoding(parser)
    add_input(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Translates all texts."""
    form = read_format(arguments)
    options = read_options(arguments, form)
    bar = make_progress_bar(input_size(arguments), arguments.output is not None)
    try:
        asyncio.run(_Run(arguments, form, options, bar).run())
    finally:
        if bar is not None:
            bar.close()
    return ExitCode.OK


class _Run:
    """One run of the command."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        form: Format,
        options: Options,
        bar: ProgressBar | None,
    ) -> None:
        self._arguments = arguments
        self._form = form
        self._options = options
        self._bar = bar
        self._direction = Direction(
            arguments.source_language, arguments.target_language, arguments.model
        )

    async def run(self) -> None:
        """Translates everything, or fails with what ends the command."""
        connection = read_connection(self._arguments)
        units = _numbered(read_units(self._form, read_lines(self._arguments)))
        client = AsyncClient(
            self._arguments.target, timeout_s=self._arguments.timeout_s, **connection
        )
        async with client:
            caller = Caller(client, self._direction, self._options)
            with self._open_output(units) as output:
                await self._translate(caller, units, output)

    async def _translate(self, caller: Caller, units: Iterator[Numbered], output: Output) -> None:
        async def call(numbered: Numbered) -> tuple[Unit, str]:
            return numbered[1], await self._written(caller, *numbered)

        def write(done: tuple[Unit, str]) -> None:
            output.write(*done)
            if self._bar is not None:
                self._bar.advance(done[0])

        in_flight = self._arguments.in_flight
        async with aclosing(feed(units, ahead=in_flight)) as ready:
            if not self._arguments.stream:
                await Pipeline(call, in_flight).run(ready, write)
                return
            async for _, unit in ready:
                await self._stream(caller, unit)

    async def _written(self, caller: Caller, number: int, unit: Unit) -> str:
        """Returns what is written for a unit."""
        if unit.text is None:
            return "" if self._arguments.json else unit.render(unit.source)
        translation = await caller.translate(unit, unit.text)
        if self._arguments.json:
            return as_json(unit.text, translation, self._options)
        if isinstance(self._form, Txt):
            return format_translation(translation, number, self._options) + "\n"
        return unit.render(translation.text)

    async def _stream(self, caller: Caller, unit: Unit) -> None:
        """Writes the translation of a line as it grows."""
        if unit.text is None:
            write_now(unit.source)
            return
        has_begun = False
        try:
            async with aclosing(caller.stream(unit, unit.text)) as parts:
                async for part in parts:
                    write_now(one_line(part.text))
                    has_begun = True
                    if part.translation is not None:
                        write_now(columns_of(part.translation, self._options) + "\n")
        except CommandError:
            if has_begun:
                write_now("\n")
            raise

    def _open_output(self, units: Iterator[Numbered]) -> Output:
        path = read_output(self._arguments)
        if path is None:
            return StandardOutput()
        file = OutputFile(path, self._settings())
        if self._arguments.resume:
            file.resume(units, self._bar.skip if self._bar is not None else lambda unit: None)
        else:
            file.begin(self._arguments.overwrite)
        return file

    def _settings(self) -> dict[str, Any]:
        """What decides what is written, besides the input."""
        usual = asdict(Options())
        options = {k: v for k, v in asdict(self._options).items() if v != usual[k]}
        options.pop("priority", None)
        return {
            "--from": self._direction.source_language,
            "--to": self._direction.target_language,
            "--model": self._direction.model,
            "--json": self._arguments.json,
            "the format": repr(self._form),
            "decoding": options,
        }


def _numbered(units: Iterator[Unit]) -> Iterator[Numbered]:
    number = 0
    for unit in units:
        number += unit.text is not None
        yield number, unit
