"""Our engine on a list of sentences, set up as the server sets it up: an engine a worker, all over
one session, each in a thread of its own.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from benchmarks.versus_ctranslate2.workload import Sentence, Setup
from server.engine.engine import Engine
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.engine_host import SWITCH_INTERVAL_S
from server.engines import make_engines
from server.package import ModelPackage, read_manifest
from server.runtime.sessions import Sessions


class Ours:
    """The engines of one setup, loaded."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        """`folder` is the package's."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        package = ModelPackage(folder, read_manifest(folder))
        sessions = Sessions(package, setup.compute_type, setup.threads)
        self._engines = make_engines(sessions, setup.num_slots, setup.workers)

    def translate(
        self, sentences: Sequence[Sentence], beam_size: int, in_flight: int
    ) -> list[list[int]]:
        """The best translation of each, in token ids without the end of sentence."""
        queue = deque(enumerate(sentences))
        found: list[list[int]] = [[] for _ in sentences]
        share = -(-in_flight // len(self._engines))
        if len(self._engines) == 1 or in_flight == 1:
            _drain(self._engines[0], queue, beam_size, in_flight, found)
            return found
        threads = [
            threading.Thread(target=_drain, args=(engine, queue, beam_size, share, found))
            for engine in self._engines
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


def _drain(
    engine: Engine,
    queue: deque[tuple[int, Sentence]],
    beam_size: int,
    in_flight: int,
    found: list[list[int]],
) -> None:
    """Translates what is in `queue`, `in_flight` at a time, until it is empty."""
    running: dict[int, int] = {}
    while True:
        while len(running) < in_flight and queue:
            try:
                position, sentence = queue.popleft()
            except IndexError:  # another worker was faster
                break
            running[engine.add(_job(sentence, beam_size))] = position
        if not running:
            return
        for sequence in engine.step().ended:
            position = running.pop(sequence.sequence_id)
            found[position] = sequence.hypotheses[0].token_ids


def _job(sentence: Sentence, beam_size: int) -> Job:
    # Our most counts the end of sentence, where there is one.
    most = sentence.most if sentence.least == sentence.most else sentence.most + 1
    options = DecodingOptions(most, min_target_tokens=sentence.least, beam_size=beam_size)
    return Job(sentence.source, options)
