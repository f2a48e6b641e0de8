from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from sacrebleu.metrics import BLEU

from tests.training.tiny import SENTENCES, write_tsv
from training.__main__ import main
from training.beam import beam_search
from training.checkpoint import load_model, read_checkpoint
from training.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over a TSV file of twenty pairs."""
    folder = tmp_path_factory.mktemp("commands")
    corpus = f"tsv:{write_tsv(folder / 'pairs.tsv')}"
    document = {
        "data": {"corpora": [corpus], "validation": corpus, "vocabulary_size": 400},
        "model": {"d_model": 32, "num_heads": 2, "d_ff": 64, "max_length": 64}
        | {"num_encoder_layers": 1, "num_decoder_layers": 1, "dropout": 0.0},
        "train": {"output": str(folder / "run"), "max_steps": 120, "validate_every": 40}
        | {"learning_rate": 1e-2, "warmup_steps": 20, "label_smoothing": 0.0}
        | {"validation_sentences": 0, "num_threads": 1},
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert main([str(path)]) == 0
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    return error


def test_average_writes_the_mean_of_checkpoints(folder: Path, tmp_path: Path) -> None:
    parts = [folder / "run" / f"step-{step:07d}.safetensors" for step in (80, 120)]
    assert run("average", tmp_path / "mean.safetensors", *parts) == 0
    found, *expected = (read_checkpoint(p) for p in (tmp_path / "mean.safetensors", *parts))
    for name, tensor in found.tensors.items():
        mean = (expected[0].tensors[name] + expected[1].tensors[name]) / 2
        torch.testing.assert_close(tensor, mean)
    assert found.config == expected[1].config


def test_average_of_what_is_no_checkpoint_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "pairs.tsv"
    assert str(path) in refused(capsys, "average", tmp_path / "mean.safetensors", path)


def test_evaluate_prints_and_writes_the_scores_of_every_direction(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, figures = folder / "run" / "model.safetensors", tmp_path / "figures.json"
    capsys.readouterr()
    assert run("evaluate", model, "--json", figures) == 0
    output = capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert list(found) == ["en-de", "de-en"]
    assert f"en-de  BLEU {found['en-de']['bleu']:.2f}  chrF" in output
    assert "nrefs:1|case:mixed" in output
    assert found["en-de"]["bleu"] > 80  # learned by heart, more or less
    assert found["en-de"]["num_sentences"] == 20


def test_evaluate_takes_a_direction_a_beam_and_a_corpus(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("a dog runs\tfalsch\na cat runs\tfalsch\n", encoding="utf-8")
    model = folder / "run" / "model.safetensors"
    options = ("--directions", "en-de", "--beam", 1, "--corpus", f"tsv:{other}")
    assert run("evaluate", model, *options) == 0
    output = capsys.readouterr().out
    assert "en-de  BLEU 0.00" in output
    assert "de-en" not in output


def test_distill_writes_the_teachers_translations_as_a_corpus(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "run" / "model.safetensors"
    capsys.readouterr()
    assert run("distill", tmp_path, path, "--beam", 3, "--directions", "de-en") == 0
    assert f"tsv@de-en:{tmp_path / 'de-en.tsv'}" in capsys.readouterr().out
    rows = [line.split("\t") for line in (tmp_path / "de-en.tsv").read_text().splitlines()]
    assert [source for source, _ in rows] == [german for _, german in SENTENCES]
    model, tokenizer = load_model(path)[0], Tokenizer(folder / "run" / "tokenizer.model")
    sources = [tokenizer.encode_source(german, "en") for _, german in SENTENCES]
    expected = [tokenizer.decode(ids) for ids in beam_search([model], sources, 3)]
    assert [target for _, target in rows] == expected


def test_a_student_learns_from_an_ensemble_in_that_direction_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teachers = [folder / "run" / f"step-{step:07d}.safetensors" for step in (80, 120)]
    options = ("--directions", "en-de", "--beam", 2, "--limit", 12)
    assert run("distill", tmp_path, *teachers, *options) == 0
    corpus = f"tsv@en-de:{tmp_path / 'en-de.tsv'}"
    overrides = [f"data.corpora=[{corpus}]", f"train.output={tmp_path / 'student'}"]
    capsys.readouterr()
    assert run(folder / "recipe.yaml", *overrides, "train.max_steps=2") == 0
    assert "12 examples" in capsys.readouterr().out


def test_distill_takes_of_a_beam_what_is_nearest_to_the_reference(
    folder: Path, tmp_path: Path
) -> None:
    path = folder / "run" / "step-0000080.safetensors"  # half trained, so that its beam varies
    found = {}
    for name, options in (("best", []), ("nearest", ["--nearest"])):
        more = [*options, "--beam", 5, "--directions", "en-de"]
        assert run("distill", tmp_path / name, path, *more) == 0
        lines = (tmp_path / name / "en-de.tsv").read_text().splitlines()
        found[name] = [line.split("\t")[1] for line in lines]
    bleu = BLEU(effective_order=True)
    scores = {
        name: [
            bleu.sentence_score(text, [german]).score
            for text, (_, german) in zip(texts, SENTENCES, strict=True)
        ]
        for name, texts in found.items()
    }
    pairs = list(zip(scores["nearest"], scores["best"], strict=True))
    assert all(nearest >= best for nearest, best in pairs)
    assert any(nearest > best for nearest, best in pairs)


def test_paraphrases_are_sources_for_the_true_targets(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "run" / "model.safetensors"
    capsys.readouterr()
    outputs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ("--seed", seed, "--directions", "en-de")
        assert run("paraphrase", tmp_path / name, path, *options) == 0
        outputs.append((tmp_path / name / "en-de.tsv").read_text())
    assert f"tsv@en-de:{tmp_path / 'a' / 'en-de.tsv'}" in capsys.readouterr().out
    rows = [line.split("\t") for line in outputs[0].splitlines()]
    assert [target for _, target in rows] == [german for _, german in SENTENCES]
    # What it learned by heart from German to English comes back, mostly.
    known = [source == english for (source, _), (english, _) in zip(rows, SENTENCES, strict=True)]
    assert sum(known) > len(known) / 2
    assert outputs[0] == outputs[1] != outputs[2]


def test_an_ensemble_of_two_tokenizers_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(folder / "recipe.yaml", f"train.output={tmp_path}", "train.max_steps=1")
    tokenizer = tmp_path / "tokenizer.model"
    tokenizer.write_bytes(tokenizer.read_bytes() + b"\x00")
    models = [folder / "run" / "model.safetensors", tmp_path / "model.safetensors"]
    error = refused(capsys, "distill", tmp_path / "out", *models)
    assert "an ensemble shares one tokenizer" in error


def test_a_recipe_may_take_the_first_rows_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    overrides = ["data.max_rows=7", "train.max_steps=1", f"train.output={tmp_path}"]
    assert run(folder / "recipe.yaml", *overrides) == 0
    assert "14 examples" in capsys.readouterr().out  # both directions


def test_what_only_restores_text_is_no_model_to_export(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from export.__main__ import main as export

    overrides = ["data.directions=[]", "data.denoise=[en]", "train.max_steps=1"]
    assert run(folder / "recipe.yaml", *overrides, f"train.output={tmp_path / 'run'}") == 0
    capsys.readouterr()
    assert export([str(tmp_path / "run" / "model.safetensors"), str(tmp_path / "m" / "1")]) == 2
    assert "learned to restore text, not to translate" in capsys.readouterr().err
    assert not (tmp_path / "m" / "1").exists()


def test_publish_halves_the_weights_and_forgets_paths(folder: Path, tmp_path: Path) -> None:
    path = folder / "run" / "model.safetensors"
    assert run("publish", path, tmp_path / "public") == 0
    public, private = (
        read_checkpoint(p) for p in (tmp_path / "public" / "model.safetensors", path)
    )
    assert {tensor.dtype for tensor in public.tensors.values()} == {torch.float16}
    for name, tensor in public.tensors.items():
        torch.testing.assert_close(tensor.float(), private.tensors[name], atol=1e-3, rtol=1e-3)
    assert str(folder) not in (tmp_path / "public" / "model.safetensors").read_bytes().decode(
        "latin-1"
    )
    names = sorted(p.name for p in (tmp_path / "public").iterdir())
    assert names == ["model.safetensors", "tokenizer.model"]


def test_a_checkpoint_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(capsys, "evaluate", tmp_path / "model.safetensors")
    assert error == f"error: {tmp_path / 'tokenizer.model'}: No such file or directory\n"
