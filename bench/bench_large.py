"""Large photographs to coefficients, one at a time, in memory that is fresh for every image of both sides.

A process of its own, because it changes how malloc works before anything large has been allocated: whatever has 128 KB
or more is mapped when it is asked for and unmapped when it is freed.
"""

from __future__ import annotations

import ctypes

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result, Table
from bench.timing import compare, measure

LARGE = "large photographs, fresh memory"
M_MMAP_THRESHOLD = -3


def run(result: Result, options: Options) -> None:
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 128 << 10)
    images = options.images("L")
    if not images:
        return
    turbo = opponents.opponent()
    baseline = opponents.turbo_coefficients(turbo)
    samples = measure(images, [baseline, ours.coefficients()], seconds=options.seconds * 2)
    result.add(Table(LARGE, "L", compare(samples, baseline.name)))
    for number, image in enumerate(images):
        layout = turbo.layout(image.data)
        kind = "progressive" if b"\xff\xc2" in image.data else "sequential"
        result.add(
            Table(LARGE, f"{layout.width}x{layout.height}, {kind}", compare(samples, baseline.name, only=[number]))
        )
