"""More sources for the same targets: what other languages say of a row, translated into the source
language by a model, beside the row's true translation (after Sennrich et al. 2016, from all
languages of an aligned row).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from training.aligned import AlignedText
from training.evaluate import in_batches
from training.model import Transformer
from training.search import sample_search
from training.tokenizer import Tokenizer

TEMPERATURE, TOP_P = 0.7, 0.95
"""Sampled, for the most probable translation of a sentence is one text and these are to be many."""


def paraphrase(
    text: AlignedText,
    direction: str,
    model: Transformer,
    tokenizer: Tokenizer,
    seed: int,
    advance: Callable[[int], object] = lambda _count: None,
) -> list[tuple[str, str]]:
    """Pairs of source and target for `direction`, such as "en-de": one of each row from every
    language of `text` but the source's own.
    """
    source_language, _, target_language = direction.partition("-")
    generator = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    pairs: list[tuple[str, str]] = []
    for language, side in text.sides.items():
        if language != source_language:
            limit = model.config.max_length
            encoded = [tokenizer.encode_source(line, source_language)[:limit] for line in side]
            found = in_batches(
                lambda batch: sample_search(model, batch, TEMPERATURE, TOP_P, generator),
                encoded,
                advance,
            )
            pairs += zip(map(tokenizer.decode, found), text.sides[target_language], strict=True)
    return pairs
