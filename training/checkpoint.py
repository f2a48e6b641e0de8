"""Checkpoints in safetensors, written atomically: weights for whoever uses the model, a state to
train on from.

safetensors holds tensors and text, nothing that could execute.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.config import Config, ConfigError
from training.model import Transformer
from training.recipe import config_from_dict

FORMAT = "attendant-checkpoint-1"


class CheckpointError(ValueError):
    """A file is no checkpoint of this project, or does not fit the model; the message names it."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what describes them."""

    tensors: dict[str, Tensor]
    config: Config
    progress: dict[str, Any]
    """Counters of the run that wrote it; `step` is always there."""


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes `path` so that at any moment it is absent, the old file or the whole new one."""
    metadata = {
        "format": FORMAT,
        "config": json.dumps(dataclasses.asdict(checkpoint.config)),
        "progress": json.dumps(checkpoint.progress),
    }
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    write_atomically(path, save(tensors, metadata))


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` by `content`, flushed to disk before the old file goes.

    Raises CheckpointError where that fails, as on a full disk: then the old file is still there.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path} could not be written: {error.strerror}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads `path`. Raises CheckpointError if it is missing, torn or of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(
                    f"{path}: format is {metadata.get('format')!r}, expected {FORMAT!r}"
                )
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            config = config_from_dict(json.loads(metadata["config"]))
            return Checkpoint(tensors, config, json.loads(metadata["progress"]))
    except (OSError, SafetensorError, KeyError, json.JSONDecodeError, ConfigError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def model_tensors(model: Transformer) -> dict[str, Tensor]:
    """The weights by name, a tied matrix once."""
    state = model.state_dict()
    if model.config.tie_embeddings:
        del state["output.weight"]
    return state


def load_model_tensors(model: Transformer, tensors: dict[str, Tensor]) -> None:
    """Puts `tensors` (of any float type) into `model`. Raises CheckpointError naming what is
    missing, unknown or of another shape.
    """
    expected = {name: tensor.shape for name, tensor in model_tensors(model).items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != found:
        difference = sorted({name for name, _ in expected.items() ^ found.items()})
        raise CheckpointError(f"weights differ from the model's: {', '.join(difference[:5])}")
    model.load_state_dict(tensors, strict=False)


def load_model(path: Path) -> tuple[Transformer, Checkpoint]:
    """The model in the checkpoint `path`, in evaluation mode, with what was stored beside it."""
    checkpoint = read_checkpoint(path)
    model = Transformer(checkpoint.config.model)
    load_model_tensors(model, checkpoint.tensors)
    return model.eval(), checkpoint


def average_tensors(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of the weights in several checkpoints of one model."""
    total: dict[str, Tensor] = {}
    for path in paths:
        for name, tensor in read_checkpoint(path).tensors.items():
            total[name] = total.get(name, torch.zeros(())) + tensor.double() / len(paths)
    return {name: tensor.float() for name, tensor in total.items()}
