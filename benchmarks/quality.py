"""The 1,000 sentences of Multi30k's test_2016 through a real server: quality, and the same answer
at any load.

    python -m benchmarks.quality --data FOLDER [--direction en-de]

Serves the bundled model, translates one sentence at a time and again with 64 in flight, compares
all outputs, and prints BLEU, chrF, the BLEU of the papers, and the mean decode batch of the second
run as the server's metric has it. With --checkpoint, PyTorch translates them too: BLEU on the same
decoding, and the outputs that differ.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import urllib.request
from pathlib import Path

from attendant import AsyncClient, Options

from benchmarks.paper_bleu import paper_bleu
from demos.server_process import running_server
from training.checkpoint import load_model
from training.corpus import read_lines
from training.evaluate import score, translate_ids
from training.multi30k import multi30k_file
from training.tokenizer import Tokenizer

IN_FLIGHT = 64


async def translate(
    target: str,
    texts: list[str],
    direction: str,
    in_flight: int,
    options: Options | None = None,
) -> list[str]:
    """Each text in a call of its own to the server at `target`, `in_flight` at a time."""
    source, to = direction.split("-")
    queue = iter(enumerate(texts))
    outputs = [""] * len(texts)

    async def caller(client: AsyncClient) -> None:
        for i, text in queue:
            translation = await client.translate(
                text, source_language=source, target_language=to, options=options
            )
            outputs[i] = translation.text

    async with AsyncClient(target) as client:
        await asyncio.gather(*(caller(client) for _ in range(in_flight)))
    return outputs


def decode_steps(metrics_url: str) -> tuple[float, float]:
    """Steps taken and rows decoded so far, as the server counts them."""
    page = urllib.request.urlopen(metrics_url, timeout=10).read().decode().splitlines()
    values = [
        float(line.split()[-1])
        for kind in ("count", "sum")
        for line in page
        if line.startswith(f"attendant_decode_batch_size_{kind}{{")
    ]
    return values[0], values[1]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(
    models: Path, texts: list[str], direction: str, variant: str
) -> tuple[list[str], list[str], float]:
    """Outputs one at a time, outputs with 64 in flight, and the mean decode batch of the latter."""
    port = free_port()
    flags = ("--metrics-port", str(port), "--drain-delay-s", "0", "--variant", variant)
    with running_server(models, *flags) as server:
        alone = asyncio.run(translate(server.target, texts, direction, in_flight=1))
        steps, rows = decode_steps(f"http://127.0.0.1:{port}/metrics")
        together = asyncio.run(translate(server.target, texts, direction, IN_FLIGHT))
        more_steps, more_rows = decode_steps(f"http://127.0.0.1:{port}/metrics")
    return alone, together, (more_rows - rows) / (more_steps - steps)


def report(outputs: list[str], references: list[str], direction: str, label: str) -> None:
    """Prints the scores of `outputs`."""
    scores = score(outputs, references)
    papers = paper_bleu(outputs, references, direction.split("-")[1])
    print(f"{label}: BLEU {scores.bleu:.2f}, chrF {scores.chrf:.2f}, paper BLEU {papers:.2f}")
    print(f"    {scores.bleu_signature}\n    {scores.chrf_signature}")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--variant", default="cpu-int8")
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--direction", default="en-de")
    parser.add_argument("--checkpoint", type=Path, help="compare with PyTorch on this checkpoint")
    options = parser.parse_args()
    languages = options.direction.split("-")
    texts, references = (
        read_lines(multi30k_file(f"test_2016_flickr.{language}.gz", options.data))
        for language in languages
    )
    alone, together, mean_batch = serve(options.models, texts, options.direction, options.variant)
    num_same = sum(a == b for a, b in zip(alone, together, strict=True))
    print(f"{num_same} of {len(texts)} outputs are the same alone and with {IN_FLIGHT} in flight")
    print(f"mean decode batch with {IN_FLIGHT} in flight: {mean_batch:.1f}")
    report(together, references, options.direction, f"served {options.variant}")
    if options.checkpoint:
        compare(options.checkpoint, texts, references, together, options.direction)


def compare(
    checkpoint: Path, texts: list[str], references: list[str], served: list[str], direction: str
) -> None:
    """Prints PyTorch's scores and where the served outputs differ from it."""
    model, _ = load_model(checkpoint)
    tokenizer = Tokenizer(checkpoint.parent / "tokenizer.model")
    sources = [tokenizer.encode_source(text, direction.split("-")[1]) for text in texts]
    outputs = [tokenizer.decode(ids) for ids in translate_ids(model, sources)]
    report(outputs, references, direction, "PyTorch fp32")
    different = [i for i in range(len(texts)) if outputs[i] != served[i]]
    print(f"{len(texts) - len(different)} of {len(texts)} served outputs are PyTorch's")
    for i in different[:5]:
        print(f"    {i}: PyTorch {outputs[i]!r}\n       served  {served[i]!r}")


if __name__ == "__main__":
    main()
