"""A checkpoint made ready to share.

Weights are rounded to fp16, which halves the file; paths of the machine that trained it are left
out. An export from the published checkpoint is an export of exactly these weights.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from training.config import Config, TrainConfig


def publish(path: Path, folder: Path) -> None:
    """Writes model.safetensors and tokenizer.model into `folder`. Raises CheckpointError."""
    checkpoint = read_checkpoint(path)
    tensors = {name: tensor.half() for name, tensor in checkpoint.tensors.items()}
    config = without_local_paths(checkpoint.config)
    write_checkpoint(folder / "model.safetensors", Checkpoint(tensors, config, checkpoint.progress))
    shutil.copyfile(path.parent / "tokenizer.model", folder / "tokenizer.model")


def without_local_paths(config: Config) -> Config:
    """`config` with file names instead of paths."""
    corpora = tuple(_file_name(name) for name in config.data.corpora)
    validation = _file_name(config.data.validation)
    data = dataclasses.replace(config.data, corpora=corpora, validation=validation, root="")
    train = dataclasses.replace(
        config.train,
        output=TrainConfig.output,
        init_from=Path(config.train.init_from).name,
        embeddings_from=Path(config.train.embeddings_from).name,
    )
    return dataclasses.replace(config, data=data, train=train)


def _file_name(corpus: str) -> str:
    kind, colon, files = corpus.partition(":")
    return kind + colon + ",".join(Path(file).name for file in files.split(",")) if colon else kind
