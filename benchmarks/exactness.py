"""The promise, checked on 1,000 sentences: the same request gives the same tokens and the same
scores, to the last bit, alone or in any company.

    python -m benchmarks.exactness --data FOLDER [--models FOLDER] [--json FILE]

For every CPU variant of the package, and for greedy search, beam 4 with its n-best list and seeded
sampling, Multi30k's test_2016 is decoded one sentence at a time. Then again: in batches of 7; in
batches of 64; and arriving at random (Poisson, in real time, near saturation) at a running engine
whose other callers come with random options, priorities and deadlines, and often hang up. Tokens,
every token's log-probability, sequence scores and attention are compared with ==.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from server.engine.async_engine import AsyncEngine, Completion
from server.engine.engine import Engine
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions, EarlyStopping, Sampling
from server.engine.sequence import Job, Priority
from server.engine.worker import Worker
from server.engines import decode_all, make_engine
from server.errors import DeadlineError
from server.package import TOKENIZER_FILE, ModelPackage, open_package
from server.package_folder import newest_package
from server.text.tokenizer import Tokenizer
from training.corpus import read_lines
from training.multi30k import multi30k_file

BATCHES = (7, 64)
NUM_ROWS = 64
PREFIX_TOKENS = 3
MEAN_NOISE_IN_FLIGHT = 24
"""Strangers' sequences under way, on average, beside the ones that are compared."""

Fingerprint = list[tuple[Any, ...]]


def fingerprint(hypotheses: list[Hypothesis]) -> Fingerprint:
    """Everything a caller can see of a result, exactly."""
    return [
        (
            tuple(h.tokens),
            tuple(h.log_probs),
            h.log_probability,
            h.finish_reason,
            tuple(row.tobytes() for row in h.attention),
        )
        for h in hypotheses
    ]


def modes(limits: list[int]) -> dict[str, list[DecodingOptions]]:
    """The options of each sentence under each search."""
    seen: dict[str, Any] = {"is_scored": True, "is_aligned": True}
    return {
        "greedy": [DecodingOptions(limit, **seen) for limit in limits],
        "beam 4": [
            DecodingOptions(limit, beam_size=4, num_hypotheses=4, **seen) for limit in limits
        ],
        "sampling": [
            DecodingOptions(limit, sampling=Sampling(i, 0.9, 50, 0.95), **seen)
            for i, limit in enumerate(limits)
        ],
    }


def in_batches(
    engine: Engine, sources: list[list[int]], options: list[DecodingOptions], size: int
) -> list[Fingerprint]:
    """Results of `size` sentences at a time."""
    results: list[Fingerprint] = []
    for i in range(0, len(sources), size):
        found = decode_all(engine, sources[i : i + size], options[i : i + size])
        results += [fingerprint(hypotheses) for hypotheses in found]
    return results


