"""The engine in a thread of its own, and asyncio's side of it. No model work ever runs on the event
loop.

The two sides share one inbox of commands (into the thread) and futures (out of it); nothing else is
touched by both.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from server.engine.engine import Engine
from server.engine.sequence import DecodingOptions, FinishReason, Sequence
from server.errors import QueueFullError, UnavailableError

logger = logging.getLogger(__name__)

JOIN_TIMEOUT_S = 5.0
"""How long a step may take at shutdown: a stuck one must not keep the process."""


@dataclass(frozen=True)
class Completion:
    """A finished sequence."""

    token_ids: list[int]
    """Without the end of sentence."""
    finish_reason: FinishReason
    num_target_tokens: int
    """Tokens generated, the end of sentence counted."""


@dataclass(frozen=True)
class _Add:
    sequence_id: int
    source: list[int]
    options: DecodingOptions


@dataclass(frozen=True)
class _Cancel:
    sequence_ids: list[int]


class AsyncEngine:
    """Runs `engine` until closed. All methods belong to the event loop that called `start`."""

    def __init__(self, engine: Engine, max_pending: int) -> None:
        """`max_pending` bounds the sequences waiting and running together."""
        self._engine = engine
        self._max_pending = max_pending
        self._inbox: deque[_Add | _Cancel] = deque()
        self._wake = threading.Event()
        self._is_closing = False
        self._futures: dict[int, asyncio.Future[Completion]] = {}
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_beat = time.monotonic()
        self._is_idle = True

    def start(self) -> None:
        """Starts the thread; call once, on the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def num_pending(self) -> int:
        """Sequences that have been submitted and have not ended."""
        return len(self._futures)

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether the thread lives and, if it has work, began a step within `stuck_after_s`."""
        is_moving = self._is_idle or time.monotonic() - self._last_beat < stuck_after_s
        return self._thread.is_alive() and is_moving

    async def generate(
        self, sources: list[list[int]], options: list[DecodingOptions]
    ) -> list[Completion]:
        """Decodes `sources` (token ids); the caller's cancellation ends them at the next step.

        Raises QueueFullError if not all of them fit, UnavailableError if the engine has died.
        """
        futures = self._submit(sources, options)
        try:
            return await asyncio.gather(*futures.values())
        finally:
            self._forget(futures)

    def _submit(
        self, sources: list[list[int]], options: list[DecodingOptions]
    ) -> dict[int, asyncio.Future[Completion]]:
        if not self._thread.is_alive() or self._loop is None or self._is_closing:
            raise UnavailableError("the engine is not running")
        if self.num_pending + len(sources) > self._max_pending:
            raise QueueFullError(
                f"the queue is full: {self.num_pending} texts are pending, "
                f"{self._max_pending} are allowed"
            )
        futures = {}
        for source, option in zip(sources, options, strict=True):
            sequence_id = self._engine.next_sequence_id()
            futures[sequence_id] = self._futures[sequence_id] = self._loop.create_future()
            self._inbox.append(_Add(sequence_id, source, option))
        self._wake.set()
        return futures

    def _forget(self, futures: dict[int, asyncio.Future[Completion]]) -> None:
        """Drops what has ended and cancels what has not."""
        unfinished = [sequence_id for sequence_id in futures if sequence_id in self._futures]
        for sequence_id in unfinished:
            del self._futures[sequence_id]
        if unfinished:
            self._inbox.append(_Cancel(unfinished))
            self._wake.set()

    async def close(self) -> None:
        """Stops the thread after its current step; what is still pending fails with
        UnavailableError.
        """
        self._is_closing = True
        self._wake.set()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join, JOIN_TIMEOUT_S)
        self._fail_all("the engine was stopped")

    def _run(self) -> None:
        """The thread: commands, then a step, until closed or broken."""
        try:
            while not self._is_closing:
                self._is_idle = not self._engine.has_work and not self._inbox
                if self._is_idle:
                    self._wake.wait()
                self._last_beat = time.monotonic()
                self._is_idle = False
                self._wake.clear()
                self._read_inbox()
                self._deliver(self._engine.step())
        except Exception:
            logger.exception("the engine died")
            self._call_on_loop(self._fail_all, "the engine has died")

    def _read_inbox(self) -> None:
        while self._inbox:
            command = self._inbox.popleft()
            if isinstance(command, _Add):
                self._engine.add(command.source, command.options, command.sequence_id)
            else:
                for sequence_id in command.sequence_ids:
                    self._engine.cancel(sequence_id)

    def _deliver(self, finished: list[Sequence]) -> None:
        if finished:
            completions = {sequence.sequence_id: _completion(sequence) for sequence in finished}
            self._call_on_loop(self._resolve, completions)

    def _call_on_loop(self, function: Callable[[Any], None], argument: Any) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, argument)
        except RuntimeError:
            logger.warning("the event loop is gone; %s is not called", function)

    def _resolve(self, completions: dict[int, Completion]) -> None:
        for sequence_id, completion in completions.items():
            future = self._futures.pop(sequence_id, None)
            if future is not None and not future.done():
                future.set_result(completion)

    def _fail_all(self, reason: str) -> None:
        futures, self._futures = self._futures, {}
        for future in futures.values():
            if not future.done():
                future.set_exception(UnavailableError(reason))


def _completion(sequence: Sequence) -> Completion:
    assert sequence.finish_reason is not None
    return Completion(sequence.token_ids, sequence.finish_reason, len(sequence.target))
