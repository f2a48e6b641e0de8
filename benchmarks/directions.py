"""Every direction of a served model on Multi30k's test_2016: the table of its model card.

    python -m benchmarks.directions --data FOLDER [--beams 1 5] [--part test] [--json FILE]

Starts a server, translates with 64 in flight, and prints, for each direction and beam, cased
sacreBLEU, chrF and the BLEU of the papers. Nothing was chosen on this set: choose with --part val.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from attendant import Options

from benchmarks.paper_bleu import paper_bleu
from benchmarks.quality import IN_FLIGHT, translate
from demos.bundled import VERSION
from demos.server_process import running_server
from server.package import open_package
from training.corpus import read_lines
from training.evaluate import score
from training.multi30k import multi30k_file

STEMS = {"val": "val", "test": "test_2016_flickr"}
PAPERS = {"en-de": 41.02, "en-fr": 61.80}
"""The papers' BLEU of text-only models on test_2016: Transformer-Tiny, beam 5 (Wu et al. 2021,
arXiv 2105.14462)."""


@dataclass(frozen=True)
class Figures:
    """One direction at one width of beam."""

    direction: str
    beam_size: int
    bleu: float
    chrf: float
    paper_bleu: float
    bleu_signature: str
    chrf_signature: str


def measure(target: str, direction: str, beam_size: int, lines: dict[str, list[str]]) -> Figures:
    """Translates with the server at `target` and scores."""
    source, to = direction.split("-")
    options = Options(beam_size=beam_size)
    outputs = asyncio.run(translate(target, lines[source], direction, IN_FLIGHT, options))
    scores = score(outputs, lines[to])
    return Figures(
        direction,
        beam_size,
        round(scores.bleu, 2),
        round(scores.chrf, 2),
        round(paper_bleu(outputs, lines[to], to), 2),
        scores.bleu_signature,
        scores.chrf_signature,
    )


def markdown(figures: list[Figures], beams: list[int]) -> str:
    """A row a direction, BLEU / chrF / paper BLEU a beam."""
    names = ["greedy" if beam == 1 else f"beam {beam}" for beam in beams]
    head = "| direction | " + " | ".join(f"{n}: BLEU | chrF | paper BLEU" for n in names)
    lines = [f"{head} | papers |", "|---" * (3 * len(beams) + 2) + "|"]
    for direction in dict.fromkeys(f.direction for f in figures):
        row = [f for f in figures if f.direction == direction]
        cells = [f"{f.bleu:.2f} | {f.chrf:.2f} | {f.paper_bleu:.2f}" for f in row]
        known = f"{PAPERS[direction]:.2f}" if direction in PAPERS else ""
        lines.append(f"| {direction} | {' | '.join(cells)} | {known} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument(
        "--package", default=f"multi30k/{VERSION}", help="NAME/VERSION, for its directions"
    )
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--part", choices=STEMS, default="test")
    parser.add_argument("--directions", nargs="+")
    parser.add_argument("--json", type=Path, help="writes the figures there too")
    options = parser.parse_args()
    manifest = open_package(options.models / options.package).manifest
    lines = {
        language: read_lines(multi30k_file(f"{STEMS[options.part]}.{language}.gz", options.data))
        for language in manifest.languages
    }
    figures = []
    with running_server(options.models, "--drain-delay-s", "0") as server:
        for direction in options.directions or manifest.directions:
            for beam in options.beams:
                figures.append(measure(server.target, direction, beam, lines))
    print(markdown(figures, options.beams))
    print(f"\n`{figures[0].bleu_signature}`, `{figures[0].chrf_signature}`")
    if options.json:
        options.json.write_text(json.dumps([asdict(f) for f in figures], indent=2) + "\n")


if __name__ == "__main__":
    main()
