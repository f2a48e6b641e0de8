from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from tests.training.tiny import (
    FixedExamples,
    config,
    make_tokenizer,
    model_config,
    pairs,
    random_examples,
)
from training import trainer as trainer_module
from training.batches import collate
from training.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from training.config import DataConfig, ModelConfig
from training.examples import ExampleSource
from training.loss import consistency_loss
from training.model import Transformer
from training.optimizer import learning_rate
from training.parallel import Workers
from training.search import greedy_search
from training.trainer import Trainer

DROPOUT = model_config(dropout=0.3)
ALONE = Workers(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    make_tokenizer(path)
    return path


class StoppedError(Exception):
    """Stands for whatever ends a run in the middle."""


def make_trainer(output: Path, model: ModelConfig = DROPOUT, **train: object) -> Trainer:
    """A trainer on random examples, the same every time; its model is a fresh one."""
    output.mkdir(exist_ok=True)
    state = torch.get_rng_state()
    torch.manual_seed(3)
    examples, validation = random_examples(30), random_examples(6)
    torch.set_rng_state(state)
    recipe = config(output, model, **train)
    return Trainer(recipe, Transformer(model), None, FixedExamples(examples), validation, ALONE)


def log(output: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def state(output: Path) -> dict[str, Tensor]:
    return read_checkpoint(output / "state.safetensors").tensors


def assert_same_end(first: Path, second: Path) -> None:
    """Both runs ended in the same weights, optimizer state, random state and place in the data."""
    one, other = (read_checkpoint(path / "state.safetensors") for path in (first, second))
    assert one.tensors.keys() == other.tensors.keys()
    assert [n for n, t in one.tensors.items() if not torch.equal(t, other.tensors[n])] == []
    for key in ("step", "epoch", "batch_in_epoch"):
        assert one.progress[key] == other.progress[key]


# Continuing


def uninterrupted(tmp_path: Path) -> Path:
    """Twelve steps at once: more than one epoch, dropout on."""
    torch.manual_seed(5)
    make_trainer(tmp_path / "whole", max_steps=12).train()
    assert read_checkpoint(tmp_path / "whole" / "state.safetensors").progress["epoch"] >= 1
    return tmp_path / "whole"


@pytest.mark.parametrize("first_part", [4, 6, 7, 8, 11])
def test_a_run_continued_after_its_end_equals_one_in_one_go(
    tmp_path: Path, first_part: int
) -> None:
    torch.manual_seed(5)
    make_trainer(tmp_path / "parts", max_steps=first_part).train()
    torch.manual_seed(99)  # nothing of the second process is like the first
    make_trainer(tmp_path / "parts", max_steps=12).train()
    assert_same_end(uninterrupted(tmp_path), tmp_path / "parts")


@pytest.mark.parametrize("stopped_at", [5, 8, 10])
def test_a_run_interrupted_anywhere_continues_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    torch.manual_seed(5)
    trainer = make_trainer(tmp_path / "parts", max_steps=12)
    take_step = trainer.step

    def step(*arguments: object) -> tuple[float, int, bool]:
        if trainer.progress.step == stopped_at:
            raise StoppedError
        return take_step(*arguments)

    monkeypatch.setattr(trainer, "step", step)
    with pytest.raises(StoppedError):
        trainer.train()
    torch.manual_seed(99)
    make_trainer(tmp_path / "parts", max_steps=12).train()
    assert_same_end(uninterrupted(tmp_path), tmp_path / "parts")


def test_a_state_of_another_shape_is_refused(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=2).train()
    with pytest.raises(CheckpointError, match="feed_forward"):
        make_trainer(tmp_path, model_config(d_ff=32), max_steps=4).train()


def test_a_model_is_no_state_to_continue_from(tmp_path: Path) -> None:
    first = make_trainer(tmp_path / "first", max_steps=2)
    first.train()
    second = make_trainer(tmp_path / "second", max_steps=2)
    write_checkpoint(second.folder.state_path, read_checkpoint(first.folder.model_path))
    with pytest.raises(CheckpointError, match="weights differ"):
        second.train()


# Learning


def test_twenty_sentences_are_learned_by_heart(tmp_path: Path, tokenizer_path: Path) -> None:
    tokenizer = trainer_module.Tokenizer(tokenizer_path)
    data = DataConfig(corpora=("x",), validation="x", directions=("en-de",))
    source = ExampleSource([pairs()], tokenizer, data, max_length=64)
    examples = source.examples
    shape = model_config(vocabulary_size=tokenizer.vocabulary_size, d_model=32, d_ff=64)
    train = {"max_steps": 120, "validate_every": 40, "learning_rate": 1e-2, "warmup_steps": 20}
    recipe = config(tmp_path, shape, 512, label_smoothing=0.0, **train)
    trainer = Trainer(recipe, Transformer(shape), tokenizer, source, examples, ALONE)
    trainer.train()
    losses = [entry["validation_loss"] for entry in log(tmp_path)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1
    found = greedy_search(trainer.model.eval(), [example.source for example in examples])
    num_right = sum(ids == e.target[1:-1] for ids, e in zip(found, examples, strict=True))
    assert num_right >= 19


def test_each_step_uses_the_rate_of_the_schedule(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, max_steps=6)
    rates = []
    for batch, _ in zip(trainer._batches(), range(6), strict=False):
        trainer.step(batch, 0.0)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == [learning_rate(step, trainer.config.train) for step in range(1, 7)]


def test_the_gradient_is_clipped(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, clip_norm=1e-3)
    trainer.step(next(trainer._batches()), 0.0)
    gradients = [parameter.grad.norm() for parameter in trainer.model.parameters()]
    assert torch.stack(gradients).norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_bfloat16_takes_about_the_same_step_and_keeps_fp32_weights(tmp_path: Path) -> None:
    losses = []
    for autocast in ("none", "bfloat16"):
        torch.manual_seed(5)
        trainer = make_trainer(tmp_path / autocast, model_config(), autocast=autocast)
        losses.append(trainer.step(next(trainer._batches()), 0.0)[0])
        assert {parameter.dtype for parameter in trainer.model.parameters()} == {torch.float32}
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


# Stopping


def test_training_stops_when_validation_stops_gaining(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    monkeypatch.setattr(trainer_module, "validation_loss", lambda *_: next(losses))
    trainer = make_trainer(tmp_path, max_steps=100, patience=2)
    trainer.train()
    assert [entry["validation_loss"] for entry in log(tmp_path)] == [3.0, 2.0, 2.5, 2.0]
    assert trainer.progress.step == 16


def test_without_patience_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "validation_loss", lambda *_: 1.0)
    trainer = make_trainer(tmp_path, max_steps=24, patience=0)
    trainer.train()
    assert trainer.progress.step == 24


def ticking(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """A clock that every look at it moves on by `seconds`."""
    now = iter(i * seconds for i in range(10_000))
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(monotonic=lambda: next(now)))


def test_training_stops_after_its_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 10)  # two looks a step: 20 seconds
    trainer = make_trainer(tmp_path, max_steps=1000, max_minutes=2)
    trainer.train()
    assert 4 <= trainer.progress.step <= 7
    assert 120 <= trainer.progress.trained_s <= 150
    assert trainer.folder.model_path.exists()


def test_minutes_of_earlier_runs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch, 10)
    make_trainer(tmp_path, max_steps=1000, max_minutes=2).train()
    again = make_trainer(tmp_path, max_steps=1000, max_minutes=2)
    before = state(tmp_path)
    again.train()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state(tmp_path).items())


