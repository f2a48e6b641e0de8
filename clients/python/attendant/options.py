"""How a translation is asked for. Knows nothing of gRPC or protobuf."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Priority(StrEnum):
    """How urgent a call is, against others that wait for the same model."""

    INTERACTIVE = "interactive"
    """Somebody waits in front of a screen."""

    STANDARD = "standard"
    """The default."""

    BULK = "bulk"
    """Fills the gaps that the others leave; it waits, but never forever."""


class EarlyStopping(StrEnum):
    """When beam search stops. Whatever the rule, it stops at the limit of tokens."""

    PATIENCE = "patience"
    """When `beam_size * patience` hypotheses have ended. The default."""

    HEURISTIC = "heuristic"
    """When `beam_size` have ended and the best running one is no better than the worst of them."""

    NEVER = "never"
    """When `beam_size` have ended and no running one can become better than the worst of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn: temperature first, then top_k, then top_p. None: the server's own."""

    temperature: float | None = None
    """Divides the logits: below 1 sharpens, above 1 flattens."""

    top_k: int | None = None
    """Draws from this many most probable tokens; 0 for all."""

    top_p: float | None = None
    """Draws from the fewest most probable tokens whose probabilities sum to at least this."""

    seed: int | None = None
    """The same seed gives the same translation; None lets the server pick, `Translation.seed` tells
    which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to translate. None leaves a choice to the server, which also judges every value.

    Names and meanings are the API's, where each is described in full: DecodingOptions,
    OutputOptions and TranslateRequest in translation.proto.
    """

    max_target_tokens: int | None = None
    """Upper limit of target tokens of a text."""

    min_target_tokens: int | None = None
    """The sentence does not end before this many tokens."""

    max_length_ratio: float | None = None
    """Upper limit as a multiple of the source's tokens."""

    min_length_ratio: float | None = None
    """Lower limit as a multiple of the source's tokens."""

    beam_size: int | None = None
    """Hypotheses that run side by side in beam search; 1 is greedy search."""

    num_hypotheses: int | None = None
    """Best hypotheses of a beam, or independent samples, to answer."""

    length_penalty: float | None = None
    """Hypotheses compete by log-probability / length ** length_penalty."""

    patience: float | None = None
    """Beam search stops when `beam_size * patience` hypotheses have ended."""

    early_stopping: EarlyStopping | None = None
    """When beam search gives up the hypotheses that still run."""

    sampling: Sampling | None = None
    """Draws tokens instead of taking the best."""

    num_alternatives: int | None = None
    """The most probable tokens after the prefix, each continued greedily, as hypotheses."""

    no_repeat_ngram_size: int | None = None
    """No n-gram of this many tokens occurs twice; 0 for off."""

    repetition_penalty: float | None = None
    """Makes tokens that the translation already has less probable; 1 for off."""

    loop_guard: int | None = None
    """Ends a translation whose last tokens are one block, so many times in a row; 0 for off."""

    suppressed_tokens: Sequence[str] = ()
    """Tokens that are never generated, as pieces of the model's vocabulary."""

    target_prefix: str | Sequence[str] = ""
    """What the translations begin with: a string for all of them, or a sequence with one a text."""

    split_sentences: bool = False
    """Whether texts are pages, to be translated sentence by sentence. Not in streams."""

    priority: Priority = Priority.STANDARD
    """How urgent the call is."""

    partial_at_deadline: bool = False
    """Whether the best so far is wanted at the deadline, instead of `DeadlineError`."""

    scores: bool = False
    """Whether to answer hypotheses with their tokens and log-probabilities."""

    alignment: bool = False
    """Whether to answer hypotheses with their alignment."""
