"""What became of one request, as whoever sent it tells. Knows no protocol."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from attendant.load.config import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """A translation, as far as a load test looks at it."""

    source_tokens: int
    """Of the text, as the server counts them."""

    target_tokens: int
    """Of the translation."""

    source_characters: int
    """Of the text."""

    target_characters: int
    """Of the translation."""

    parts_s: tuple[float, ...] = ()
    """When each part with text came, by the event loop's clock; empty where nothing is streamed."""


Send = Callable[[Request], Awaitable[Answer]]
"""Makes one request; raises `AttendantError` if it fails."""
