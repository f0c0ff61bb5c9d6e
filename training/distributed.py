"""Train in one process, or in several under ``torchrun``.

With one process these functions change nothing, so the training code is the same for both.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Join the other processes if ``torchrun`` started this one, and yield the device to train on.

    GPUs communicate by NCCL, CPUs by gloo.
    """
    device = _device()
    if "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield device
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        # End together: a thread of gloo that frees its last tensor while the interpreter ends aborts the process.
        dist.barrier()
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(device)
    return device


def rank() -> int:
    """Return the number of this process among all, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def first_alone() -> Iterator[None]:
    """Run the body in process 0 first, so that the others find what it writes."""
    if rank():
        dist.barrier()
    yield
    if dist.is_initialized() and not rank():
        dist.barrier()


def replicated(network: nn.Module) -> nn.Module:
    """Return a network whose gradients are averaged over all processes."""
    if world() == 1:
        return network
    # The lateral trunk of a two-view network gets no gradient from a batch without laterals.
    return DistributedDataParallel(network, find_unused_parameters=True)


def share_gradients(loss: nn.Module) -> None:
    """Average the gradients of a loss's own parameters over all processes; DDP averages only the network's."""
    if world() > 1:
        for parameter in loss.parameters():
            parameter.register_hook(_averaged)  # type: ignore[no-untyped-call]


def _averaged(gradient: Tensor) -> Tensor:
    total = gradient.clone()
    dist.all_reduce(total)
    return total / world()


def same_buffers(network: nn.Module) -> None:
    """Copy the buffers of process 0: the statistics of batch normalisation differ between processes."""
    if world() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def mean_over_processes(value: Tensor) -> Tensor:
    """Return the mean of a tensor over all processes."""
    return value if world() == 1 else _averaged(value)
