"""One engine in a thread of its own. Commands go in through an inbox, results out through a
callback; nothing else is touched by both sides.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from server.engine.engine import Engine, StepResult
from server.engine.sequence import Job

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Add:
    """Jobs by sequence id."""

    jobs: dict[int, Job]


@dataclass(frozen=True)
class Cancel:
    """Sequences that nobody waits for."""

    sequence_ids: list[int]


Command = Add | Cancel


class Inbox(Protocol):
    """Where a worker finds its commands."""

    def wait(self) -> None:
        """Returns when there may be a command."""

    def take(self) -> list[Command]:
        """The commands that have come, oldest first."""

    def put(self, command: Command) -> None:
        """Adds a command, from any thread."""

    def wake(self) -> None:
        """Ends a wait, from any thread."""


class ThreadInbox:
    """An inbox that other threads of this process fill."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()
        self._wake = threading.Event()

    def wait(self) -> None:
        """See Inbox."""
        self._wake.wait()

    def take(self) -> list[Command]:
        """See Inbox."""
        self._wake.clear()
        commands = []
        while self._commands:
            commands.append(self._commands.popleft())
        return commands

    def put(self, command: Command) -> None:
        """See Inbox."""
        self._commands.append(command)
        self._wake.set()

    def wake(self) -> None:
        """See Inbox."""
        self._wake.set()


class Worker:
    """Runs `engine` until closed or broken."""

    def __init__(self, engine: Engine, index: int, inbox: Inbox | None = None) -> None:
        self._engine = engine
        self._inbox = inbox or ThreadInbox()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=f"engine-{index}", daemon=True)
        self._last_beat = time.monotonic()
        self._is_idle = True
        self.on_result: Callable[[StepResult], None] = lambda _result: None
        """Called in the thread after each step that brought something."""
        self.on_death: Callable[[], None] = lambda: None
        """Called in the thread if the engine raises."""

    @property
    def num_rows(self) -> int:
        """Rows that the engine decodes at once."""
        return self._engine.num_rows

    @property
    def row_s(self) -> float:
        """See Pace."""
        return self._engine.row_s

    @property
    def is_alive(self) -> bool:
        """Whether it runs, is not broken and has not been told to stop."""
        return self._thread.is_alive() and not self._is_closing

    def start(self) -> None:
        """Starts the thread; call once."""
        self._thread.start()

    @property
    def silent_s(self) -> float:
        """Seconds since it began its last step; 0 where it has nothing to do."""
        return 0.0 if self._is_idle else time.monotonic() - self._last_beat

    def is_healthy(self, stuck_after_s: float) -> bool:
        """Whether it is alive and, if it has work, began a step within `stuck_after_s`."""
        return self.is_alive and (self._is_idle or self.silent_s < stuck_after_s)

    def add(self, jobs: dict[int, Job]) -> None:
        """Queues `jobs`, by sequence id, for the next step: all of them for the same one."""
        self._inbox.put(Add(jobs))

    def cancel(self, sequence_ids: list[int]) -> None:
        """Ends sequences at the next step."""
        self._inbox.put(Cancel(sequence_ids))

    def close(self) -> None:
        """Stops the thread after its current step."""
        self._is_closing = True
        self._inbox.wake()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread; one that never started is no reason to wait."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        """The thread: commands, then a step."""
        try:
            while not self._is_closing:
                self._is_idle = not self._engine.has_work
                if self._is_idle:
                    self._inbox.wait()
                self._last_beat = time.monotonic()
                self._is_idle = False
                self._do(self._inbox.take())
                result = self._engine.step()
                if result.ended or result.streamed:
                    self.on_result(result)
        except Exception:
            logger.exception("the engine died")
            self._is_closing = True  # before anybody hears of it: what comes now would wait forever
            self.on_death()

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, Add):
                for sequence_id, job in command.jobs.items():
                    self._engine.add(job, sequence_id)
            else:
                for sequence_id in command.sequence_ids:
                    self._engine.cancel(sequence_id)
