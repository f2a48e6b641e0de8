"""Everything that goes wrong on purpose.

    AttendantError
    ├── ConfigError            a server option is wrong                     (start only)
    │   └── CredentialsError   a certificate or keys cannot be used         (start only)
    ├── PackageError           a model package cannot be trusted or read
    ├── InvalidRequestError    a field of a request is wrong
    ├── UnauthenticatedError   no key, or none that is known
    ├── PermissionDeniedError  the key may not do this
    ├── NotFoundError          no such model, language or direction
    ├── LimitExceededError     a limit of the caller's own key
    ├── QueueFullError         no room to wait
    ├── MemoryBudgetError      no room for another model
    ├── DeadlineError          the caller's time is over, or too short for the work
    ├── UnavailableError       starting, draining, or the engine is dead
    └── UnsupportedError       a call of a protocol that this server does not have

A message is written for the caller: it names the field, the value and the limit, or what exists
instead.
"""

from __future__ import annotations

MAX_SHOWN = 80
"""Characters of a caller's word that a message repeats: it goes back in a header, and those are
small.
"""


def shown(word: str) -> str:
    """What the caller wrote, as a message repeats it."""
    return repr(word if len(word) <= MAX_SHOWN else word[:MAX_SHOWN] + "…")


class AttendantError(Exception):
    """Root of the tree; `str(error)` may be shown to the caller."""


class ConfigError(AttendantError):
    """A server option is wrong; the message names it and its value."""


class CredentialsError(ConfigError):
    """Certificates or keys cannot be used, or plain text was not asked for; the message names the
    file or the option, never what is in it.
    """


class PackageError(AttendantError):
    """A model package is refused; the message names the file or the figure."""


class InvalidRequestError(AttendantError):
    """A field of a request is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnauthenticatedError(AttendantError):
    """No key that is known came with the call; the text is always the same."""

    def __init__(self) -> None:
        super().__init__("a valid API key is needed: metadata 'authorization: Bearer KEY'")


class PermissionDeniedError(AttendantError):
    """The caller is known, and may not do this."""


class NotFoundError(AttendantError):
    """Something asked for by name does not exist; the message names what does."""


class QueueFullError(AttendantError):
    """The bounded queue has no room for the request."""

    def __init__(self, problem: str, retry_after_s: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s
        """When there may be room, by how fast the queue moves."""


class MemoryBudgetError(AttendantError):
    """Another model does not fit into the memory that models may hold."""


class LimitExceededError(AttendantError):
    """The caller has used up what its key grants for now."""

    def __init__(self, limit: str, retry_after_s: float) -> None:
        super().__init__(f"{limit}; try again in {retry_after_s:.2g} s")
        self.retry_after_s = retry_after_s


class DeadlineError(AttendantError):
    """The work cannot end, or has not ended, by the caller's deadline."""


class UnavailableError(AttendantError):
    """The server cannot take work now; another one, or a later try, may."""


class UnsupportedError(AttendantError):
    """The protocol has such a call, and this server does not answer it; the message says why."""
