"""What a translation is to the caller. Knows nothing of gRPC or protobuf."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from attendant.picture import as_html


class FinishReason(StrEnum):
    """Why a translation ends where it does."""

    STOP = "stop"
    """The model ended the sentence."""

    LENGTH = "length"
    """The limit of target tokens was reached; the text may be incomplete."""

    EMPTY = "empty"
    """There was nothing to translate."""

    LOOP = "loop"
    """The translation repeated itself and was ended."""

    DEADLINE = "deadline"
    """Time ran out; the text is what there was."""

    REFUSED = "refused"
    """The text was wrong and was not translated; see `Translation.refusal`."""

    UNKNOWN = "unknown"
    """A reason that this version of the client has no name for: the server is newer."""


@dataclass(frozen=True, slots=True)
class Token:
    """A target token."""

    piece: str
    """The piece of the model's vocabulary."""

    log_probability: float
    """Natural logarithm of its probability after the tokens before it."""


@dataclass(frozen=True, slots=True)
class TokenLink:
    """The source token that a target token attends to most."""

    source: int
    """Index in `Alignment.source_tokens`."""

    target: int
    """Index in `Alignment.target_tokens`."""

    weight: float
    """Its share of the attention, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """Which source tokens a translation's tokens attend to."""

    source_tokens: Sequence[str]
    """The tokens of the source, its language tag and end of sentence included."""

    target_tokens: Sequence[str]
    """The tokens of the translation."""

    links: Sequence[TokenLink]
    """One for each target token, in their order."""

    words: str
    """Links between words, counted from 0, in Pharaoh format: "0-0 1-2"."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One possible translation; `str()` of it is the text. None and empty where not asked for."""

    text: str
    """The text."""

    finish_reason: FinishReason
    """Why it ends where it does."""

    score: float | None = None
    """What hypotheses compete by: log_probability / length ** length_penalty."""

    log_probability: float | None = None
    """Natural logarithm of the probability of its tokens, those of a prefix not counted."""

    tokens: Sequence[Token] = ()
    """Its tokens, the end of sentence included."""

    alignment: Alignment | None = None
    """Which source tokens its tokens attend to."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Translation:
    """One translated text; `str()` of it is the text."""

    text: str
    """The translation."""

    finish_reason: FinishReason
    """Why it ends where it does."""

    source_tokens: int
    """Tokens of the source, its language tag and end of sentence counted; 0 for an empty text."""

    target_tokens: int
    """Tokens generated, the end of sentence counted; 0 for an empty text."""

    hypotheses: Sequence[Hypothesis] = ()
    """Best first, where several, samples, beams, scores or alignments were asked for."""

    seed: int | None = None
    """The seed that was used, where sampling was asked for."""

    sentences: Sequence["TranslatedSentence"] = ()
    """In order, where the text was to be split."""

    refusal: str = ""
    """What is wrong with the text, where it was not translated: the field, its value, the limit."""

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """What a notebook shows: the text and, where it was asked for, its alignment."""
        best = self.hypotheses[0].alignment if self.hypotheses else None
        return as_html(self.text, self.refusal, best)


@dataclass(frozen=True, slots=True)
class TranslatedSentence:
    """A sentence of a text that was split: `text[slice(*sentence.source)]` is where it lies."""

    source: tuple[int, int]
    """Where it lies in the text: its first character, and the one after its last."""

    target: tuple[int, int]
    """Where its translation lies in the translated text."""

    translation: Translation
    """Its translation."""

    is_part: bool = False
    """Whether it is a part of a sentence that was too long for the model."""


@dataclass(frozen=True, slots=True)
class TranslationPart:
    """A part of a translation as it grows; `str()` of it is its text."""

    text: str
    """Text to append to what came before; whole characters."""

    translation: Translation | None = None
    """The whole translation, in the last part only."""

    def __str__(self) -> str:
        return self.text
