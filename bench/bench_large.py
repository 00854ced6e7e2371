"""Large photographs to coefficients, one at a time, in memory that is fresh for every image of both sides.

Each decode runs in its own process, forked from one that has decoded nothing. An image of 8 x 8 pixels is decoded
first, so that the code is loaded, but neither side has kept memory from an earlier image.
"""

from __future__ import annotations

import ctypes
import os
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result, Table
from bench.sets import Image, tiny
from bench.timing import OFF_CPU_LIMIT, Method, Samples, compare

LARGE = "large photographs, fresh memory"
M_MMAP_THRESHOLD = -3


def run(result: Result, options: Options) -> None:
    images = options.images("L")
    if not images:
        return
    # Otherwise memory that Python freed in this process would serve libjpeg in the forked ones.
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 << 10)
    turbo = opponents.opponent()
    methods = [opponents.turbo_coefficients(turbo), ours.coefficients()]
    for image in images:
        difference, _ = _in_a_fresh_process(partial(_difference, methods[1], image))
        if difference:
            raise AssertionError(f"{image.name}: the coefficients differ, or reading them failed")
    samples = _measure(images, methods, options.seconds * 2)
    result.add(Table(LARGE, "L", compare(samples, turbo.name)))
    for number, image in enumerate(images):
        layout = turbo.layout(image.data)
        kind = "progressive" if b"\xff\xc2" in image.data else "sequential"
        rows = compare(samples, turbo.name, only=[number])
        result.add(Table(LARGE, f"{layout.width}x{layout.height}, {kind}", rows))


def _measure(images: Sequence[Image], methods: Sequence[Method[Image]], seconds: float) -> Samples:
    """Measure like timing.measure, but with each decode in its own process."""
    samples = Samples(
        [method.name for method in methods],
        np.ones((len(methods), len(images)), dtype=np.bool_),
        [""] * len(methods),
        np.ones(len(images), dtype=np.int64),
    )
    small = tiny()
    end = time.perf_counter() + seconds
    while len(samples.rounds) < 7 or time.perf_counter() < end:
        cpu = np.zeros((len(methods), len(images)), dtype=np.int64)
        wall = np.zeros_like(cpu)
        for u, image in enumerate(images):
            for turn in range(len(methods)):
                m = (turn + u + len(samples.rounds)) % len(methods)
                cpu[m, u], wall[m, u] = _in_a_fresh_process(partial(_timed, methods[m], small, image))
        samples.rounds.append(cpu)
        samples.disturbed.append(bool(wall.sum() - cpu.sum() > OFF_CPU_LIMIT * wall.sum()))
    return samples


def _timed(method: Method[Image], small: Image, image: Image) -> tuple[int, int]:
    method.run(small)
    wall, cpu = time.perf_counter_ns(), time.process_time_ns()
    method.run(image)
    return time.process_time_ns() - cpu, time.perf_counter_ns() - wall


def _difference(method: Method[Image], image: Image) -> tuple[int, int]:
    return len(method.verify(image)), 0


def _in_a_fresh_process(work: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Return the two numbers that `work` gives in a forked process, or (1, 1) if it fails."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.write(writer, struct.pack("qq", *work()))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    first, second = struct.unpack("qq", answer) if answer else (1, 1)
    return first, second
