"""What a translation is to the caller. Knows nothing of gRPC or protobuf."""

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why a translation ends where it does."""

    STOP = "stop"
    """The model ended the sentence."""

    LENGTH = "length"
    """The limit of target tokens was reached; the text may be incomplete."""

    EMPTY = "empty"
    """There was nothing to translate."""

    UNKNOWN = "unknown"
    """A reason that this version of the client has no name for: the server is newer."""


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text; `str()` of it is the text."""

    text: str
    """The translation."""

    finish_reason: FinishReason
    """Why it ends where it does."""

    source_tokens: int
    """Tokens of the source, its language tag and end of sentence counted; 0 for an empty text."""

    target_tokens: int
    """Tokens generated, the end of sentence counted; 0 for an empty text."""

    def __str__(self) -> str:
        return self.text
