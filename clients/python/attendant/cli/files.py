"""The options of `attendant translate` that say what is read, how, and where the answers go."""

import argparse
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from attendant.cli.arguments import positive_count
from attendant.cli.formats.jsonl import Jsonl
from attendant.cli.formats.md import Markdown
from attendant.cli.formats.srt import Srt
from attendant.cli.formats.tsv import Tsv
from attendant.cli.formats.txt import Txt
from attendant.cli.formats.unit import Format
from attendant.cli.lines import Line, lines_of_arguments, lines_of_file, lines_of_stdin
from attendant.cli.outcome import CommandError, ExitCode

_FORMATS: Mapping[str, Callable[[argparse.Namespace], Format]] = MappingProxyType(
    {
        "txt": lambda arguments: Txt(),
        "tsv": lambda arguments: Tsv(
            arguments.column or 1, (arguments.output_field or _NEW) if arguments.header else None
        ),
        "jsonl": lambda arguments: Jsonl(arguments.field or "text", arguments.output_field or _NEW),
        "srt": lambda arguments: Srt(),
        "md": lambda arguments: Markdown(),
    }
)
_NEW = "translation"
_ENDINGS: Mapping[str, str] = MappingProxyType(
    {".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".srt": "srt", ".md": "md"}
    | {".markdown": "md"}
)
_OPTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "column": ("tsv",),
        "header": ("tsv",),
        "field": ("jsonl",),
        "output_field": ("jsonl", "tsv"),
    }
)
"""The formats that an option is for."""


def add_input(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say what is read."""
    group = parser.add_argument_group("input")
    source = group.add_mutually_exclusive_group()
    source.add_argument("--file", metavar="FILE", help="a file to translate")
    source.add_argument(
        "texts",
        nargs="*",
        default=[],
        metavar="TEXT",
        help="texts to translate; standard input if there are none",
    )
    group.add_argument(
        "--format", choices=list(_FORMATS), help="what the input is (default: by FILE's ending)"
    )
    group.add_argument(
        "--column", type=positive_count, metavar="N", help="tsv: the column to translate, from 1"
    )
    group.add_argument("--header", action="store_true", help="tsv: the first line has names")
    group.add_argument("--field", metavar="NAME", help="jsonl: what to translate (default: text)")
    group.add_argument(
        "--output-field",
        metavar="NAME",
        help=f"jsonl, and tsv with --header: what the translation is called (default: {_NEW})",
    )
    group.add_argument(
        "--split-sentences",
        action="store_true",
        help="texts are paragraphs, to be translated sentence by sentence; srt and md always are",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say where it goes."""
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output", metavar="FILE", help="a file to write; standard output without it"
    )
    again = group.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on where a run that broke off has left --output"
    )
    again.add_argument("--overwrite", action="store_true", help="replace --output if it exists")


def read_format(arguments: argparse.Namespace) -> Format:
    """Returns the format of the input; raises `CommandError` for options that are not for it."""
    name = arguments.format or _format_of(arguments.file)
    for option, formats in _OPTIONS.items():
        if getattr(arguments, option) and name not in formats:
            flag = option.replace("_", "-")
            message = f"--{flag}: is for {' and '.join(formats)}, and the input is {name}"
            raise CommandError(message, ExitCode.USAGE)
    return _FORMATS[name](arguments)


def read_lines(arguments: argparse.Namespace) -> Iterator[Line]:
    """Returns the lines of the input, wherever they are."""
    if arguments.texts:
        return lines_of_arguments(arguments.texts)
    if arguments.file is not None:
        return lines_of_file(arguments.file)
    return lines_of_stdin()


def input_size(arguments: argparse.Namespace) -> int | None:
    """Returns the bytes of the input; None where nobody knows."""
    if arguments.texts:
        return None
    try:
        is_stdin = arguments.file is None
        found = os.fstat(sys.stdin.fileno()) if is_stdin else Path(arguments.file).stat()
    except (OSError, ValueError, AttributeError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_output(arguments: argparse.Namespace) -> Path | None:
    """Returns the file to write, None for standard output; raises `CommandError`."""
    if arguments.output is None:
        for flag in ("resume", "overwrite"):
            if getattr(arguments, flag):
                raise CommandError(f"--{flag}: is for --output", ExitCode.USAGE)
        return None
    output = Path(arguments.output)
    if arguments.file is not None and output.exists() and output.samefile(arguments.file):
        raise CommandError("--output: is the file that is read", ExitCode.USAGE)
    return output


def _format_of(file: str | None) -> str:
    return "txt" if file is None else _ENDINGS.get(Path(file).suffix.lower(), "txt")
