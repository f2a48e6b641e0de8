"""The command's entry point: picks the subcommand and turns what ends it into an exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import attendant
from attendant.cli import completion, health, load, models, tokenize, translate
from attendant.cli.outcome import CommandError, ExitCode

_EPILOG = """exit codes:
  0    all is done
  1    the server refused a text, a language, a model or a key, or it is not serving
  2    the command line is wrong, the input cannot be read, or the output not be written
  3    the server cannot be reached, does not answer in time or stays overloaded
  4    the server failed
  5    load: a threshold was missed, no rate held, or a figure got worse
  130  interrupted with Ctrl-C
  141  nobody reads the output any more
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; `argv` is without the command's own name."""
    arguments = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], ExitCode] = arguments.run
    try:
        return run(arguments)
    except CommandError as error:
        print(f"attendant: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return ExitCode.BROKEN_PIPE


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command and all its subcommands."""
    parser = argparse.ArgumentParser(
        prog="attendant",
        description="Talks to an Attendant translation server.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"attendant {attendant.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subcommands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for subcommand in (translate, load, models, tokenize, health, completion):
        subcommand.add_parser(subcommands)
    return parser


def _discard_output() -> None:
    # What is still buffered would fail once more, loudly, when Python closes its output at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
