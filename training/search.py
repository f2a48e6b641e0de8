"""Greedy search and sampling in PyTorch: the reference that the server's search is checked against,
and so never shares code with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from training.config import PAD_ID
from training.model import LayerCache, Transformer


def max_target_tokens(num_source_tokens: int, max_length: int) -> int:
    """How many tokens a translation may have, its end counted: generous for any language pair, and
    bounded.
    """
    return min(2 * num_source_tokens + 16, max_length)


def greedy_search(model: Transformer, sources: list[list[int]]) -> list[list[int]]:
    """The most probable next token, again and again, for each of `sources` (token ids) as one
    padded batch.

    Returns the generated ids of each, the end of sentence left out.
    """
    return _search(model, sources, lambda logits: logits.argmax(dim=-1, keepdim=True))


def sample_search(
    model: Transformer,
    sources: list[list[int]],
    temperature: float,
    top_p: float,
    generator: torch.Generator,
) -> list[list[int]]:
    """A token drawn from the most probable ones that have `top_p` of the probability together
    (Holtzman et al. 2020), again and again; see `greedy_search`.
    """

    def draw(logits: Tensor) -> Tensor:
        ranked, tokens = (logits / temperature).softmax(dim=-1).sort(dim=-1, descending=True)
        before = ranked.cumsum(dim=-1) - ranked  # the first token always stays
        place = torch.multinomial(ranked.masked_fill(before >= top_p, 0.0), 1, generator=generator)
        return tokens.gather(-1, place)

    return _search(model, sources, draw)


@torch.inference_mode()
def _search(
    model: Transformer, sources: list[list[int]], choose: Callable[[Tensor], Tensor]
) -> list[list[int]]:
    """`choose` makes the next tokens int64 (B, 1) of the last position's logits float (B, V)."""
    device = next(model.parameters()).device
    limits = torch.tensor(
        [max_target_tokens(len(s), model.config.max_length) for s in sources], device=device
    )
    source = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(s) for s in sources], batch_first=True, padding_value=PAD_ID
    ).to(device)  # (B, S)
    source_mask = model.padding_mask(source)
    caches = model.start_cache(model.encode(source, source_mask))
    last = torch.full((len(sources), 1), model.config.bos_id, device=device)  # (B, 1)
    alive = torch.arange(len(sources), device=device)
    results: list[list[int]] = [[] for _ in sources]
    for length in range(1, int(limits.max()) + 1):
        logits, caches = model.decode_step(last, caches, source_mask)
        last = choose(_possible(model, logits[:, -1]))  # (B, 1)
        for row, token in zip(alive.tolist(), last[:, 0].tolist(), strict=True):
            if token != model.config.eos_id:
                results[row].append(token)
        going_on = (last[:, 0] != model.config.eos_id) & (limits[alive] > length)
        if not going_on.any():
            break
        alive, last, source_mask = alive[going_on], last[going_on], source_mask[going_on]
        caches = [select_rows(cache, going_on) for cache in caches]
    return results


def _possible(model: Transformer, logits: Tensor) -> Tensor:
    """`logits` (B, V) in which padding and the start token are never chosen."""
    scores = logits.clone()
    scores[:, [model.config.pad_id, model.config.bos_id]] = -torch.inf
    return scores


def select_rows(cache: LayerCache, rows: Tensor) -> LayerCache:
    """`cache` of those of its B rows that `rows` names, by number or by a mask."""
    return LayerCache(
        cache.self_key[rows], cache.self_value[rows], cache.cross_key[rows], cache.cross_value[rows]
    )