# What a run leaves behind


def test_a_finished_run_leaves_its_model_state_log_and_the_weights_it_averaged(
    tmp_path: Path,
) -> None:
    make_trainer(tmp_path, max_steps=16, average_last=2).train()
    names = ["log.jsonl", "model.safetensors", "state.safetensors"]
    names += ["step-0000012.safetensors", "step-0000016.safetensors", "summary.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [entry["step"] for entry in log(tmp_path)] == [4, 8, 12, 16]


def test_the_model_is_the_average_of_the_last_checkpoints(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=16, average_last=2).train()
    model, *parts = (
        read_checkpoint(tmp_path / f"{name}.safetensors").tensors
        for name in ("model", "step-0000012", "step-0000016")
    )
    for name, tensor in model.items():
        torch.testing.assert_close(tensor, (parts[0][name] + parts[1][name]) / 2)


def test_a_run_that_ends_between_validations_is_validated_once_more(tmp_path: Path) -> None:
    make_trainer(tmp_path, max_steps=6).train()
    assert [entry["step"] for entry in log(tmp_path)] == [4, 6]


def test_validation_translates_a_sample_and_logs_its_scores(
    tmp_path: Path, tokenizer_path: Path
) -> None:
    trainer = make_trainer(tmp_path, max_steps=4, validation_sentences=3)
    trainer.tokenizer = trainer_module.Tokenizer(tokenizer_path)
    trainer.train()
    assert log(tmp_path)[0].keys() >= {"bleu", "chrf", "train_loss", "validation_loss"}


def test_r_drop_without_dropout_is_the_plain_step(tmp_path: Path) -> None:
    losses = []
    for weight in (0.0, 5.0):
        torch.manual_seed(5)
        trainer = make_trainer(tmp_path / str(weight), model_config(), r_drop=weight)
        losses.append(trainer.step(next(trainer._batches()), 0.0)[0])
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_r_drop_draws_two_passes_together(tmp_path: Path) -> None:
    """Trained with it, two passes with dropout on are nearer to each other."""
    apart = []
    for weight in (0.0, 5.0):
        torch.manual_seed(5)
        train = {"max_steps": 120, "accumulate": 1, "r_drop": weight}
        trainer = make_trainer(tmp_path / str(weight), **train)
        trainer.train()
        torch.manual_seed(7)
        batch = collate(trainer.source.examples)
        trainer.model.train()
        passes = [trainer.model(batch.source, batch.target_input) for _ in range(2)]
        apart.append(consistency_loss(*passes, batch.target_output).item())
    assert apart[1] < 0.5 * apart[0], apart
