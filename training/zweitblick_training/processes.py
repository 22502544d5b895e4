"""Processes: one trainer, or several that ``torchrun`` started on as many devices."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

BF16_CPUS = ("AVX512", "AMX")
"""What torch calls the processors that it computes bf16 on at least as fast as float32."""


@dataclass(frozen=True)
class Place:
    """Where a process stands among those that train together.

    Parameters
    ----------
    rank, world
        Its number, from 0, and how many there are.
    device
        What it computes on.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files."""
        return self.rank == 0

    def mixed_precision(self) -> torch.autocast:
        """Compute convolutions in bf16 where the device can; a processor without AVX-512 would imitate it, slowly.

        A training step of two 96³ patches took 1.6 s in float32 on a processor with AVX2 alone, and minutes in bf16.
        """
        fast = self.device.type != "cpu" or torch.backends.cpu.get_cpu_capability() in BF16_CPUS
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast)


ALONE = Place(0, 1, torch.device("cpu"))
"""One process on the CPU."""


def announced() -> tuple[int, int]:
    """Return rank and number of the processes as ``torchrun`` gives them, before they have met; alone, 0 and 1."""
    if not distributed.is_torchelastic_launched():
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


@contextmanager
def placed() -> Iterator[Place]:
    """Join the processes that ``torchrun`` started, or stand alone; a GPU each where there are any."""
    cuda = torch.cuda.is_available()
    # All patches have one size, so that the fastest convolutions are worth looking for.
    torch.backends.cudnn.benchmark = cuda
    if not distributed.is_torchelastic_launched():
        yield Place(0, 1, torch.device("cuda" if cuda else "cpu"))
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        device = torch.device("cuda", distributed.get_node_local_rank()) if cuda else torch.device("cpu")
        yield Place(distributed.get_rank(), distributed.get_world_size(), device)
        distributed.barrier()  # who leaves first must not end the connections that others still use
    finally:
        distributed.destroy_process_group()
