"""The one use case: texts in one language in, texts in another out. Every protocol calls it; it
knows none of them.
"""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass

from server.config import ServerConfig
from server.engine.async_engine import Completion
from server.engine.sequence import DecodingOptions, FinishReason
from server.errors import InvalidRequestError
from server.metrics import Metrics
from server.models import LoadedModel, ModelRegistry, target_limit

ALLOWED_CONTROLS = "\t\n\r"
"""Control characters that a text may hold: they are white space to the tokenizer."""


@dataclass(frozen=True)
class TranslationRequest:
    """What a caller asks for."""

    model: str
    source_language: str
    target_language: str
    texts: list[str]
    max_target_tokens: int | None = None


class Ending(enum.Enum):
    """Why a translation ended."""

    STOP = "stop"
    LENGTH = "length"
    EMPTY = "empty"


@dataclass(frozen=True)
class Translation:
    """One translated text."""

    text: str
    ending: Ending
    num_source_tokens: int
    num_target_tokens: int


EMPTY_TRANSLATION = Translation("", Ending.EMPTY, 0, 0)


@dataclass(frozen=True)
class TranslationResult:
    """Translations in the order of the texts."""

    translations: list[Translation]
    model: str
    """name/version."""


class Translator:
    """Checks a request, tokenises, decodes and puts the text back together."""

    def __init__(self, registry: ModelRegistry, config: ServerConfig, metrics: Metrics) -> None:
        self._registry = registry
        self._config = config
        self._metrics = metrics

    async def translate(self, request: TranslationRequest) -> TranslationResult:
        """Translates every text of `request`.

        Raises InvalidRequestError, NotFoundError, QueueFullError or UnavailableError. Cancelling it
        frees what it holds.
        """
        self._check_texts(request.texts)
        model = self._registry.get(request.model)
        model.check_direction(request.source_language, request.target_language)
        sources = {
            i: self._encode(model, i, text, request.target_language)
            for i, text in enumerate(request.texts)
            if text.strip()
        }
        options = [
            self._options(model, source, request.max_target_tokens) for source in sources.values()
        ]
        completions = await model.engine.generate(list(sources.values()), options)
        translations = [EMPTY_TRANSLATION] * len(request.texts)
        for (i, source), completion in zip(sources.items(), completions, strict=True):
            translations[i] = _translation(model, source, completion)
        self._count_tokens(model, translations)
        return TranslationResult(translations, model.package.label)

    def _check_texts(self, texts: list[str]) -> None:
        max_texts, max_characters = self._config.max_texts, self._config.max_text_characters
        if len(texts) > max_texts:
            raise InvalidRequestError(
                "texts", f"there are {len(texts)}, at most {max_texts} are allowed"
            )
        for i, text in enumerate(texts):
            if len(text) > max_characters:
                problem = f"it has {len(text)} characters, at most {max_characters} are allowed"
                raise InvalidRequestError(f"texts[{i}]", problem)
            self._check_characters(i, text)

    def _check_characters(self, i: int, text: str) -> None:
        if text.isprintable():
            return
        for position, character in enumerate(text):
            if unicodedata.category(character) == "Cc" and character not in ALLOWED_CONTROLS:
                code = f"U+{ord(character):04X}"
                problem = f"control character {code} at position {position} is not allowed"
                raise InvalidRequestError(f"texts[{i}]", problem)

    def _encode(self, model: LoadedModel, i: int, text: str, target_language: str) -> list[int]:
        source = model.tokenizer.encode(text, target_language)
        max_tokens = model.package.manifest.architecture.max_length
        if len(source) > max_tokens:
            problem = f"it has {len(source)} tokens, model {model.name} takes at most {max_tokens}"
            raise InvalidRequestError(f"texts[{i}]", problem)
        return source

    def _options(self, model: LoadedModel, source: list[int], asked: int | None) -> DecodingOptions:
        manifest = model.package.manifest
        if asked is None:
            return DecodingOptions(target_limit(manifest, len(source)))
        longest = manifest.architecture.max_length
        if not 1 <= asked <= longest:
            problem = f"it is {asked}, model {model.name} takes 1 to {longest}"
            raise InvalidRequestError("options.max_target_tokens", problem)
        return DecodingOptions(asked)

    def _count_tokens(self, model: LoadedModel, translations: list[Translation]) -> None:
        tokens = self._metrics.tokens
        tokens.labels(model.name, "source").inc(sum(t.num_source_tokens for t in translations))
        tokens.labels(model.name, "target").inc(sum(t.num_target_tokens for t in translations))


def _translation(model: LoadedModel, source: list[int], completion: Completion) -> Translation:
    ending = Ending.STOP if completion.finish_reason is FinishReason.STOP else Ending.LENGTH
    text = model.tokenizer.decode(completion.token_ids)
    return Translation(text, ending, len(source), completion.num_target_tokens)
