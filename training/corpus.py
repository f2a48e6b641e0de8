"""Where parallel text comes from: local files, TSV, Multi30k by name, or generated. Knows nothing
of tokens.

Reading is strict about what cannot be right (undecodable bytes, unequal line counts: an error with
file and line)
and drops, with a count, what is merely useless (a pair with an empty side).
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import random
import sys
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from training.config import DataConfig

MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
"""The data set's public repository (Elliott et al. 2016)."""

MULTI30K_SHA256 = {
    "test_2016_flickr.cs.gz": "200a4a74cc9560f051924abb9803be008d1908d77f747e9141aeb86dfd2797f1",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "train.cs.gz": "a65adb8b32e3bc664f21ecba7a6e7f6950fd1f405e135f7c312faabdb6255077",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.cs.gz": "b63226e05c4bd5dd6a42897d74b86a1b9d2c31498252c572b1ea7f7996927fcc",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
}
"""Of every file this project reads; a file that differs is refused."""

NUMBERS_LIMIT = 10_000
NUMBERS_HELD_OUT = 500
"""The generated corpus holds the numbers below the limit; this many of them are kept for
validation.
"""


class CorpusError(ValueError):
    """Text that cannot be used; the message names the file and the line."""


@dataclass(frozen=True)
class ParallelText:
    """Aligned sentences: `source[i]` and `target[i]` say the same in the config's two languages."""

    name: str
    source: list[str]
    target: list[str]
    num_dropped: int = 0
    """Pairs left out because a side was empty."""

    def __len__(self) -> int:
        return len(self.source)


def load_corpus(name: str, data: DataConfig, part: str) -> ParallelText:
    """The corpus `name` (see DataConfig.corpora); `part` is `train` or `val` where it has both.

    Raises CorpusError.
    """
    kind, _, argument = name.partition(":")
    if kind == "multi30k":
        return _load_multi30k(data, part)
    if kind == "numbers":
        return generate_numbers(data.languages, part)
    if kind == "tsv":
        return _drop_empty(name, *_read_tsv(Path(argument)))
    if kind == "files":
        source, comma, target = argument.partition(",")
        if not comma:
            raise CorpusError(f"{name}: two files are needed, files:SOURCE_FILE,TARGET_FILE")
        return read_files(name, Path(source), Path(target))
    raise CorpusError(
        f"unknown corpus {name!r}: it is multi30k, numbers, tsv:FILE or files:SOURCE,TARGET"
    )


def read_files(name: str, source: Path, target: Path) -> ParallelText:
    """Two files aligned line by line. Raises CorpusError for unequal line counts or undecodable
    bytes.
    """
    source_lines, target_lines = read_lines(source), read_lines(target)
    if len(source_lines) != len(target_lines):
        raise CorpusError(
            f"{source} has {len(source_lines)} lines, {target} has {len(target_lines)}: "
            f"line {min(len(source_lines), len(target_lines)) + 1} has no partner"
        )
    return _drop_empty(name, source_lines, target_lines)


def read_lines(path: Path) -> list[str]:
    """Lines of a UTF-8 file, plain or gzipped, without their ends. Raises CorpusError with file and
    line.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"{path}: {error}") from error
    lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
    return [_decode(path, number, line) for number, line in enumerate(lines, start=1)]


def _decode(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8").rstrip("\r")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start})"
        ) from error


def _read_tsv(path: Path) -> tuple[list[str], list[str]]:
    source, target = [], []
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise CorpusError(f"{path}, line {number}: no tab between source and target")
        source.append(columns[0])
        target.append(columns[1])
    return source, target


def _drop_empty(name: str, source: list[str], target: list[str]) -> ParallelText:
    kept = [
        (s.strip(), t.strip())
        for s, t in zip(source, target, strict=True)
        if s.strip() and t.strip()
    ]
    if not kept:
        raise CorpusError(f"{name}: no pair has text on both sides")
    num_dropped = len(source) - len(kept)
    if num_dropped:
        print(f"{name}: dropped {num_dropped} pairs with an empty side", file=sys.stderr)
    return ParallelText(name, [s for s, _ in kept], [t for _, t in kept], num_dropped)


def _load_multi30k(data: DataConfig, part: str) -> ParallelText:
    stem = {"train": "train", "val": "val", "test": "test_2016_flickr"}[part]
    files = [multi30k_file(f"{stem}.{language}.gz", data.root) for language in data.languages]
    return read_files(f"multi30k ({part})", *files)


def multi30k_file(name: str, root: str = "", url: str = MULTI30K_URL) -> Path:
    """The checked file `name` of Multi30k: from the folder `root`, or fetched from `url` into the
    user's cache.

    Raises CorpusError if the file is unknown, missing, cannot be fetched, or has another SHA-256.
    """
    if name not in MULTI30K_SHA256:
        raise CorpusError(
            f"Multi30k has no file {name}: it has {', '.join(sorted(MULTI30K_SHA256))}"
        )
    path = Path(root) / name if root else _cache_folder() / name
    if not path.exists() and not root:
        _fetch(url + name, path, MULTI30K_SHA256[name])
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from error
    if found != MULTI30K_SHA256[name]:
        raise CorpusError(f"{path}: SHA-256 is {found}, expected {MULTI30K_SHA256[name]}")
    return path


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "attendant" / "multi30k"


def _fetch(url: str, path: Path, sha256: str) -> None:
    """Fetches `url` to `path`; nothing is left there unless its hash is right."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise CorpusError(
            f"{url}: {error}. Set data.root to a folder that has the files"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorpusError(f"{url}: SHA-256 is {found}, expected {sha256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def generate_numbers(languages: tuple[str, str], part: str) -> ParallelText:
    """Numbers below 10,000 spelled out in two languages by num2words; `val` holds numbers unseen in
    `train`. Raises CorpusError for a language that it lacks.
    """
    from num2words import num2words

    numbers = list(range(NUMBERS_LIMIT))
    random.Random(NUMBERS_LIMIT).shuffle(numbers)
    chosen = numbers[NUMBERS_HELD_OUT:] if part == "train" else numbers[:NUMBERS_HELD_OUT]
    try:
        source, target = ([str(num2words(n, lang=lang)) for n in chosen] for lang in languages)
    except NotImplementedError as error:
        raise CorpusError(f"numbers: num2words lacks one of the languages {languages}") from error
    return ParallelText(f"numbers ({part})", source, target)
