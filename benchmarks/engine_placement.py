"""Where the engine should live: in a thread beside the event loop, or in a process of its own.

    python -m benchmarks.engine_placement --data FOLDER

One process answers 64 callers from an asyncio loop, as the server does, once with the engine in a
thread (at Python's switch interval of 5 ms, and at 0.1 ms) and once with it in a process of its
own, as the server has it. The loop is idle but for the callers, or saturated: another task computes
in Python whenever the callers leave it a moment. Printed are tokens a second with 64 in flight and
the latency of one sentence alone; runs are interleaved, figures are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import served_tokens_per_s
from server.config import ServerConfig
from server.engine.async_engine import AsyncEngine
from server.engine.options import DecodingOptions
from server.engine.remote import EngineProcess, RemoteWorker
from server.engine.sequence import Job
from server.engine.wire import HostSpec
from server.engine.worker import Worker
from server.engines import make_engine
from server.package import TOKENIZER_FILE, open_package
from server.package_folder import newest_package
from server.rpc.app import running
from server.text.tokenizer import Tokenizer
from training.corpus import read_lines
from training.multi30k import multi30k_file

IN_FLIGHT = 64
ROUNDS = 3
BURN_S = 0.0005
"""How long the saturating task holds the loop at a time."""
NUM_ALONE = 10
NUM_SATURATED = 64
"""Sentences beside a saturated loop, which takes a thread's engine minutes for more."""


@dataclass(frozen=True)
class Placement:
    """One way to run the engine."""

    name: str
    is_process: bool
    switch_interval_s: float


PLACEMENTS = (
    Placement("thread, switch 5 ms", False, 0.005),
    Placement("thread, switch 0.1 ms", False, 0.0001),
    Placement("process", True, 0.005),
)


def make_worker(placement: Placement, folder: Path) -> Worker | RemoteWorker:
    """An engine where `placement` says, warm."""
    if placement.is_process:
        process = EngineProcess(HostSpec(folder, "", "cpu", IN_FLIGHT, 1, 1, ageing_s=5.0))
        process.wait_until_ready()
        return process.workers[0]
    package = open_package(folder)
    engine = make_engine(package, package.manifest.default_variant, IN_FLIGHT, num_threads=1)
    return Worker(engine, 0)


@asynccontextmanager
async def placed(placement: Placement, folder: Path) -> AsyncIterator[AsyncEngine]:
    """A running engine."""
    engine = AsyncEngine([make_worker(placement, folder)], max_pending=100_000)
    sys.setswitchinterval(placement.switch_interval_s)
    engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        sys.setswitchinterval(0.005)


async def serve(placement: Placement, models: Path) -> None:
    """A whole server with the engine where `placement` says, until its parent ends it."""
    async with running(ServerConfig(models=models, port=0, drain_delay_s=0)) as app:
        (model,) = app.models.all()
        async with placed(placement, model.package.folder) as engine:
            model.engine = engine
            print(app.port, flush=True)
            await asyncio.to_thread(sys.stdin.readline)


@contextmanager
def served(placement: Placement, models: Path) -> Iterator[str]:
    """The address of such a server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine_placement", "--serve", placement.name]
    with subprocess.Popen(
        [*command, "--models", str(models)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
        process.communicate("\n")


async def burn() -> None:
    """Saturates the loop."""
    while True:
        until = time.perf_counter() + BURN_S
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def tokens_per_s(engine: AsyncEngine, jobs: list[Job]) -> float:
    """Target tokens a second with 64 callers, one sentence each at a time."""
    queue = iter(jobs)
    num_tokens = 0

    async def caller() -> None:
        nonlocal num_tokens
        for job in queue:
            (completion,) = await engine.generate([job])
            num_tokens += len(completion.hypotheses[0].tokens)

    started = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return num_tokens / (time.perf_counter() - started)


async def latency_ms(engine: AsyncEngine, job: Job) -> float:
    """Median time of one sentence alone."""
    times = []
    for _ in range(NUM_ALONE):
        started = time.perf_counter()
        await engine.generate([job])
        times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


async def measure(
    placement: Placement, folder: Path, jobs: list[Job], is_saturated: bool
) -> tuple[float, float]:
    """(tokens a second, ms alone)."""
    async with placed(placement, folder) as engine:
        noise = asyncio.create_task(burn()) if is_saturated else None
        figures = await tokens_per_s(engine, jobs), await latency_ms(engine, jobs[0])
        if noise is not None:
            noise.cancel()
    return figures


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        (placement,) = (p for p in PLACEMENTS if p.name == options.serve)
        asyncio.run(serve(placement, options.models))
        return
    folder = newest_package(options.models)
    package = open_package(folder)
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    texts = read_lines(multi30k_file("test_2016_flickr.en.gz", options.data))
    sources = [tokenizer.encode(text, "de") for text in texts]
    jobs = [Job(s, DecodingOptions(package.manifest.target_limit(len(s)))) for s in sources]
    for is_saturated in (False, True):
        figures: dict[str, list[tuple[float, float]]] = {p.name: [] for p in PLACEMENTS}
        for _ in range(ROUNDS):
            for placement in PLACEMENTS:
                some = jobs[:NUM_SATURATED] if is_saturated else jobs
                found = asyncio.run(measure(placement, folder, some, is_saturated))
                figures[placement.name].append(found)
        print(f"loop {'saturated' if is_saturated else 'idle but for the callers'}:")
        for name, found_figures in figures.items():
            speed, latency = (
                statistics.median(column) for column in zip(*found_figures, strict=True)
            )
            print(f"    {name:24} {speed:8,.0f} tokens/s, {latency:6.2f} ms alone")
    through_grpc(options.models, texts)


def through_grpc(models: Path, texts: list[str]) -> None:
    """Prints what arrives at 64 callers of the whole server."""
    speeds: dict[str, list[float]] = {placement.name: [] for placement in PLACEMENTS}
    with contextlib.ExitStack() as stack:
        targets = {p.name: stack.enter_context(served(p, models)) for p in PLACEMENTS}
        for _ in range(ROUNDS):
            for name, target in targets.items():
                speeds[name].append(asyncio.run(served_tokens_per_s(target, texts)))
    print("the whole server through gRPC:")
    for name, found in speeds.items():
        print(f"    {name:24} {statistics.median(found):8,.0f} tokens/s")


if __name__ == "__main__":
    main()
