"""The training loop: steps, validation, checkpoints, early stopping, and continuing from where it
stopped.

What a step does depends on the recipe and the step's number alone: the order of the batches on
seed and epoch, dropout on seed, step and process. So a run that was killed and continued ends at
the same weights as one that was not.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from training.batches import Batch, collate, make_batches, share_of_batch, shuffled_batches
from training.checkpoint import (
    Checkpoint,
    average_tensors,
    load_model_tensors,
    model_tensors,
    write_atomically,
    write_checkpoint,
)
from training.config import Config
from training.evaluate import score_examples, validation_loss
from training.examples import Example, ExampleSource
from training.loss import consistency_loss, label_smoothed_loss
from training.model import Transformer
from training.optimizer import learning_rate, make_optimizer
from training.parallel import Workers
from training.run_folder import RunFolder
from training.tokenizer import Tokenizer


@dataclass
class Progress:
    """Counters that a continued run starts from."""

    step: int = 0
    epoch: int = 0
    batch_in_epoch: int = 0
    best_loss: float = float("inf")
    validations_without_gain: int = 0
    trained_s: float = 0.0
    trained_tokens: int = 0


class Trainer:
    """Trains `model` on `train`, watching the `validation` examples."""

    def __init__(
        self,
        config: Config,
        model: Transformer,
        tokenizer: Tokenizer,
        train: ExampleSource,
        validation: list[Example],
        workers: Workers,
    ) -> None:
        self.config = config
        self.model = model.to(workers.device)
        self.tokenizer = tokenizer
        self.source = train
        self.validation = validation
        self.workers = workers
        self.optimizer = make_optimizer(model, config.train)
        self.progress = Progress()
        self.folder = RunFolder(config.train.output_path)
        self._forward: nn.Module = model

    def train(self) -> None:
        """Runs to the end of the recipe."""
        state = self.folder.read_state()
        if state is not None:
            self.restore(state)
        if self.workers.is_first:
            self.folder.discard_after(self.progress.step)
        self.model.train()
        model = torch.compile(self.model, dynamic=True) if self.config.train.compile else self.model
        self._forward = self.workers.share(model)  # type: ignore[arg-type]
        self._run_steps()
        if self.workers.from_first([self._is_unmeasured()]) == [1.0]:
            line = self._validate(None)
            if line:
                print(line)
        if self.workers.is_first:
            self._finish()

    def _run_steps(self) -> None:
        limit = self.config.train.max_steps
        is_quiet = not self.workers.is_first
        with tqdm(
            total=limit,
            initial=self.progress.step,
            unit="step",
            mininterval=1.0,
            disable=is_quiet or None,
        ) as bar:
            started, meter = time.monotonic() - self.progress.trained_s, _Meter()
            batches = self._batches()
            is_out_of_time = self._is_out_of_time()
            while not self._is_done(is_out_of_time):
                batch = next(batches)  # only now: a batch taken is a batch that counts as trained
                loss, num_tokens, is_out_of_time = self.step(batch, started)
                meter.add(loss, num_tokens)
                bar.set_postfix_str(meter.text(), refresh=False)
                bar.update()
                if self.progress.step % self.config.train.validate_every == 0:
                    line = self._validate(meter)
                    if line:
                        bar.write(line)
                    meter.restart()

    def _is_out_of_time(self) -> bool:
        return 0 < self.config.train.max_minutes * 60 <= self.progress.trained_s

    def _is_done(self, is_out_of_time: bool) -> bool:
        train, progress = self.config.train, self.progress
        is_out_of_patience = 0 < train.patience <= progress.validations_without_gain
        return progress.step >= train.max_steps or is_out_of_time or is_out_of_patience

    def _batches(self) -> Iterator[list[list[Example]]]:
        """Batches without end; an epoch's order depends on seed and epoch alone, so a continued run
        finds its place.
        """
        while True:
            seed = self.config.train.seed * 1_000_003 + self.progress.epoch
            examples = self.source.epoch(seed)
            batch_tokens, num_groups = self.config.data.batch_tokens, self.config.train.accumulate
            batches = shuffled_batches(examples, batch_tokens, num_groups, seed)
            for index in range(self.progress.batch_in_epoch, len(batches)):
                self.progress.batch_in_epoch = index + 1
                yield batches[index]
            self.progress.epoch += 1
            self.progress.batch_in_epoch = 0

    def step(self, batch: list[list[Example]], started: float) -> tuple[float, int, bool]:
        """One update from the groups of `batch`, of which this process takes its share.

        Returns its loss in nats a token, its target tokens, and whether time is up in any process.
        """
        train, workers = self.config.train, self.workers
        self.progress.step += 1
        torch.manual_seed(
            (train.seed * 1_000_003 + self.progress.step) * workers.world_size + workers.rank
        )
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = learning_rate(self.progress.step, train)
        num_tokens = sum(len(example.target) - 1 for group in batch for example in group)
        self.optimizer.zero_grad(set_to_none=True)
        share = share_of_batch(batch, workers.rank, workers.world_size)
        loss = 0.0
        for index, group in enumerate(share):
            is_last = index == len(share) - 1
            with contextlib.nullcontext() if is_last else workers.without_sync(self._forward):
                loss += self._backward(group, batch[0][:1], num_tokens)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip_norm)
        self.optimizer.step()
        self.progress.trained_s = time.monotonic() - started
        self.progress.trained_tokens += num_tokens
        total, late = workers.sum([loss, float(self._is_out_of_time())])
        return total, num_tokens, late > 0

    def _backward(self, group: list[Example], spare: list[Example], num_tokens: int) -> float:
        """Adds the gradient of `group`, of a batch of `num_tokens`; returns its part of the loss.

        An empty group does the work of `spare` and counts nothing: every process has to take part.
        """
        batch = collate(group or spare).to(self.workers.device)
        with self._autocast():
            loss = self._loss(batch, num_tokens)
        # Times the number of processes, for their gradients are averaged.
        weight = self.workers.world_size if group else 0
        (loss * weight).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()) if group else 0.0

    def _loss(self, batch: Batch, num_tokens: int) -> Tensor:
        """Of `batch`, a part of one with `num_tokens`; with R-Drop, of two passes over it."""
        train = self.config.train
        if train.r_drop == 0:
            logits = self._forward(batch.source, batch.target_input)  # (B, T, V)
            return label_smoothed_loss(
                logits, batch.target_output, train.label_smoothing, num_tokens
            )
        target = batch.target_output.repeat(2, 1)  # (2 B, T)
        logits = self._forward(batch.source.repeat(2, 1), batch.target_input.repeat(2, 1))
        loss = label_smoothed_loss(logits, target, train.label_smoothing, 2 * num_tokens)
        first, second = logits.chunk(2)
        apart = consistency_loss(first, second, batch.target_output, num_tokens)
        return loss + train.r_drop / 2 * apart  # half of the paper's sum: the same learning rate

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.config.train.autocast == "none":
            return contextlib.nullcontext()
        return torch.autocast(self.workers.device.type, dtype=torch.bfloat16)

    def _validate(self, meter: _Meter | None) -> str:
        """Measures, saves, and says both in a line, for the terminal and for the log; the first
        process does, and tells the others.
        """
        line = ""
        if self.workers.is_first:
            entry = self._measure(meter)
            self.folder.append_log(entry)
            self._write_events(entry)
            self.save()
            line = "  ".join(f"{name} {value}" for name, value in entry.items())
        gain = [self.progress.best_loss, self.progress.validations_without_gain]
        self.progress.best_loss, count = self.workers.from_first(gain)
        self.progress.validations_without_gain = int(count)
        return line

    def _write_events(self, entry: dict[str, float]) -> None:
        if not self.config.train.tensorboard:
            return
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder.path / "tensorboard")) as writer:
            for name, value in entry.items():
                if name not in ("step", "minutes"):
                    writer.add_scalar(name, value, self.progress.step)

    def _measure(self, meter: _Meter | None) -> dict[str, float]:
        progress = self.progress
        examples = _spread(self.validation, self.config.train.max_validation_examples)
        batches = make_batches(examples, self.config.data.batch_tokens)
        loss = validation_loss(self.model, batches)
        has_gained = loss < progress.best_loss
        progress.best_loss = min(loss, progress.best_loss)
        progress.validations_without_gain = (
            0 if has_gained else progress.validations_without_gain + 1
        )
        entry: dict[str, float] = {
            "step": progress.step,
            "minutes": round(progress.trained_s / 60, 2),
            "tokens": progress.trained_tokens,
            "learning_rate": round(learning_rate(progress.step, self.config.train), 8),
        }
        if meter is not None:
            entry["train_loss"] = round(meter.loss, 4)
            entry["tokens_per_s"] = round(meter.tokens_per_s)
        entry["validation_loss"] = round(loss, 4)
        return entry | self._validation_scores()

    def _validation_scores(self) -> dict[str, float]:
        count = self.config.train.validation_sentences
        if count == 0:
            return {}
        self.model.eval()
        scores = score_examples(self.model, self.tokenizer, _spread(self.validation, count))
        self.model.train()
        return {"bleu": round(scores.bleu, 2), "chrf": round(scores.chrf, 2)}

    def save(self) -> None:
        """Writes the state to continue from, and the weights among those to average."""
        progress = dataclasses.asdict(self.progress)
        tensors = {f"model.{name}": tensor for name, tensor in model_tensors(self.model).items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{name}.{key}"] = value
        weights = Checkpoint(model_tensors(self.model), self.config, progress)
        state = Checkpoint(tensors, self.config, progress)
        self.folder.save(weights, state, self.config.train.average_last)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a state that `save` wrote. Raises CheckpointError if it does not fit."""
        tensors = checkpoint.tensors
        load_model_tensors(self.model, _strip("model.", tensors))
        for name, parameter in self.model.named_parameters():
            state = _strip(f"optimizer.{name}.", tensors)
            self.optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device)
                for key, value in state.items()
            }
        self.progress = Progress(**checkpoint.progress)

    def _is_unmeasured(self) -> bool:
        """Whether the run ended between two validations, or before the first."""
        is_between = self.progress.step % self.config.train.validate_every != 0
        return is_between or not self.folder.weights_paths()

    def _finish(self) -> None:
        weights = average_tensors(self.folder.weights_paths())
        progress = dataclasses.asdict(self.progress)
        write_checkpoint(self.folder.model_path, Checkpoint(weights, self.config, progress))
        summary = {
            "step": self.progress.step,
            "minutes": round(self.progress.trained_s / 60, 1),
            "tokens": self.progress.trained_tokens,
        }
        write_atomically(self.folder.summary_path, json.dumps(summary).encode())


class _Meter:
    """Loss and speed over the recent past."""

    def __init__(self) -> None:
        self.loss = float("nan")
        self.tokens_per_s = 0.0
        self._last = time.monotonic()

    def add(self, loss: float, num_tokens: int) -> None:
        now = time.monotonic()
        speed = num_tokens / max(now - self._last, 1e-9)
        self._last = now
        is_first = self.tokens_per_s == 0
        self.tokens_per_s = speed if is_first else 0.95 * self.tokens_per_s + 0.05 * speed
        self.loss = loss if is_first else 0.95 * self.loss + 0.05 * loss

    def restart(self) -> None:
        """Leaves the time since the last step out: something else was done in it."""
        self._last = time.monotonic()

    def text(self) -> str:
        return f"loss {self.loss:.3f}, {self.tokens_per_s:,.0f} tokens/s"


def _spread(examples: list[Example], count: int) -> list[Example]:
    """`count` of `examples`, evenly apart; all where `count` is 0 or more than there are."""
    step = max(1, len(examples) // count) if count else 1
    return examples[::step][: count or None]


def _strip(prefix: str, tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
