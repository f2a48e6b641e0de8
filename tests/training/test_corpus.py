from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from training import corpus
from training.config import DataConfig
from training.corpus import (
    MULTI30K_SHA256,
    CorpusError,
    generate_numbers,
    load_corpus,
    multi30k_file,
    read_files,
    read_lines,
)

NAME = "val.en.gz"
CONTENT = gzip.compress(b"A dog.\nA cat.\n")


def data(**fields: object) -> DataConfig:
    return DataConfig(**{"corpora": ("numbers",), "validation": "numbers", **fields})


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(name: str, **fields: object) -> str:
    with pytest.raises(CorpusError) as caught:
        load_corpus(name, data(**fields), "train")
    return str(caught.value)


# Files


def test_two_files_are_aligned_line_by_line(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "one\ntwo\n")
    target = write(tmp_path / "a.de", "eins\r\nzwei")  # another line end, and none at the end
    text = load_corpus(f"files:{source},{target}", data(), "train")
    assert (text.source, text.target) == (["one", "two"], ["eins", "zwei"])
    assert (len(text), text.num_dropped) == (2, 0)


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


def test_pairs_with_an_empty_side_are_dropped_counted_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.en", "one\n\nthree\n  \nfive\n")
    target = write(tmp_path / "a.de", "eins\nzwei\n \nvier\nfünf\n")
    text = read_files("pairs", source, target)
    assert (text.source, text.target) == (["one", "five"], ["eins", "fünf"])
    assert text.num_dropped == 3
    assert capsys.readouterr().err == "pairs: dropped 3 pairs with an empty side\n"


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_corpus_without_any_pair_is_refused(tmp_path: Path, content: str) -> None:
    path = write(tmp_path / "empty", content)
    assert "no pair has text on both sides" in refused(f"files:{path},{path}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.tsv") in refused(f"tsv:{tmp_path / 'none.tsv'}")


def test_gzipped_lines_are_read_like_plain_ones(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path / "a.gz", CONTENT)) == ["A dog.", "A cat."]


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
    assert (text.source, text.target) == (["one", "two"], ["eins", "zwei"])


def test_a_tsv_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "one\teins\ntwo zwei\n")
    assert refused(f"tsv:{path}") == f"{path}, line 2: no tab between source and target"


# Names


def test_an_unknown_corpus_says_what_there_is() -> None:
    assert refused("multi31k").startswith("unknown corpus 'multi31k': it is multi30k, numbers")


def test_one_file_where_two_are_needed_is_refused() -> None:
    assert "two files are needed" in refused("files:only.en")


# Multi30k


