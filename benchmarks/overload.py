"""What a server does with more than it can do.

    python -m benchmarks.overload --data FOLDER --json overload.json

Open loop: calls of four captions with a deadline leave at random times (Poisson) whatever becomes
of those before, at one half, once, and three times what the server can do; a control run at one
half comes last again. Goodput is what was answered within its deadline, in texts a second. The
server has one processor, this client the other, and the client's own share of it is printed: near
100 % the client was the limit, and its latencies mean nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from attendant import (
    NO_RETRIES,
    AsyncClient,
    DeadlineError,
    OverloadedError,
    Translation,
    UnavailableError,
)

from demos.server_process import running_server
from training.corpus import read_lines
from training.multi30k import multi30k_file

SERVER_CPU, CLIENT_CPU = 0, 1
PER_CALL = 4
DEADLINE_S = 2.0
CALLERS, CAPACITY_S = 16, 15.0
STEADY_S, OVERLOAD_S = 30.0, 120.0
Call = Callable[[], Coroutine[Any, Any, None]]


@dataclass
class Run:
    """What became of the calls of one run; times in seconds."""

    offered_per_s: float
    """Texts that were sent, a second."""
    seconds: float
    good: list[float] = field(default_factory=list)
    """Times of calls that were answered."""
    refused: list[float] = field(default_factory=list)
    """Times until the server said no: the queue is full, or the deadline too close."""
    unavailable: int = 0
    """Calls that the transport gave up."""
    late: int = 0
    """Calls whose deadline passed."""
    hinted: int = 0
    """Refusals for a full queue that said when to come again."""
    full: int = 0
    """Refusals for a full queue."""
    client_share: float = 0.0
    """Of its processor."""

    @property
    def goodput(self) -> float:
        """Texts a second that were answered in time."""
        return PER_CALL * len(self.good) / self.seconds

    def summary(self) -> dict[str, float | int]:
        """Its figures."""
        counts = asdict(self)
        good, refused = counts.pop("good"), counts.pop("refused")
        return {
            **counts,
            "goodput": self.goodput,
            "num_good": len(good),
            "num_refused": len(refused),
            "good_p50_s": percentile(good, 50),
            "good_p99_s": percentile(good, 99),
            "refused_p50_s": percentile(refused, 50),
            "refused_p99_s": percentile(refused, 99),
        }


def percentile(values: list[float], percent: int) -> float:
    """Of `values`; 0 for none."""
    if len(values) < 2:
        return sum(values)
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def translate(client: AsyncClient, texts: list[str]) -> list[Translation]:
    """What the server answers."""
    return await client.translate(texts, source_language="en", target_language="de")


async def capacity(target: str, texts: Iterator[list[str]]) -> float:
    """Texts a second with so many callers that the server always has work."""
    count, end = 0, time.perf_counter() + CAPACITY_S

    async def caller(client: AsyncClient) -> None:
        nonlocal count
        while time.perf_counter() < end:
            answers = await translate(client, next(texts))
            count += len(answers)

    async with AsyncClient(target) as client:
        await asyncio.gather(*(caller(client) for _ in range(CALLERS)))
    return count / CAPACITY_S


async def offer(target: str, texts: Iterator[list[str]], rate: float, seconds: float) -> Run:
    """Sends `rate` texts a second, whatever becomes of them."""
    run = Run(rate, seconds)
    async with AsyncClient(target, timeout_s=DEADLINE_S, retries=NO_RETRIES) as client:

        async def call(chosen: list[str]) -> None:
            started = time.perf_counter()
            try:
                await translate(client, chosen)
                run.good.append(time.perf_counter() - started)
            except OverloadedError as error:
                run.refused.append(time.perf_counter() - started)
                run.full += 1
                run.hinted += error.retry_after_s is not None
            except UnavailableError:
                run.unavailable += 1
            except DeadlineError:
                taken = time.perf_counter() - started
                if taken < 0.9 * DEADLINE_S:
                    run.refused.append(taken)
                else:
                    run.late += 1

        clock, cpu = time.perf_counter(), time.process_time()
        await _send(lambda: call(next(texts)), rate / PER_CALL, seconds)
        run.client_share = (time.process_time() - cpu) / (time.perf_counter() - clock)
    return run


async def _send(call: Call, per_s: float, seconds: float) -> None:
    """Starts calls at random times and waits for all of them."""
    generator = random.Random(1)
    now = time.perf_counter()
    due, end = now, now + seconds
    async with asyncio.TaskGroup() as group:
        while due < end:
            due += generator.expovariate(per_s)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(call())


def measure(models: Path, captions: list[str]) -> dict[str, object]:
    """All runs, printed as they end."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    texts = batches(captions)
    with running_server(models, "--drain-delay-s", "0", cpus={SERVER_CPU}) as server:
        able = asyncio.run(capacity(server.target, texts))
        print(f"closed loop, {CALLERS} callers: {able:,.0f} texts/s", flush=True)
        runs = []
        for factor, seconds in ((0.5, STEADY_S), (1, STEADY_S), (3, OVERLOAD_S), (0.5, STEADY_S)):
            found = asyncio.run(offer(server.target, texts, factor * able, seconds)).summary()
            runs.append({"times_capacity": factor, **found})
            print(line(factor, found), flush=True)
    return {"capacity_texts_per_s": able, "deadline_s": DEADLINE_S, "runs": runs}


def line(factor: float, found: dict[str, float | int]) -> str:
    """A run as a person reads it."""
    return (
        f"{factor:g} times: offered {found['offered_per_s']:,.0f} texts/s, goodput"
        f" {found['goodput']:,.0f}; answered in {1000 * found['good_p50_s']:.0f} ms (p99"
        f" {1000 * found['good_p99_s']:.0f}); {found['num_refused']:,} refused in"
        f" {1000 * found['refused_p50_s']:.1f} ms (p99 {1000 * found['refused_p99_s']:.1f}),"
        f" {found['hinted']:,} of {found['full']:,} for a full queue with a hint;"
        f" {found['late']} late, {found['unavailable']} given up by the transport;"
        f" client {found['client_share']:.0%} of its processor"
    )


def batches(captions: list[str]) -> Iterator[list[str]]:
    """Calls' texts, for ever."""
    source = itertools.cycle(captions)
    while True:
        yield list(itertools.islice(source, PER_CALL))


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    captions = read_lines(multi30k_file("test_2016_flickr.en.gz", options.data))
    found = measure(options.models, captions)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
