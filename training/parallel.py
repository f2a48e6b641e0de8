"""Several processes that train one model, started by torchrun: gloo between CPUs, NCCL between
GPUs.

Each process computes the gradient of its share of every batch; the sum over the processes is the
gradient that one process would have computed of the whole batch.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.config import ConfigError


@dataclass(frozen=True)
class Workers:
    """This process among those that train together."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, module: nn.Module) -> nn.Module:
        """`module`, its gradients averaged over the processes in every backward pass."""
        if self.world_size == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, device_ids=devices)

    def without_sync(self, module: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """Backward passes inside keep their gradients to themselves; a later one sums them."""
        if isinstance(module, DistributedDataParallel):
            return module.no_sync()
        return contextlib.nullcontext()

    def sum(self, values: list[float]) -> list[float]:
        """`values` summed over the processes."""
        if self.world_size == 1:
            return values
        total: Tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def from_first(self, values: list[float]) -> list[float]:
        """The first process's `values`; each process brings as many."""
        if self.world_size == 1:
            return values
        box = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(box, src=0)
        return [float(value) for value in box]

    def wait(self) -> None:
        """Until every process is here."""
        if self.world_size > 1:
            dist.barrier()


@contextlib.contextmanager
def join_workers(device: str) -> Iterator[Workers]:
    """The Workers that torchrun's environment describes, or this process alone.

    `device` is `auto`, `cpu` or `cuda`. Raises ConfigError where CUDA is asked for and missing.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("train.device is 'cuda': PyTorch finds no GPU on this machine")
    uses_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    chosen = torch.device("cpu")
    if uses_cuda:
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if world_size == 1:
        yield Workers(0, 1, chosen)
        return
    dist.init_process_group("nccl" if uses_cuda else "gloo")
    # What still refers to the group in a cycle must go while there is an interpreter: threads of
    # gloo's that outlive it abort the process, which a launcher takes for a failed run.
    atexit.register(gc.collect)
    try:
        yield Workers(rank, world_size, chosen)
    finally:
        dist.destroy_process_group()
