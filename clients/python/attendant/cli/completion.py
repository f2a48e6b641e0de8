"""`attendant completion`: a script that completes the command in a shell. shtab writes it."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from attendant.cli.formats.extra import needs
from attendant.cli.outcome import ExitCode

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_SHELLS = ("bash", "zsh", "fish")
_FILES = ("FILE", "TEXTS")
"""Metavars of options whose values are files."""

_DESCRIPTION = """Prints a script that completes the command's options and their values.

  bash  attendant completion bash > ~/.local/share/bash-completion/completions/attendant
  zsh   attendant completion zsh > DIR/_attendant, where DIR is in $fpath
  fish  attendant completion fish > ~/.config/fish/completions/attendant.fish

It needs shtab: pip install 'attendant[completion]'
"""


def add_parser(subcommands: "_SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the subcommand's parser."""
    parser = subcommands.add_parser(
        "completion",
        help="print a script for completion in a shell",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=_SHELLS, help="whose script")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> ExitCode:
    """Prints the script."""
    from attendant.cli.main import build_parser  # which imports this module

    with needs("completion", "completion"):
        import shtab
    parser = build_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    print(shtab.complete(parser, arguments.shell), flush=True)
    return ExitCode.OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yields the arguments of a parser and of all its subcommands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)
