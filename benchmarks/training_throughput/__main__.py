"""Training beside its peers, on this machine, in one run:

    python -m benchmarks.training_throughput --setup FOLDER    # Joey NMT's environment, once
    python -m benchmarks.training_throughput --joeynmt FOLDER [--data FOLDER] [--json FILE]

Everyone trains the same size of Transformer (post-norm, tied embeddings) on the same pairs of
Multi30k in the pieces of one SentencePiece model, with the same Adam, rate, clipping, smoothing and
threads:

- ours, as `python -m training` does: batches of like length, bf16, our dropout and loss, glibc told
  to keep freed memory;
- torch.nn.Transformer with F.cross_entropy, in batches of random order that are padded to the same
  number of tokens: in fp32, in bf16, with our setting of glibc (malloc*), and with the attention
  kernel that is faster here than PyTorch's own choice (math*);
- Joey NMT, as released, likewise (see benchmarks/training_throughput/joeynmt.py).

Speed: target tokens that count in the loss, no padding, a second of wall clock. In every round
each trains from the start in a process of its own, one after the other; a figure is the median over
the windows of `--window` updates in all rounds, without each run's first. `ours is N times as fast`
is median over median. On a GPU, the MFU is beside it (see flops.py).

Learning: each one's best configuration trains on `--tokens` target tokens, and then its loss on the
same validation text is measured: nats a target token, unsmoothed. There the peers' batches are
padded to more tokens, so many that an update sees as many target tokens as ours; at the same padded
size they would make twice the updates. Models start from random weights, each as its own library
draws them: losses of one recipe differ by some hundredths from seed to seed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.training_throughput import joeynmt
from benchmarks.training_throughput.flops import flops_per_target_token, peak_tflops, utilisation
from benchmarks.training_throughput.recipe import (
    Cut,
    Size,
    load_examples,
    matched_batch_tokens,
    multi30k,
    num_target_tokens,
    our_batches,
    read_recipe,
    tokens_per_update,
    write_recipe,
)
from benchmarks.training_throughput.report import best_of_each, loss_lines, speed_lines
from benchmarks.training_throughput.runs import (
    KEEP_FREED_MEMORY,
    ON_CPU,
    ON_CUDA,
    Contestant,
    Outcome,
    Task,
)
from benchmarks.training_throughput.torch_peer import random_batches

CUTS: dict[str, Cut] = {
    "ours": our_batches,
    "torch": random_batches,
    "joeynmt": joeynmt.batches,
}
"""How each trainer makes batches, to know how many updates so many tokens are."""
SEED = 1
ROOT = Path(__file__).resolve().parents[2]


class Bench:
    """The runs, each in a process of its own."""

    def __init__(self, options: argparse.Namespace, recipe: Path) -> None:
        self.options = options
        self.recipe = recipe
        self.config = read_recipe(recipe)
        self.examples = load_examples(self.config, "train")
        self.device = options.device
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        everyone = ON_CUDA if self.device == "cuda" else ON_CPU
        has_joeynmt = options.joeynmt is not None
        self.contestants = [c for c in everyone if has_joeynmt or c.trainer != "joeynmt"]

    def speeds(self) -> dict[Contestant, list[float]]:
        """Target tokens a second in every window, contestants in turn in every round."""
        found: dict[Contestant, list[float]] = {contestant: [] for contestant in self.contestants}
        for index in range(self.options.rounds):
            for contestant in self.contestants:
                task = self._task(contestant, SEED + index)
                outcome = self._train(contestant, task)
                found[contestant] += outcome.windows
                _say(f"round {index + 1}, {contestant.name}: {_shown(outcome.windows)} tokens/s")
        return found

    def losses(self, best: list[Contestant]) -> dict[Contestant, Outcome]:
        """Everyone of `best` after as many target tokens, in updates as large as ours."""
        found = {}
        for contestant in best:
            task = self._long_task(contestant)
            _say(f"{contestant.name}: {task.num_updates} updates of {task.batch_tokens:,} tokens")
            found[contestant] = self._train(contestant, task)
        if len({outcome.num_validation_tokens for outcome in found.values()}) > 1:
            raise joeynmt.PeerError(f"not the same validation tokens: {found}")
        return found

    def _long_task(self, contestant: Contestant) -> Task:
        cut, batch_tokens = CUTS[contestant.trainer], self.config.data.batch_tokens
        wanted = tokens_per_update(our_batches, self.examples, batch_tokens, SEED)
        if contestant.trainer != "ours":
            batch_tokens = matched_batch_tokens(cut, self.examples, wanted, SEED)
        per_update = tokens_per_update(cut, self.examples, batch_tokens, SEED)
        num_updates = max(1, round(self.options.tokens / per_update))
        return dataclasses.replace(
            self._task(contestant, SEED),
            batch_tokens=batch_tokens,
            num_updates=num_updates,
            window=min(self.options.window, num_updates),
            is_validated=True,
        )

    def _task(self, contestant: Contestant, seed: int) -> Task:
        return Task(
            recipe=str(self.recipe),
            trainer=contestant.trainer,
            is_half=contestant.is_half,
            is_math_attention=contestant.is_math_attention,
            device=self.device,
            batch_tokens=self.config.data.batch_tokens,
            num_updates=self.options.updates,
            window=min(self.options.window, self.options.updates),
            seed=seed,
            is_validated=False,
        )

    def _train(self, contestant: Contestant, task: Task) -> Outcome:
        threads = str(self.options.threads)
        variables = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        if contestant.keeps_memory:
            variables |= KEEP_FREED_MEMORY
        if task.trainer == "joeynmt":
            return joeynmt.train(task, self.options.joeynmt, variables)
        argument = json.dumps(dataclasses.asdict(task))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.training_throughput.worker", argument],
            cwd=ROOT,
            env=variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return Outcome(**json.loads(done.stdout.splitlines()[-1]))


def run(options: argparse.Namespace, recipe: Path) -> dict[str, Any]:
    """Measures, prints the tables, and returns everything for JSON."""
    bench = Bench(options, recipe)
    print(_described(bench))
    speeds = bench.speeds()
    flops = flops_per_target_token(bench.config.model, bench.examples)
    peak = _peak_tflops(bench.device, options.peak_tflops)
    print("target tokens a second:")
    mfu = (lambda speed: utilisation(speed, flops, peak)) if peak else None
    print(*speed_lines(speeds, mfu), sep="\n")
    losses = bench.losses(best_of_each(speeds))
    print("validation loss, nats a target token:")
    print(*loss_lines(losses), sep="\n")
    return {
        "date": datetime.date.today().isoformat(),
        "machine": _machine(bench.device),
        "torch": torch.__version__,
        "joeynmt": joeynmt.VERSION if options.joeynmt else None,
        "threads": options.threads,
        "rounds": options.rounds,
        "direction": bench.config.data.directions[0],
        "pairs": len(bench.examples),
        "batch_tokens": bench.config.data.batch_tokens,
        "learning_rate": bench.config.train.learning_rate,
        "warmup_steps": bench.config.train.warmup_steps,
        "model": dataclasses.asdict(bench.config.model),
        "training_flops_per_target_token": flops,
        "peak_tflops": peak,
        "tokens_per_s": {contestant.name: found for contestant, found in speeds.items()},
        "equal_tokens": {c.name: dataclasses.asdict(found) for c, found in losses.items()},
    }


def _described(bench: Bench) -> str:
    examples, model = bench.examples, bench.config.model
    padded = bench.config.data.batch_tokens
    shares = ", ".join(
        f"{name} {tokens_per_update(cut, examples, padded, SEED):,.0f}"
        for name, cut in CUTS.items()
    )
    return (
        f"{_machine(bench.device)}, threads: {bench.options.threads}, torch {torch.__version__}\n"
        f"{len(examples):,} pairs, {num_target_tokens(examples):,} target tokens; D "
        f"{model.d_model}, {model.num_encoder_layers} + {model.num_decoder_layers} layers, V "
        f"{model.vocabulary_size:,}\n"
        f"target tokens in an update of {padded:,} padded tokens: {shares}"
    )


def _machine(device: str) -> str:
    if device == "cuda":
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def _peak_tflops(device: str, given: float | None) -> float | None:
    """None on a processor, and for a GPU that nobody told the peak of."""
    if device != "cuda":
        return None
    peak = given or peak_tflops(torch.cuda.get_device_name())
    if peak is None:
        _say("the peak of this GPU is unknown: --peak-tflops gives it, and the MFU is printed")
    return peak


def _shown(windows: list[float]) -> str:
    return " ".join(f"{speed:,.0f}" for speed in windows)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="", help="folder of Multi30k's files; fetched if empty")
    parser.add_argument("--direction", default="en-de")
    parser.add_argument("--pairs", type=int, default=0, help="so many of the text's first; 0: all")
    parser.add_argument("--joeynmt", type=Path, metavar="FOLDER", help="made by --setup")
    parser.add_argument("--setup", type=Path, metavar="FOLDER", help="make that environment, end")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--updates", type=int, default=40, help="of a run that measures speed")
    parser.add_argument("--window", type=int, default=10, help="updates of one figure of speed")
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of a run that is validated")
    parser.add_argument("--peak-tflops", type=float, help="of the GPU, dense, in bf16")
    parser.add_argument("--json", type=Path, metavar="FILE")
    for field in dataclasses.fields(Size):
        kind = type(field.default)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 where Joey NMT failed."""
    options = parse(arguments)
    if options.setup:
        joeynmt.set_up(options.setup)
        return 0
    size = Size(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Size)})
    try:
        with tempfile.TemporaryDirectory(prefix="training-throughput-") as folder:
            text = multi30k(options.data, options.direction, options.pairs)
            recipe = write_recipe(Path(folder), text, options.direction, size)
            found = run(options, recipe)
    except joeynmt.PeerError as error:
        _say(f"error: {error}")
        return 1
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
