"""Texts of a request as documents, and how many sentences they may have."""

from __future__ import annotations

import pytest

from server.config import ServerConfig
from server.documents import read_documents
from server.errors import InvalidRequestError
from server.request import TranslationRequest
from server.text.sentences import Document


def read(*texts: str, splits: bool = True, max_tokens: int = 50, **limits: int) -> list[Document]:
    request = TranslationRequest("", "en", "de", list(texts), splits_sentences=splits)
    config = ServerConfig(**limits)
    return read_documents(request, config, lambda text: len(text.split()), max_tokens)


def test_a_text_that_is_not_split_is_a_sentence_as_it_is() -> None:
    texts = ["One. Two.", "  ", "", " a \n" + "word " * 99]
    documents = read(*texts, splits=False, max_sentences=1, max_document_characters=1)
    assert [[s.text for s in d.sentences] for d in documents] == [texts[:1], [], [], texts[3:]]


def test_texts_are_split_and_their_sentences_cut() -> None:
    documents = read("One. Two.\n- Three", " ", "a b c, d e f.", max_tokens=4)
    assert [[s.text for s in d.sentences] for d in documents] == [
        ["One.", "Two.", "Three"],
        [],
        ["a b c,", "d e f."],
    ]


def test_sentences_of_all_texts_are_counted_parts_of_them_too() -> None:
    assert len(read("One. Two.", "Three.", "a b c d.", max_tokens=2, max_sentences=5)) == 3
    for texts in (["One. Two.", "Three.", "a b c d.", "Six."], ["One. " * 6], ["a b c d. " * 3]):
        with pytest.raises(InvalidRequestError) as caught:
            read(*texts, max_tokens=2, max_sentences=5)
        assert caught.value.field == "texts"
        expected = "together they have 6 sentences or more, at most 5 are allowed"
        assert str(caught.value) == f"texts: {expected}"


def test_no_more_sentences_are_looked_for_than_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def split(text: str, language: str, most: int) -> Document:
        asked.append(most)
        return Document(text, [])

    monkeypatch.setattr("server.documents.split", split)
    read("a", "b", max_sentences=7)
    assert asked == [8, 8]


def test_characters_of_all_texts_are_counted() -> None:
    assert len(read("One.", "Two.", max_document_characters=8)) == 2
    expected = "texts: together they have 9 characters, at most 8 are allowed"
    with pytest.raises(InvalidRequestError, match=expected):
        read("One.", "Two. ", max_document_characters=8)
