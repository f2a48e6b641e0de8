from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.training.tiny import config, make_model, model_config
from training.checkpoint import (
    FORMAT,
    Checkpoint,
    CheckpointError,
    average_tensors,
    load_model,
    load_model_tensors,
    model_tensors,
    read_checkpoint,
    write_atomically,
    write_checkpoint,
)
from training.model import Transformer


def write_model(path: Path, model: Transformer) -> Path:
    progress = {"step": 7, "best_loss": float("inf")}
    write_checkpoint(
        path, Checkpoint(model_tensors(model), config(path.parent, model.config), progress)
    )
    return path


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


# Round trip


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_model_is_read_back_bit_for_bit_in_evaluation_mode(tmp_path: Path, is_tied: bool) -> None:
    model = make_model(tie_embeddings=is_tied, norm="pre")
    loaded, checkpoint = load_model(write_model(tmp_path / "model.safetensors", model))
    ids = torch.randint(4, 37, (2, 5))
    assert torch.equal(loaded(ids, ids), model(ids, ids))
    assert not loaded.training
    assert checkpoint.config == config(tmp_path, model.config)
    assert checkpoint.progress == {"step": 7, "best_loss": float("inf")}


def test_a_tied_matrix_is_stored_once(tmp_path: Path) -> None:
    model = make_model(vocabulary_size=5000)
    path = write_model(tmp_path / "model.safetensors", model)
    num_bytes = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert num_bytes <= path.stat().st_size < num_bytes + 20_000


# Atomic writing


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_model(tmp_path / "model.safetensors", make_model())
    before = path.read_bytes()

    def no_space(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(CheckpointError, match="could not be written: No space left"):
        write_model(path, make_model())
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]


def test_the_new_file_is_on_disk_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file", []
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda _descriptor: seen.append(path.read_bytes()))
    write_atomically(path, b"new")
    assert (seen, path.read_bytes()) == ([b"old"], b"new")
    assert list(tmp_path.iterdir()) == [path]


# What is no checkpoint


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_torn_file_is_refused_with_its_name(tmp_path: Path, share: float) -> None:
    path = write_model(tmp_path / "model.safetensors", make_model())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def test_a_file_of_another_kind_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    torch.save({"weight": torch.ones(3)}, path)
    refused(path)


def test_a_safetensors_file_from_elsewhere_is_refused_with_its_format(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"weight": torch.ones(3)}, path, {"format": "pt"})
    assert f"format is 'pt', expected {FORMAT!r}" in refused(path)


@pytest.mark.parametrize("config_text", ["{}", "{", '{"model": {"depth": 3}}'])
def test_a_checkpoint_without_a_usable_recipe_is_refused(tmp_path: Path, config_text: str) -> None:
    path = tmp_path / "model.safetensors"
    metadata = {"format": FORMAT, "config": config_text, "progress": "{}"}
    save_file({"weight": torch.ones(3)}, path, metadata)
    refused(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.safetensors")


def test_missing_and_unknown_weights_are_named() -> None:
    model = make_model()
    tensors = model_tensors(model)
    tensors["foreign.weight"] = tensors.pop("output.bias")
    with pytest.raises(CheckpointError, match=r"foreign\.weight, output\.bias"):
        load_model_tensors(model, tensors)


def test_weights_of_another_shape_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"decoder_layers\.0\.feed_forward\.w_1"):
        load_model_tensors(make_model(d_ff=24), model_tensors(make_model(d_ff=32)))


# Averaging


def test_the_average_is_the_mean_of_every_weight(tmp_path: Path) -> None:
    models = [make_model() for _ in range(3)]
    paths = [write_model(tmp_path / f"{i}.safetensors", model) for i, model in enumerate(models)]
    average = average_tensors(paths)
    assert average.keys() == model_tensors(models[0]).keys()
    for name, tensor in average.items():
        mean = torch.stack([model_tensors(model)[name] for model in models]).mean(dim=0)
        torch.testing.assert_close(tensor, mean)
        assert tensor.dtype == torch.float32


def test_the_average_of_one_is_that_one_exactly(tmp_path: Path) -> None:
    model = Transformer(model_config())
    average = average_tensors([write_model(tmp_path / "1.safetensors", model)])
    assert all(torch.equal(average[name], t) for name, t in model_tensors(model).items())
