"""Text to ids, ids to text, and where each token lies: on the bundled model's vocabulary, which has
bytes, and on the tiny one's, which has not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.bundled import PACKAGE as BUNDLED
from server.errors import PackageError
from server.package import TOKENIZER_FILE, SpecialIds, open_package
from server.text.tokenizer import TokenizedText, Tokenizer

FIRST_BYTE = 8
"""The id of <0x00>, after the special tokens and a tag for each language."""
LAST = 7999


def load(folder: Path) -> Tokenizer:
    package = open_package(folder)
    return Tokenizer(package.read_file(TOKENIZER_FILE), package.manifest.special_ids)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load(BUNDLED)


@pytest.fixture(scope="module")
def tiny(numbers_package: Path) -> Tokenizer:
    return load(numbers_package)


characters = st.characters(exclude_categories=["Cs", "Cc"])
texts = st.text(characters, max_size=25) | st.text("ab \u2581🐕日é\u0301", max_size=12)
byte_ids = st.integers(FIRST_BYTE, FIRST_BYTE + 255)
ids = st.lists(st.integers(3, LAST) | byte_ids, max_size=20) | st.lists(byte_ids, max_size=12)


@given(text=texts)
def test_a_source_is_located_token_by_token(tokenizer: Tokenizer, text: str) -> None:
    token_ids = tokenizer.encode(text, "de")
    located = tokenizer.locate_source(text, "de")
    assert located.pieces == [tokenizer.piece(token) for token in token_ids]
    assert (located.text, len(located.spans)) == (text, len(token_ids))
    check_spans(located)


@given(text=texts)
def test_a_source_without_bytes_in_its_vocabulary_is_located_too(
    tiny: Tokenizer, text: str
) -> None:
    located = tiny.locate_source(text, "de")
    assert len(located.pieces) == len(located.spans) == len(tiny.encode(text, "de"))
    check_spans(located)


@given(token_ids=ids)
def test_a_target_is_located_token_by_token(tokenizer: Tokenizer, token_ids: list[int]) -> None:
    located = tokenizer.locate_target(token_ids)
    assert located.text == tokenizer.decode(token_ids)
    assert located.pieces == [tokenizer.piece(token) for token in token_ids]
    check_spans(located)


def check_spans(located: TokenizedText) -> None:
    """They lie in the text, in order, and none reaches into the next."""
    assert len(located.spans) == len(located.pieces)
    ends = [0, *(end for _, end in located.spans)]
    assert all(
        before <= begin <= end <= len(located.text)
        for before, (begin, end) in zip(ends, located.spans, strict=False)
    )


def test_spans_count_characters_of_the_text_as_it_was_given(tokenizer: Tokenizer) -> None:
    text = "  A 🐕  dog"
    located = tokenizer.locate_source(text, "de")
    found = {p: text[b:e] for p, (b, e) in zip(located.pieces, located.spans, strict=True)}
    assert found["▁A"] == "A"
    assert found["<0x95>"] == "🐕"  # its last byte
    assert found["<0xF0>"] == ""
    assert found["▁dog"] == "  dog"
    assert located.spans[0] == (0, 0)
    assert located.spans[-1] == (len(text), len(text))


def test_tokens_of_a_target_tile_its_text(tokenizer: Tokenizer) -> None:
    token_ids = tokenizer.encode_target("Ein Hund, 🐕 und 日本.")
    located = tokenizer.locate_target(token_ids)
    assert "".join(located.text[begin:end] for begin, end in located.spans) == located.text


@given(token_ids=ids, num_more=st.integers(0, 20))
def test_whole_text_never_changes_as_tokens_come(
    tokenizer: Tokenizer, token_ids: list[int], num_more: int
) -> None:
    begun = token_ids[: len(token_ids) - num_more]
    assert tokenizer.decode(token_ids).startswith(tokenizer.decode_whole(begun))


@given(text=texts)
def test_whole_text_holds_no_broken_character(tokenizer: Tokenizer, text: str) -> None:
    token_ids = tokenizer.encode_target(text)
    whole = tokenizer.decode(token_ids)
    for end in range(len(token_ids) + 1):
        begun = tokenizer.decode_whole(token_ids[:end])
        assert whole.startswith(begun)
    assert begun == whole


@given(token_ids=ids, last=st.integers(FIRST_BYTE + 256, LAST))
def test_nothing_is_held_back_once_the_bytes_are_over(
    tokenizer: Tokenizer, token_ids: list[int], last: int
) -> None:
    ended = [*token_ids, last]
    assert tokenizer.decode_whole(ended) == tokenizer.decode(ended)


@pytest.mark.parametrize("character", ["é", "日", "🐕"])
def test_a_character_is_whole_with_its_last_byte(tokenizer: Tokenizer, character: str) -> None:
    token_ids = [FIRST_BYTE + byte for byte in character.encode()]
    for end in range(1, len(token_ids)):
        assert tokenizer.decode_whole(token_ids[:end]) == ""
    assert tokenizer.decode_whole(token_ids) == character


def test_a_piece_is_found_by_its_name(tokenizer: Tokenizer) -> None:
    for token in (3, FIRST_BYTE, 300, LAST):  # unknown, a byte, the space, the last
        assert tokenizer.find(tokenizer.piece(token)) == token


@pytest.mark.parametrize("piece", ["", "no such piece", "<pad>", "<s>", "</s>", "<2de>", "<2en>"])
def test_what_text_cannot_consist_of_is_not_found(tokenizer: Tokenizer, piece: str) -> None:
    assert tokenizer.find(piece) is None


def test_the_beginning_of_a_target_has_no_tag_and_no_end(tokenizer: Tokenizer) -> None:
    tag, *rest, end = tokenizer.encode("Ein Hund", "de")
    assert tokenizer.encode_target("Ein Hund") == rest
    assert (tokenizer.piece(tag), tokenizer.piece(end)) == ("<2de>", "</s>")
    assert tokenizer.encode_target("") == tokenizer.encode_target("  ") == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"garbage" * 100, "no SentencePiece model"),
        (b"\x0a\xff\xff\xff\xff\x0f", "no SentencePiece model"),
        (bytes(1000), "no SentencePiece model"),
    ],
)
def test_what_is_no_tokenizer_is_refused(content: bytes, problem: str) -> None:
    ids = SpecialIds(pad=0, bos=1, eos=2, unk=3, language_tags={})
    with pytest.raises(PackageError, match=f"^tokenizer.model: {problem}"):
        Tokenizer(content, ids)


def test_special_ids_that_the_tokenizer_has_not_are_refused() -> None:
    package = open_package(BUNDLED)
    ids = replace(package.manifest.special_ids, language_tags={"de": 10**6})
    message = r"^tokenizer.model: it has \d+ pieces, and the id of de is 1000000$"
    with pytest.raises(PackageError, match=message):
        Tokenizer(package.read_file(TOKENIZER_FILE), ids)
