"""The options of `attendant load` that say what to send, and the test that they make."""

import argparse
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from attendant.cli.arguments import add_target, add_timeout, positive_count, positive_number
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.lines import lines_of_file
from attendant.cli.outcome import CommandError, ExitCode
from attendant.load.config import (
    Arrivals,
    ClosedLoop,
    Content,
    Endpoint,
    LoadTest,
    OpenLoop,
    Pattern,
    ProtocolName,
    Replay,
    Timing,
    WeightedOptions,
)
from attendant.load.mix import parse_weighted_options
from attendant.load.sentences import SENTENCES
from attendant.load.trace import read_trace
from attendant.options import Options

_BUILT_IN_LANGUAGE = "en"
_SHORTEST_REPLAY_S = 1.0


def add_load_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    add_target(parser, is_required=False)  # a subcommand of this one needs none
    add_tls(parser)
    add_key(parser)
    add_timeout(parser, 30.0, "one request")
    _add_pattern(parser.add_argument_group("load"))
    _add_content(parser.add_argument_group("requests"))


def read_test(arguments: argparse.Namespace) -> LoadTest:
    """Returns the test that the command line describes; raises CommandError."""
    if arguments.target is None:
        raise usage_error("--target: must name the server")
    try:
        content, pattern = _content(arguments), _pattern(arguments)
        if isinstance(pattern, Replay):
            pattern = _cut(pattern, arguments)
            content = replace(content, texts=[request.text for request in pattern.requests])
        return LoadTest(
            endpoint=_endpoint(arguments),
            pattern=pattern,
            timing=_timing(arguments, pattern),
            content=content,
            seed=arguments.seed,
            workers=arguments.workers,
        )
    except ValueError as error:
        raise usage_error(str(error)) from error


def usage_error(message: str) -> CommandError:
    """Returns the error of a command line that is wrong."""
    return CommandError(message, ExitCode.USAGE)


def _add_pattern(group: "argparse._ArgumentGroup") -> None:
    pattern = group.add_mutually_exclusive_group()
    pattern.add_argument("--rate", type=positive_number, help="open loop: requests a second")
    pattern.add_argument(
        "--concurrency", type=positive_count, metavar="N", help="closed loop: requests at a time"
    )
    pattern.add_argument(
        "--replay", metavar="FILE", help="requests with their own times, a JSON object a line"
    )
    group.add_argument(
        "--arrivals",
        type=Arrivals,
        choices=list(Arrivals),
        default=Arrivals.POISSON,
        help="times of an open loop: at random, or with even gaps (default: %(default)s)",
    )
    group.add_argument(
        "--duration", type=positive_number, dest="duration_s", metavar="S", help="time to measure"
    )
    group.add_argument(
        "--warm-up",
        type=float,
        default=0.0,
        dest="warm_up_s",
        metavar="S",
        help="time before it, reported apart (default: 0)",
    )
    group.add_argument(
        "--windows",
        type=positive_count,
        default=20,
        metavar="N",
        help="parts of the measured time that are compared (default: %(default)d)",
    )
    group.add_argument(
        "--workers", type=positive_count, default=1, metavar="N", help="processes that send"
    )
    group.add_argument("--seed", type=int, default=0, help="of times and options (default: 0)")


def _add_content(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--protocol",
        type=ProtocolName,
        choices=list(ProtocolName),
        default=ProtocolName.ATTENDANT,
        help="the server's own API, or the Open Inference Protocol (default: %(default)s)",
    )
    group.add_argument("--stream", action="store_true", help="read the text as it grows")
    group.add_argument("--from", default="en", dest="source_language", metavar="LANG")
    group.add_argument("--to", default="de", dest="target_language", metavar="LANG")
    group.add_argument("--model", default="", metavar="NAME", help="needed if there are several")
    group.add_argument("--file", metavar="TEXTS", help="texts to send, one a line, in turn")
    group.add_argument(
        "--options",
        action="append",
        default=[],
        type=_weighted_options,
        metavar="WEIGHT[:NAME=VALUE,...]",
        help="how to translate; given several times, drawn by weight",
    )


def _weighted_options(text: str) -> WeightedOptions:
    try:
        return parse_weighted_options(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _endpoint(arguments: argparse.Namespace) -> Endpoint:
    return Endpoint(
        target=arguments.target,
        protocol=arguments.protocol,
        model=arguments.model,
        is_streamed=arguments.stream,
        timeout_s=arguments.timeout_s,
        **read_connection(arguments),
    )


def _pattern(arguments: argparse.Namespace) -> Pattern:
    if arguments.concurrency is not None:
        return ClosedLoop(arguments.concurrency)
    if arguments.rate is not None:
        return OpenLoop(arguments.rate, arguments.arrivals)
    if arguments.replay is not None:
        return _replay(arguments)
    raise usage_error("--rate, --concurrency or --replay: one of them says how much to send")


def _replay(arguments: argparse.Namespace) -> Replay:
    if arguments.file is not None or arguments.options:
        raise usage_error("--replay: a trace has its own texts and options")
    lines = ((line.place, line.text) for line in lines_of_file(arguments.replay))
    return read_trace(lines, arguments.source_language, arguments.target_language)


def _cut(replay: Replay, arguments: argparse.Namespace) -> Replay:
    """A trace as far as it is to be replayed."""
    if arguments.duration_s is None:
        return replay
    count = bisect_left(replay.due_s, arguments.warm_up_s + arguments.duration_s)
    return Replay(replay.due_s[:count], replay.requests[:count])


def _timing(arguments: argparse.Namespace, pattern: Pattern) -> Timing:
    duration_s = arguments.duration_s
    if duration_s is None and isinstance(pattern, Replay):
        duration_s = max(pattern.due_s[-1] - arguments.warm_up_s, _SHORTEST_REPLAY_S)
    if duration_s is None:
        raise usage_error("--duration: must say for how long")
    return Timing(duration_s, arguments.warm_up_s, arguments.windows)


def _content(arguments: argparse.Namespace) -> Content:
    return Content(
        texts=_texts(arguments),
        source_language=arguments.source_language,
        target_language=arguments.target_language,
        mix=tuple(arguments.options) or (WeightedOptions(1, Options()),),
    )


def _texts(arguments: argparse.Namespace) -> Sequence[str]:
    if arguments.file is not None:
        texts = tuple(line.text for line in lines_of_file(arguments.file) if line.text.strip())
        if not texts:
            raise usage_error(f"{arguments.file}: has no text in it")
        return texts
    if arguments.source_language != _BUILT_IN_LANGUAGE and arguments.replay is None:
        raise usage_error("--from: the built-in sentences are English; give others with --file")
    return SENTENCES
