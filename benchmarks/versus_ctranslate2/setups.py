"""The best setup of each engine for a line, searched on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ctranslate2

from benchmarks.versus_ctranslate2.models import VARIANT
from benchmarks.versus_ctranslate2.worker import Worker
from benchmarks.versus_ctranslate2.workload import Line, Run, Sentence, Setup

NUM_TRIALS = 2


def our_setups(line: Line, num_cores: int) -> list[Setup]:
    """What is worth trying: one engine with some threads, or several with one each."""
    threads = range(1, num_cores + 1)
    rows = line.beam_size * line.in_flight
    setups = [Setup(1, n, VARIANT, num_slots=rows) for n in threads]
    if line.in_flight > 1:
        setups += [Setup(n, 1, VARIANT, num_slots=-(-rows // n)) for n in threads if n > 1]
    return setups


def their_setups(line: Line, num_cores: int) -> list[Setup]:
    """Every integer type of this processor, one worker or several, batches of some sizes."""
    supported = ctranslate2.get_supported_compute_types("cpu")
    kinds = sorted(kind for kind in supported if kind.startswith("int8_"))  # int8 is one of them
    threads = range(1, num_cores + 1)
    if line.in_flight == 1:
        return [Setup(1, n, kind) for kind in kinds for n in threads]
    shapes = [(1, n) for n in threads] + [(n, 1) for n in threads if n > 1]
    sizes = [line.in_flight >> n for n in range(3)]
    return [
        Setup(workers, n, kind, batch_size=size)
        for kind in kinds
        for workers, n in shapes
        for size in sizes
    ]


def search(
    worker: Worker,
    line: Line,
    setups: Sequence[Setup],
    sentences: Sequence[Sentence],
    report: Callable[[str], object],
) -> tuple[Setup, dict[str, float]]:
    """The fastest of `setups`, and target tokens a second of each."""
    found: dict[str, float] = {}
    best: tuple[float, Setup] | None = None
    for setup in setups:
        worker.set_up(setup, sentences)
        speed = max(run.tokens_per_s for run in _runs(worker, line))
        found[str(setup)] = speed
        if best is None or speed > best[0]:
            best = speed, setup
    assert best is not None
    report(f"{line.name}, {worker.whose}: {best[1]} is the fastest of {len(setups)} setups")
    return best[1], found


def _runs(worker: Worker, line: Line) -> list[Run]:
    return [worker.run(line) for _ in range(NUM_TRIALS)]
