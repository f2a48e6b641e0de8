"""How long the parts of a sequence's life take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Times:
    """In seconds of the engine's clock; 0 for what has not been."""

    waited_s: float = 0.0
    """From its arrival until it got rows."""
    encoding_s: float = 0.0
    """Of the encoder, for all that got rows in the same step."""
    first_token_s: float = 0.0
    """From its arrival until its first token was chosen."""
    total_s: float = 0.0
    """From its arrival to its end."""
