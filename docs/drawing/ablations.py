"""Takes one part of a trained Transformer away and counts how many of its next tokens stay the
same.

The model was never trained without the part, so a count says how much *this* model leans on it, and
not how good a model without it could have become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from docs.drawing.sample import Sample, pad
from training.model import AddNorm, DecoderLayer, FeedForward, MultiHeadAttention, Transformer

Change = Callable[[Tensor], Tensor]
Kind = TypeVar("Kind", bound=nn.Module)


@cache
@torch.inference_mode()
def agreements(sample: Sample) -> dict[str, float]:
    """Share of the tokens of the model's own translations that stay its first choice, by the name
    of the part that is missing; `nothing` for the model as it is.
    """
    source = pad([pair.source for pair in sample.pairs], sample.model.config.pad_id)  # (B, S)
    target = pad([pair.target for pair in sample.pairs], sample.model.config.pad_id)  # (B, T)
    is_scored = target[:, 1:] != sample.model.config.pad_id  # (B, T - 1)
    shares = {}
    for name, without in PARTS.items():
        with ExitStack() as stack:
            without(sample.model, stack)
            chosen = sample.model(source, target)[:, :-1].argmax(dim=-1)  # (B, T - 1)
        shares[name] = float((chosen == target[:, 1:])[is_scored].float().mean())
    return shares


def without_positions(model: Transformer, stack: ExitStack) -> None:
    """Every token stands nowhere: the positional encodings are 0."""
    stack.enter_context(changed([model.embedding.positions], torch.zeros_like))


def without_heads(model: Transformer, stack: ExitStack) -> None:
    """All heads of a layer look the same way: each gets the mean of their weights."""
    dropouts = [attention.dropout for attention in _all(model, MultiHeadAttention)]
    stack.enter_context(changed(dropouts, lambda w: w.mean(1, keepdim=True).expand_as(w)))


def without_scores(model: Transformer, stack: ExitStack) -> None:
    """Attention looks everywhere alike: equal weights on all that a mask allows."""
    dropouts = [attention.dropout for attention in _all(model, MultiHeadAttention)]
    stack.enter_context(changed(dropouts, lambda w: (w > 0) / (w > 0).sum(-1, keepdim=True)))


def without_feed_forward(model: Transformer, stack: ExitStack) -> None:
    """The feed-forward sublayers add nothing."""
    stack.enter_context(changed(_all(model, FeedForward), torch.zeros_like))


def without_cross_attention(model: Transformer, stack: ExitStack) -> None:
    """The decoder hears nothing of the source."""
    layers = _all(model, DecoderLayer)
    stack.enter_context(changed([x.cross_attention.w_o for x in layers], torch.zeros_like))


def without_residuals(model: Transformer, stack: ExitStack) -> None:
    """A sublayer's output replaces its input, where it should be added to it."""
    for module in _all(model, AddNorm):
        after = module.after
        stack.enter_context(
            replaced(module, "after", lambda x, y, after=after: after(torch.zeros_like(x), y))
        )


def without_padding_mask(model: Transformer, stack: ExitStack) -> None:
    """Padding may be attended, like text."""
    everything = lambda ids: torch.ones_like(ids, dtype=torch.bool)[:, None, None, :]  # noqa: E731
    stack.enter_context(replaced(model, "padding_mask", everything))


PARTS: dict[str, Callable[[Transformer, ExitStack], None]] = {
    "nothing": lambda model, stack: None,
    "positions": without_positions,
    "heads": without_heads,
    "scores": without_scores,
    "feed_forward": without_feed_forward,
    "cross_attention": without_cross_attention,
    "residuals": without_residuals,
    "padding_mask": without_padding_mask,
}


@contextmanager
def changed(modules: Iterable[nn.Module], change: Change) -> Iterator[None]:
    """The outputs of `modules` go through `change`."""
    hooks = [module.register_forward_hook(lambda _m, _i, out: change(out)) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced(module: nn.Module, method: str, replacement: Callable[..., Any]) -> Iterator[None]:
    """`method` of this one `module` is `replacement`."""
    setattr(module, method, replacement)
    try:
        yield
    finally:
        delattr(module, method)


def _all(model: nn.Module, kind: type[Kind]) -> list[Kind]:
    return [module for module in model.modules() if isinstance(module, kind)]
