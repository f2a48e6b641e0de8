"""Every setting of a training run: frozen dataclasses, read from YAML, checked before anything
starts.

A recipe is a YAML file with the sections `model`, `data` and `train`; any field can be overridden
on the command
line as `section.field=value`.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

PAD_ID, BOS_ID, EOS_ID, UNK_ID = 0, 1, 2, 3


class ConfigError(ValueError):
    """A setting is unknown, of the wrong type or out of range; the message names the field and its
    value.
    """


def require(is_met: bool, name: str, value: object, rule: str) -> None:
    """Raises ConfigError naming the field `name` and its `value` unless `is_met`."""
    if not is_met:
        raise ConfigError(f"{name} is {value!r}: it must be {rule}")


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a Transformer. Defaults are the paper's *base* but for depth and vocabulary."""

    vocabulary_size: int = 8000
    """V: rows of the joint embedding, taken from the tokenizer when a run starts."""
    d_model: int = 512
    """D: width of embeddings and of every sublayer's output."""
    num_heads: int = 8
    """H: attention heads; D must be divisible by it."""
    d_ff: int = 2048
    """F: width inside the feed-forward sublayer."""
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    dropout: float = 0.1
    """On embeddings and on every sublayer's output (section 5.4)."""
    attention_dropout: float = 0.0
    """On attention weights."""
    norm: str = "post"
    """`post`: LayerNorm(x + Sublayer(x)), as in the paper; `pre`: x + Sublayer(LayerNorm(x))."""
    positions: str = "sinusoidal"
    """`sinusoidal` by formula, or `learned`."""
    max_length: int = 256
    """Longest source or target in tokens."""
    tie_embeddings: bool = True
    """The output projection shares the embedding's matrix (section 3.4)."""
    pad_id: int = PAD_ID
    bos_id: int = BOS_ID
    eos_id: int = EOS_ID

    def __post_init__(self) -> None:
        for name in ("vocabulary_size", "d_model", "num_heads", "d_ff", "max_length"):
            require(getattr(self, name) > 0, f"model.{name}", getattr(self, name), "positive")
        for name in ("num_encoder_layers", "num_decoder_layers"):
            require(getattr(self, name) > 0, f"model.{name}", getattr(self, name), "at least 1")
        for name in ("dropout", "attention_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"model.{name}", value, "at least 0 and below 1")
        rule = f"divisible by model.num_heads ({self.num_heads})"
        require(self.d_model % self.num_heads == 0, "model.d_model", self.d_model, rule)
        require(self.d_model % 2 == 0, "model.d_model", self.d_model, "even")
        require(self.norm in ("post", "pre"), "model.norm", self.norm, "'post' or 'pre'")
        rule = "'sinusoidal' or 'learned'"
        require(
            self.positions in ("sinusoidal", "learned"), "model.positions", self.positions, rule
        )


@dataclass(frozen=True)
class DataConfig:
    """Where parallel text comes from and how it becomes batches."""

    corpora: tuple[str, ...] = ()
    """Training text, each one of `multi30k`, `numbers` (generated), `tsv:FILE` (source TAB target)
    or
    `files:SOURCE_FILE,TARGET_FILE`; a file may end in .gz."""
    validation: str = ""
    """Validation text, named as in `corpora`; `multi30k` and `numbers` have a part of their own for
    it.
    """
    root: str = ""
    """Folder of Multi30k's files; where empty, they are fetched into the user's cache and checked.
    """
    languages: tuple[str, str] = ("en", "de")
    """The two columns of every corpus."""
    directions: tuple[str, ...] = ("en-de", "de-en")
    """Which directions the model learns; the target language is told to it by a tag."""
    vocabulary_size: int = 8000
    """Pieces the tokenizer learns, special tokens included."""
    is_byte_fallback: bool = True
    """Characters that the tokenizer never saw become bytes instead of the unknown token."""
    max_tokens: int = 128
    """Longer sentences, in tokens, are dropped and counted."""
    batch_tokens: int = 4096
    """Tokens of one batch, padding counted, on the longer side."""

    def __post_init__(self) -> None:
        require(len(self.corpora) > 0, "data.corpora", self.corpora, "at least one corpus")
        require(self.validation != "", "data.validation", self.validation, "a corpus")
        for name in ("vocabulary_size", "max_tokens", "batch_tokens"):
            require(getattr(self, name) > 0, f"data.{name}", getattr(self, name), "positive")
        require(len(self.languages) == 2, "data.languages", self.languages, "two languages")
        source, target = self.languages
        known = (f"{source}-{target}", f"{target}-{source}")
        require(
            len(self.directions) > 0,
            "data.directions",
            self.directions,
            "at least one of " + ", ".join(known),
        )
        for direction in self.directions:
            require(direction in known, "data.directions", direction, "one of " + ", ".join(known))


@dataclass(frozen=True)
class TrainConfig:
    """The optimisation, when to stop, and where results go."""

    output: str = "runs/model"
    """Folder for checkpoints, tokenizer and log."""
    seed: int = 1
    max_steps: int = 20000
    max_minutes: float = 0
    """Stops after this many minutes of training; 0 for no such limit."""
    learning_rate: float = 1e-3
    """Peak, reached at the end of warm-up."""
    warmup_steps: int = 2000
    """Linear warm-up, then inverse square root (section 5.3)."""
    weight_decay: float = 0.0
    label_smoothing: float = 0.1
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    autocast: str = "none"
    """`none`, or `bfloat16` for matrix multiplications in bf16."""
    num_threads: int = 0
    """PyTorch's threads; 0 leaves its own choice."""
    validate_every: int = 500
    """Steps between validations; each writes a checkpoint."""
    validation_sentences: int = 500
    """Sentences translated for BLEU and chrF, spread over the directions."""
    patience: int = 10
    """Validations without a better loss before training stops early; 0 never."""
    average_last: int = 5
    """Checkpoints averaged into the final one; 1 for none."""

    def __post_init__(self) -> None:
        for name in (
            "max_steps",
            "warmup_steps",
            "validate_every",
            "average_last",
            "learning_rate",
            "clip_norm",
        ):
            require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "positive")
        for name in (
            "patience",
            "num_threads",
            "max_minutes",
            "weight_decay",
            "validation_sentences",
        ):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "at least 0")
        value = self.label_smoothing
        require(0 <= value < 1, "train.label_smoothing", value, "at least 0 and below 1")
        rule = "'none' or 'bfloat16'"
        require(self.autocast in ("none", "bfloat16"), "train.autocast", self.autocast, rule)


