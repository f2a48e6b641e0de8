"""The one use case: texts in one language in, texts in another out. Every protocol calls it; it
knows none of them.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from server.config import ServerConfig
from server.decoding import OptionsReader
from server.engine.async_engine import Completion
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.errors import InvalidRequestError
from server.metrics import Metrics
from server.models import LoadedModel, ModelRegistry
from server.request import TranslationRequest
from server.statistics import RequestClock
from server.translation import EMPTY_TRANSLATION, Translation, Work, make_translation

ALLOWED_CONTROLS = "\t\n\r"
"""Control characters that a text may hold: they are white space to the tokenizer."""
PARTIAL_MARGIN = 0.1
"""Share of the caller's time that is kept back to bring a partial result home."""
MAX_PARTIAL_MARGIN_S = 0.1
MAX_ROUNDING = 0.01
"""Share by which the time that a transport tells may be longer than the caller's own: gRPC's core
sends two or three digits of it, rounded up, 100 s and a bit as 101.
"""


@dataclass(frozen=True)
class TranslationResult:
    """Translations in the order of the texts."""

    translations: list[Translation]
    model: str
    """name/version."""
    seed: int | None = None
    """Of sampling, where it was asked for."""


@dataclass(frozen=True)
class _Plan:
    """A checked request."""

    request: TranslationRequest
    model: LoadedModel
    seed: int | None
    work: dict[int, Work]
    """By index of the text; empty texts have none."""


class Translator:
    """Checks a request, tokenises, decodes and puts the text back together."""

    def __init__(self, registry: ModelRegistry, config: ServerConfig, metrics: Metrics) -> None:
        self._registry = registry
        self._config = config
        self._metrics = metrics

    async def translate(self, request: TranslationRequest) -> TranslationResult:
        """Translates every text of `request`.

        Raises InvalidRequestError, NotFoundError, QueueFullError, DeadlineError or
        UnavailableError. Cancelling it frees what it holds.
        """
        started = time.monotonic()
        plan = self._plan(request, is_streamed=False)
        with plan.model.statistics.request(started, len(request.texts)) as clock:
            jobs = [work.job for work in plan.work.values()]
            completions = await plan.model.engine.generate(jobs)
            clock.decoded(max((c.waited_s for c in completions), default=0.0))
            translations = [EMPTY_TRANSLATION] * len(request.texts)
            for (i, work), completion in zip(plan.work.items(), completions, strict=True):
                translations[i] = make_translation(plan.model.tokenizer, work, completion)
            return self._result(plan, translations)

    async def stream(self, request: TranslationRequest) -> AsyncGenerator[str | TranslationResult]:
        """Translates the one text of `request`: text as it comes, the whole result last.

        Raises what `translate` raises.
        """
        started = time.monotonic()
        plan = self._plan(request, is_streamed=True)
        with plan.model.statistics.request(started, 1) as clock:
            async with aclosing(self._parts(plan, clock)) as parts:
                async for part in parts:
                    yield part

    async def _parts(
        self, plan: _Plan, clock: RequestClock
    ) -> AsyncGenerator[str | TranslationResult]:
        if not plan.work:
            yield self._result(plan, [EMPTY_TRANSLATION])
            return
        work, tokenizer = plan.work[0], plan.model.tokenizer
        tokens: list[int] = []
        sent = ""
        async with aclosing(plan.model.engine.stream(work.job)) as parts:
            async for part in parts:
                if isinstance(part, Completion):
                    clock.decoded(part.waited_s)
                    translation = make_translation(tokenizer, work, part)
                    if rest := translation.text[len(sent) :]:
                        yield rest
                    yield self._result(plan, [translation])
                    return
                tokens += part
                text = tokenizer.decode_whole(tokens)
                if len(text) > len(sent):
                    yield text[len(sent) :]
                    sent = text

    def _result(self, plan: _Plan, translations: list[Translation]) -> TranslationResult:
        tokens, name = self._metrics.tokens, plan.model.name
        tokens.labels(name, "source").inc(sum(t.num_source_tokens for t in translations))
        tokens.labels(name, "target").inc(sum(t.num_target_tokens for t in translations))
        return TranslationResult(translations, plan.model.package.label, plan.seed)

    def _plan(self, request: TranslationRequest, is_streamed: bool) -> _Plan:
        self._check_texts(request)
        model = self._registry.get(request.model)
        model.check_direction(request.source_language, request.target_language)
        manifest, tokenizer = model.package.manifest, model.tokenizer
        reader = OptionsReader(
            request,
            manifest,
            model.engine.num_rows,
            tokenizer.find,
        )
        if is_streamed:
            _check_streamable(request)
        deadline = _deadline(request)
        work = {}
        for i, text in enumerate(request.texts):
            if text.strip():
                source = self._encode(model, request, i)
                prefix = request.target_prefixes[i] if request.target_prefixes else ""
                options = reader.read(len(source), tokenizer.encode_target(prefix), i)
                job = _job(request, source, options, deadline, is_streamed)
                work[i] = Work(text, request.target_language, job)
        self._check_total(sum(len(w.job.source) for w in work.values()))
        return _Plan(request, model, reader.seed, work)

    def _check_texts(self, request: TranslationRequest) -> None:
        texts, prefixes = request.texts, request.target_prefixes
        max_texts, max_characters = self._config.max_texts, self._config.max_text_characters
        if len(texts) > max_texts:
            problem = f"there are {len(texts)}, at most {max_texts} are allowed"
            raise InvalidRequestError("texts", problem)
        if prefixes and len(prefixes) != len(texts):
            problem = f"there are {len(prefixes)} for {len(texts)} texts; one each, or none at all"
            raise InvalidRequestError("target_prefixes", problem)
        for name, values in ((request.text_field, texts), (request.prefix_field, prefixes)):
            for i, text in enumerate(values):
                if len(text) > max_characters:
                    problem = f"it has {len(text)} characters, at most {max_characters} are allowed"
                    raise InvalidRequestError(name.format(i), problem)
                _check_characters(name.format(i), text)

    def _encode(self, model: LoadedModel, request: TranslationRequest, i: int) -> list[int]:
        source = model.tokenizer.encode(request.texts[i], request.target_language)
        max_tokens = model.package.manifest.architecture.max_length
        if len(source) > max_tokens:
            problem = f"it has {len(source)} tokens, model {model.name} takes at most {max_tokens}"
            raise InvalidRequestError(request.text_field.format(i), problem)
        return source

    def _check_total(self, num_tokens: int) -> None:
        most = self._config.max_request_tokens
        if num_tokens > most:
            problem = f"together they have {num_tokens} tokens, at most {most} are allowed"
            raise InvalidRequestError("texts", problem)


