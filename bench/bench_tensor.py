"""JPEG bytes to the float32 frequency tensor, chroma upsampled as libjpeg does, against libjpeg-turbo's RGB decode.

The opponent ends with uint8 RGB in a buffer it reuses; our side with a new float32 array of four times as many bytes.

A second table keeps all results of up to 120 images in a list, against Pillow's RGB arrays kept likewise. Then every
result needs memory of its own, and much of a large result's time can go into the first touch of it.

The first tensor of a process also loads the kernels that Numba keeps on disk. It is measured in fresh processes that
have imported Numba.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result, Value
from bench.sets import Image
from bench.timing import Method

TENSOR = "bytes to float32 [192, H/8, W/8], fancy chroma"
KEPT = "bytes to whole-image tensors that are kept"
KEPT_PILLOW, KEPT_FLOAT, KEPT_HALF = "Pillow, RGB arrays", "jpegfreq, 192 channels", "jpegfreq, 192 channels, float16"
KEPT_24 = "jpegfreq, 24 channels"
FIRST = "the first to_frequency_tensor of a process, over the second"
MOST_KEPT = 120
CHW, HWC, DCT24 = "jpegfreq, CHW", "jpegfreq, HWC", "jpegfreq, 24 channels, HWC"


def run(result: Result, options: Options) -> None:
    from jpegfreq import TensorFormat

    baseline = opponents.turbo_rgb(opponents.opponent())
    methods = [
        baseline,
        ours.tensor(TensorFormat(), CHW),
        ours.tensor(TensorFormat(layout="HWC"), HWC),
        ours.tensor(TensorFormat(channels="24", layout="HWC"), DCT24),
    ]
    for name in ("A", "B", "C", "P"):
        if images := options.images(name):
            result.compare(TENSOR, name, images, methods, baseline=baseline.name, seconds=options.seconds)
    if images := options.images("A"):
        pillow = opponents.pillow(images)
        kept = [
            _keep(KEPT_PILLOW, pillow.run),
            _keep(KEPT_FLOAT, ours.tensor(TensorFormat(), CHW).run),
            _keep(KEPT_HALF, ours.tensor(TensorFormat(dtype="float16"), CHW).run),
            _keep(KEPT_24, ours.tensor(TensorFormat(24), CHW).run),
        ]
        unit = tuple(images[:MOST_KEPT])
        result.compare(KEPT, "A", [unit], kept, baseline=KEPT_PILLOW, seconds=2 * options.seconds)
        result.value(_first(images[0], 5 if options.quick else 15))


def _keep(name: str, read: Callable[[Image], object]) -> Method[ours.Chunk]:
    return Method(name, lambda chunk: [read(image) for image in chunk])


_FIRST = """
import sys, time
import numba
import jpegfreq

coefficients = jpegfreq.read_coefficients(sys.stdin.buffer.read())
seconds = []
for _ in range(2):
    start = time.perf_counter()
    jpegfreq.to_frequency_tensor(coefficients)
    seconds.append(time.perf_counter() - start)
print(seconds[0] - seconds[1])
"""


def _first(image: Image, times: int) -> Value:
    milliseconds = []
    for _ in range(times + 1):
        done = subprocess.run([sys.executable, "-c", _FIRST], input=image.data, check=True, capture_output=True)
        milliseconds.append(float(done.stdout) * 1e3)
    del milliseconds[0]  # it may also have compiled the kernels
    low, high = np.percentile(milliseconds, [10, 90])
    note = "Numba is imported, its kernels are on disk"
    return Value(FIRST, statistics.median(milliseconds), float(low), float(high), "ms", note)
