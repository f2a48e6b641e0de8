"""The training loop: steps, validation, checkpoints, early stopping, and continuing from where it
stopped.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from training.batches import Batch, Example, make_batches
from training.checkpoint import (
    Checkpoint,
    average_tensors,
    load_model_tensors,
    model_tensors,
    read_checkpoint,
    write_atomically,
    write_checkpoint,
)
from training.config import Config
from training.evaluate import score_examples, validation_loss
from training.loss import label_smoothed_loss
from training.model import Transformer
from training.optimizer import learning_rate, make_optimizer
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


class Trainer:
    """Trains `model` on `train` examples, watching `validation` examples."""

    def __init__(
        self,
        config: Config,
        model: Transformer,
        tokenizer: Tokenizer,
        train: list[Example],
        validation: list[Example],
    ) -> None:
        self.config = config
        self.model = model
        self.tokenizer = tokenizer
        self.examples = train
        self.validation = validation
        self.optimizer = make_optimizer(model, config.train)
        self.progress = Progress()
        self.output = Path(config.train.output)

    @property
    def state_path(self) -> Path:
        """What a continued run starts from."""
        return self.output / "state.safetensors"

    @property
    def model_path(self) -> Path:
        """The finished model."""
        return self.output / "model.safetensors"

    def train(self) -> Path:
        """Runs to the end of the recipe and returns the path of the finished model."""
        if self.state_path.exists():
            self.restore(read_checkpoint(self.state_path))
        self.model.train()
        self._run_steps()
        self._finish()
        return self.model_path

    def _run_steps(self) -> None:
        limit = self.config.train.max_steps
        with tqdm(total=limit, initial=self.progress.step, unit="step", mininterval=1.0) as bar:
            started, meter = time.monotonic() - self.progress.trained_s, _Meter()
            batches = self._batches()
            while not self._is_done():
                batch = next(batches)  # only now: a batch taken is a batch that counts as trained
                meter.add(self.step(batch), batch.num_tokens)
                self.progress.trained_s = time.monotonic() - started
                bar.set_postfix_str(meter.text(), refresh=False)
                bar.update()
                if self.progress.step % self.config.train.validate_every == 0:
                    bar.write(self._validate(meter.loss))

    def _is_done(self) -> bool:
        train, progress = self.config.train, self.progress
        is_out_of_time = 0 < train.max_minutes * 60 <= progress.trained_s
        is_out_of_patience = 0 < train.patience <= progress.validations_without_gain
        return progress.step >= train.max_steps or is_out_of_time or is_out_of_patience

    def _batches(self) -> Iterator[Batch]:
        """Batches without end; an epoch's order depends on seed and epoch alone, so a continued run
        finds its place.
        """
        while True:
            seed = self.config.train.seed * 1_000_003 + self.progress.epoch
            batches = make_batches(self.examples, self.config.data.batch_tokens, seed)
            for index, batch in enumerate(batches):
                if index >= self.progress.batch_in_epoch:
                    self.progress.batch_in_epoch = index + 1
                    yield batch
            self.progress.epoch += 1
            self.progress.batch_in_epoch = 0

    def step(self, batch: Batch) -> float:
        """One update from `batch`; returns its loss in nats a token."""
        train = self.config.train
        self.progress.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.progress.step, train)
        with self._autocast():
            logits = self.model(batch.source, batch.target_input)
            loss = label_smoothed_loss(logits, batch.target_output, train.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), train.clip_norm)
        self.optimizer.step()
        return float(loss.detach())

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.config.train.autocast == "none":
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def _validate(self, train_loss: float | None) -> str:
        """Measures, saves, and says both in a line, for the terminal and for the log."""
        batches = make_batches(self.validation, self.config.data.batch_tokens, seed=0)
        loss = validation_loss(self.model, batches)
        has_gained = loss < self.progress.best_loss
        self.progress.best_loss = min(loss, self.progress.best_loss)
        self.progress.validations_without_gain = (
            0 if has_gained else self.progress.validations_without_gain + 1
        )
        entry: dict[str, float] = {
            "step": self.progress.step,
            "minutes": round(self.progress.trained_s / 60, 2),
        }
        if train_loss is not None:
            entry["train_loss"] = round(train_loss, 4)
        entry["validation_loss"] = round(loss, 4)
        entry |= self._validation_scores()
        with (self.output / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        self.save()
        return "  ".join(f"{name} {value}" for name, value in entry.items())

    def _validation_scores(self) -> dict[str, float]:
        count = self.config.train.validation_sentences
        if count == 0:
            return {}
        self.model.eval()
        sample = self.validation[:: max(1, len(self.validation) // count)][:count]
        scores = score_examples(self.model, self.tokenizer, sample)
        self.model.train()
        return {"bleu": round(scores.bleu, 2), "chrf": round(scores.chrf, 2)}

    def save(self) -> None:
        """Writes the state to continue from, and the weights among those to average."""
        progress = dataclasses.asdict(self.progress)
        tensors = {f"model.{name}": tensor for name, tensor in model_tensors(self.model).items()}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer.{name}.{key}"] = value
        tensors["random_state"] = torch.get_rng_state()
        weights = Checkpoint(model_tensors(self.model), self.config, progress)
        write_checkpoint(self.output / f"step-{self.progress.step:07d}.safetensors", weights)
        write_checkpoint(self.state_path, Checkpoint(tensors, self.config, progress))
        for old in self._saved_weights()[: -self.config.train.average_last]:
            old.unlink()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continues from a state that `save` wrote. Raises CheckpointError if it does not fit."""
        tensors = checkpoint.tensors
        load_model_tensors(self.model, _strip("model.", tensors))
        for name, parameter in self.model.named_parameters():
            state = _strip(f"optimizer.{name}.", tensors)
            if state:
                self.optimizer.state[parameter] = state
        torch.set_rng_state(tensors["random_state"])
        self.progress = Progress(**checkpoint.progress)

    def _saved_weights(self) -> list[Path]:
        return sorted(self.output.glob("step-*.safetensors"))

    def _finish(self) -> None:
        if not self._saved_weights() or self.progress.step % self.config.train.validate_every:
            print(self._validate(train_loss=None))
        weights = average_tensors(self._saved_weights())
        progress = dataclasses.asdict(self.progress)
        write_checkpoint(self.model_path, Checkpoint(weights, self.config, progress))
        summary = {"step": self.progress.step, "minutes": round(self.progress.trained_s / 60, 1)}
        write_atomically(self.output / "summary.json", json.dumps(summary).encode())


class _Meter:
    """Loss and speed over the recent past, for the progress bar."""

    def __init__(self) -> None:
        self.loss = float("nan")
        self._tokens_per_s = 0.0
        self._last = time.monotonic()

    def add(self, loss: float, num_tokens: int) -> None:
        now = time.monotonic()
        speed = num_tokens / max(now - self._last, 1e-9)
        self._last = now
        is_first = self._tokens_per_s == 0
        self._tokens_per_s = speed if is_first else 0.95 * self._tokens_per_s + 0.05 * speed
        self.loss = loss if is_first else 0.95 * self.loss + 0.05 * loss

    def text(self) -> str:
        return f"loss {self.loss:.3f}, {self._tokens_per_s:,.0f} tokens/s"


def _strip(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