@dataclass(frozen=True)
class Config:
    """One recipe."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


Section = TypeVar("Section", ModelConfig, DataConfig, TrainConfig)


def load_config(path: Path, overrides: list[str] | None = None) -> Config:
    """The recipe in the YAML file `path` with `overrides`, each `section.field=value`, laid over
    it.

    Raises ConfigError for an unreadable file, an unknown key (suggesting the nearest) or a value
    out of range.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    require(isinstance(document, dict), str(path), type(document).__name__, "a mapping of sections")
    for override in overrides or []:
        _apply_override(document, override)
    return config_from_dict(document)


def config_from_dict(document: dict[str, Any]) -> Config:
    """Checks and types a mapping of sections. Raises ConfigError."""
    _check_keys("", document, Config)
    return Config(
        data=_build(DataConfig, "data", document.get("data")),
        model=_build(ModelConfig, "model", document.get("model")),
        train=_build(TrainConfig, "train", document.get("train")),
    )


def _apply_override(document: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    section, dot, key = name.partition(".")
    require(bool(equals and dot), "override", override, "section.field=value")
    values = document.get(section) or {}
    require(isinstance(values, dict), section, values, "a mapping")
    try:
        document[section] = {**values, key: yaml.safe_load(value)}
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override}: {error}") from error


def _build(kind: type[Section], name: str, values: object) -> Section:
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{name} is {values!r}: it must be a mapping")
    _check_keys(f"{name}.", values, kind)
    defaults = {f.name: f for f in dataclasses.fields(kind)}
    typed = {
        key: _typed(f"{name}.{key}", value, str(defaults[key].type))
        for key, value in values.items()
    }
    return kind(**typed)


def _check_keys(prefix: str, values: dict[str, Any], kind: type[Any]) -> None:
    known = [f.name for f in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)
            raise ConfigError(f"unknown setting {prefix}{key}: did you mean {prefix}{near[0]}?")


def _typed(name: str, value: Any, annotation: str) -> Any:
    """`value` as the field's annotated type; YAML's integers pass for floats, its lists for
    tuples.
    """
    if annotation.startswith("tuple"):
        items = value.split(",") if isinstance(value, str) else value
        require(isinstance(items, list), name, value, "a list")
        return tuple(str(item) for item in items)
    if annotation == "float" and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 1e-3 as text
        except ValueError:
            raise ConfigError(f"{name} is {value!r}: it must be a number") from None
    expected = {"int": int, "float": float, "str": str, "bool": bool}[annotation]
    is_right = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    require(is_right, name, value, f"of type {annotation}")
    return value
