"""What a model is to the caller, and the pieces it sees of a text. Knows nothing of gRPC."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from attendant.options import Options


class ModelState(StrEnum):
    """What a model is doing."""

    AVAILABLE = "available"
    """On disk; it is loaded when first asked for."""

    LOADING = "loading"
    """Being loaded; a version that served before still does."""

    READY = "ready"
    """It serves."""

    FAILED = "failed"
    """Refused, or it does not start; `Model.reason` says why."""

    UNLOADED = "unloaded"
    """Put away by an administrator."""

    UNKNOWN = "unknown"
    """A state that this version of the client has no name for: the server is newer."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How good one implementation of a model was when it was exported, on validation text."""

    implementation: str
    """ "pytorch", or a variant such as "cpu-int8"."""

    bleu: float
    """Cased corpus BLEU by sacreBLEU, percent."""

    bleu_signature: str
    """What makes the figure comparable."""

    chrf: float
    """chrF by sacreBLEU, percent."""

    chrf_signature: str
    """What makes the figure comparable."""

    token_exact_rate: float
    """Share of the sentences whose tokens are PyTorch's."""

    num_sentences: int
    """Number of sentences."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the server. While it is not loaded, what follows `reason` is empty."""

    name: str
    """What requests ask for it by."""

    version: str
    """The version that serves, or that would be loaded."""

    state: ModelState
    """What it is doing."""

    reason: str
    """Why it, or the newest version of it, does not serve; empty where it does."""

    variant: str
    """What is decoded with, such as "cpu-int8"."""

    languages: Sequence[str]
    """Codes of its languages."""

    directions: Sequence[str]
    """What it translates, each "source-target", such as "en-de"."""

    max_tokens: int
    """The most tokens that a source or a translation may have."""

    max_hypotheses: int
    """The most hypotheses that a call may ask for."""

    defaults: Options
    """What holds where a call says nothing."""

    evidence: Sequence[Evidence]
    """What its export measured: "pytorch", and one for each variant."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A text as a model sees it."""

    pieces: Sequence[str]
    """As they are spelled; U+2581 stands for a space."""

    ids: Sequence[int]
    """Their numbers in the vocabulary, one for each piece."""
