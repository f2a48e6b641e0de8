"""Memory over 200,000 requests of mixed length and options: what is resident after the warm-up is
what stays resident.

    python -m benchmarks.soak --data FOLDER [--requests 200000] [--json FILE]

A real server, and 64 callers that send one random request after the other: sentences and pages of
1 to 250 tokens, greedy and beams up to 16, samples, alternatives, prefixes, constraints, scores and
alignments, streams, all priorities; one in fifty hangs up early, one in fifty is refused for a bad
field. Every 2,000 requests the resident sizes of the server's process and of its engine's are read.
The first tenth is the warm-up; the largest size after it may be 5 % over the size at its end.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import random
import time
from pathlib import Path
from typing import Any

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1 import translation_pb2_grpc as stubs

from demos.server_process import ServerProcess, running_server
from training.corpus import read_lines
from training.multi30k import multi30k_file

CALLERS = 64
SAMPLE_EVERY = 2000
WARM_UP_SHARE = 0.1
MAX_GROWTH = 0.05
LONG_TEXT_WORDS = 120


def random_options(draw: random.Random) -> pb.DecodingOptions:
    """Any search, any constraint."""
    options = pb.DecodingOptions()
    kind = draw.choices(("greedy", "beam", "sampling", "alternatives"), (6, 2, 2, 1))[0]
    if kind == "beam":
        options.beam_size = draw.choices((2, 4, 5, 8, 16), (4, 8, 4, 2, 1))[0]
        options.num_hypotheses = draw.randint(1, options.beam_size)
        options.length_penalty = draw.choice((0.0, 0.6, 1.0))
        options.early_stopping = draw.randrange(4)
    elif kind == "sampling":
        options.sampling.temperature = draw.uniform(0.3, 1.5)
        options.sampling.top_k = draw.choice((0, 10, 100))
        options.sampling.top_p = draw.choice((0.8, 1.0))
        options.num_hypotheses = draw.randint(1, 4)
    elif kind == "alternatives":
        options.num_alternatives = draw.randint(1, 5)
    if draw.random() < 0.2:
        options.no_repeat_ngram_size = draw.randint(1, 4)
    if draw.random() < 0.2:
        options.repetition_penalty = draw.uniform(1, 2)
    if draw.random() < 0.1:
        options.min_target_tokens = draw.randint(1, 5)
    return options


def random_request(draw: random.Random, texts: list[str]) -> pb.TranslateRequest:
    """One text with anything that the API has; a bad one now and then."""
    text = draw.choice(texts)
    if draw.random() < 0.01:
        words = " ".join(draw.sample(texts, 12)).split()
        text = " ".join(words[: draw.randint(30, LONG_TEXT_WORDS)])
    request = pb.TranslateRequest(
        source_language="en",
        target_language="de",
        texts=[text],
        options=random_options(draw),
        priority=draw.randrange(4),
        output=pb.OutputOptions(scores=draw.random() < 0.2, alignment=draw.random() < 0.1),
    )
    if draw.random() < 0.1:
        request.target_prefixes.append(draw.choice(("Ein Mann", "Zwei", "Das")))
    if draw.random() < 0.02:
        request.options.length_penalty = 99.0
    return request


def as_stream(request: pb.TranslateRequest) -> pb.TranslateStreamRequest:
    """The same for TranslateStream."""
    return pb.TranslateStreamRequest(
        source_language=request.source_language,
        target_language=request.target_language,
        text=request.texts[0],
        options=request.options,
        priority=request.priority,
        output=request.output,
    )


async def send(
    stub: Any, request: pb.TranslateRequest, timeout_s: float | None, is_streamed: bool
) -> str:
    """The status that the request ended with."""
    try:
        if is_streamed:
            async for _ in stub.TranslateStream(as_stream(request), timeout=timeout_s):
                pass
        else:
            await stub.Translate(request, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


async def soak(server: ServerProcess, texts: list[str], num_requests: int) -> dict[str, Any]:
    """Sends it all; sizes in MB by number of requests, and how the requests ended."""
    started = time.monotonic()
    sizes: list[tuple[int, dict[str, float]]] = []
    endings: collections.Counter[str] = collections.Counter()
    numbers = iter(range(num_requests))

    async def caller(stub: Any) -> None:
        for number in numbers:
            draw = random.Random(number)
            timeout_s = draw.uniform(0.002, 0.05) if draw.random() < 0.02 else None
            is_streamed = draw.random() < 0.1
            endings[await send(stub, random_request(draw, texts), timeout_s, is_streamed)] += 1
            if number % SAMPLE_EVERY == 0:
                sizes.append((number, server.resident_mb()))
                print(f"{number:7} requests, {sizes[-1][1]} MB, {dict(endings)}", flush=True)

    async with grpc.aio.insecure_channel(server.target) as channel:
        stub = stubs.TranslationServiceStub(channel)
        await asyncio.gather(*(caller(stub) for _ in range(CALLERS)))
    sizes.append((num_requests, server.resident_mb()))
    return {
        "requests": num_requests,
        "seconds": round(time.monotonic() - started),
        "endings": dict(endings),
        "resident_mb": sizes,
    }


def verdict(result: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """For the server's process and its engines': resident MB at the end of the warm-up, and the
    largest growth after it as a share.
    """
    warm = WARM_UP_SHARE * result["requests"]
    after = [sizes for number, sizes in result["resident_mb"] if number >= warm]
    return {
        name: (after[0][name], max(sizes[name] for sizes in after) / after[0][name] - 1)
        for name in after[0]
    }


def main() -> int:
    """Prints the run; 1 if memory grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--json", type=Path, help="file to write the run to")
    options = parser.parse_args()
    texts = read_lines(multi30k_file("test_2016_flickr.en.gz", options.data))
    with running_server(options.models, "--drain-delay-s", "0") as server:
        result = asyncio.run(soak(server, texts, options.requests))
    verdicts = verdict(result)
    for name, (warm_mb, growth) in verdicts.items():
        print(f"{name}: resident after the warm-up {warm_mb:.1f} MB, then at most {growth:+.1%}")
    if options.json:
        options.json.write_text(json.dumps(result) + "\n", encoding="utf-8")
    return 0 if all(growth <= MAX_GROWTH for _, growth in verdicts.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
