"""What a translation consists of, and how it is made from what the engine found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from server.engine.async_engine import Completion
from server.engine.hypothesis import FinishReason, Hypothesis
from server.engine.sequence import Job
from server.errors import InvalidRequestError
from server.text.alignment import Alignment, align
from server.text.document import assemble
from server.text.sentences import Document
from server.text.tokenizer import Span, Tokenizer


@dataclass(frozen=True)
class Work:
    """One sentence on its way through the engine."""

    text: str
    target_language: str
    job: Job


class Ending(enum.Enum):
    """Why a translation ended."""

    STOP = "stop"
    LENGTH = "length"
    LOOP = "loop"
    DEADLINE = "deadline"
    EMPTY = "empty"
    REFUSED = "refused"


@dataclass(frozen=True)
class ScoredToken:
    """A target token's piece and log-probability."""

    piece: str
    log_probability: float


@dataclass(frozen=True)
class HypothesisText:
    """One possible translation; None and empty where not asked for."""

    text: str
    ending: Ending
    score: float | None = None
    log_probability: float | None = None
    tokens: list[ScoredToken] = field(default_factory=list)
    alignment: Alignment | None = None
    target_pieces: list[str] = field(default_factory=list)
    """Tokens that the alignment's links count."""


@dataclass(frozen=True)
class Translation:
    """One translated text, or a sentence of it."""

    text: str
    ending: Ending
    num_source_tokens: int
    num_target_tokens: int
    hypotheses: list[HypothesisText] = field(default_factory=list)
    """Best first, where several, scores or alignments were asked for; none for a text that is more
    than one sentence, whose sentences have theirs.
    """
    sentences: list[TranslatedSentence] = field(default_factory=list)
    """In order, where the text was to be split."""
    refusal: InvalidRequestError | None = None
    """What is wrong with the text, where it was not translated."""


@dataclass(frozen=True)
class TranslatedSentence:
    """A sentence of a text that was split."""

    source: Span
    """Where it lies in the text, in characters."""
    target: Span
    """Where its translation lies in the translated text, in characters."""
    translation: Translation
    is_part: bool
    """Whether it is a piece of a sentence that was too long for the model."""


def refused(error: InvalidRequestError) -> Translation:
    """What is answered to a text that is wrong."""
    return Translation("", Ending.REFUSED, 0, 0, refusal=error)


EMPTY_TRANSLATION = Translation("", Ending.EMPTY, 0, 0)
_BY_GRAVITY = (Ending.DEADLINE, Ending.LOOP, Ending.LENGTH, Ending.STOP, Ending.EMPTY)


def make_translation(tokenizer: Tokenizer, work: Work, completion: Completion) -> Translation:
    """What the caller of `work` is answered."""
    best = completion.hypotheses[0]
    options = work.job.options
    is_detailed = options.num_rows > 1 or options.sampling or options.is_scored
    hypotheses = []
    if is_detailed or options.is_aligned:
        hypotheses = [_hypothesis(tokenizer, work, h) for h in completion.hypotheses]
    return Translation(
        tokenizer.decode(best.token_ids),
        _ending(best),
        len(work.job.source),
        len(best.tokens),
        hypotheses,
    )


def join_translations(
    document: Document, translations: list[Translation], language: str
) -> Translation:
    """The translation of a text that was split, from those of its sentences into `language`.

    It ended as the sentence did that ended worst. The hypotheses of a text that is one sentence
    are its own as well.
    """
    joined = assemble(document, [translation.text for translation in translations], language)
    endings = {translation.ending for translation in translations} or {Ending.EMPTY}
    is_one = len(translations) == 1 and joined.text == translations[0].text
    sentences = [
        TranslatedSentence((s.start, s.end), span, translation, s.is_part)
        for s, span, translation in zip(document.sentences, joined.spans, translations, strict=True)
    ]
    return Translation(
        joined.text,
        min(endings, key=_BY_GRAVITY.index),
        sum(translation.num_source_tokens for translation in translations),
        sum(translation.num_target_tokens for translation in translations),
        translations[0].hypotheses if is_one else [],
        sentences,
    )


def _hypothesis(tokenizer: Tokenizer, work: Work, hypothesis: Hypothesis) -> HypothesisText:
    options = work.job.options
    has_score = options.beam_size > 1 or options.sampling is not None or options.is_scored
    score = log_probability = None
    if has_score:
        score = hypothesis.score(len(options.prefix), options.length_penalty)
        log_probability = hypothesis.log_probability
    tokens = []
    if options.is_scored:
        pairs = zip(hypothesis.tokens, hypothesis.log_probs, strict=True)
        tokens = [ScoredToken(tokenizer.piece(token), value) for token, value in pairs]
    alignment = _align(tokenizer, work, hypothesis) if options.is_aligned else None
    return HypothesisText(
        tokenizer.decode(hypothesis.token_ids),
        _ending(hypothesis),
        score,
        log_probability,
        tokens,
        alignment,
        [tokenizer.piece(token) for token in hypothesis.token_ids] if alignment else [],
    )


def _align(tokenizer: Tokenizer, work: Work, hypothesis: Hypothesis) -> Alignment:
    token_ids = hypothesis.token_ids
    source = tokenizer.locate_source(work.text, work.target_language)
    target = tokenizer.locate_target(token_ids)
    return align(source, target, hypothesis.attention[: len(token_ids)])


def _ending(hypothesis: Hypothesis) -> Ending:
    assert hypothesis.finish_reason is not None
    return Ending[FinishReason(hypothesis.finish_reason).name]
