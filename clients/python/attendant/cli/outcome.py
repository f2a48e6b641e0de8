"""How the command ends: its exit codes, and the failures it reports in one line."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType

from attendant.errors import (
    AttendantError,
    CancelledError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    TextsRefusedError,
    UnauthenticatedError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """The command's exit codes."""

    OK = 0
    """All is done."""

    REFUSED = 1
    """The server refused a text, a language, a model or an API key; or it is not serving."""

    USAGE = 2
    """The command line is wrong, the input cannot be read, or the output cannot be written."""

    UNAVAILABLE = 3
    """The server cannot be reached, does not answer in time or stays overloaded."""

    FAILED = 4
    """The server failed, or gave an answer that makes no sense."""

    THRESHOLD = 5
    """load: a threshold was missed, no rate held, or a figure got worse."""

    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells count."""

    BROKEN_PIPE = 141
    """Nobody reads the output any more: 128 and the number of SIGPIPE."""


class CommandError(Exception):
    """Ends the command with a message of one line and an exit code."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_EXIT_CODES: Mapping[type[AttendantError], ExitCode] = MappingProxyType(
    {
        InvalidRequestError: ExitCode.REFUSED,
        TextsRefusedError: ExitCode.REFUSED,
        NotFoundError: ExitCode.REFUSED,
        UnauthenticatedError: ExitCode.REFUSED,
        PermissionDeniedError: ExitCode.REFUSED,
        OverloadedError: ExitCode.UNAVAILABLE,
        DeadlineError: ExitCode.UNAVAILABLE,
        UnavailableError: ExitCode.UNAVAILABLE,
        CancelledError: ExitCode.UNAVAILABLE,
    }
)


def error_of_call(where: str, error: AttendantError) -> CommandError:
    """Returns how the command ends over a failed call; `where` is the line or the server."""
    exit_code = _EXIT_CODES.get(type(error), ExitCode.FAILED)
    message = " ".join(str(error).split())
    return CommandError(f"{where}: {error.code.name}: {message}", exit_code)
