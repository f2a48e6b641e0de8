"""Where text comes from: local files, TSV, Multi30k by name, or generated. Knows nothing of
tokens.

A corpus is named `KIND[@LANGUAGES][:FILES][*N]`: `multi30k`, `numbers`, `tsv:FILE`,
`tsv@en,de:FILE*3`, `files:FILE,FILE`, `text@de:FILE`. Without languages it has those of the recipe,
in their order; `@en-de` means that its pairs serve that direction only, `*3` that an epoch has it
three times.

Reading is strict about what cannot be right: undecodable bytes and unequal line counts are an
error with file and line.
"""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from pathlib import Path

from training import generated
from training.aligned import AlignedText, CorpusError
from training.config import DataConfig
from training.multi30k import multi30k_file

KINDS = "multi30k, " + ", ".join(generated.KINDS) + ", tsv:FILE, files:FILE,FILE or text:FILE"


def load_corpus(name: str, data: DataConfig, part: str) -> AlignedText:
    """The corpus `name` (see DataConfig.corpora); `part` is `train` or `val` where it has both.

    Raises CorpusError.
    """
    name, star, times = name.partition("*")
    if star and not (times.isdecimal() and int(times) > 0):
        raise CorpusError(
            f"{name}*{times}: what is behind * is how often an epoch has it, 1 or more"
        )
    head, _, files = name.partition(":")
    kind, at, listed = head.partition("@")
    languages = tuple(listed.replace("-", ",").split(",")) if at else data.languages
    text = _load(name, kind, files, _known(name, languages, data), part, data.root)
    source, _, target = listed.partition("-")
    direction = (source, target) if target else None
    return dataclasses.replace(text, direction=direction, times=int(times or 1))


def _known(name: str, languages: tuple[str, ...], data: DataConfig) -> tuple[str, ...]:
    for language in languages:
        if language not in data.languages:
            known = ", ".join(data.languages)
            raise CorpusError(f"{name}: {language!r} is none of data.languages ({known})")
    return languages


def _load(
    name: str, kind: str, files: str, languages: tuple[str, ...], part: str, root: str
) -> AlignedText:
    if kind == "multi30k":
        return _load_multi30k(root, languages, part)
    if kind in generated.KINDS:
        return generated.generate(kind, languages, part)
    if kind == "tsv":
        return read_tsv(name, Path(files), languages)
    if kind in ("files", "text"):
        return read_files(name, [Path(file) for file in files.split(",")], languages)
    raise CorpusError(f"unknown corpus {name!r}: it is {KINDS}")


def read_files(name: str, paths: list[Path], languages: tuple[str, ...]) -> AlignedText:
    """One file a language, aligned line by line. Raises CorpusError for another number of files,
    unequal line counts or undecodable bytes.
    """
    if len(paths) != len(languages):
        raise CorpusError(
            f"{name}: {len(paths)} files for {len(languages)} languages ({', '.join(languages)})"
        )
    sides = [read_lines(path) for path in paths]
    for path, side in zip(paths, sides, strict=True):
        if len(side) != len(sides[0]):
            raise CorpusError(
                f"{paths[0]} has {len(sides[0])} lines, {path} has {len(side)}: "
                f"line {min(len(sides[0]), len(side)) + 1} has no partner"
            )
    return AlignedText(name, dict(zip(languages, sides, strict=True)))


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


def read_tsv(name: str, path: Path, languages: tuple[str, ...]) -> AlignedText:
    """A column a language; further columns are left alone. Raises CorpusError for a line with
    too few.
    """
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) < len(languages):
            raise CorpusError(
                f"{path}, line {number}: {len(columns)} columns between tabs, expected "
                f"{len(languages)} ({', '.join(languages)})"
            )
        rows.append(columns)
    return AlignedText(name, {lang: [row[i] for row in rows] for i, lang in enumerate(languages)})


def _load_multi30k(root: str, languages: tuple[str, ...], part: str) -> AlignedText:
    stem = {"train": "train", "val": "val", "test": "test_2016_flickr"}[part]
    files = [multi30k_file(f"{stem}.{language}.gz", root) for language in languages]
    return read_files(f"multi30k ({part})", files, languages)
