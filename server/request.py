"""What a caller asks for, whatever the protocol; None where the caller did not say."""

from __future__ import annotations

from dataclasses import dataclass, field

from server.engine.options import EarlyStopping
from server.engine.sequence import Priority


@dataclass(frozen=True)
class RequestedSampling:
    """See Sampling in the proto."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class RequestedOptions:
    """See DecodingOptions in the proto; the names are the same, as errors name them."""

    max_target_tokens: int | None = None
    min_target_tokens: int | None = None
    max_length_ratio: float | None = None
    min_length_ratio: float | None = None
    beam_size: int | None = None
    num_hypotheses: int | None = None
    length_penalty: float | None = None
    patience: float | None = None
    early_stopping: EarlyStopping | None = None
    sampling: RequestedSampling | None = None
    num_alternatives: int | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float | None = None
    loop_guard: int | None = None
    suppressed_tokens: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TranslationRequest:
    """Texts of one caller, to be translated alike."""

    model: str
    source_language: str
    target_language: str
    texts: list[str]
    options: RequestedOptions = field(default_factory=RequestedOptions)
    target_prefixes: list[str] = field(default_factory=list)
    """One a text, or none at all."""
    splits_sentences: bool = False
    """Whether the texts are paragraphs or pages, to be translated sentence by sentence."""
    priority: Priority = Priority.STANDARD
    caller: str = ""
    """Whom fairness counts it to."""
    timeout_s: float | None = None
    """Seconds until the caller gives up."""
    takes_partial: bool = False
    takes_refusals: bool = False
    """Whether a text that is wrong is answered so, and the others are translated."""
    returns_scores: bool = False
    returns_alignment: bool = False
    text_field: str = "texts[{}]"
    """What errors call the i-th text."""
    prefix_field: str = "target_prefixes[{}]"
    """What errors call the i-th prefix."""
