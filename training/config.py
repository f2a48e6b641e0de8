"""Every setting of a training run: frozen dataclasses, checked before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

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
    activation: str = "relu"
    """Inside the feed-forward: `relu` as in the paper, `gelu` or `swish`."""
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
        rule = "'relu', 'gelu' or 'swish'"
        is_known = self.activation in ("relu", "gelu", "swish")
        require(is_known, "model.activation", self.activation, rule)
        rule = "'sinusoidal' or 'learned'"
        require(
            self.positions in ("sinusoidal", "learned"), "model.positions", self.positions, rule
        )


@dataclass(frozen=True)
class DataConfig:
    """Where parallel text comes from and how it becomes batches."""

    corpora: tuple[str, ...] = ()
    """Training text: `multi30k`, `numbers` (generated), `tsv:FILE` (a column a language),
    `files:FILE,FILE` (a file a language) or `text:FILE` (one language). `KIND@en,de:...` says which
    languages, where they are not those of the recipe in their order; `*N` at the end, how often an
    epoch has it. A file may end in .gz."""
    validation: str = ""
    """Validation text, named as in `corpora`; `multi30k` and `numbers` have a part of their own for
    it.
    """
    root: str = ""
    """Folder of Multi30k's files; where empty, they are fetched into the user's cache and checked.
    """
    languages: tuple[str, ...] = ("en", "de")
    directions: tuple[str, ...] = ("all",)
    """Which directions the model learns, each `SOURCE-TARGET`, or `SOURCE-TARGET*N` to meet it N
    times an epoch; `all` is every one. The target language is told to the model by a tag."""
    denoise: tuple[str, ...] = ()
    """Languages whose sentences the model also learns to restore from a corrupted copy, each
    `LANGUAGE` or `LANGUAGE*N` (Lewis et al. 2020): for text that has no translation."""
    mask_ratio: float = 0.3
    """Share of a sentence's pieces that corruption hides."""
    sampling_alpha: float = 0.0
    """Each epoch cuts text into pieces drawn with probability ~ p^alpha (Kudo 2018): the smaller,
    the more varied; 0 for always the most probable."""
    vocabulary_size: int = 8000
    """Pieces the tokenizer learns, special tokens included."""
    is_byte_fallback: bool = True
    """Characters that the tokenizer never saw become bytes instead of the unknown token."""
    max_tokens: int = 128
    """Longer sentences, in tokens, are dropped and counted."""
    max_rows: int = 0
    """Rows that are taken of each training corpus, from its beginning; 0 for all of them."""
    max_characters: int = 2000
    """Longer sentences are dropped and counted."""
    max_length_ratio: float = 6.0
    """Pairs one side of which has so many times the other's characters are dropped and counted."""
    is_deduplicated: bool = True
    """Of rows that are the same in every language, the first stays; the others are counted."""
    batch_tokens: int = 4096
    """Tokens of one update's batch over all processes, padding counted, on the longer side."""

    def __post_init__(self) -> None:
        require(len(self.corpora) > 0, "data.corpora", self.corpora, "at least one corpus")
        require(self.validation != "", "data.validation", self.validation, "a corpus")
        for name in ("vocabulary_size", "max_tokens", "batch_tokens", "max_characters"):
            require(getattr(self, name) > 0, f"data.{name}", getattr(self, name), "positive")
        require(self.max_rows >= 0, "data.max_rows", self.max_rows, "at least 0")
        value = self.max_length_ratio
        require(value > 1, "data.max_length_ratio", value, "above 1")
        value = self.sampling_alpha
        require(0 <= value < 1, "data.sampling_alpha", value, "at least 0 and below 1")
        require(len(self.languages) > 0, "data.languages", self.languages, "at least one language")
        for language in self.languages:
            is_plain = re.fullmatch("[A-Za-z0-9_]+", language) is not None
            require(is_plain, "data.languages", language, "letters, digits and _ only")
        is_unique = len(set(self.languages)) == len(self.languages)
        require(is_unique, "data.languages", self.languages, "each language once")
        has_goal = len(self.directions) + len(self.denoise) > 0
        rule = "at least one direction, or data.denoise at least one language"
        require(has_goal, "data.directions", self.directions, rule)
        require(0 < self.mask_ratio < 1, "data.mask_ratio", self.mask_ratio, "between 0 and 1")
        self.weighted_directions()
        self.denoised_languages()

    def all_directions(self) -> list[str]:
        """Every ordered pair of languages, as `SOURCE-TARGET`."""
        return [f"{s}-{t}" for s in self.languages for t in self.languages if s != t]

    def learned_directions(self) -> list[str]:
        """What `directions` names, as `SOURCE-TARGET`, each once, in the order of `languages`."""
        learned = {f"{source}-{target}" for source, target in self.weighted_directions()}
        return [direction for direction in self.all_directions() if direction in learned]

    def weighted_directions(self) -> dict[tuple[str, str], int]:
        """Source and target language to how often an epoch has them. Raises ConfigError."""
        weights: dict[tuple[str, str], int] = {}
        for name, count in _weighted("data.directions", self.directions, self.all_directions()):
            source, _, target = name.partition("-")
            weights[source, target] = count
        return weights

    def denoised_languages(self) -> dict[str, int]:
        """Language to how often an epoch has its corrupted sentences. Raises ConfigError."""
        return dict(_weighted("data.denoise", self.denoise, list(self.languages)))


