"""Every error that a call can raise, and the one table from gRPC status codes to them.

    AttendantError               any other status; the base of all
    ├── InvalidRequestError      a field is wrong; the message names it and its limit
    │   └── TextsRefusedError    some texts are wrong; it has the translations of the others
    ├── UnauthenticatedError     no API key, or none that the server knows
    ├── PermissionDeniedError    the key may not do this
    ├── NotFoundError            no such model or language; the message names what exists
    ├── OverloadedError          the queue is full, or a limit of the key reached: try again later
    ├── DeadlineError            the call's deadline passed; its work has been stopped
    ├── UnavailableError         the server cannot be reached, is starting or is going down
    ├── CancelledError           the call was cancelled on its way or by the server
    └── InternalError            the server failed, or answered what it should not have

The message is the server's own, `code` the status it came with, `field` what it says is wrong. A
task that is cancelled in this process raises `asyncio.CancelledError` as ever, not the error of
that name here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, cast

import grpc

from attendant.translation import Translation

_Code = grpc.StatusCode
_FIELD = re.compile(r"[a-z_]+(?:\[\d+\]|\.[a-z_]+)*(?=: )")
"""How a message begins that names a field."""


class AttendantError(Exception):
    """A call that brought no translation."""

    usual_code: ClassVar[grpc.StatusCode] = _Code.UNKNOWN
    """The status of an error that is raised without one, such as one found before sending."""

    def __init__(self, message: str, code: grpc.StatusCode | None = None) -> None:
        super().__init__(message)
        self.code = self.usual_code if code is None else code

    @property
    def field(self) -> str | None:
        """The field, such as "texts[3]" or "options.beam_size", where the message names one."""
        found = _FIELD.match(str(self))
        return found[0] if found else None


class InvalidRequestError(AttendantError):
    """A field of the request is wrong."""

    usual_code = _Code.INVALID_ARGUMENT


class TextsRefusedError(InvalidRequestError):
    """Some texts of a call are wrong; the others have been translated."""

    def __init__(self, translations: Sequence[Translation]) -> None:
        refused = [translation.refusal for translation in translations if translation.refusal]
        super().__init__("; ".join(refused))
        self.translations = translations
        """One for each text, in their order; those of the wrong ones have a `refusal`."""


class UnauthenticatedError(AttendantError):
    """The server asks for an API key, and got none that it knows."""

    usual_code = _Code.UNAUTHENTICATED


class PermissionDeniedError(AttendantError):
    """The server knows who is calling, and does not allow it."""

    usual_code = _Code.PERMISSION_DENIED


class NotFoundError(AttendantError):
    """The server has no such model or language."""

    usual_code = _Code.NOT_FOUND


class OverloadedError(AttendantError):
    """The server's waiting queue is full, or a limit of the API key is reached; the same request
    may succeed later.
    """

    usual_code = _Code.RESOURCE_EXHAUSTED
    retry_after_s: float | None = None
    """In how many seconds, where the server says so."""


class DeadlineError(AttendantError):
    """The call's deadline passed."""

    usual_code = _Code.DEADLINE_EXCEEDED


class UnavailableError(AttendantError):
    """The server cannot be reached, is not ready yet or is going down."""

    usual_code = _Code.UNAVAILABLE


class CancelledError(AttendantError):
    """The call was cancelled, though not by a task of this process."""

    usual_code = _Code.CANCELLED


class InternalError(AttendantError):
    """The server failed, or gave an answer that does not fit the request."""

    usual_code = _Code.INTERNAL


ERROR_BY_CODE: Mapping[grpc.StatusCode, type[AttendantError]] = MappingProxyType(
    {
        _Code.INVALID_ARGUMENT: InvalidRequestError,
        _Code.UNAUTHENTICATED: UnauthenticatedError,
        _Code.PERMISSION_DENIED: PermissionDeniedError,
        _Code.NOT_FOUND: NotFoundError,
        _Code.RESOURCE_EXHAUSTED: OverloadedError,
        _Code.DEADLINE_EXCEEDED: DeadlineError,
        _Code.UNAVAILABLE: UnavailableError,
        _Code.CANCELLED: CancelledError,
        _Code.INTERNAL: InternalError,
        _Code.UNKNOWN: InternalError,
        _Code.DATA_LOSS: InternalError,
    }
)
"""The error that each status arrives as; a status not listed arrives as `AttendantError` itself."""

_RETRY_HEADER = "grpc-retry-pushback-ms"

_TOO_LARGE = "message larger than max"
"""Part of gRPC's own words for a message over the transport's size limit, on either side."""


def error_from_rpc(error: grpc.RpcError) -> AttendantError:
    """Returns the error that a failed call, synchronous or not, is raised as."""
    code = error.code()
    message = error.details() or f"the call failed with {code.name}"
    # gRPC gives an oversized message the status of a full queue. Waiting would never help it.
    if code is _Code.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        return InvalidRequestError(message, code)
    found = ERROR_BY_CODE.get(code, AttendantError)(message, code)
    if isinstance(found, OverloadedError):
        found.retry_after_s = _retry_after_s(error)
    return found


def _retry_after_s(error: grpc.RpcError) -> float | None:
    trailing = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    value = dict(trailing).get(_RETRY_HEADER)
    return int(value) / 1000 if isinstance(value, str) and value.isdecimal() else None
