"""The one use case: texts in one language in, texts in another out. Every protocol calls it; it
knows none of them.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from server.config import ServerConfig
from server.decoding import OptionsReader
from server.documents import read_documents
from server.engine.async_engine import Completion
from server.engine.options import DecodingOptions
from server.engine.sequence import Job
from server.errors import InvalidRequestError
from server.loaded_model import LoadedModel
from server.metrics import Metrics
from server.refusals import Refusals
from server.repository import ModelRepository
from server.request import TranslationRequest
from server.security.rate import Quotas
from server.statistics import RequestClock
from server.text.sentences import Document, whole
from server.texts import check_characters, check_count
from server.tracing import Tracing
from server.translation import (
    EMPTY_TRANSLATION,
    Translation,
    Work,
    join_translations,
    make_translation,
    refused,
)

logger = logging.getLogger(__name__)

MAX_INLINE_CHARACTERS = 4000
"""Of texts that are split and put together on the event loop, which takes about a millisecond;
longer ones are in a thread.
"""
NOTHING = whole("")
"""The document of a text that is not translated."""
PARTIAL_MARGIN = 0.1
"""Share of the caller's time that is kept back to bring a partial result home."""
MAX_PARTIAL_MARGIN_S = 0.1
MAX_ROUNDING = 0.01
"""Share by which the time that a transport tells may be longer than the caller's own: gRPC's core
sends two or three digits of it, rounded up, 100 s and a bit as 101.
"""

P = ParamSpec("P")
R = TypeVar("R")


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
    refusals: Refusals
    documents: list[Document]
    """One a text."""
    work: list[Work]
    """One a sentence of them, in order."""


