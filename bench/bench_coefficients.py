"""JPEG bytes to quantized coefficients: one image at a time, batches, two threads, and start-up.

The opponent is libjpeg-turbo's jpeg_read_coefficients, with its decompress struct reused and its coefficients left in
place. Our side returns new arrays for every image, which is what a user gets.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result, Table, Value
from bench.sets import Image
from bench.timing import Method, compare, measure

ONE_IMAGE = "one image at a time"
BATCH = "batch, one core"
THREADS = "batch, two threads over one"
MACHINE = "what two threads give on this machine: libjpeg-turbo"
READERS = "other coefficient readers"
HEADER = "read_header"
IMPORT = "import jpegfreq, over import numpy"


def run(result: Result, options: Options) -> None:
    baseline = opponents.turbo_coefficients(opponents.opponent())
    one_image(result, options, ("A", "B", "C", "R", "P", "W", "L"))
    batch(result, options, ("A", "B", "C", "R", "P"))
    for name in ("A", "B", "C"):
        if images := options.images(name):
            _threads(result, name, images, options.seconds)
    for name in ("A", "B", "C", "P"):
        if images := options.images(name):
            peers = opponents.available(opponents.COEFFICIENT_READERS, images)
            older = [opponents.turbo_coefficients(opponents.JpegTurbo(path)) for path in opponents.libraries()[1:]]
            methods = [baseline, *older, *peers]
            result.compare(READERS, name, images, methods, baseline=baseline.name, seconds=options.seconds)
            opponents.clean_up()
    if images := options.images("A"):
        _header(result, images, options.seconds / 3)
    _import(result, 5 if options.quick else 21)


def one_image(result: Result, options: Options, names: Sequence[str]) -> None:
    """Measure one call per image of each set, of the images that libjpeg reads without a warning."""
    turbo = opponents.opponent()
    methods = [opponents.turbo_coefficients(turbo), ours.coefficients()]
    for name in names:
        if images := tuple(image for image in options.images(name) if turbo.coefficients(image.data) == 0):
            result.compare(ONE_IMAGE, name, images, methods, baseline=methods[0].name, seconds=options.seconds)


def batch(result: Result, options: Options, names: Sequence[str]) -> None:
    """Measure one call for up to 100 images of each set."""
    turbo = opponents.opponent()

    def read_all(chunk: ours.Chunk) -> None:
        for image in chunk:
            turbo.coefficients(image.data)

    methods = [Method(turbo.name, read_all), ours.coefficients_batch(threads=1)]
    for name in names:
        if images := options.images(name):
            units = ours.chunks(images)
            result.compare(BATCH, name, units, methods, baseline=turbo.name, seconds=options.seconds)


def _threads(result: Result, name: str, images: tuple[Image, ...], seconds: float) -> None:
    with opponents.turbo_on_threads(1) as turbo_1, opponents.turbo_on_threads(2) as turbo_2:
        methods = [ours.coefficients_batch(threads=1), ours.coefficients_batch(threads=2), turbo_1, turbo_2]
        units = ours.chunks(images)
        samples = measure(units, methods, seconds=seconds, clock="wall")
    for title, pair in ((THREADS, methods[:2]), (MACHINE, methods[2:])):
        rows = compare(samples, pair[0].name)
        result.add(Table(title, name, [row for row in rows if row.method in (pair[0].name, pair[1].name)]))


def _header(result: Result, images: tuple[Image, ...], seconds: float) -> None:
    import jpegfreq

    turbo = opponents.opponent()
    repeats = 20

    def own(image: Image) -> None:
        for _ in range(repeats):
            jpegfreq.read_header(image.data)

    def libjpeg(image: Image) -> None:
        for _ in range(repeats):
            turbo.header(image.data)

    samples = measure(images, [Method("jpegfreq", own), Method(turbo.name, libjpeg)], seconds=seconds)
    rounds = np.stack(samples.rounds) / repeats / 1e3  # [round, method, image] in microseconds
    for m, method in enumerate(samples.names):
        low, median, high = np.percentile(np.median(rounds[:, m], axis=0), [10, 50, 90])
        note = "median over the photographs, 10th and 90th percentile of them"
        result.value(Value(f"{HEADER}, {method}", float(median), float(low), float(high), "us", note))


_IMPORT = """
import time, sys, numpy
start = time.perf_counter()
import jpegfreq
print(time.perf_counter() - start, "numba" in sys.modules or "torch" in sys.modules)
"""


def _import(result: Result, times: int) -> None:
    milliseconds, heavy = [], False
    for _ in range(times + 1):
        output = subprocess.run([sys.executable, "-c", _IMPORT], check=True, capture_output=True, text=True).stdout
        seconds, imported = output.split()
        milliseconds.append(float(seconds) * 1e3)
        heavy |= imported == "True"
    del milliseconds[0]  # the first import also wrote the byte code
    low, high = np.percentile(milliseconds, [10, 90])
    note = "imports numba or torch!" if heavy else "neither numba nor torch is imported"
    result.value(Value(IMPORT, statistics.median(milliseconds), float(low), float(high), "ms", note))
