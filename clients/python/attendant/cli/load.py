"""`attendant load`: what a server does under a given rate of requests."""

import argparse
import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from attendant.async_client import AsyncClient
from attendant.cli.arguments import add_target, add_timeout, positive_number
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.lines import lines_of_file
from attendant.cli.outcome import CommandError, ExitCode, error_of_call
from attendant.errors import AttendantError, OverloadedError
from attendant.load.arrivals import poisson_arrivals
from attendant.load.recorder import Recorder, Summary
from attendant.load.report import as_json, as_text
from attendant.load.runner import run_open_loop
from attendant.load.sentences import SENTENCES
from attendant.retries import NO_RETRIES

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_BUILT_IN_LANGUAGE = "en"
_DRAIN_MARGIN_S = 1.0

_DESCRIPTION = """Sends requests at random times (Poisson arrivals) and reports how they fared.

Requests leave when they are due, however slow the server is, and are timed from then. One request
is sent and not counted before the run: it opens the connection and shows whether the server will
take any. Exits with 0 if anything was answered: how much is for the figures to say.
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "load",
        help="measure a server under load",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target(parser)
    add_tls(parser)
    add_key(parser)
    parser.add_argument("--rate", required=True, type=positive_number, help="requests a second")
    parser.add_argument(
        "--duration", required=True, type=positive_number, dest="duration_s", metavar="S"
    )
    parser.add_argument("--from", default="en", dest="source_language", metavar="LANG")
    parser.add_argument("--to", default="de", dest="target_language", metavar="LANG")
    parser.add_argument("--model", default="", metavar="NAME", help="needed if there are several")
    parser.add_argument("--file", metavar="TEXTS", help="texts to send, one a line, in turn")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals (default: 0)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    add_timeout(parser, 30.0, "one request")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Runs the load and prints the figures."""
    texts = _texts(arguments)
    summary = asyncio.run(_measure(arguments, texts))
    print(as_json(summary) if arguments.json else as_text(summary), flush=True)
    return ExitCode.UNAVAILABLE if summary.arrivals and not summary.answered else ExitCode.OK


async def _measure(arguments: argparse.Namespace, texts: Sequence[str]) -> Summary:
    remaining_texts = itertools.cycle(texts)
    connection = read_connection(arguments)
    async with AsyncClient(
        arguments.target,
        timeout_s=arguments.timeout_s,
        retries=NO_RETRIES,  # asked again in silence, failures would not be seen
        **connection,
    ) as client:

        async def send() -> None:
            await client.translate(
                next(remaining_texts),
                source_language=arguments.source_language,
                target_language=arguments.target_language,
                model=arguments.model,
            )

        await _probe(send, arguments.target)
        arrivals = poisson_arrivals(arguments.rate, arguments.duration_s, arguments.seed)
        recorder = Recorder()
        # Each call has its own deadline: after it there should be nothing left to wait for.
        await run_open_loop(send, arrivals, recorder, arguments.timeout_s + _DRAIN_MARGIN_S)
        return recorder.summary()


async def _probe(send: Callable[[], Awaitable[None]], target: str) -> None:
    try:
        await send()
    except OverloadedError:
        pass  # A server that is full already is still one to measure.
    except AttendantError as error:
        raise error_of_call(target, error) from error


def _texts(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.file is not None:
        texts = [line.text for line in lines_of_file(arguments.file) if line.text.strip()]
        if not texts:
            raise CommandError(f"{arguments.file}: has no text in it", ExitCode.USAGE)
        return texts
    if arguments.source_language != _BUILT_IN_LANGUAGE:
        message = "--from: the built-in sentences are English; give others with --file"
        raise CommandError(message, ExitCode.USAGE)
    return SENTENCES
