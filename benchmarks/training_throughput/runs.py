"""Who trains, what one run is asked, and what it showed."""

from __future__ import annotations

from dataclasses import dataclass

KEEP_FREED_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
}
"""What `python -m training` sets by mallopt, as glibc reads it: large freed blocks are kept."""


@dataclass(frozen=True)
class Contestant:
    """A way to train."""

    name: str
    trainer: str
    """`ours`, `torch` or `joeynmt`."""
    is_half: bool = False
    """bf16 by autocast; Joey NMT knows fp16 alone, and only on a GPU."""
    keeps_memory: bool = False
    """Started with KEEP_FREED_MEMORY."""
    is_math_attention: bool = False
    """torch.nn.Transformer's attention by PyTorch's backend MATH: on a processor, for sentences as
    short as these, it can be faster than the fused kernel that is taken by itself."""


OURS = Contestant("ours, bf16", "ours", is_half=True, keeps_memory=True)
ON_CPU = (
    OURS,
    Contestant("torch.nn.Transformer, fp32", "torch"),
    Contestant("torch.nn.Transformer, bf16", "torch", is_half=True),
    Contestant("torch.nn.Transformer, bf16, malloc*", "torch", is_half=True, keeps_memory=True),
    Contestant("torch.nn.Transformer, bf16, malloc*, math*", "torch", True, True, True),
    Contestant("Joey NMT, fp32", "joeynmt"),
    Contestant("Joey NMT, fp32, malloc*", "joeynmt", keeps_memory=True),
)
ON_CUDA = (
    OURS,
    Contestant("torch.nn.Transformer, bf16", "torch", is_half=True),
    Contestant("Joey NMT, fp16", "joeynmt", is_half=True),
)
"""Ours first, then every configuration of the peers that may be their best."""


@dataclass(frozen=True)
class Task:
    """One training run, from random weights."""

    recipe: str
    """Path of the recipe that `write_recipe` wrote."""
    trainer: str
    is_half: bool
    is_math_attention: bool
    device: str
    batch_tokens: int
    num_updates: int
    window: int
    """Updates of one measurement."""
    seed: int
    is_validated: bool


@dataclass(frozen=True)
class Outcome:
    """What a run showed."""

    windows: list[float]
    """Target tokens a second, window by window, the first left out: it is the warm-up. The time is
    all that training takes, from text in memory to updated weights."""
    num_tokens: int
    """Target tokens trained on."""
    num_updates: int
    validation_loss: float | None
    """Nats a target token, unsmoothed, in fp32, after the last update."""
    num_validation_tokens: int | None


def after_warm_up(windows: list[float]) -> list[float]:
    """All but the first, or all of one."""
    return windows[1:] or windows