@pytest.fixture
def known_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes CONTENT the right content of NAME."""
    monkeypatch.setitem(MULTI30K_SHA256, NAME, hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.usefixtures("known_file")
def test_multi30k_is_read_from_a_local_folder(tmp_path: Path) -> None:
    write(tmp_path / NAME, CONTENT)
    assert read_lines(multi30k_file(NAME, str(tmp_path))) == ["A dog.", "A cat."]


@pytest.mark.usefixtures("known_file")
def test_multi30k_pairs_the_files_of_both_languages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    german = gzip.compress(b"Ein Hund.\nEine Katze.\n")
    monkeypatch.setitem(MULTI30K_SHA256, "val.de.gz", hashlib.sha256(german).hexdigest())
    write(tmp_path / NAME, CONTENT)
    write(tmp_path / "val.de.gz", german)
    text = load_corpus("multi30k", data(root=str(tmp_path)), "val")
    assert next(zip(text.source, text.target, strict=True)) == ("A dog.", "Ein Hund.")


def test_a_local_file_with_another_hash_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / NAME, CONTENT)
    with pytest.raises(CorpusError) as caught:
        multi30k_file(NAME, str(tmp_path))
    found = hashlib.sha256(CONTENT).hexdigest()
    assert str(caught.value) == f"{path}: SHA-256 is {found}, expected {MULTI30K_SHA256[NAME]}"


def test_a_file_that_the_local_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No such file") as caught:
        multi30k_file(NAME, str(tmp_path))
    assert str(tmp_path / NAME) in str(caught.value)


def test_a_file_that_multi30k_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"Multi30k has no file val\.it\.gz: it has .*val\.en"):
        multi30k_file("val.it.gz", str(tmp_path))


class Web:
    """A server on the loopback interface that answers everything with `body`."""

    def __init__(self) -> None:
        self.status, self.body, self.length = 200, CONTENT, len(CONTENT)
        self.paths: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.paths.append(self.path)
                self.send_response(web.status)
                self.send_header("Content-Length", str(web.length))
                self.end_headers()
                self.wfile.write(web.body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/raw/"


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Web]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    web = Web()
    thread = threading.Thread(target=web.server.serve_forever, args=(0.01,))
    thread.start()
    yield web
    web.server.shutdown()
    thread.join()
    web.server.server_close()


@pytest.mark.usefixtures("known_file")
def test_a_file_is_fetched_once_into_the_users_cache(web: Web, tmp_path: Path) -> None:
    path = multi30k_file(NAME, url=web.url)
    assert path == tmp_path / "attendant" / "multi30k" / NAME
    assert path.read_bytes() == CONTENT
    assert multi30k_file(NAME, url=web.url) == path
    assert web.paths == [f"/raw/{NAME}"]
    assert [p.name for p in path.parent.iterdir()] == [NAME]


def fetch_fails(web: Web, cache: Path) -> str:
    with pytest.raises(CorpusError) as caught:
        multi30k_file(NAME, url=web.url)
    assert [path for path in cache.rglob("*") if path.is_file()] == []
    return str(caught.value)


def test_a_fetched_file_with_another_hash_is_refused_and_not_kept(web: Web, tmp_path: Path) -> None:
    message = fetch_fails(web, tmp_path)
    assert message.startswith(f"{web.url}{NAME}: SHA-256 is ")
    assert MULTI30K_SHA256[NAME] in message


@pytest.mark.usefixtures("known_file")
def test_an_error_of_the_web_server_leaves_nothing(web: Web, tmp_path: Path) -> None:
    web.status = 404
    message = fetch_fails(web, tmp_path)
    assert "404" in message
    assert "data.root" in message


@pytest.mark.usefixtures("known_file")
def test_a_connection_cut_short_leaves_nothing(web: Web, tmp_path: Path) -> None:
    web.length = len(CONTENT) + 100
    assert f"{web.url}{NAME}" in fetch_fails(web, tmp_path)


@pytest.mark.usefixtures("known_file")
def test_a_damaged_file_in_the_cache_is_named(web: Web, tmp_path: Path) -> None:
    path = multi30k_file(NAME, url=web.url)
    write(path, b"damaged")
    with pytest.raises(CorpusError, match="SHA-256 is") as caught:
        multi30k_file(NAME, url=web.url)
    assert str(path) in str(caught.value)


# Generated text


def test_validation_numbers_are_unseen_in_training() -> None:
    train, validation = (generate_numbers(("en", "de"), part) for part in ("train", "val"))
    assert not {*train.source} & {*validation.source}
    assert (len(train), len(validation)) == (9_500, corpus.NUMBERS_HELD_OUT)
    assert len({*train.source, *validation.source}) == corpus.NUMBERS_LIMIT


def test_numbers_are_spelled_out_in_both_languages() -> None:
    text = generate_numbers(("en", "de"), "train")
    pairs = dict(zip(text.source, text.target, strict=True))
    assert pairs["forty-two"] == "zweiundvierzig"


def test_numbers_come_in_the_same_order_each_time() -> None:
    assert generate_numbers(("en", "de"), "val") == generate_numbers(("en", "de"), "val")


def test_numbers_in_an_unknown_language_are_refused() -> None:
    message = refused("numbers", languages=("en", "xx"), directions=("en-xx",))
    assert "'xx'" in message
