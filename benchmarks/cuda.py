"""The variant cuda-fp16, all of it, in one command on a machine that has a GPU:

    python -m benchmarks.cuda --data FOLDER [--json cuda.json]

in an environment with the extras gpu and training. Exports cuda-fp16 and cpu-fp32 from the bundled
checkpoint; translates Multi30k's test_2016 with both, cuda-fp16 on the GPU and cpu-fp32 on the
processor; and checks that

- BLEU and the share of sentences with the same tokens are within the limits of the evidence,
- the GPU's tokens are the same with 1, 7 and 64 sentences in flight, greedy and with a beam of 4,
- alignments are those of the processor, on sentences that both translate the same way.

Then it measures tokens a second with 1, 8 and 64 sentences in flight, greedy and with a beam of 4,
and the ratio to cpu-fp32 on this machine's processor. The exit code is 1 if a check fails, 2 where
there is no GPU.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from demos.bundled import CHECKPOINT
from export.build import ExportOptions, draft_package
from server.engine.engine import Engine
from server.engine.hypothesis import Hypothesis
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.engines import make_engine
from server.errors import ConfigError
from server.package import EVIDENCE_LIMITS, TOKENIZER_FILE, ModelPackage
from server.runtime.sessions import check_device
from server.text.tokenizer import Tokenizer
from training.corpus import read_lines
from training.evaluate import score
from training.multi30k import multi30k_file

TESTED, TRUSTED = "cuda-fp16", "cpu-fp32"
NUM_SLOTS = 64
IN_FLIGHT = (1, 7, 64)
MEASURED_IN_FLIGHT = (1, 8, 64)
BEAM_SIZE = 4
MAX_ALIGNMENT_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Work:
    """What is translated, and how much of it."""

    texts: Sequence[str]
    references: Sequence[str]
    target_language: str
    num_alone: int = 200
    """Sentences that are compared alone and in batches."""
    num_measured: int = 512
    """Sentences of a measurement with 64 in flight; with fewer in flight, fewer."""
    rounds: int = 3


@dataclass(frozen=True)
class Check:
    """A figure, and whether it is what it must be."""

    name: str
    found: float
    rule: str
    is_met: bool


@dataclass(frozen=True)
class Speed:
    """Tokens a second, medians of rounds."""

    beam_size: int
    in_flight: int
    tested: float
    trusted: float

    @property
    def ratio(self) -> float:
        return self.tested / self.trusted


class Bench:
    """Both variants of one package over the same sentences; `device` runs the tested one."""

    def __init__(self, package: ModelPackage, work: Work, device: str, num_threads: int) -> None:
        manifest = package.manifest
        self._package, self._work = package, work
        self._device, self._num_threads = device, num_threads
        self._tokenizer = Tokenizer(package.read_file(TOKENIZER_FILE), manifest.special_ids)
        self._sources = [self._tokenizer.encode(t, work.target_language) for t in work.texts]
        self._limits = [manifest.target_limit(len(source)) for source in self._sources]

    def check(self) -> list[Check]:
        """All checks."""
        tested = self._engine(TESTED, NUM_SLOTS)
        everything = range(len(self._sources))
        found = self._decode(tested, everything, NUM_SLOTS)
        trusted = self._engine(TRUSTED, NUM_SLOTS)
        expected = self._decode(trusted, everything, NUM_SLOTS)
        checks = self._quality(_ids(found), _ids(expected))
        alone = range(min(self._work.num_alone, len(self._sources)))
        for beam_size in (1, BEAM_SIZE):
            outputs = [
                _ids(self._decode(tested, alone, min(n, NUM_SLOTS // beam_size), beam_size))
                for n in IN_FLIGHT
            ]
            num_same = sum(
                len({tuple(ids) for ids in row}) == 1 for row in zip(*outputs, strict=True)
            )
            name = f"same tokens with {', '.join(map(str, IN_FLIGHT))} in flight, beam {beam_size}"
            checks.append(Check(name, num_same, f"all {len(alone)}", num_same == len(alone)))
        checks.append(self._alignment(tested, trusted, alone))
        return checks

    def _quality(self, found: list[list[int]], expected: list[list[int]]) -> list[Check]:
        limits = EVIDENCE_LIMITS[TESTED]
        references = list(self._work.references)
        tested, trusted = (
            score([self._tokenizer.decode(ids) for ids in outputs], references)
            for outputs in (found, expected)
        )
        floor = round(trusted.bleu - limits.max_bleu_loss, 2)
        exact = sum(a == b for a, b in zip(found, expected, strict=True)) / len(found)
        rate = limits.min_token_exact_rate
        return [
            Check(f"BLEU, {TRUSTED}", trusted.bleu, "", True),
            Check(f"BLEU, {TESTED}", tested.bleu, f"at least {floor}", tested.bleu >= floor),
            Check(f"sentences with {TRUSTED}'s tokens", exact, f"at least {rate}", exact >= rate),
        ]

    def _alignment(self, tested: Engine, trusted: Engine, chosen: range) -> Check:
        found, expected = (
            self._decode(engine, chosen, NUM_SLOTS, is_aligned=True) for engine in (tested, trusted)
        )
        differences = [
            float(np.abs(np.stack(ours.attention) - np.stack(theirs.attention)).max())
            for ours, theirs in zip(found, expected, strict=True)
            if ours.tokens == theirs.tokens
        ]
        largest = max(differences, default=float("nan"))
        return Check(
            "largest difference of an alignment",
            largest,
            f"at most {MAX_ALIGNMENT_DIFFERENCE}",
            largest <= MAX_ALIGNMENT_DIFFERENCE,
        )

    def measure(self) -> list[Speed]:
        """Tokens a second, each variant with as many slots as are in flight."""
        speeds = []
        for beam_size in (1, BEAM_SIZE):
            for in_flight in MEASURED_IN_FLIGHT:
                tested, trusted = (
                    self._tokens_per_s(variant, in_flight, beam_size)
                    for variant in (TESTED, TRUSTED)
                )
                speeds.append(Speed(beam_size, in_flight, tested, trusted))
        return speeds

    def _tokens_per_s(self, variant: str, in_flight: int, beam_size: int) -> float:
        engine = self._engine(variant, in_flight * beam_size)
        num_sentences = max(4, self._work.num_measured * in_flight // max(MEASURED_IN_FLIGHT))
        chosen = [i % len(self._sources) for i in range(num_sentences)]
        self._decode(engine, chosen[: 2 * in_flight], in_flight, beam_size)  # warm
        speeds = []
        for _ in range(self._work.rounds):
            started = time.perf_counter()
            best = self._decode(engine, chosen, in_flight, beam_size)
            elapsed = time.perf_counter() - started
            speeds.append(sum(len(hypothesis.tokens) for hypothesis in best) / elapsed)
        return statistics.median(speeds)

    def _engine(self, variant: str, num_slots: int) -> Engine:
        device = self._device if variant == TESTED else ""
        return make_engine(self._package, variant, num_slots, self._num_threads, device)

    def _decode(
        self,
        engine: Engine,
        chosen: Sequence[int],
        in_flight: int,
        beam_size: int = 1,
        is_aligned: bool = False,
    ) -> list[Hypothesis]:
        """The best hypothesis for each of `chosen`, `in_flight` at a time."""
        jobs = [
            Job(
                self._sources[i],
                DecodingOptions(self._limits[i], beam_size=beam_size, is_aligned=is_aligned),
            )
            for i in chosen
        ]
        order: dict[int, int] = {}
        best: list[Hypothesis] = [Hypothesis() for _ in jobs]
        waiting = iter(enumerate(jobs))
        num_ended = 0
        while num_ended < len(jobs):
            while len(order) - num_ended < in_flight and (following := next(waiting, None)):
                order[engine.add(following[1])] = following[0]
            for sequence in engine.step().ended:
                best[order[sequence.sequence_id]] = sequence.hypotheses[0]
                num_ended += 1
        return best


def _ids(hypotheses: Sequence[Hypothesis]) -> list[list[int]]:
    return [hypothesis.token_ids for hypothesis in hypotheses]


def run(package: ModelPackage, work: Work, device: str, num_threads: int) -> tuple[bool, str]:
    """Whether all checks hold, and everything found, as JSON; prints it for a person."""
    bench = Bench(package, work, device, num_threads)
    checks = bench.check()
    for check in checks:
        verdict = "" if not check.rule else "ok" if check.is_met else "FAILED"
        print(f"{check.name}: {check.found:.4g}  {check.rule}  {verdict}".rstrip())
    print(f"\n| beam | in flight | {TESTED}, tokens/s | {TRUSTED}, tokens/s | ratio |")
    print("|---|---|---|---|---|")
    speeds = bench.measure()
    for speed in speeds:
        row = f"{speed.tested:,.0f} | {speed.trusted:,.0f} | {speed.ratio:.2f}"
        print(f"| {speed.beam_size} | {speed.in_flight} | {row} |")
    document = {
        "date": datetime.date.today().isoformat(),
        "device": device,
        "gpu": _gpu(),
        "onnxruntime": onnxruntime.__version__,
        "threads": num_threads,
        "checks": [asdict(check) for check in checks],
        "speeds": [asdict(speed) | {"ratio": speed.ratio} for speed in speeds],
    }
    return all(check.is_met for check in checks), json.dumps(document, indent=2)


def _gpu() -> str:
    """Name and driver of the first GPU, as nvidia-smi has them."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 if all checks hold, 1 if one fails, 2 where there is no GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument(
        "--data", default="", help="folder of Multi30k's files; fetched where empty"
    )
    parser.add_argument("--threads", type=int, default=1, help="of cpu-fp32, to compare with")
    parser.add_argument("--json", type=Path, help="file for everything that is found")
    options = parser.parse_args(arguments)
    try:
        check_device("cuda")
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    texts, references = (
        read_lines(multi30k_file(f"test_2016_flickr.{language}.gz", options.data))
        for language in ("en", "de")
    )
    with tempfile.TemporaryDirectory() as folder:
        wanted = ExportOptions(
            options.checkpoint, Path(folder), (TRUSTED, TESTED), default_variant=TRUSTED
        )
        package = draft_package(wanted, Path(folder))
        is_right, document = run(package, Work(texts, references, "de"), "cuda", options.threads)
    if options.json:
        options.json.write_text(document + "\n", encoding="utf-8")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
