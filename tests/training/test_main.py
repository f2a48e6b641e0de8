from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.training.tiny import SENTENCES, write_tsv
from training import __main__ as command
from training import run as run_module
from training.checkpoint import load_model
from training.recipe import load_config
from training.search import greedy_search
from training.tokenizer import Tokenizer


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe over a TSV file of twenty pairs."""
    name = f"tsv:{write_tsv(tmp_path / 'pairs.tsv')}"
    document = {
        "data": {"corpora": [name], "validation": name, "vocabulary_size": 400},
        "model": {"d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 64},
        "train": {"output": str(tmp_path / "run"), "max_steps": 6, "validate_every": 3},
    }
    document["model"] |= {"num_encoder_layers": 1, "num_decoder_layers": 1}
    document["train"] |= {"validation_sentences": 4, "num_threads": 1}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return command.main([str(argument) for argument in arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a wrong input is answered with: one line and exit code 2."""
    assert run(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    return error


def test_a_recipe_becomes_a_model_that_translates(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recipe) == 0
    output = capsys.readouterr().out
    folder = recipe.parent / "run"
    assert "40 examples" in output  # twenty pairs, both ways
    assert f"trained 6 steps in 0.0 minutes: {folder / 'model.safetensors'}" in output
    model, checkpoint = load_model(folder / "model.safetensors")
    tokenizer = Tokenizer(folder / "tokenizer.model")
    assert checkpoint.config.model.vocabulary_size == tokenizer.vocabulary_size
    assert greedy_search(model, [tokenizer.encode_source(SENTENCES[0][0], "de")])
    assert json.loads((folder / "summary.json").read_text())["step"] == 6


def test_the_written_recipe_is_the_one_that_was_trained(recipe: Path) -> None:
    run(recipe, "train.seed=7", "data.directions=[en-de]")
    written = load_config(recipe.parent / "run" / "config.yaml")
    assert written == load_model(recipe.parent / "run" / "model.safetensors")[1].config
    assert (written.train.seed, written.data.directions) == (7, ("en-de",))


def test_the_same_command_continues(recipe: Path) -> None:
    run(recipe)
    tokenizer = (recipe.parent / "run" / "tokenizer.model").read_bytes()
    assert run(recipe, "train.max_steps=9") == 0
    entries = (recipe.parent / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(entry)["step"] for entry in entries] == [3, 6, 9]
    assert (recipe.parent / "run" / "tokenizer.model").read_bytes() == tokenizer


def test_the_same_seed_trains_the_same_model(recipe: Path) -> None:
    models = []
    for name in ("first", "second"):
        folder = recipe.parent / name
        run(recipe, f"train.output={folder}", "train.max_steps=3")
        models.append(load_model(folder / "model.safetensors")[0].state_dict())
    assert all(tensor.equal(models[1][name]) for name, tensor in models[0].items())


def test_long_sentences_are_dropped_and_counted(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recipe, "data.max_tokens=12") == 0
    assert "examples over the limit of tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.d_model=-16", "model.d_model is -16"),
        ("model.num_heads=3", "divisible by model.num_heads (3)"),
        ("train.max_step=5", "did you mean train.max_steps?"),
        ("data.corpora=[nothing]", "unknown corpus 'nothing'"),
        ("data.validation=tsv:nowhere.tsv", "nowhere.tsv"),
        ("data.vocabulary_size=20", "data.vocabulary_size is 20"),
        ("data.max_tokens=2", "no example in all has at most 2 tokens"),
    ],
)
def test_wrong_input_is_an_error_that_names_it(
    recipe: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert message in refused(capsys, recipe, override)


def test_a_damaged_state_is_named(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(recipe)
    capsys.readouterr()
    state = recipe.parent / "run" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    assert str(state) in refused(capsys, recipe)


def test_a_state_of_another_model_is_refused(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe)
    capsys.readouterr()
    assert "feed_forward.w_1.weight" in refused(capsys, recipe, "model.d_ff=64")


def test_stopping_by_hand_says_how_to_go_on(
    recipe: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_trainer: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Trainer, "train", stop)
    assert run(recipe) == 130
    assert "continues from the last checkpoint" in capsys.readouterr().err


# Where a run may start from


def test_a_run_starts_from_a_checkpoint_and_its_tokenizer(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(recipe)
    first = recipe.parent / "run"
    overrides = [f"train.init_from={first / 'model.safetensors'}", "train.learning_rate=1e-9"]
    capsys.readouterr()
    assert run(recipe, *overrides, f"train.output={recipe.parent / 'second'}") == 0
    assert "it knew" in capsys.readouterr().out
    second = recipe.parent / "second"
    assert (second / "tokenizer.model").read_bytes() == (first / "tokenizer.model").read_bytes()
    one, other = (load_model(path / "model.safetensors")[0] for path in (first, second))
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)


def test_embeddings_start_from_word_vectors(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = recipe.parent / "vectors.txt"
    rows = [f"{word} " + " ".join(str(i + k) for k in range(16)) for i, word in enumerate("ab")]
    vectors.write_text("\n".join(["2 16", *rows]) + "\n", encoding="utf-8")
    overrides = [f"train.embeddings_from={vectors}", "train.learning_rate=1e-9"]
    assert run(recipe, *overrides) == 0
    assert "tokens start from it" in capsys.readouterr().out
    folder = recipe.parent / "run"
    row = Tokenizer(folder / "tokenizer.model").piece_id("\u2581a")
    found = load_model(folder / "model.safetensors")[0].embedding.words.weight[row]
    expected = torch.arange(16.0)
    torch.testing.assert_close(found / found[15], expected / 15, atol=1e-4, rtol=1e-4)


def test_word_vectors_of_another_width_are_refused(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vectors = recipe.parent / "vectors.txt"
    vectors.write_text("1 3\na 1 2 3\n", encoding="utf-8")
    message = refused(capsys, recipe, f"train.embeddings_from={vectors}")
    assert "vectors of 3 numbers, model.d_model is 16" in message


# What a run leaves behind


def test_what_was_dropped_is_told_and_written(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = recipe.parent / "pairs.tsv"
    pairs.write_text(pairs.read_text() + "a dog runs\tein Hund rennt\n\tleer\n", encoding="utf-8")
    assert run(recipe) == 0
    assert f"tsv:{pairs}: dropped 1 duplicate, 1 empty" in capsys.readouterr().err
    counts = json.loads((recipe.parent / "run" / "hygiene.json").read_text())
    assert counts == {f"tsv:{pairs}": {"kept": 20, "duplicate": 1, "empty": 1}}


def test_tensorboard_reads_the_curves(recipe: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert run(recipe, "train.tensorboard=true") == 0
    folder = recipe.parent / "run"
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for name in ("validation_loss", "train_loss", "learning_rate", "bleu"):
        found = {event.step: event.value for event in events.Scalars(name)}
        assert found == pytest.approx({entry["step"]: entry[name] for entry in log})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own modules
def test_a_compiled_model_trains_like_one_that_is_not(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, compile_model = [], torch.compile

    def capture(model: object, **options: object) -> object:
        compiled.append(options)  # captured as ever, and run without a C++ compiler
        return compile_model(model, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", capture)
    losses = []
    for name in ("plain", "compiled"):
        folder = recipe.parent / name
        overrides = ["model.dropout=0.0", "train.max_steps=3", f"train.output={folder}"]
        assert run(recipe, *overrides, f"train.compile={name == 'compiled'}") == 0
        losses.append(json.loads((folder / "log.jsonl").read_text())["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    assert compiled == [{"dynamic": True}]
