"""Sentences that say the same in several languages, or in one: what every corpus becomes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


class CorpusError(ValueError):
    """Text that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class AlignedText:
    """`sides[language][i]` says the same in each language; a monolingual text has one side."""

    name: str
    sides: dict[str, list[str]]
    direction: tuple[str, str] | None = None
    """Source and target language of a text that serves one direction only, such as a teacher's
    translations; None for any."""
    times: int = 1
    """How often an epoch has it."""

    def first(self, count: int) -> AlignedText:
        """The first `count` rows; all of them where it is 0."""
        sides = {language: side[: count or None] for language, side in self.sides.items()}
        return dataclasses.replace(self, sides=sides)

    def __len__(self) -> int:
        return len(next(iter(self.sides.values())))
