from __future__ import annotations

from pathlib import Path

import pytest

import training
from training.config import ConfigError, DataConfig, ModelConfig, TrainConfig
from training.recipe import load_config

RECIPES = sorted(Path(training.__file__).parent.glob("configs/*.yaml"))
DATA = {"corpora": ("numbers",), "validation": "numbers"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "data: {corpora: [numbers], validation: numbers}\n"
        "model: {d_model: 64, num_heads: 4}\n"
        "train: {learning_rate: 1e-3}\n",
        encoding="utf-8",
    )
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, list(overrides))
    return str(caught.value)


def test_values_come_from_the_file_and_the_rest_from_defaults(recipe: Path) -> None:
    config = load_config(recipe)
    assert (config.model.d_model, config.model.d_ff) == (64, 2048)
    assert config.data.corpora == ("numbers",)


def test_yaml_text_in_scientific_notation_is_a_number(recipe: Path) -> None:
    assert load_config(recipe).train.learning_rate == 0.001


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_of_the_project_is_valid(path: Path) -> None:
    load_config(path)


# Overrides


def test_an_override_is_laid_over_the_file(recipe: Path) -> None:
    overrides = ["model.d_model=128", "train.learning_rate=2e-4", "data.is_byte_fallback=false"]
    config = load_config(recipe, [*overrides, "data.directions=[en-de]", "train.output=runs/x"])
    assert (config.model.d_model, config.model.num_heads) == (128, 4)
    assert config.train.learning_rate == 2e-4
    assert config.data.is_byte_fallback is False
    assert config.data.directions == ("en-de",)
    assert config.train.output == "runs/x"


def test_an_override_without_a_value_empties_the_field(recipe: Path) -> None:
    config = load_config(recipe, ["train.init_from=model.safetensors", "train.init_from="])
    assert config.train.init_from == ""
    assert refused(recipe, "model.d_model=") == "model.d_model is '': it must be of type int"


def test_the_last_override_of_a_field_wins(recipe: Path) -> None:
    assert load_config(recipe, ["train.seed=2", "train.seed=3"]).train.seed == 3


@pytest.mark.parametrize("override", ["train.seed", "seed=3", "train.seed:3", "=", ""])
def test_an_override_of_another_form_is_refused(recipe: Path, override: str) -> None:
    assert refused(recipe, override) == f"override is {override!r}: it must be section.field=value"


def test_an_override_that_is_no_yaml_is_refused(recipe: Path) -> None:
    assert "train.output=[" in refused(recipe, "train.output=[")


def test_an_override_of_a_section_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("train: 5\n", encoding="utf-8")
    assert refused(path, "train.seed=1") == "train is 5: it must be a mapping"


# Unknown keys


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("train.leraning_rate", "train.learning_rate"),
        ("model.n_heads", "model.num_heads"),
        ("data.corpus", "data.corpora"),
        ("trian.seed", "train"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(recipe: Path, wrong: str, right: str) -> None:
    message = refused(recipe, f"{wrong}=1")
    assert wrong.split(".")[0] in message
    assert message.endswith(f"did you mean {right}?")


# Wrong values


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.d_model=-512", "model.d_model is -512: it must be positive"),
        ("model.d_ff=0", "model.d_ff is 0: it must be positive"),
        ("model.d_model=65", "model.d_model is 65: it must be divisible by model.num_heads (4)"),
        ("model.num_encoder_layers=0", "model.num_encoder_layers is 0: it must be at least 1"),
        ("model.dropout=1", "model.dropout is 1.0: it must be at least 0 and below 1"),
        ("model.norm=layer", "model.norm is 'layer': it must be 'post' or 'pre'"),
        ("model.positions=none", "model.positions is 'none'"),
        ("train.max_steps=0", "train.max_steps is 0: it must be positive"),
        ("train.patience=-1", "train.patience is -1: it must be at least 0"),
        ("train.learning_rate=.nan", "train.learning_rate is nan: it must be positive"),
        ("train.label_smoothing=1.5", "train.label_smoothing is 1.5"),
        ("train.autocast=float16", "train.autocast is 'float16'"),
        ("data.corpora=[]", "data.corpora is (): it must be at least one corpus"),
        ("data.validation=", "data.validation is '': it must be a corpus"),
        (
            "data.languages=[en, en]",
            "data.languages is ('en', 'en'): it must be each language once",
        ),
        ("data.languages=[en, zh-TW]", "data.languages is 'zh-TW': it must be letters, digits"),
        ("data.directions=[en-fr]", "data.directions is 'en-fr': it must be `all` or one of en-de"),
        ("data.directions=[en-de*0]", "data.directions is 'en-de*0'"),
        ("data.denoise=[fr]", "data.denoise is 'fr': it must be `all` or one of en, de"),
        ("data.mask_ratio=1.0", "data.mask_ratio is 1.0"),
        ("data.sampling_alpha=1.0", "data.sampling_alpha is 1.0"),
        ("data.max_length_ratio=1.0", "data.max_length_ratio is 1.0: it must be above 1"),
        ("model.activation=tanh", "model.activation is 'tanh': it must be 'relu', 'gelu' or"),
        ("train.device=tpu", "train.device is 'tpu'"),
        ("train.accumulate=0", "train.accumulate is 0: it must be positive"),
        ("train.cooldown_steps=-1", "train.cooldown_steps is -1: it must be at least 0"),
        ("data.directions=[]", "data.directions"),
    ],
)
def test_a_value_out_of_range_is_named(recipe: Path, override: str, message: str) -> None:
    assert refused(recipe, override).startswith(message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.d_model=wide", "model.d_model is 'wide': it must be of type int"),
        ("model.d_model=64.5", "model.d_model is 64.5: it must be of type int"),
        ("model.d_model=true", "model.d_model is True: it must be of type int"),
        ("model.tie_embeddings=1", "model.tie_embeddings is 1: it must be of type bool"),
        ("train.learning_rate=fast", "train.learning_rate is 'fast': it must be a number"),
        ("train.learning_rate=true", "train.learning_rate is True: it must be of type float"),
        ("train.output=5", "train.output is 5: it must be of type str"),
        ("data.corpora=5", "data.corpora is 5: it must be a list"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(recipe: Path, override: str, message: str) -> None:
    assert refused(recipe, override) == message


def test_an_odd_width_has_no_sinusoids() -> None:
    with pytest.raises(ConfigError, match=r"model\.d_model is 5: it must be even"):
        ModelConfig(d_model=5, num_heads=1)


@pytest.mark.parametrize("section", [ModelConfig(), TrainConfig(), DataConfig(**DATA)])
def test_settings_cannot_be_changed(section: object) -> None:
    field = next(iter(vars(section)))
    with pytest.raises(AttributeError):
        setattr(section, field, 1)


# Unreadable files


@pytest.mark.parametrize("content", [b"model: [", b"\xff\xfe", b"- a\n- b\n", b"just text"])
def test_a_file_that_is_no_recipe_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "nowhere.yaml" in refused(tmp_path / "nowhere.yaml")


def test_a_section_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("data: {corpora: [numbers], validation: numbers}\nmodel: 3\n", encoding="utf-8")
    assert refused(path) == "model is 3: it must be a mapping"
