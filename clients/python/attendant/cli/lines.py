"""Lines of text and where they come from. Knows nothing of translation."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO

from attendant.cli.outcome import CommandError, ExitCode

MAX_LINE_BYTES = 4 * 1024 * 1024
"""The longest line: gRPC's usual limit of a message. Without one, a stream that never breaks a line
would fill the memory."""

_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the input."""

    place: str
    """Where it stands, as an error names it: "FILE:3"."""

    text: str
    """What it says, without its end."""

    end: str = "\n"
    """What ends it: "\\n", "\\r\\n" or, where the input stops without one, nothing."""


class InputError(CommandError):
    """The input cannot be read; the message names the file, and the line where there is one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.USAGE)


def lines_of_arguments(texts: Sequence[str]) -> Iterator[Line]:
    """Yields the texts of the command line, each as a line.

    Raises `InputError` for one that is not UTF-8 or has more than one line.
    """
    for number, text in enumerate(texts, start=1):
        place = f"text {number}"
        if "\n" in text:
            raise InputError(f"{place}: has a line break; each text is one line")
        # Python passes undecodable bytes of the command line on as lone surrogates.
        yield Line(place, _decode(text.encode(errors="surrogateescape"), place))


def lines_of_file(path: str) -> Iterator[Line]:
    """Yields a file's lines as they are asked for; raises `InputError`."""
    try:
        stream = FileIO(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with stream:
        yield from _lines(stream, path)


def lines_of_stdin() -> Iterator[Line]:
    """Yields the lines of standard input as they come; raises `InputError`.

    Reads the file descriptor itself. Python's buffered stream has a lock, and a thread that waits
    for input while it holds it crashes the interpreter at exit.
    """
    if sys.stdin is None:
        raise InputError("standard input is closed")
    yield from _lines(FileIO(sys.stdin.fileno(), closefd=False), "standard input")


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the lines of a byte stream, each with what ends it.

    A line is yielded as soon as its end is there. One that is too long is yielded once it is over
    `MAX_LINE_BYTES`, unfinished: the caller can tell by its length.
    """
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > MAX_LINE_BYTES:
            break
    if rest:
        yield rest


def _lines(stream: FileIO, name: str) -> Iterator[Line]:
    number = 0
    try:
        for number, line in enumerate(split_lines(_chunks(stream)), start=1):
            text, end = _part(_decode(line, f"{name}:{number}"))
            yield Line(f"{name}:{number}", text, end)
    except OSError as error:
        raise InputError(f"{name}:{number + 1}: {error.strerror}") from error


def _chunks(stream: FileIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def _part(line: str) -> tuple[str, str]:
    """Parts a line from its end; a "\\r" that nothing follows belongs to the end too."""
    text = line.removesuffix("\n").removesuffix("\r")
    return text, line[len(text) :]


def _decode(line: bytes, place: str) -> str:
    if len(line) > MAX_LINE_BYTES:
        raise InputError(f"{place}: the line is longer than {MAX_LINE_BYTES:,} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: not UTF-8 at byte {error.start + 1}") from error
