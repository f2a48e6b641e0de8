"""Our engine and CTranslate2 beside each other, on the same checkpoints, in int8, in one run:

    python -m benchmarks.versus_ctranslate2 [--data FOLDER] [--json FILE] [--png FILE]

Two models: the bundled one, on test_2016 from English to German, and *base* (6 + 6 layers, D 512,
feed-forward 2,048, V 32,000) with random weights, sources of 15 tokens and translations of 20. Four
lines: one sentence at a time and 64 in flight, greedy; one at a time and 16 in flight, beam 4. Both
get token ids and give token ids: encoder and search are in, tokenizers are not. Ours gives the same
bits in any batch.

Each engine lives in a process of its own, takes its own time, and first looks for its best setup on
this machine, for every line anew: workers, threads and, for CTranslate2, compute type and size of
batch. CTranslate2 is given all sentences of a line at once, to sort and to cut as it likes, ours so
many at a time as the line says. Then they run in turn; a ratio is of neighbouring runs, printed is
the median. Checked, with exit code 1 where it fails: BLEU of both outputs within 0.2 of each other,
and CTranslate2 here within 5 % of a plain script with its own API (plain.py).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ctranslate2
import onnxruntime

from benchmarks.versus_ctranslate2.models import Captions, Model, base, bundled, captions
from benchmarks.versus_ctranslate2.report import Comparison, draw, table
from benchmarks.versus_ctranslate2.setups import our_setups, search, their_setups
from benchmarks.versus_ctranslate2.worker import Worker
from benchmarks.versus_ctranslate2.workload import LINES, Line, Sentence, Setup
from training.evaluate import score

PLAIN = Path(__file__).with_name("plain.py")
MAX_BLEU_DIFFERENCE = 0.2
MIN_PLAIN_SHARE = 0.95


def compare(
    model: Model, line: Line, num_rounds: int, workers: tuple[Worker, Worker]
) -> Comparison:
    """Looks for both setups, then runs the line in turn."""
    sentences = model.sentences[: line.num_sentences]
    num_cores = len(os.sched_getaffinity(0))
    ours, theirs = workers
    our_setup, our_trials = search(ours, line, our_setups(line, num_cores), sentences, print)
    their_setup, trials = search(theirs, line, their_setups(line, num_cores), sentences, print)
    ours.set_up(our_setup, sentences)
    theirs.set_up(their_setup, sentences)
    runs = [(ours.run(line), theirs.run(line)) for _ in range(num_rounds)]
    return Comparison(
        line,
        our_setup,
        their_setup,
        [run for run, _ in runs],
        [run for _, run in runs],
        plain_seconds(model, line, their_setup, sentences),
        {"ours": our_trials, "theirs": trials},
    )


def plain_seconds(model: Model, line: Line, setup: Setup, sentences: Sequence[Sentence]) -> float:
    """What the line takes in a script of CTranslate2's own API."""
    pieces = json.loads((model.theirs / "shared_vocabulary.json").read_text("utf-8"))
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump([[pieces[i] for i in sentence.source] for sentence in sentences], file)
        file.flush()
        translator = {
            "compute_type": setup.compute_type,
            "inter_threads": setup.workers,
            "intra_threads": setup.threads,
        }
        decoding = {
            "max_batch_size": setup.batch_size,
            "beam_size": line.beam_size,
            "min_decoding_length": min(sentence.least for sentence in sentences),
            "max_decoding_length": max(sentence.most for sentence in sentences),
        }
        arguments = [file.name, json.dumps(translator), json.dumps(decoding)]
        at_once = "1" if line.in_flight == 1 else "0"
        command = [sys.executable, str(PLAIN), str(model.theirs), *arguments, at_once]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(result.stdout)


def bleu(
    text: Captions, workers: tuple[Worker, Worker], setups: tuple[Setup, Setup]
) -> list[float]:
    """Of our output and theirs, greedy, on all of test_2016."""
    found = []
    line = replace(LINES[1], num_sentences=len(text.sentences))
    for worker, setup in zip(workers, setups, strict=True):
        worker.set_up(setup, text.sentences)
        outputs = [text.tokenizer.decode(ids) for ids in worker.outputs(line)]
        found.append(score(outputs, text.references).bleu)
    return found


def main() -> int:
    """Prints the table; 1 if a check fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--models", nargs="+", choices=["bundled", "base"], default=["bundled", "base"]
    )
    parser.add_argument("--lines", nargs="+", choices=[line.name for line in LINES])
    parser.add_argument("--json", type=Path, help="writes ratios and all runs there")
    parser.add_argument("--png", type=Path, help="draws the ratios there")
    options = parser.parse_args()
    lines = [line for line in LINES if line.name in (options.lines or [line.name])]
    found: dict[str, list[Comparison]] = {}
    text = captions(options.data)
    scores: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.models:
            place = Path(folder) / name
            model = bundled(text, place) if name == "bundled" else base(place)
            workers = Worker("ours", model.ours), Worker("theirs", model.theirs)
            found[name] = [compare(model, line, options.rounds, workers) for line in lines]
            if name == "bundled":
                best = found[name][-1]
                scores = bleu(text, workers, (best.ours, best.theirs))
            for worker in workers:
                worker.close()
    print(table(found))
    problems = checks(found, scores)
    print("\n".join(problems or ["all checks hold"]))
    if options.json:
        options.json.write_text(json.dumps(as_dict(found, scores), indent=1), encoding="utf-8")
    if options.png:
        draw(found, options.png)
    return 1 if problems else 0


def checks(found: dict[str, list[Comparison]], scores: list[float]) -> list[str]:
    """What must hold for the ratios to mean anything, and does not."""
    problems = []
    if scores:
        print(f"BLEU on test_2016, greedy: ours {scores[0]:.2f}, CTranslate2 {scores[1]:.2f}")
        if abs(scores[0] - scores[1]) > MAX_BLEU_DIFFERENCE:
            problems.append(f"BLEU differs by more than {MAX_BLEU_DIFFERENCE}")
    for model, comparisons in found.items():
        for comparison in comparisons:
            if comparison.plain_share < MIN_PLAIN_SHARE:
                problems.append(
                    f"{model}, {comparison.line.name}: CTranslate2 reached "
                    f"{comparison.plain_share:.0%} of a plain script"
                )
    return problems


def as_dict(found: dict[str, list[Comparison]], scores: list[float]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "command": "python -m benchmarks.versus_ctranslate2",
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            "python": platform.python_version(),
            "onnxruntime": onnxruntime.__version__,
            "ctranslate2": ctranslate2.__version__,
        },
        "ratios": {
            model: {comparison.line.name: comparison.ratio for comparison in comparisons}
            for model, comparisons in found.items()
        },
        "bleu": dict(zip(("ours", "theirs"), scores, strict=False)),
        "runs": {
            model: {comparison.line.name: comparison.to_dict() for comparison in comparisons}
            for model, comparisons in found.items()
        },
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    sys.exit(main())
