"""One side of stage `before`: does what it is told with the jpegfreq that it finds, and tells how long it took.

It speaks pickle over its standard input and output: first the works by name and the files by set, then pairs of both.
It uses only what an earlier jpegfreq has too.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import jpegfreq

BATCH = 16


def coefficients(images: Sequence[bytes], boxes: Sequence[Any]) -> object:
    return [jpegfreq.read_coefficients(image) for image in images]


def coefficients_batch(images: Sequence[bytes], boxes: Sequence[Any]) -> object:
    return jpegfreq.read_coefficients_batch(images, threads=1)


def crops(size: int, channels: int, dtype: str) -> Callable[[Sequence[bytes], Sequence[Any]], object]:
    statistics = jpegfreq.ChannelStatistics((1.0,) * 192, (50.0,) * 192, "made up: any normalization costs the same")
    tensor_format = jpegfreq.TensorFormat(channels, layout="HWC", dtype=dtype, statistics=statistics)
    shape = (BATCH, *tensor_format.shape(size, size))
    memory = np.ones(int(np.prod(shape)) * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64  # a cache line's boundary, as PyTorch's tensors have it
    batch = memory[start : len(memory) - 64 + start].view(dtype).reshape(shape)

    def run(images: Sequence[bytes], boxes: Sequence[Any]) -> object:
        return jpegfreq.read_batch(
            images, size=(size, size), boxes=boxes, format=tensor_format, threads=1, out=batch[: len(images)]
        )

    return run


def main() -> None:
    told, tell = sys.stdin.buffer, sys.stdout.buffer
    works, units = pickle.load(told)
    runs = {name: crops(*work) if isinstance(work, tuple) else globals()[work] for name, work in works.items()}
    while True:
        try:
            name, unit = pickle.load(told)
        except EOFError:
            return
        images, boxes = units[unit]
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        runs[name](images, boxes)
        pickle.dump((time.perf_counter_ns() - wall, time.process_time_ns() - cpu), tell)
        tell.flush()


if __name__ == "__main__":
    main()
