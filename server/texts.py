"""What texts of a caller must be, whatever is done with them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.errors import InvalidRequestError

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Control characters that a text may not hold; the others are white space to the tokenizer."""


def check_count(count: int, most: int) -> None:
    """Raises InvalidRequestError for too many texts."""
    if count > most:
        problem = f"there are {count}, at most {most} are allowed"
        raise InvalidRequestError("texts", problem)


def check_together(texts: Sequence[str], most: int) -> None:
    """Raises InvalidRequestError for texts that have too many characters together."""
    count = sum(map(len, texts))
    if count > most:
        problem = f"together they have {count} characters, at most {most} are allowed"
        raise InvalidRequestError("texts", problem)


def check_characters(name: str, text: str, most: int) -> None:
    """Raises InvalidRequestError, for the field `name`, where `text` is too long or holds a control
    character.
    """
    if len(text) > most:
        problem = f"it has {len(text)} characters, at most {most} are allowed"
        raise InvalidRequestError(name, problem)
    found = CONTROLS.search(text)
    if found:
        code = f"U+{ord(found.group()):04X}"
        problem = f"control character {code} at position {found.start()} is not allowed"
        raise InvalidRequestError(name, problem)
