"""Everything that goes wrong on purpose.

    AttendantError
    ├── ConfigError            a server option is wrong                     (start only)
    ├── PackageError           a model package cannot be trusted or read    (start only)
    ├── InvalidRequestError    a field of a request is wrong
    ├── NotFoundError          no such model, language or direction
    ├── QueueFullError         no room to wait
    ├── DeadlineError          the caller's time is over, or too short for the work
    ├── UnavailableError       starting, draining, or the engine is dead
    └── UnsupportedError       a call of a protocol that this server does not have

A message is written for the caller: it names the field, the value and the limit, or what exists
instead.
"""

from __future__ import annotations


class AttendantError(Exception):
    """Root of the tree; `str(error)` may be shown to the caller."""


class ConfigError(AttendantError):
    """A server option is wrong; the message names it and its value."""


class PackageError(AttendantError):
    """A model package is refused; the message names the file or the figure."""


class InvalidRequestError(AttendantError):
    """A field of a request is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFoundError(AttendantError):
    """Something asked for by name does not exist; the message names what does."""


class QueueFullError(AttendantError):
    """The bounded queue has no room for the request."""


class DeadlineError(AttendantError):
    """The work cannot end, or has not ended, by the caller's deadline."""


class UnavailableError(AttendantError):
    """The server cannot take work now; another one, or a later try, may."""


class UnsupportedError(AttendantError):
    """The protocol has such a call, and this server does not answer it; the message says why."""
