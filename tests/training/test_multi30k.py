from __future__ import annotations

import gzip
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.training.tiny import data_config as data
from tests.training.tiny import write
from training.aligned import CorpusError
from training.corpus import load_corpus, read_lines
from training.multi30k import MULTI30K_SHA256, multi30k_file

NAME = "val.en.gz"
CONTENT = gzip.compress(b"A dog.\nA cat.\n")


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
    assert text.sides == {"en": ["A dog.", "A cat."], "de": ["Ein Hund.", "Eine Katze."]}


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
