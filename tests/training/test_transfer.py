from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.tiny import SENTENCES, config, make_model, make_tokenizer, model_config
from training.checkpoint import (
    Checkpoint,
    CheckpointError,
    model_tensors,
    read_checkpoint,
    write_checkpoint,
)
from training.config import DataConfig
from training.model import Transformer
from training.tokenizer import Tokenizer, train_tokenizer
from training.transfer import start_from_checkpoint


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A checkpoint of English and German, its tokenizer beside it."""
    (tmp_path / "old").mkdir()
    tokenizer = make_tokenizer(tmp_path / "old" / "tokenizer.model")
    model = make_model(vocabulary_size=tokenizer.vocabulary_size)
    path = tmp_path / "old" / "model.safetensors"
    checkpoint = Checkpoint(model_tensors(model), config(tmp_path, model.config), {"step": 1})
    write_checkpoint(path, checkpoint)
    return path


def french_tokenizer(path: Path) -> Tokenizer:
    data = DataConfig(
        corpora=("x",), validation="x", languages=("en", "de", "fr"), vocabulary_size=420
    )
    french = ["un chien court", "une femme chante", "le vieux pont", "trois œufs"]
    train_tokenizer([*(line for pair in SENTENCES for line in pair), *french], data, path)
    return Tokenizer(path)


def test_the_same_vocabulary_takes_over_everything(old: Path) -> None:
    tokenizer = Tokenizer(old.parent / "tokenizer.model")
    model = Transformer(model_config(vocabulary_size=tokenizer.vocabulary_size))
    assert start_from_checkpoint(model, tokenizer, old) == tokenizer.vocabulary_size
    for name, tensor in read_checkpoint(old).tensors.items():
        assert torch.equal(model_tensors(model)[name], tensor)


def test_a_new_vocabulary_keeps_what_both_have_and_builds_the_rest(
    old: Path, tmp_path: Path
) -> None:
    before, known = read_checkpoint(old).tensors, Tokenizer(old.parent / "tokenizer.model")
    tokenizer = french_tokenizer(tmp_path / "new.model")
    model = Transformer(model_config(vocabulary_size=tokenizer.vocabulary_size))
    count = start_from_checkpoint(model, tokenizer, old)
    shared = set(tokenizer.pieces) & set(known.pieces)
    assert count == len(shared) < tokenizer.vocabulary_size
    after = model_tensors(model)
    for name in ("embedding.words.weight", "output.bias"):
        for piece in shared:
            found = after[name][tokenizer.piece_id(piece)]
            assert torch.equal(found, before[name][known.piece_id(piece)])
        tags = torch.stack([before[name][known.tag(language)] for language in ("en", "de")])
        torch.testing.assert_close(after[name][tokenizer.tag("fr")], tags.mean(dim=0))
        piece = next(p for p in tokenizer.pieces if p not in shared and len(p) > 3 and p[0] != "<")
        parts = before[name][known.encode([piece.replace("\u2581", " ")])[0]]
        torch.testing.assert_close(after[name][tokenizer.piece_id(piece)], parts.mean(dim=0))
    layer = "encoder_layers.0.feed_forward.w_1.weight"
    assert torch.equal(after[layer], before[layer])


def test_another_shape_is_refused(old: Path) -> None:
    tokenizer = Tokenizer(old.parent / "tokenizer.model")
    model = Transformer(model_config(vocabulary_size=tokenizer.vocabulary_size, d_ff=48))
    with pytest.raises(CheckpointError, match="feed_forward"):
        start_from_checkpoint(model, tokenizer, old)


def test_a_checkpoint_without_its_tokenizer_is_refused(old: Path) -> None:
    tokenizer = Tokenizer(old.parent / "tokenizer.model")
    (old.parent / "tokenizer.model").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: no such file"):
        start_from_checkpoint(Transformer(model_config()), tokenizer, old)
