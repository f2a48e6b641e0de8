from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.tiny import SENTENCES, make_tokenizer
from training.config import BOS_ID, EOS_ID, PAD_ID, UNK_ID, ConfigError, DataConfig
from training.tokenizer import Tokenizer, language_tag, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")


def ordinary(text: str) -> str:
    """As SentencePiece normalises it: NFKC, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


letters = st.characters(categories=["L", "Nd", "Po", "Sc"], exclude_characters="\u2581\u0e33\u0eb3")
texts = st.lists(st.text(letters, min_size=1, max_size=8), max_size=6).map(" ".join).map(ordinary)


def test_special_tokens_have_the_ids_of_the_config(tokenizer: Tokenizer) -> None:
    names = {"<pad>": PAD_ID, "<s>": BOS_ID, "</s>": EOS_ID, "<unk>": UNK_ID}
    assert {name: tokenizer.piece_id(name) for name in names} == names


def test_a_source_is_tag_pieces_end(tokenizer: Tokenizer) -> None:
    tag, *pieces, end = tokenizer.encode_source("a dog runs", "de")
    assert tag == tokenizer.piece_id(language_tag("de"))
    assert end == EOS_ID
    assert tokenizer.decode(pieces) == "a dog runs"


def test_a_target_is_beginning_pieces_end(tokenizer: Tokenizer) -> None:
    beginning, *pieces, end = tokenizer.encode_target("ein Hund rennt")
    assert (beginning, end) == (BOS_ID, EOS_ID)
    assert tokenizer.decode(pieces) == "ein Hund rennt"


def test_every_language_has_a_tag_of_its_own(tokenizer: Tokenizer) -> None:
    tags = {tokenizer.piece_id(language_tag(language)) for language in ("en", "de")}
    assert len(tags) == 2
    assert not tags & {PAD_ID, BOS_ID, EOS_ID, UNK_ID}


@pytest.mark.parametrize("spelling", ["<2de>", " <2en> ", "<s>", "</s>", "<pad>", "a<2de>b"])
def test_text_cannot_spell_a_control_symbol(tokenizer: Tokenizer, spelling: str) -> None:
    control = {PAD_ID, BOS_ID, EOS_ID, *(tokenizer.piece_id(language_tag(x)) for x in ("en", "de"))}
    pieces = tokenizer.encode_source(spelling, "de")[1:-1]
    assert not control & {*pieces}
    assert tokenizer.decode(pieces) == spelling.strip()


def test_control_symbols_have_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode_source("a dog", "de")) == "a dog"


@given(text=texts)
def test_text_survives_the_round_trip(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode_target(text)) == text


def test_characters_never_seen_become_bytes(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_target("日本 🐕")
    assert UNK_ID not in ids
    assert tokenizer.decode(ids) == "日本 🐕"


def test_without_byte_fallback_they_become_the_unknown_token(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(tmp_path / "tokenizer.model", is_byte_fallback=False)
    assert UNK_ID in tokenizer.encode_target("日本")


def test_the_same_text_trains_the_same_tokenizer(tmp_path: Path) -> None:
    first, second = tmp_path / "first.model", tmp_path / "second.model"
    make_tokenizer(first)
    make_tokenizer(second)
    assert first.read_bytes() == second.read_bytes()


def test_a_vocabulary_too_small_for_the_characters_is_named(tmp_path: Path) -> None:
    data = DataConfig(corpora=("numbers",), validation="numbers", vocabulary_size=20)
    with pytest.raises(ConfigError, match=r"data\.vocabulary_size is 20"):
        train_tokenizer([pair[0] for pair in SENTENCES], data, tmp_path / "tokenizer.model")
    assert not (tmp_path / "tokenizer.model").exists()
