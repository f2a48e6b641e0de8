"""The texts of a request as documents: sentences that fit the model, and not too many of them."""

from __future__ import annotations

from collections.abc import Callable

from server.config import ServerConfig
from server.errors import InvalidRequestError
from server.request import TranslationRequest
from server.text.clauses import shorten
from server.text.sentences import Document, split, whole
from server.texts import check_together


def read_documents(
    request: TranslationRequest,
    config: ServerConfig,
    num_tokens: Callable[[str], int],
    max_tokens: int,
) -> list[Document]:
    """A document a text: of sentences of up to `max_tokens` where they are to be split, else of one
    sentence or, for an empty text, none.

    Raises InvalidRequestError for too much to split.
    """
    if not request.splits_sentences:
        return [whole(text) for text in request.texts]
    check_together(request.texts, config.max_document_characters)
    documents, num_sentences = [], 0
    for text in request.texts:
        most = config.max_sentences - num_sentences + 1
        found = split(text, request.source_language, most)
        documents.append(shorten(found, num_tokens, max_tokens))
        num_sentences += len(documents[-1].sentences)
        if num_sentences > config.max_sentences:
            raise _too_many(num_sentences, config.max_sentences)
    return documents


def _too_many(num_sentences: int, most: int) -> InvalidRequestError:
    problem = f"together they have {num_sentences} sentences or more, at most {most} are allowed"
    return InvalidRequestError("texts", problem)