def _check_characters(name: str, text: str) -> None:
    if text.isprintable():
        return
    for position, character in enumerate(text):
        if unicodedata.category(character) == "Cc" and character not in ALLOWED_CONTROLS:
            code = f"U+{ord(character):04X}"
            problem = f"control character {code} at position {position} is not allowed"
            raise InvalidRequestError(name, problem)


def _check_streamable(request: TranslationRequest) -> None:
    options = request.options
    if (options.num_hypotheses or 1) > 1 and options.sampling is not None:
        problem = f"it is {options.num_hypotheses}, but only one sample can be streamed"
        raise InvalidRequestError("options.num_hypotheses", problem)
    if options.num_alternatives:
        problem = f"it is {options.num_alternatives}, but alternatives cannot be streamed"
        raise InvalidRequestError("options.num_alternatives", problem)


def _deadline(request: TranslationRequest) -> float:
    """When the engine must have ended, by the monotonic clock."""
    if request.timeout_s is None:
        return float("inf")
    margin = 0.0
    if request.takes_partial:
        margin = min(PARTIAL_MARGIN * request.timeout_s, MAX_PARTIAL_MARGIN_S)
        margin += MAX_ROUNDING * request.timeout_s
    return time.monotonic() + request.timeout_s - margin


def _job(
    request: TranslationRequest,
    source: list[int],
    options: DecodingOptions,
    deadline: float,
    is_streamed: bool,
) -> Job:
    return Job(
        source,
        options,
        priority=request.priority,
        caller=request.caller,
        deadline=deadline,
        takes_partial=request.takes_partial,
        is_streamed=is_streamed,
    )
