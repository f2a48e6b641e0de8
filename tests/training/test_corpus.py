from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.training.tiny import data_config as data
from tests.training.tiny import write
from training.aligned import CorpusError
from training.corpus import load_corpus, read_lines
from training.hygiene import clean

CONTENT = gzip.compress(b"A dog.\nA cat.\n")


def refused(name: str, **fields: object) -> str:
    with pytest.raises(CorpusError) as caught:
        load_corpus(name, data(**fields), "train")
    return str(caught.value)


# Files


def test_two_files_are_aligned_line_by_line(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "one\ntwo\n")
    target = write(tmp_path / "a.de", "eins\r\nzwei")  # another line end, and none at the end
    text = load_corpus(f"files:{source},{target}", data(), "train")
    assert text.sides == {"en": ["one", "two"], "de": ["eins", "zwei"]}
    assert (len(text), text.direction) == (2, None)


def test_unequal_line_counts_name_both_files_and_the_first_line_without_a_partner(
    tmp_path: Path,
) -> None:
    source, target = write(tmp_path / "a.en", "one\ntwo\nthree\n"), write(tmp_path / "a.de", "x\n")
    message = refused(f"files:{source},{target}")
    assert message == f"{source} has 3 lines, {target} has 1: line 2 has no partner"


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_undecodable_bytes_name_file_and_line(tmp_path: Path, suffix: str) -> None:
    raw = b"good\ngood\nb\xe4d\n"
    path = write(tmp_path / f"a.en{suffix}", gzip.compress(raw) if suffix else raw)
    with pytest.raises(CorpusError, match=r"line 3: not UTF-8") as caught:
        read_lines(path)
    assert str(path) in str(caught.value)


def test_an_empty_file_has_no_line(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path / "empty", "")) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.tsv") in refused(f"tsv:{tmp_path / 'none.tsv'}")


def test_gzipped_lines_are_read_like_plain_ones(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path / "a.gz", gzip.compress(b"A dog.\nA cat.\n"))) == [
        "A dog.",
        "A cat.",
    ]


@pytest.mark.parametrize(
    "content",
    [b"no gzip at all", CONTENT[:-9], CONTENT[:10] + b"\xff" * 4 + CONTENT[14:], CONTENT[:5]],
    ids=["foreign", "torn", "overwritten", "only-a-header"],
)
def test_a_damaged_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "bad.gz", content)
    with pytest.raises(CorpusError) as caught:
        read_lines(path)
    assert str(path) in str(caught.value)


def test_unicode_line_separators_are_part_of_a_line(tmp_path: Path) -> None:
    assert len(read_lines(write(tmp_path / "a", "one\u2028still one\x85and still\ntwo\n"))) == 2


# TSV


def test_tsv_columns_are_source_and_target_and_the_rest_is_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\teins\tCC BY\ntwo\tzwei\n")
    text = load_corpus(f"tsv:{path}", data(), "train")
    assert text.sides == {"en": ["one", "two"], "de": ["eins", "zwei"]}


def test_a_tsv_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\teins\ntwo zwei\n")
    assert refused(f"tsv:{path}") == f"{path}, line 2: 1 columns between tabs, expected 2 (en, de)"


# Names


def test_an_unknown_corpus_says_what_there_is() -> None:
    assert refused("multi31k").startswith("unknown corpus 'multi31k': it is multi30k, numbers")


def test_another_number_of_files_than_languages_is_refused() -> None:
    assert refused("files:only.en") == "files:only.en: 1 files for 2 languages (en, de)"


# Languages


def test_a_corpus_may_have_some_of_the_recipes_languages(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "un\teins\n")
    text = load_corpus(f"tsv@fr,de:{path}", data(languages=("en", "de", "fr")), "train")
    assert text.sides == {"fr": ["un"], "de": ["eins"]}
    assert text.direction is None


def test_a_corpus_may_serve_one_direction(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\teins\n")
    text = load_corpus(f"tsv@en-de:{path}", data(), "train")
    assert (text.sides, text.direction) == ({"en": ["one"], "de": ["eins"]}, ("en", "de"))


def test_a_corpus_may_come_several_times_an_epoch(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\teins\n")
    text = load_corpus(f"tsv@en-de:{path}*3", data(), "train")
    assert (text.times, text.direction, len(text)) == (3, ("en", "de"), 1)
    assert (text.first(1).times, clean(text, data())[0].times) == (3, 3)
    assert load_corpus(f"tsv:{path}", data(), "train").times == 1


@pytest.mark.parametrize("times", ["", "0", "-1", "x", "1.5"])
def test_a_corpus_that_comes_no_number_of_times_is_refused(times: str) -> None:
    message = refused(f"multi30k*{times}")
    assert message == f"multi30k*{times}: what is behind * is how often an epoch has it, 1 or more"


def test_text_has_one_language(tmp_path: Path) -> None:
    path = write(tmp_path / "a.de", "eins\nzwei\n")
    assert load_corpus(f"text@de:{path}", data(), "train").sides == {"de": ["eins", "zwei"]}


def test_a_language_that_the_recipe_lacks_is_refused() -> None:
    message = refused("tsv@en,fr:a.tsv")
    assert message == "tsv@en,fr:a.tsv: 'fr' is none of data.languages (en, de)"


def test_all_languages_are_generated_at_once() -> None:
    text = load_corpus("dates", data(languages=("en", "de", "fr", "cs")), "val")
    assert list(text.sides) == ["en", "de", "fr", "cs"]