class Strangers:
    """Other callers, with anything that the engine knows."""

    def __init__(self, engine: AsyncEngine, sources: list[list[int]], seed: int) -> None:
        self._engine = engine
        self._sources = sources
        self._random = random.Random(seed)
        self.num_done = 0
        self.num_cancelled = 0
        self.num_expired = 0

    def _options(self, source: list[int]) -> DecodingOptions:
        draw = self._random
        kind = draw.choice(("greedy", "beam", "sampling", "alternatives"))
        width = draw.choice((2, 3, 4, 5, 8))
        sampling = Sampling(draw.randrange(1 << 40), draw.uniform(0.3, 2), draw.choice((0, 5, 100)))
        prefix = draw.choice(self._sources)[1 : 1 + PREFIX_TOKENS]
        return DecodingOptions(
            max_target_tokens=draw.randrange(PREFIX_TOKENS + 1, 2 * len(source) + 16),
            min_target_tokens=draw.choice((0, 0, 3)),
            beam_size=width if kind == "beam" else 1,
            num_hypotheses=width if kind == "sampling" else 1,
            num_alternatives=width if kind == "alternatives" else 0,
            sampling=sampling if kind == "sampling" else None,
            length_penalty=draw.choice((0.0, 0.6, 1.0)),
            early_stopping=draw.choice(list(EarlyStopping)),
            prefix=tuple(prefix) if draw.random() < 0.3 else (),
            no_repeat_ngram_size=draw.choice((0, 0, 2)),
            repetition_penalty=draw.choice((1.0, 1.0, 1.3)),
            loop_guard=draw.choice((0, 3)),
            is_scored=draw.random() < 0.5,
            is_aligned=draw.random() < 0.3,
        )

    async def one(self) -> None:
        """One stranger's sequence, which may be cancelled or run out of time."""
        draw = self._random
        source = draw.choice(self._sources)
        job = Job(
            source,
            self._options(source),
            draw.choice(list(Priority)),
            f"stranger {draw.randrange(5)}",
            time.monotonic() + draw.choice((0.01, 0.05, 1e6)),
            takes_partial=draw.random() < 0.5,
        )
        call = asyncio.create_task(self._engine.generate([job]))
        patience_s = draw.uniform(0, 0.05) if draw.random() < 0.3 else None
        try:
            await asyncio.wait({call}, timeout=patience_s)
        finally:
            call.cancel()
        await asyncio.wait({call})
        if call.cancelled():
            self.num_cancelled += 1
        elif isinstance(call.exception(), DeadlineError):
            self.num_expired += 1
        else:
            call.result()
            self.num_done += 1

    async def keep_coming(self) -> None:
        """As many as ever are wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(MEAN_NOISE_IN_FLIGHT):
                group.create_task(self._one_after_another())

    async def _one_after_another(self) -> None:
        while True:
            await self.one()


async def under_load(
    engine: AsyncEngine, strangers: Strangers, jobs: list[Job], rate: float, seed: int
) -> list[Fingerprint]:
    """Results of `jobs` that arrive at `rate` a second among `strangers`."""
    draw = random.Random(seed)
    noise = asyncio.create_task(strangers.keep_coming())
    calls = []
    for job in jobs:
        calls.append(asyncio.create_task(engine.generate([job])))
        await asyncio.sleep(draw.expovariate(rate))
    completions: list[list[Completion]] = await asyncio.gather(*calls)
    noise.cancel()
    with suppress(asyncio.CancelledError):
        await noise
    return [fingerprint(completion.hypotheses) for (completion,) in completions]


def poisson(
    package: ModelPackage,
    variant: str,
    sources: list[list[int]],
    options: list[DecodingOptions],
    rate: float,
) -> tuple[list[Fingerprint], dict[str, float]]:
    """Results under load, and what the load was."""
    draw = random.Random(3)
    jobs = [
        Job(source, option, draw.choice(list(Priority)), f"caller {draw.randrange(3)}")
        for source, option in zip(sources, options, strict=True)
    ]
    engine = make_engine(package, variant, NUM_ROWS, num_threads=1)
    rows: list[int] = []
    engine.on_step = lambda stats: rows.append(stats.num_rows) if stats.num_rows else None

    async def run() -> tuple[list[Fingerprint], Strangers]:
        runner = AsyncEngine([Worker(engine, 0)], max_pending=100_000)
        runner.start()
        strangers = Strangers(runner, sources, seed=4)
        found = await under_load(runner, strangers, jobs, rate, seed=5)
        await runner.close()
        return found, strangers

    found, strangers = asyncio.run(run())
    return found, {
        "mean_rows": round(sum(rows) / len(rows), 1),
        "strangers_done": strangers.num_done,
        "strangers_cancelled": strangers.num_cancelled,
        "strangers_expired": strangers.num_expired,
    }


def check(
    package: ModelPackage, variant: str, sources: list[list[int]]
) -> Iterator[dict[str, Any]]:
    """One row of the result for each search and each company."""
    limits = [package.manifest.target_limit(len(source)) for source in sources]
    for mode, options in modes(limits).items():
        width = options[0].num_rows
        started = time.perf_counter()
        alone = in_batches(make_engine(package, variant, width, 1), sources, options, 1)
        rate = 1.5 * len(sources) / (time.perf_counter() - started)
        for size in BATCHES:
            engine = make_engine(package, variant, size * width, 1)
            found = in_batches(engine, sources, options, size)
            yield _row(variant, mode, f"batches of {size}", alone, found)
        found, load = poisson(package, variant, sources, options, rate)
        yield _row(variant, mode, "Poisson among strangers", alone, found) | load


def _row(
    variant: str, mode: str, company: str, alone: list[Fingerprint], found: list[Fingerprint]
) -> dict[str, Any]:
    num_same = sum(a == b for a, b in zip(alone, found, strict=True))
    result = {"variant": variant, "search": mode, "company": company}
    return {**result, "sentences": len(alone), "same": num_same}


def main() -> int:
    """Prints the table; 1 if any result differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--json", type=Path, help="file to write the rows to")
    parser.add_argument("--limit", type=int, default=1000, help="sentences to use")
    options = parser.parse_args()
    texts = read_lines(multi30k_file("test_2016_flickr.en.gz", options.data))[: options.limit]
    package = open_package(newest_package(options.models))
    tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)
    sources = [tokenizer.encode(text, "de") for text in texts]
    rows = []
    for variant in sorted(v for v in package.manifest.variants if v.startswith("cpu-")):
        for row in check(package, variant, sources):
            print(row, flush=True)
            rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["same"] == row["sentences"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
