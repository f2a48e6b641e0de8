"""One sentence in flight: what it was given, what it has produced, where it stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class SequenceStatus(enum.Enum):
    """Where a sequence stands; it only ever moves down this list."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class FinishReason(enum.Enum):
    """Why a sequence ended by itself."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True)
class DecodingOptions:
    """How one sequence is decoded."""

    max_target_tokens: int
    """Upper limit of generated tokens, the end of sentence counted."""


@dataclass(eq=False)
class Sequence:
    """A source on its way to a translation, as token ids."""

    sequence_id: int
    source: list[int]
    options: DecodingOptions
    bos_id: int
    eos_id: int
    status: SequenceStatus = SequenceStatus.WAITING
    slot: int = -1
    """Row of the caches while running, -1 otherwise."""
    target: list[int] = field(default_factory=list)
    """Generated tokens, the end of sentence included once it came."""
    finish_reason: FinishReason | None = None

    @property
    def last_token(self) -> int:
        """What the next step is fed."""
        return self.target[-1] if self.target else self.bos_id

    def append(self, token: int) -> None:
        """Takes the next token, and ends where it is the last."""
        self.target.append(token)
        if token == self.eos_id:
            self.finish_reason = FinishReason.STOP
        elif len(self.target) >= self.options.max_target_tokens:
            self.finish_reason = FinishReason.LENGTH

    @property
    def token_ids(self) -> list[int]:
        """Generated tokens without the end of sentence."""
        return self.target[:-1] if self.finish_reason is FinishReason.STOP else list(self.target)
