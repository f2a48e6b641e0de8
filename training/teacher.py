"""Sequence-level distillation (Kim and Rush 2016): a teacher, or an ensemble, translates the
training text, and a student learns from its translations. They are simpler and more regular than
people's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from training.beam import beam_search
from training.checkpoint import CheckpointError, write_atomically
from training.model import Transformer
from training.tokenizer import Tokenizer

BATCH_SENTENCES = 64


def translate_all(
    models: Sequence[Transformer],
    tokenizer: Tokenizer,
    texts: Sequence[str],
    target_language: str,
    beam_size: int,
    advance: Callable[[int], object] = lambda _count: None,
) -> list[str]:
    """The best translation of each of `texts`, by beam search, batched by length."""
    sources = [tokenizer.encode_source(text, target_language) for text in texts]
    limit = models[0].config.max_length
    order = sorted(range(len(texts)), key=lambda i: len(sources[i]))
    results = [""] * len(texts)
    for start in range(0, len(order), BATCH_SENTENCES):
        chunk = order[start : start + BATCH_SENTENCES]
        found = beam_search(models, [sources[i][:limit] for i in chunk], beam_size)
        for i, ids in zip(chunk, found, strict=True):
            results[i] = tokenizer.decode(ids)
        advance(len(chunk))
    return results


def write_tsv(path: Path, sources: Sequence[str], translations: Sequence[str]) -> None:
    """A line a pair, the source first: a corpus for `tsv@SOURCE-TARGET:FILE`. Raises
    CheckpointError where it cannot be written.
    """
    rows = zip(sources, translations, strict=True)
    lines = [f"{_in_a_cell(source)}\t{_in_a_cell(target)}\n" for source, target in rows]
    write_atomically(path, "".join(lines).encode())


def _in_a_cell(text: str) -> str:
    return " ".join(text.replace("\t", " ").splitlines())


def require_same_vocabulary(tokenizers: Sequence[Path]) -> None:
    """Raises CheckpointError where the models of an ensemble have different tokenizers."""
    contents = [path.read_bytes() for path in tokenizers]
    for path, content in zip(tokenizers, contents, strict=True):
        if content != contents[0]:
            raise CheckpointError(
                f"{path} differs from {tokenizers[0]}: an ensemble shares one tokenizer"
            )
