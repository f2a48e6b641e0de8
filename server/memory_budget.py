"""What loaded models may hold in memory together, and which of them make room for another."""

from __future__ import annotations

from collections.abc import Sequence

from server.errors import MemoryBudgetError
from server.loaded_model import LoadedModel
from server.model_entry import ModelEntry


class MemoryBudget:
    """A bound in bytes of resident memory; 0 for none."""

    def __init__(self, num_bytes: int) -> None:
        self._num_bytes = num_bytes
        self._held_a_file_byte = 1.0
        """By the model that was loaded last."""

    def victims(
        self,
        newcomer: ModelEntry,
        num_file_bytes: int,
        entries: Sequence[ModelEntry],
        retiring: Sequence[LoadedModel],
    ) -> list[ModelEntry]:
        """Idle ones of `entries`, least recently used first, without which `newcomer` fits. Raises
        MemoryBudgetError where even without all of them it does not.

        What it will hold is guessed by its `num_file_bytes`, as the one before held for its files.
        Models that are `retiring` still hold what they held.
        """
        if not self._num_bytes:
            return []
        held = sum(map(_memory_of, [*(e.serving for e in entries if e.serving), *retiring]))
        needed = round(num_file_bytes * self._held_a_file_byte)
        excess = held + needed - self._num_bytes
        victims = []
        for entry in sorted(entries, key=lambda entry: entry.last_used):
            if excess > 0 and entry is not newcomer and entry.is_idle and entry.serving:
                excess -= _memory_of(entry.serving)
                victims.append(entry)
        if excess > 0:
            raise MemoryBudgetError(
                f"model {newcomer.name} needs about {needed >> 20} MiB; {held >> 20} of "
                f"{self._num_bytes >> 20} MiB are taken"
            )
        return victims

    def learn(self, num_file_bytes: int, memory_bytes: int) -> None:
        """Takes what a model has turned out to hold for its files."""
        self._held_a_file_byte = memory_bytes / max(num_file_bytes, 1)


def _memory_of(model: LoadedModel) -> int:
    """In bytes; the process of an engine that died holds nothing any more."""
    return model.memory_bytes if model.engine.is_alive else 0
