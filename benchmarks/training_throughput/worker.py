"""One training run of ours or of torch.nn.Transformer, in a process of its own: JSON in as the
argument, JSON out on the last line. Both run this loop, so that what differs is the model, its loss
and its batches.

It does what training.trainer does in a step, with its optimizer, rate, clipping and seeds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.training_throughput.recipe import Cut, load_examples, our_batches, read_recipe
from benchmarks.training_throughput.runs import Outcome, Task, after_warm_up
from benchmarks.training_throughput.torch_peer import (
    TorchTransformer,
    random_batches,
    smoothed_cross_entropy,
)
from training.batches import Batch, collate, make_batches
from training.config import PAD_ID, Config, ModelConfig, TrainConfig
from training.examples import Example
from training.loss import label_smoothed_loss
from training.model import Transformer
from training.optimizer import learning_rate, make_optimizer


@dataclasses.dataclass(frozen=True)
class Trainer:
    """What ours and torch.nn.Transformer do not share."""

    make_model: Callable[[ModelConfig], nn.Module]
    cut: Cut
    loss: Callable[[Tensor, Tensor, float], Tensor]
    """Of logits (B, T, V) and target (B, T), with a smoothing."""


TRAINERS = {
    "ours": Trainer(Transformer, our_batches, label_smoothed_loss),
    "torch": Trainer(TorchTransformer, random_batches, smoothed_cross_entropy),
}


class Run:
    """A model on its way through `task.num_updates` updates."""

    def __init__(self, task: Task, config: Config) -> None:
        self.task = task
        self.recipe: TrainConfig = config.train
        self.trainer = TRAINERS[task.trainer]
        self.device = torch.device(task.device)
        torch.manual_seed(task.seed)
        self.model = self.trainer.make_model(config.model).to(self.device)
        self.optimizer = make_optimizer(self.model, config.train)
        self.num_tokens = 0

    def train(self, examples: list[Example]) -> list[float]:
        """Target tokens a second, window by window."""
        self.model.train()
        batches = self._batches(examples)
        windows: list[float] = []
        started, counted = time.perf_counter(), 0
        for step in range(1, self.task.num_updates + 1):
            self._update(next(batches), step)
            if step % self.task.window == 0:
                now = time.perf_counter()
                windows.append((self.num_tokens - counted) / (now - started))
                started, counted = now, self.num_tokens
        return windows

    def _batches(self, examples: list[Example]) -> Iterator[list[Batch]]:
        epoch = 0
        while True:
            seed = self.task.seed * 1_000_003 + epoch
            for groups in self.trainer.cut(examples, self.task.batch_tokens, seed):
                yield [collate(group) for group in groups]
            epoch += 1

    def _update(self, groups: list[Batch], step: int) -> None:
        num_tokens = sum(group.num_tokens for group in groups)
        self.num_tokens += num_tokens
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate(step, self.recipe)
        self.optimizer.zero_grad(set_to_none=True)
        loss = sum(self._backward(group, group.num_tokens / num_tokens) for group in groups)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        float(loss)  # everyone reads the loss, which on a GPU waits for the update

    def _backward(self, group: Batch, share: float) -> Tensor:
        """Adds the gradient of `group`, which has `share` of the update's tokens; returns its part
        of the loss, scalar.
        """
        batch = group.to(self.device)
        with self._autocast(), self._attention():
            logits = self.model(batch.source, batch.target_input)
            loss = self.trainer.loss(logits, batch.target_output, self.recipe.label_smoothing)
        (loss * share).backward()  # type: ignore[no-untyped-call]
        part: Tensor = loss.detach() * share
        return part

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if not self.task.is_half:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _attention(self) -> contextlib.AbstractContextManager[Any]:
        is_math = self.task.is_math_attention
        return sdpa_kernel(SDPBackend.MATH) if is_math else contextlib.nullcontext()

    @torch.inference_mode()
    def validate(self, examples: list[Example]) -> tuple[float, int]:
        """Loss in nats a target token, without smoothing, in fp32, and the number of tokens."""
        self.model.eval()
        total, num_tokens = 0.0, 0
        for cpu_batch in make_batches(examples, self.task.batch_tokens):
            batch = cpu_batch.to(self.device)
            logits = self.model(batch.source, batch.target_input).flatten(0, 1)  # (B * T, V)
            target = batch.target_output.flatten()
            loss = F.cross_entropy(logits, target, ignore_index=PAD_ID, reduction="sum")
            total += float(loss)
            num_tokens += cpu_batch.num_tokens
        return total / num_tokens, num_tokens


def train(task: Task) -> Outcome:
    """Runs `task` in this process."""
    config = read_recipe(Path(task.recipe))
    run = Run(task, config)
    windows = run.train(load_examples(config, "train"))
    loss, num_tokens = None, None
    if task.is_validated:
        loss, num_tokens = run.validate(load_examples(config, "val"))
    return Outcome(after_warm_up(windows), run.num_tokens, task.num_updates, loss, num_tokens)


if __name__ == "__main__":
    print(json.dumps(dataclasses.asdict(train(Task(**json.loads(sys.argv[1]))))))