def _weighted(field: str, entries: tuple[str, ...], known: list[str]) -> list[tuple[str, int]]:
    """Each `NAME` or `NAME*N` of `entries` with its N; `all` stands for every known name."""
    rule = "`all` or one of " + ", ".join(known) + ", with *N for N times an epoch"
    weighted = []
    for entry in entries:
        name, star, count = entry.partition("*")
        is_count = not star or (count.isdecimal() and int(count) > 0)
        require(is_count and name in (*known, "all"), field, entry, rule)
        names = known if name == "all" else [name]
        weighted += [(each, int(count) if star else 1) for each in names]
    return weighted


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
    cooldown_steps: int = 0
    """Over the last so many of `max_steps`, the rate falls linearly towards 0."""
    weight_decay: float = 0.0
    label_smoothing: float = 0.1
    r_drop: float = 0.0
    """Weight of the consistency of two passes with different dropout (Liang et al. 2021); the paper
    translates with 5. Doubles the work of a step; 0 for one pass."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    autocast: str = "none"
    """`none`, or `bfloat16` for matrix multiplications in bf16."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto`: a GPU where there is one."""
    accumulate: int = 8
    """Groups that a batch is made of, computed one after the other: each of sentences of like
    length, which saves padding and memory, and unlike those of the others."""
    compile: bool = False
    """Compiles the model by torch.compile first: pays off on GPUs and in long runs."""
    embeddings_from: str = ""
    """A word2vec text file whose vectors, of D numbers each, replace the random embeddings of the
    tokens that it covers."""
    tensorboard: bool = False
    """Writes what the log has for TensorBoard too, into the output folder."""
    init_from: str = ""
    """A checkpoint of the same shape to start from, its tokenizer beside it, which is taken over
    where it knows all the languages; empty for random weights."""
    num_threads: int = 0
    """PyTorch's threads; 0 leaves its own choice."""
    validate_every: int = 500
    """Steps between validations; each writes a checkpoint."""
    max_validation_examples: int = 0
    """Examples that the validation loss is measured on, spread over all; 0 for all of them."""
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
            "accumulate",
            "learning_rate",
            "clip_norm",
        ):
            require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "positive")
        for name in (
            "patience",
            "cooldown_steps",
            "num_threads",
            "max_minutes",
            "weight_decay",
            "r_drop",
            "validation_sentences",
            "max_validation_examples",
        ):
            require(getattr(self, name) >= 0, f"train.{name}", getattr(self, name), "at least 0")
        value = self.label_smoothing
        require(0 <= value < 1, "train.label_smoothing", value, "at least 0 and below 1")
        rule = "'none' or 'bfloat16'"
        require(self.autocast in ("none", "bfloat16"), "train.autocast", self.autocast, rule)
        rule = "'auto', 'cpu' or 'cuda'"
        require(self.device in ("auto", "cpu", "cuda"), "train.device", self.device, rule)

    @property
    def output_path(self) -> Path:
        """`output` as a path."""
        return Path(self.output)


@dataclass(frozen=True)
class Config:
    """One recipe."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
