"""A model that starts from another's weights: the same vocabulary, or a new one that takes over
what it can, so that a language may be added to a trained model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from training.checkpoint import Checkpoint, CheckpointError, load_model_tensors, read_checkpoint
from training.model import Transformer
from training.tokenizer import Tokenizer

ROWS = ("embedding.words.weight", "output.weight", "output.bias")
"""Tensors with a row a piece of the vocabulary."""


def start_from_checkpoint(model: Transformer, tokenizer: Tokenizer, path: Path) -> int:
    """Puts the weights of the checkpoint `path` into `model`, whose tokenizer is `tokenizer`.

    A piece that the checkpoint's tokenizer, beside it, has too keeps its row; another starts from
    the mean of the pieces that it used to be cut into, a new language's tag from the mean of the
    old tags. Returns how many pieces were taken over. Raises CheckpointError where the shapes
    differ otherwise.
    """
    checkpoint = read_checkpoint(path)
    old = _tokenizer_beside(path)
    tensors = dict(checkpoint.tensors)
    rows, num_known = _origins(tokenizer, old, checkpoint)
    for name in ROWS:
        if name in tensors:
            tensors[name] = _take_rows(tensors[name].float(), rows)
    load_model_tensors(model, tensors)
    return num_known


def _tokenizer_beside(path: Path) -> Tokenizer:
    beside = path.parent / "tokenizer.model"
    if not beside.exists():
        raise CheckpointError(f"{beside}: no such file, and {path} needs its tokenizer")
    return Tokenizer(beside)


def _origins(new: Tokenizer, old: Tokenizer, checkpoint: Checkpoint) -> tuple[list[list[int]], int]:
    """For each new piece the old pieces that it comes from, and how many come from themselves."""
    ids = {piece: i for i, piece in enumerate(old.pieces)}
    tags = [old.tag(language) for language in checkpoint.config.data.languages]
    rows, num_known = [], 0
    for piece in new.pieces:
        if piece in ids:
            rows.append([ids[piece]])
            num_known += 1
        elif new.is_control(piece):
            rows.append(tags)
        else:
            rows.append(old.encode([piece.replace("\u2581", " ")])[0] or tags)
    return rows, num_known


def _take_rows(tensor: Tensor, rows: list[list[int]]) -> Tensor:
    """The mean of the rows of `tensor`, (old V, ...), that each entry names; (new V, ...)."""
    return torch.stack([tensor[origin].mean(dim=0) for origin in rows])
