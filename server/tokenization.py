"""Texts to a model's pieces and back, for callers that count or look at them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from server.config import ServerConfig
from server.errors import InvalidRequestError, shown
from server.loaded_model import LoadedModel
from server.repository import ModelRepository
from server.security.rate import Quotas
from server.texts import check_characters, check_count, check_together


@dataclass(frozen=True)
class TokenIds:
    """A text's tokens."""

    ids: list[int]
    pieces: list[str]
    """As they are spelled, one an id."""


class Tokenization:
    """Cuts texts into pieces, as Translate does, and puts them together."""

    def __init__(self, models: ModelRepository, config: ServerConfig, quotas: Quotas) -> None:
        self._models = models
        self._config = config
        self._quotas = quotas

    async def tokenize(
        self, model: str, texts: Sequence[str], target_language: str, caller: str
    ) -> tuple[list[TokenIds], str]:
        """The tokens of each text, and the model, name/version, that they are of.

        With `target_language` they are what that model reads for it, its tag and end of sentence
        included. Raises InvalidRequestError, NotFoundError, LimitExceededError or UnavailableError.
        """
        check_count(len(texts), self._config.max_texts)
        for i, text in enumerate(texts):
            check_characters(f"texts[{i}]", text, self._config.max_document_characters)
        check_together(texts, self._config.max_document_characters)
        self._quotas.charge_characters(caller, sum(map(len, texts)))
        async with self._models.use(model) as found:
            if target_language:
                found.check_language("target_language", target_language)
            return await asyncio.to_thread(_tokens, found, texts, target_language), _label(found)

    async def detokenize(
        self, model: str, texts: Sequence[Sequence[str]], caller: str
    ) -> tuple[list[str], str]:
        """The text that each list of pieces spells, and the model.

        Raises InvalidRequestError for a piece that the model has not, and what `tokenize` raises.
        """
        check_count(len(texts), self._config.max_texts)
        spelled = ["".join(pieces) for pieces in texts]
        check_together(spelled, self._config.max_document_characters)
        self._quotas.charge_characters(caller, sum(map(len, spelled)))
        async with self._models.use(model) as found:
            return await asyncio.to_thread(_texts, found, texts), _label(found)


def _label(model: LoadedModel) -> str:
    return model.package.label


def _tokens(model: LoadedModel, texts: Sequence[str], target_language: str) -> list[TokenIds]:
    tokenizer, found = model.tokenizer, []
    for text in texts:
        if target_language:
            ids = tokenizer.encode(text, target_language)
        else:
            ids = tokenizer.encode_target(text)
        found.append(TokenIds(ids, [tokenizer.piece(token) for token in ids]))
    return found


def _texts(model: LoadedModel, texts: Sequence[Sequence[str]]) -> list[str]:
    return [model.tokenizer.decode(_ids(model, i, pieces)) for i, pieces in enumerate(texts)]


def _ids(model: LoadedModel, i: int, pieces: Sequence[str]) -> list[int]:
    ids = []
    for j, piece in enumerate(pieces):
        token = model.tokenizer.id_of(piece)
        if token is None:
            problem = f"{shown(piece)} is no piece of this model's vocabulary"
            raise InvalidRequestError(f"texts[{i}].pieces[{j}]", problem)
        ids.append(token)
    return ids
