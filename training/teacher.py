"""Sequence-level distillation (Kim and Rush 2016): a teacher, or an ensemble, translates the
training text, and a student learns from its translations. They are simpler and more regular than
people's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from sacrebleu.metrics import BLEU

from training.beam import beam_candidates, beam_search
from training.checkpoint import CheckpointError, write_atomically
from training.evaluate import in_batches
from training.model import Transformer
from training.tokenizer import Tokenizer


def translate_all(
    models: Sequence[Transformer],
    tokenizer: Tokenizer,
    texts: Sequence[str],
    target_language: str,
    beam_size: int,
    advance: Callable[[int], object] = lambda _count: None,
) -> list[str]:
    """The best translation of each of `texts`, by beam search; a text over the model's limit of
    tokens is read as far as that.
    """
    limit = models[0].config.max_length
    sources = [tokenizer.encode_source(text, target_language)[:limit] for text in texts]
    found = in_batches(lambda batch: beam_search(models, batch, beam_size), sources, advance)
    return [tokenizer.decode(ids) for ids in found]


def translate_nearest(
    models: Sequence[Transformer],
    tokenizer: Tokenizer,
    texts: Sequence[str],
    references: Sequence[str],
    target_language: str,
    beam_size: int,
    advance: Callable[[int], object] = lambda _count: None,
) -> list[str]:
    """Of the beam's translations of each of `texts` the one nearest to its reference by sentence
    BLEU (section 3.3 of the paper, sequence-level interpolation); else as `translate_all`.
    """
    limit = models[0].config.max_length
    sources = [tokenizer.encode_source(text, target_language)[:limit] for text in texts]
    found = in_batches(lambda batch: beam_candidates(models, batch, beam_size), sources, advance)
    bleu = BLEU(effective_order=True)
    nearest = []
    for candidates, reference in zip(found, references, strict=True):
        decoded = [tokenizer.decode(ids) for ids in candidates]
        nearest.append(max(decoded, key=lambda text: bleu.sentence_score(text, [reference]).score))
    return nearest


def write_tsv(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """A line a pair, the source first: a corpus for `tsv@SOURCE-TARGET:FILE`. Raises
    CheckpointError where it cannot be written.
    """
    lines = [f"{_in_a_cell(source)}\t{_in_a_cell(target)}\n" for source, target in rows]
    write_atomically(path, "".join(lines).encode())


def _in_a_cell(text: str) -> str:
    return " ".join(text.replace("\t", " ").splitlines())


def require_same_vocabulary(tokenizers: Sequence[Path]) -> None:
    """Raises CheckpointError where a tokenizer cannot be read, or one differs from the others."""
    try:
        contents = [path.read_bytes() for path in tokenizers]
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {error.strerror}") from error
    for path, content in zip(tokenizers, contents, strict=True):
        if content != contents[0]:
            raise CheckpointError(
                f"{path} differs from {tokenizers[0]}: an ensemble shares one tokenizer"
            )
