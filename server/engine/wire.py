"""What the server and the process of its engines say to each other: pickled messages over sockets
that nobody else holds, one a worker, each message with its length in front. Into the process go the
commands of worker.py, out come reports.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.engine.engine import StepStats
from server.engine.hypothesis import Hypothesis
from server.engine.sequence import SequenceStatus
from server.engine.times import Times

_LENGTH = struct.Struct("<I")

BEAT_S = 0.25
"""How often the process says that it is there."""


@dataclass(frozen=True)
class HostSpec:
    """What the process is to load."""

    folder: Path
    """The model package."""
    variant: str
    """Empty for the package's own for the device."""
    device: str
    num_slots: int
    num_threads: int
    num_workers: int
    ageing_s: float


@dataclass(frozen=True)
class Ready:
    """Engines are loaded and warm."""

    variant: str
    """The one that was loaded."""
    num_rows: int
    """Rows that each decodes at once."""


@dataclass(frozen=True)
class Failed:
    """The package is refused, or the device cannot be used."""

    error: Exception


@dataclass(frozen=True)
class Outcome:
    """What became of a sequence."""

    sequence_id: int
    status: SequenceStatus
    hypotheses: list[Hypothesis]
    times: Times


@dataclass(frozen=True)
class Report:
    """What a worker did since its last report."""

    silent_s: float
    """Seconds since it began its last step; 0 where it has nothing to do."""
    row_s: float
    """See Pace."""
    stats: list[StepStats]
    streamed: list[tuple[int, list[int]]]
    ended: list[Outcome]


def pack(message: Any) -> bytes:
    """A message as it goes over the socket."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(content)) + content


class Unpacker:
    """Puts messages together from the bytes that arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(content)
