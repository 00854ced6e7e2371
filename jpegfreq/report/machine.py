"""The machine that something is measured on: what it is, and what else it did meanwhile."""

from __future__ import annotations

import os
import platform
import re
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["Noise", "machine", "others_busy_seconds"]

_PACKAGES = (
    "jpegfreq", "numpy", "torch", "torchvision", "pillow", "opencv-python-headless", "opencv-python", "simplejpeg",
    "PyTurboJPEG", "nvidia-dali-cuda120", "nvidia-dali-cuda130",
)  # fmt: skip


_SHORTEST_SECONDS = 1.0
"""Below this the ticks of the system's clock say nothing about other programs."""


@dataclass
class Noise:
    """How much other work the machine did while something was timed.

    Attributes:
        wall_seconds: how long the timing took.
        cpu_seconds: the CPU time of this process in it.
        others_seconds: the CPU time of all other processes in it, and what the hypervisor took.
    """

    wall_seconds: float = 0
    cpu_seconds: float = 0
    others_seconds: float = 0
    _start: tuple[float, float, float] = field(default=(0, 0, 0), repr=False)

    def __enter__(self) -> Noise:
        """Begin."""
        self._start = (time.perf_counter(), time.process_time(), others_busy_seconds())
        return self

    def __exit__(self, *error: object) -> None:
        """End."""
        wall, cpu, others = self._start
        self.wall_seconds = time.perf_counter() - wall
        self.cpu_seconds = time.process_time() - cpu
        self.others_seconds = max(0.0, others_busy_seconds() - others)

    @property
    def others_share(self) -> float:
        """The share of the machine's cores that other processes used, from 0 to 1; 0 where the timing was too short.

        The system counts in ticks of a hundredth of a second, each kind of work apart, so a short timing shows
        only their rounding.
        """
        if self.wall_seconds < _SHORTEST_SECONDS:
            return 0.0
        return min(1.0, self.others_seconds / (self.wall_seconds * (os.cpu_count() or 1)))


def others_busy_seconds() -> float:
    """Return the CPU seconds since boot that other processes used, including stolen time; 0 where nothing tells."""
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            values = [int(value) for value in lines.readline().split()[1:9]]
    except OSError:  # not Linux
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = values
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - time.process_time()


def machine() -> dict[str, Any]:
    """Name the processor, its cores, the system, and the versions of what was measured."""
    facts = Path("/proc/cpuinfo")
    text = facts.read_text(encoding="utf-8", errors="replace") if facts.exists() else ""
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": found[1] if found else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
    }