class Translator:
    """Checks a request, tokenises, decodes and puts the text back together."""

    def __init__(
        self,
        models: ModelRepository,
        config: ServerConfig,
        metrics: Metrics,
        quotas: Quotas | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._tracing = tracing or Tracing()
        self._models = models
        self._config = config
        self._metrics = metrics
        self._quotas = quotas or Quotas()

    async def translate(self, request: TranslationRequest) -> TranslationResult:
        """Translates every text of `request`.

        Raises InvalidRequestError, NotFoundError, LimitExceededError, QueueFullError,
        DeadlineError or UnavailableError. Cancelling it frees what it holds.
        """
        started, deadline = time.monotonic(), _deadline(request)
        async with self._models.use(request.model) as model:
            plan = await self._plan(request, model, deadline, is_streamed=False)
            with model.statistics.request(started, len(request.texts)) as clock:
                completions = await model.engine.generate([work.job for work in plan.work])
                clock.decoded(max((c.times.waited_s for c in completions), default=0.0))
                for completion in completions:
                    self._observe(model, completion)
                with self._tracing.writing([c.times for c in completions]):
                    found = await _off_the_loop_if_long(request, _translations, plan, completions)
                return self._result(plan, found)

    async def stream(self, request: TranslationRequest) -> AsyncGenerator[str | TranslationResult]:
        """Translates the one text of `request`: text as it comes, the whole result last.

        Raises what `translate` raises.
        """
        started, deadline = time.monotonic(), _deadline(request)
        async with self._models.use(request.model) as model:
            plan = await self._plan(request, model, deadline, is_streamed=True)
            with model.statistics.request(started, 1) as clock:
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
                    clock.decoded(part.times.waited_s)
                    self._observe(plan.model, part)
                    with self._tracing.writing([part.times]):
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

    def _observe(self, model: LoadedModel, completion: Completion) -> None:
        num_tokens = len(completion.hypotheses[0].tokens)
        self._metrics.observe_sequence(model.name, completion.times, num_tokens)

    def _result(self, plan: _Plan, translations: list[Translation]) -> TranslationResult:
        for t in translations:
            self._metrics.observe_text(
                plan.model.name, t.ending.value, t.num_source_tokens, t.num_target_tokens
            )
        if self._config.log_texts:
            for text, translation in zip(plan.request.texts, translations, strict=True):
                logger.info("translated %r to %r", text, translation.text)
        return TranslationResult(translations, plan.model.package.label, plan.seed)

    async def _plan(
        self,
        request: TranslationRequest,
        model: LoadedModel,
        deadline: float,
        is_streamed: bool,
    ) -> _Plan:
        model.check_direction(request.source_language, request.target_language)
        check_count(len(request.texts), self._config.max_texts)
        # Before anything that takes longer: under overload most calls end here.
        latest = float("inf") if request.takes_partial else deadline
        model.engine.check_queue(request.priority, request.caller, len(request.texts), latest)
        refusals = self._check_texts(request)
        self._charge(request)
        return await _off_the_loop_if_long(
            request, self._read, request, refusals, model, deadline, is_streamed
        )

    def _read(
        self,
        request: TranslationRequest,
        refusals: Refusals,
        model: LoadedModel,
        deadline: float,
        is_streamed: bool,
    ) -> _Plan:
        """Splits and tokenises."""
        manifest, tokenizer = model.package.manifest, model.tokenizer
        reader = OptionsReader(request, manifest, model.engine.num_rows, tokenizer.find)
        if is_streamed:
            _check_streamable(request)
        encode = functools.cache(lambda text: tokenizer.encode(text, request.target_language))
        documents = read_documents(
            replace(request, texts=refusals.without_refused()),
            self._config,
            num_tokens=lambda text: len(encode(text)),
            max_tokens=manifest.architecture.max_length,
        )
        work: list[Work] = []
        for i, document in enumerate(documents):
            prefix = request.target_prefixes[i] if request.target_prefixes else ""
            found = []
            with refusals.of(i):
                for sentence in document.sentences:
                    source = encode(sentence.text)
                    _check_length(request.text_field.format(i), source, model)
                    options = reader.read(len(source), tokenizer.encode_target(prefix), i)
                    job = _job(request, source, options, deadline, is_streamed)
                    found.append(Work(sentence.text, request.target_language, job))
                    prefix = ""  # the text begins with it, not each of its sentences
            if refusals.get(i):
                documents[i] = NOTHING
            else:
                work += found
        refusals.check()
        self._check_total(sum(len(w.job.source) for w in work))
        return _Plan(request, model, reader.seed, refusals, documents, work)

    def _check_texts(self, request: TranslationRequest) -> Refusals:
        texts, prefixes = request.texts, request.target_prefixes
        max_characters = self._config.max_text_characters
        if prefixes and len(prefixes) != len(texts):
            problem = f"there are {len(prefixes)} for {len(texts)} texts; one each, or none at all"
            raise InvalidRequestError("target_prefixes", problem)
        most = self._config.max_document_characters if request.splits_sentences else max_characters
        refusals = Refusals(request)
        for i, text in enumerate(texts):
            with refusals.of(i):
                check_characters(request.text_field.format(i), text, most)
        for i, prefix in enumerate(prefixes):
            with refusals.of(i):
                check_characters(request.prefix_field.format(i), prefix, max_characters)
        refusals.check()
        return refusals

    def _charge(self, request: TranslationRequest) -> None:
        """Before tokens are made of the texts, which is work."""
        count = sum(map(len, request.texts)) + sum(map(len, request.target_prefixes))
        self._quotas.charge_characters(request.caller, count)

    def _check_total(self, num_tokens: int) -> None:
        most = self._config.max_request_tokens
        if num_tokens > most:
            problem = f"together they have {num_tokens} tokens, at most {most} are allowed"
            raise InvalidRequestError("texts", problem)


async def _off_the_loop_if_long(
    request: TranslationRequest, function: Callable[P, R], *arguments: P.args, **named: P.kwargs
) -> R:
    """What `function` returns, called in a thread where `request` has long texts to split."""
    if request.splits_sentences and sum(map(len, request.texts)) > MAX_INLINE_CHARACTERS:
        return await asyncio.to_thread(function, *arguments, **named)
    return function(*arguments, **named)


def _translations(plan: _Plan, completions: Sequence[Completion]) -> list[Translation]:
    """One a text."""
    tokenizer, language = plan.model.tokenizer, plan.request.target_language
    pairs = zip(plan.work, completions, strict=True)
    made = iter([make_translation(tokenizer, work, completion) for work, completion in pairs])
    translations = []
    for i, document in enumerate(plan.documents):
        if refusal := plan.refusals.get(i):
            translations.append(refused(refusal))
            continue
        parts = [next(made) for _ in document.sentences]
        if plan.request.splits_sentences:
            translations.append(join_translations(document, parts, language))
        else:
            translations += parts or [EMPTY_TRANSLATION]
    return translations


def _check_length(name: str, source: list[int], model: LoadedModel) -> None:
    max_tokens = model.package.manifest.architecture.max_length
    if len(source) > max_tokens:
        problem = f"it has {len(source)} tokens, model {model.name} takes at most {max_tokens}"
        raise InvalidRequestError(name, problem)


def _check_streamable(request: TranslationRequest) -> None:
    options = request.options
    if request.splits_sentences:
        raise InvalidRequestError("split_sentences", "a text that is split cannot be streamed")
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
