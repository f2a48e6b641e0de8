"""Trains fifty steps, in as many processes as torchrun starts, and writes each step's loss.

Run as `python -m tests.training.two_workers OUTPUT ACCUMULATE`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from tests.training.tiny import FixedExamples, config, model_config, random_examples
from training.model import Transformer
from training.parallel import join_workers
from training.trainer import Trainer

NUM_STEPS = 50


def main(output: Path, accumulate: int) -> None:
    """Writes `losses` and the trained `weights`, summed by tensor, to OUTPUT/trace.json."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    examples, model = random_examples(301), Transformer(model_config(dropout=0.0))
    train = {"max_steps": NUM_STEPS, "validate_every": 20, "accumulate": accumulate}
    recipe = config(output, model.config, 64, learning_rate=5e-3, **train)
    with join_workers("cpu") as workers:
        trainer = Trainer(recipe, model, None, FixedExamples(examples), examples[:9], workers)
        take_step, losses = trainer.step, []

        def step(*arguments: object) -> tuple[float, int, bool]:
            result = take_step(*arguments)
            losses.append(result[0])
            return result

        trainer.step = step
        trainer.train()
        if workers.is_first:
            (output / "trace.json").write_text(json.dumps(losses))
        assert trainer.progress.step == NUM_STEPS


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
