"""`attendant models`: what a server has, for people and for programs."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from attendant.cli.arguments import add_target, add_timeout
from attendant.cli.connection import add_key, add_tls, read_connection
from attendant.cli.outcome import ExitCode, error_of_call
from attendant.client import Client
from attendant.errors import AttendantError
from attendant.model import Model

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_COLUMNS = ("MODEL", "STATE", "VARIANT", "BLEU", "DIRECTIONS")


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "models",
        help="list a server's models",
        description="Prints a line a model: its version, what it is doing, what it translates.",
    )
    parser.add_argument("model", nargs="?", metavar="NAME", help="one model only")
    add_target(parser)
    add_tls(parser)
    add_key(parser)
    add_timeout(parser, 10.0, "the answer")
    parser.add_argument("--json", action="store_true", help="print all there is to know, as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Asks the server and prints."""
    connection = read_connection(arguments)
    with Client(arguments.target, timeout_s=arguments.timeout_s, **connection) as client:
        try:
            name = arguments.model
            models = client.list_models() if name is None else [client.get_model(name)]
        except AttendantError as error:
            raise error_of_call(arguments.target, error) from error
    print(_as_json(models) if arguments.json else _as_table(models), flush=True)
    return ExitCode.OK


def _as_json(models: Sequence[Model]) -> str:
    return json.dumps([asdict(model) for model in models], indent=2, ensure_ascii=False)


def _as_table(models: Sequence[Model]) -> str:
    rows = [_COLUMNS, *(_row(model) for model in models)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    reasons = (f"{model.name}: {model.reason}" for model in models if model.reason)
    return "\n".join([*lines, *reasons])


def _row(model: Model) -> tuple[str, ...]:
    bleu = {evidence.implementation: f"{evidence.bleu:.1f}" for evidence in model.evidence}
    return (
        f"{model.name}/{model.version}",
        model.state.value,
        model.variant or "-",
        bleu.get(model.variant, "-"),
        " ".join(model.directions) or "-",
    )
