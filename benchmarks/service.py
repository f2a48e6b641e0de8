"""One server, as its callers and its operator feel it.

    python -m benchmarks.service --data FOLDER

Time until ready and resident memory; latency of one request alone; and what share of the engine's
own speed survives
the way through gRPC with 64 requests in flight. The server has one processor to itself, this client
the other; the
engine alone runs on the server's processor. Runs are interleaved and medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path

from attendant import AsyncClient

from benchmarks.quality import IN_FLIGHT
from demos.server_process import ServerProcess, running_server
from server.engines import decode_greedy, make_engine
from server.package import TOKENIZER_FILE, ModelPackage, open_package
from server.package_folder import newest_package
from server.text.tokenizer import Tokenizer
from training.corpus import read_lines
from training.multi30k import multi30k_file

SERVER_CPU, CLIENT_CPU = 0, 1
TWELVE_WORDS = "A young woman in a blue jacket is walking across the street."
ROUNDS = 5
LATENCY_CALLS = 200


async def latencies_ms(target: str) -> list[float]:
    """Round trips of one sentence, one at a time, in milliseconds."""
    times = []
    async with AsyncClient(target) as client:
        for _ in range(LATENCY_CALLS):
            started = time.perf_counter()
            await client.translate(TWELVE_WORDS, source_language="en", target_language="de")
            times.append(1000 * (time.perf_counter() - started))
    return times[LATENCY_CALLS // 10 :]


async def served_tokens_per_s(target: str, texts: list[str]) -> float:
    """Target tokens a second with 64 calls in flight, one text each."""
    queue = iter(texts)
    num_tokens = 0

    async def caller(client: AsyncClient) -> None:
        nonlocal num_tokens
        for text in queue:
            result = await client.translate(text, source_language="en", target_language="de")
            num_tokens += result.target_tokens

    started = time.perf_counter()
    async with AsyncClient(target) as client:
        await asyncio.gather(*(caller(client) for _ in range(IN_FLIGHT)))
    return num_tokens / (time.perf_counter() - started)


class EngineAlone:
    """The engine without a server, on the server's processor."""

    def __init__(self, package: ModelPackage, texts: list[str]) -> None:
        manifest = package.manifest
        tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), manifest.special_ids)
        self._sources = [tokenizer.encode(text, "de") for text in texts]
        self._limits = [manifest.target_limit(len(source)) for source in self._sources]
        self._engine = make_engine(package, manifest.default_variant, IN_FLIGHT, num_threads=1)

    def tokens_per_s(self) -> float:
        """Target tokens a second over all the texts, 64 in flight."""
        os.sched_setaffinity(0, {SERVER_CPU})
        started = time.perf_counter()
        outputs = decode_greedy(self._engine, self._sources, self._limits)
        elapsed = time.perf_counter() - started
        os.sched_setaffinity(0, {CLIENT_CPU})
        return sum(len(ids) + 1 for ids in outputs) / elapsed


def resident(server: ServerProcess) -> str:
    """Resident memory of the server's two processes."""
    sizes = server.resident_mb()
    return f"resident {sizes['server']:.0f} MB and {sizes['engines']:.0f} MB for the engine"


def measure(models: Path, texts: list[str]) -> None:
    """Prints the figures."""
    os.sched_setaffinity(0, {CLIENT_CPU})
    engine = EngineAlone(open_package(newest_package(models)), texts)
    with running_server(models, "--drain-delay-s", "0", cpus={SERVER_CPU}) as server:
        print(f"ready after {server.ready_s:.2f} s, {resident(server)}")
        alone = asyncio.run(latencies_ms(server.target))
        print(f"one request alone, 12 words: median {statistics.median(alone):.1f} ms")
        served, engines = [], []
        for _ in range(ROUNDS):
            served.append(asyncio.run(served_tokens_per_s(server.target, texts)))
            engines.append(engine.tokens_per_s())
        ratios = [a / b for a, b in zip(served, engines, strict=True)]
        print(f"{IN_FLIGHT} in flight through gRPC: {statistics.median(served):,.0f} tokens/s")
        print(f"the engine alone: {statistics.median(engines):,.0f} tokens/s")
        print(f"share, round by round: {', '.join(f'{ratio:.0%}' for ratio in ratios)}")
        print(f"after that: {resident(server)}")


def main() -> None:
    """Reads the arguments and measures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    options = parser.parse_args()
    texts = read_lines(multi30k_file("test_2016_flickr.en.gz", options.data))
    measure(options.models, texts)


if __name__ == "__main__":
    main()
