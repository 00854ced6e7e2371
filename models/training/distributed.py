"""Several processes that share a run: torchrun starts them, and a run without it is a single process."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["broadcast_buffers", "join_processes", "share_network", "total_over_processes", "wait_for_all"]


def join_processes(device: torch.device) -> tuple[int, int]:
    """Join the other processes of torchrun, if it started this one.

    Returns:
        (rank, world_size): this process's number and how many processes there are; (0, 1) for a single process.
    """
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def total_over_processes(values: Tensor) -> Tensor:
    """Return the sum of every process's values, on the CPU. All processes must call it."""
    if not dist.is_initialized():
        return values
    summed = values.cuda() if dist.get_backend() == "nccl" else values.clone()
    dist.all_reduce(summed)
    return summed.cpu()


def broadcast_buffers(network: nn.Module) -> None:
    """Give every process the first one's buffers: each process has normalized other images."""
    if dist.is_initialized():
        for buffer in network.buffers():
            dist.broadcast(buffer, 0)


def wait_for_all() -> None:
    """Wait until every process has come this far."""
    if dist.is_initialized():
        dist.barrier()


def share_network(network: nn.Module, world_size: int) -> nn.Module:
    """Return the network as the loop calls it: gradients are the mean over processes after each backward pass.

    It takes None in place of a batch: Note [A process without images].
    """
    taking_none = _TakingNone(network)
    return DistributedDataParallel(taking_none) if world_size > 1 else taking_none


class _TakingNone(nn.Module):
    # Note [A process without images]
    # Every process must take part in every step, because gradients are averaged over all of them. A process whose part
    # of a batch holds no readable image therefore runs a backward pass that gives each parameter a gradient of zero.
    # It does not call the network: batch norms would divide by zero images.

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor | None) -> object:
        if x is None:
            return torch.stack([parameter.sum() for parameter in self.network.parameters()]).sum() * 0.0
        return self.network(x)
