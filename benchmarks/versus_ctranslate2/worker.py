"""An engine in a process of its own, told what to do in lines of JSON; it takes its own time.

python -m benchmarks.versus_ctranslate2.worker {ours,theirs} FOLDER
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from benchmarks.versus_ctranslate2.workload import Line, Run, Sentence, Setup


class Decoder(Protocol):
    """Ours or Theirs."""

    def translate(
        self, sentences: Sequence[Sentence], beam_size: int, in_flight: int
    ) -> list[list[int]]:
        """See Ours."""


class WorkerError(RuntimeError):
    """A worker's process ended before its answer."""


class Worker:
    """The other end: a process with one engine, set up again and again."""

    def __init__(self, whose: str, folder: Path) -> None:
        """`whose` is "ours" or "theirs"."""
        command = [sys.executable, "-m", "benchmarks.versus_ctranslate2.worker", whose, str(folder)]
        self.whose = whose
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def set_up(self, setup: Setup, sentences: Sequence[Sentence]) -> None:
        """Loads the engine, and warms it up on a few of `sentences`, which are what it is given
        from now on.
        """
        rows = [dataclasses.astuple(sentence) for sentence in sentences]
        self._ask({"setup": dataclasses.asdict(setup), "sentences": rows})

    def run(self, line: Line) -> Run:
        """Runs a line."""
        answer = self._ask({"line": [line.beam_size, line.in_flight]})
        return Run(answer["seconds"], answer["tokens"])

    def outputs(self, line: Line) -> list[list[int]]:
        """Runs a line for what comes out: token ids."""
        found: list[list[int]] = self._ask({"outputs": [line.beam_size, line.in_flight]})["found"]
        return found

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(f"{self.whose}: exit code {self._process.wait()}") from error
        answer = self._process.stdout.readline()
        if not answer:
            raise WorkerError(f"{self.whose}: exit code {self._process.wait()}")
        parsed: dict[str, Any] = json.loads(answer)
        return parsed


NUM_WARM_UP = 8


def answer(decoder: Decoder, sentences: list[Sentence], question: dict[str, Any]) -> dict[str, Any]:
    """What a question about a loaded engine brings."""
    if "outputs" in question:
        beam_size, in_flight = question["outputs"]
        return {"found": decoder.translate(sentences, beam_size, in_flight)}
    beam_size, in_flight = question["line"]
    started = time.perf_counter()
    found = decoder.translate(sentences, beam_size, in_flight)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "tokens": sum(map(len, found))}


def main() -> None:
    """Answers until its input ends."""
    whose, folder = sys.argv[1], Path(sys.argv[2])
    decoder: Decoder | None = None
    sentences: list[Sentence] = []
    for text in sys.stdin:
        question = json.loads(text)
        if "setup" in question:
            sentences = [Sentence(*row) for row in question["sentences"]]
            decoder = None  # the one before goes first
            decoder = _make(whose, folder, Setup(**question["setup"]))
            decoder.translate(sentences[:NUM_WARM_UP], 1, NUM_WARM_UP)
            print("{}", flush=True)
        else:
            assert decoder is not None
            print(json.dumps(answer(decoder, sentences, question)), flush=True)


def _make(whose: str, folder: Path, setup: Setup) -> Decoder:
    """Each side imports its own libraries alone."""
    if whose == "ours":
        from benchmarks.versus_ctranslate2.ours import Ours

        return Ours(folder, setup)
    from benchmarks.versus_ctranslate2.theirs import Theirs

    return Theirs(folder, setup)


if __name__ == "__main__":
    main()
