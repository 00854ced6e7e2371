"""Files to a store: `convert`, reading, hashing and writing included, against `read_batch` alone on the same files.

The files are in a temporary folder, in the page cache. Both sides use one thread and make tensors of 24 x 28 x 28. The
conversion also has helper threads that read ahead and write behind: their CPU time counts, and wall time hides them
only if a second core is free. The stage also measures how long it takes to fetch a stored tensor, and how much a
training loader gains from a second thread.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import jpegfreq
from bench.results import Options, Result, Value
from bench.sets import Image
from bench.timing import Method
from jpegfreq.store import Conversion, StoredDataset, begin, convert_shards, finish
from jpegfreq.views import EvaluationView

CPU = "files to stored tensors, CPU time"
WALL = "files to stored tensors, wall time"
THREADS = "FrequencyLoader into torch tensors, wall time"
SAMPLE = "StoredDataset, a random tensor of 24 x 28 x 28"
ALONE, CONVERT = "read_batch alone", "convert"
ONE_THREAD, TWO_THREADS = "one thread", "two threads"
COPIES = 5  # of each of the set's files, enough for more than one shard
BATCH = 64
VIEW = EvaluationView((224, 224), 256)

Unit = tuple[Path, ...]


def run(result: Result, options: Options) -> None:
    images = options.images("A")
    if not images:
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = _write(images, folder / "files")
        alone, convert = _alone(files), _convert(files, folder)
        for title, clock in ((CPU, "cpu"), (WALL, "wall")):
            result.compare(
                title, "A", [files], [alone, convert], baseline=ALONE, seconds=2 * options.seconds, clock=clock
            )
        result.value(_sample(StoredDataset(folder / "store")))
        _loader(result, options, files)


def _write(images: Sequence[Image], folder: Path) -> Unit:
    folder.mkdir()
    for copy in range(COPIES):
        for number, image in enumerate(images):
            (folder / f"{copy}-{number:03}.jpg").write_bytes(image.data)
    return tuple(sorted(folder.iterdir()))


def _format() -> jpegfreq.TensorFormat:
    return jpegfreq.TensorFormat(24)


def _alone(files: Unit) -> Method[Unit]:
    boxes = [VIEW.window(jpegfreq.read_header(file)) for file in files]

    def run(unit: Unit) -> None:
        for start in range(0, len(unit), BATCH):
            part = slice(start, start + BATCH)
            jpegfreq.read_batch(unit[part], size=VIEW.size, boxes=boxes[part], format=_format(), threads=1)

    return Method(ALONE, run, strict=True)


def _convert(files: Unit, folder: Path) -> Method[Unit]:
    source = files[0].parent
    conversion = Conversion(source, tuple(file.name for file in files), _format(), VIEW)
    out = folder / "store"

    def run(unit: Unit) -> None:
        shutil.rmtree(out, ignore_errors=True)
        begin(conversion, out)
        convert_shards(conversion, out, range(conversion.shard_count), threads=1)
        finish(conversion, out)

    def check(unit: Unit) -> str:
        run(unit)
        store = StoredDataset(out)
        if store.names != [file.name for file in unit]:
            return "files are missing"
        chosen = unit[:: max(1, len(unit) // 20)]
        boxes = [VIEW.window(jpegfreq.read_header(file)) for file in chosen]
        tensors = jpegfreq.read_batch(chosen, size=VIEW.size, boxes=boxes, format=_format())
        same = all(
            np.array_equal(store[store.names.index(file.name)][0], tensor)
            for file, tensor in zip(chosen, tensors, strict=True)
        )
        return "" if same else "the store holds other tensors"

    return Method(CONVERT, run, check, strict=True)


def _sample(store: StoredDataset) -> Value:
    random = np.random.default_rng(0)
    indices = random.integers(len(store), size=5000).tolist()
    times = []
    for _ in range(9):
        start = time.thread_time()
        for index in indices:
            store[index]
        times.append((time.thread_time() - start) / len(indices) * 1e6)
    low, median, high = np.percentile(times[1:], [10, 50, 90])
    return Value(SAMPLE, float(median), float(low), float(high), "us", "pages in memory, copy included")


def _loader(result: Result, options: Options, files: Unit) -> None:
    import torch

    from jpegfreq.torch import FrequencyDataset, FrequencyLoader, TrainingView, file_list

    torch.set_num_threads(1)
    images = file_list(list(files), [0] * len(files))

    def method(name: str, threads: int) -> Method[Unit]:
        format = jpegfreq.TensorFormat(layout="HWC")
        loader = FrequencyLoader(FrequencyDataset(images, TrainingView((448, 448)), format=format, threads=threads), 32)

        def run(unit: Unit) -> None:
            seen = sum(len(batch.labels) for batch in loader)
            if seen != len(unit):
                raise AssertionError(f"{seen} of {len(unit)} images")

        return Method(name, run, strict=True)

    methods = [method(ONE_THREAD, 1), method(TWO_THREADS, 2)]
    result.compare(THREADS, "A", [files], methods, baseline=ONE_THREAD, seconds=2 * options.seconds, clock="wall")
