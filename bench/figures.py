"""The figures that the project promises, and where each is found among the results."""

from __future__ import annotations

from dataclasses import dataclass

from bench import bench_before as before
from bench import bench_coefficients as coefficients
from bench import bench_crops as crops
from bench import bench_large as large
from bench import bench_memory as memory
from bench import bench_shrink as shrink
from bench import bench_store as store
from bench import bench_tensor as tensor
from bench import bench_training as training
from bench import bench_write as write
from bench.results import Result


@dataclass(frozen=True)
class Figure:
    """A promise: the work is not done unless `must` is kept; `aim` is what prototypes reached."""

    what: str
    must: float
    aim: float
    stage: str
    title: str  # of the table, or name of the value
    set_name: str = ""  # empty: a value, of which less is better
    method: str = "jpegfreq"
    mean_over_images: bool = False  # of the row's ratios; else the ratio of all images' times

    def measured(self, results: dict[str, Result]) -> tuple[float, float, float] | None:
        """Return median, 10th and 90th percentile, or None if it has not been measured."""
        result = results.get(self.stage)
        if result is None:
            return None
        if not self.set_name:
            found = [(value.median, value.low, value.high) for value in result.values if value.name == self.title]
            return found[0] if found else None
        for table in result.tables:
            if (table.title, table.set_name) == (self.title, self.set_name):
                for row in table.rows:
                    if row.method == self.method:
                        if self.mean_over_images:
                            return row.ratio_per_unit, row.ratio_per_unit, row.ratio_per_unit
                        return row.ratio, row.ratio_low, row.ratio_high
        return None

    def verdict(self, value: float) -> str:
        """Judge a measured value by the promise."""
        smaller = not self.set_name
        if value <= self.aim if smaller else value >= self.aim:
            return "aim reached"
        return "must kept" if (value <= self.must if smaller else value >= self.must) else "**short of must**"

    @property
    def command(self) -> str:
        """The command that measures this figure again."""
        return f"python -m bench --stages {self.stage}"


def _coefficients(what: str, must: float, aim: float, title: str, set_name: str, method: str = "jpegfreq") -> Figure:
    return Figure(what, must, aim, "coefficients", title, set_name, method)


_FIRST = "crops of 448 px, 192 channels"
_KINDS = {"set A": "A", "4:4:4": "A, 4:4:4", "4:2:0": "A, 4:2:0"}
_BATCH, _THREADS = "jpegfreq, batch, 1 thread", "jpegfreq, batch, 2 threads"
FIGURES = (
    _coefficients("one image against libjpeg-turbo, set A (times)", 1.5, 1.7, coefficients.ONE_IMAGE, "A"),
    _coefficients("one image against libjpeg-turbo, set B (times)", 1.5, 1.7, coefficients.ONE_IMAGE, "B"),
    _coefficients("one image against libjpeg-turbo, set C (times)", 1.5, 1.7, coefficients.ONE_IMAGE, "C"),
    _coefficients("batch on one core against libjpeg-turbo, set A (times)", 2.0, 2.6, coefficients.BATCH, "A", _BATCH),
    _coefficients("batch on one core against libjpeg-turbo, set B (times)", 2.3, 3.1, coefficients.BATCH, "B", _BATCH),
    _coefficients("batch on one core against libjpeg-turbo, set C (times)", 2.0, 2.6, coefficients.BATCH, "C", _BATCH),
    _coefficients(
        "one image with restart intervals against libjpeg-turbo, set R (times)", 1.8, 2.2, coefficients.ONE_IMAGE, "R"
    ),
    _coefficients(
        "batch with restart intervals against libjpeg-turbo, set R (times)", 2.3, 3.0, coefficients.BATCH, "R", _BATCH
    ),
    _coefficients("one progressive image against libjpeg-turbo, set P (times)", 2.7, 3.6, coefficients.ONE_IMAGE, "P"),
    _coefficients(
        "one progressive image from the web against libjpeg-turbo, set W (times)", 2.7, 3.6, coefficients.ONE_IMAGE, "W"
    ),
    _coefficients("batch on two threads against one, set A (times)", 1.9, 1.97, coefficients.THREADS, "A", _THREADS),
    _coefficients("batch on two threads against one, set B (times)", 1.9, 1.97, coefficients.THREADS, "B", _THREADS),
    _coefficients("batch on two threads against one, set C (times)", 1.9, 1.97, coefficients.THREADS, "C", _THREADS),
    *(
        Figure(
            f"generic code: {what} against libjpeg-turbo, set {name} (times)", must, aim, "generic", title, name, method
        )
        for what, must, aim, title, names, method in (
            ("one image", 1.6, 1.9, coefficients.ONE_IMAGE, "AB", "jpegfreq"),
            ("batch on one core", 1.8, 2.2, coefficients.BATCH, "AB", _BATCH),
            ("one progressive image", 1.6, 2.5, coefficients.ONE_IMAGE, "P", "jpegfreq"),
        )
        for name in names
    ),
    Figure(
        "float32 [192, H/8, W/8] against libjpeg-turbo's RGB, set A (times)",
        1.3,
        1.7,
        "tensor",
        tensor.TENSOR,
        "A",
        tensor.CHW,
    ),
    Figure(
        "float32 [192, H/8, W/8] against libjpeg-turbo's RGB, set B (times)",
        1.3,
        1.7,
        "tensor",
        tensor.TENSOR,
        "B",
        tensor.CHW,
    ),
    *(
        Figure(f"coefficients to a {what} file against libjpeg-turbo, set {name} (times)", 1.2, 2, "write", title, name)
        for what, title in (("baseline", write.WRITE), ("progressive", write.WRITE_PROGRESSIVE))
        for name in ("A", "B", "C")
    ),
    *(
        Figure(f"a file transcoded against jpegtran, set {name} (times)", 1.6, 2.2, "write", write.TRANSCODE, name)
        for name in ("A", "B", "C")
    ),
    Figure("size of baseline files over jpegtran -optimize (times)", 1.001, 1.0, "write", write.SIZE),
    Figure("size of progressive files over jpegtran -progressive (times)", 1.003, 1.0, "write", write.SIZE_PROGRESSIVE),
    *(
        Figure(
            f"whole-image tensors kept, {what}, against Pillow's RGB arrays (times)",
            must,
            aim,
            "tensor",
            tensor.KEPT,
            "A",
            method,
        )
        for what, must, aim, method in (
            ("192 channels, float32", 1.4, 2, tensor.KEPT_FLOAT),
            ("192 channels, float16", 1.9, 2.6, tensor.KEPT_HALF),
            ("24 channels, float32", 3.2, 3.6, tensor.KEPT_24),
        )
    ),
    *(
        Figure(f"crops of {what} against torchvision, {kind} (times)", must, aim, "crops", title, name, method)
        for title, what, method, promised in (
            (crops.TITLE, "448 px, 192 channels", crops.HWC, ((3.8, 4.3), (3.5, 4.3), (3.7, 4.3))),
            (crops.TITLE, "448 px, 192 channels, float16", crops.HWC_HALF, ((4.1, 4.8), (3.8, 4.8), (4.3, 4.8))),
            (crops.TITLE, "448 px, 24 channels", crops.HWC_24, ((4.8, 5.3), (4.4, 4.9), (4.9, 6))),
            (crops.TITLE_224, "224 px, 192 channels", crops.HWC_224, ((4.2, 5.5), (3.9, 5.5), (4.8, 5.5))),
            (crops.TITLE_224, "224 px, 48 channels, float16", crops.HWC_48_224, ((4.7, 6), (4.3, 6), (5.2, 6))),
        )
        for (kind, name), (must, aim) in zip(_KINDS.items(), promised, strict=True)
    ),
    Figure(
        "crops of 224 px, 192 channels, against DALI (times)", 4.5, 6, "crops", crops.AGAINST_DALI, "A", crops.HWC_224
    ),
    Figure("crops against OpenCV (times)", 2.8, 3.6, "crops", crops.AGAINST_OPENCV, "A", crops.HWC),
    Figure("crops against OpenCV with a block DCT (times)", 5, 7, "crops", crops.AGAINST_BLOCKS, "A", crops.HWC),
    Figure("crops against the paper's released pipeline (times)", 18, 24, "crops", crops.AGAINST_PAPER, "A", crops.HWC),
    Figure(
        "crops of 224 px, a restart marker per MCU row against the originals (times)",
        1.12,
        1.25,
        "crops",
        crops.AGAINST_ORIGINALS,
        "A",
        crops.PREPARED_224,
    ),
    Figure("crops, CHW against HWC (times)", 0.85, 0.95, "crops", crops.AGAINST_OURS, "A", crops.CHW),
    Figure("crops, 24 channels against 192 (times)", 1.15, 1.3, "crops", crops.AGAINST_OURS, "A", crops.HWC_24),
    *(
        Figure(
            f"{work} over commit 73d9f24, {kind} (times)",
            1.12 if work == _FIRST else 1.2,
            1.4,
            "before",
            work,
            name,
            before.NOW,
        )
        for work in before.WORKS
        if work.startswith("crops")
        for kind, name in _KINDS.items()
    ),
    *(
        Figure(
            f"batches of crops of {size} px on two threads against one (times)",
            1.85,
            1.95,
            "crops",
            crops.THREADS.format(size),
            "A",
            crops.TWO_THREADS,
        )
        for size in (448, 224)
    ),
    Figure(
        "FrequencyLoader on two threads against one (times)", 1.8, 1.9, "store", store.THREADS, "A", store.TWO_THREADS
    ),
    Figure("reading a stored tensor of 24 x 28 x 28 (us)", 10, 5, "store", store.SAMPLE),
    Figure("convert against read_batch alone, CPU time (times)", 0.85, 0.95, "store", store.CPU, "A", store.CONVERT),
    Figure("convert against read_batch alone, wall time (times)", 0.8, 0.95, "store", store.WALL, "A", store.CONVERT),
    *(
        Figure(
            f"whole training loop of {name}, 24 channels against RGB, set {where} (times)",
            1.3,
            1.8,
            "training",
            training.WALL.format(name),
            where,
            training.DCT_24,
        )
        for name in training.ARCHITECTURES.values()
        for where in ("A", "imagenette")
    ),
    *(
        Figure(
            f"training {name} on 24 channels, share of time spent waiting for input (%)",
            10,
            3,
            "training",
            training.WAITING.format(training.DCT_24, "A", name),
        )
        for name in training.ARCHITECTURES.values()
    ),
    Figure(
        "large photographs in fresh memory against libjpeg-turbo, set L (times)", 1.5, 2.0, "large", large.LARGE, "L"
    ),
    Figure(
        "large photographs to 224 px against simplejpeg's scaled decode, geometric mean (times)",
        1.6,
        2.2,
        "shrink",
        shrink.TITLE,
        "L",
        shrink.OURS,
        mean_over_images=True,
    ),
    Figure(
        "large photographs to 224 px against simplejpeg's scaled decode, worst file (times)",
        0.8,
        1.1,
        "shrink",
        shrink.WORST,
        "L",
        shrink.OURS,
    ),
    Figure(
        "large photographs to 224 px against torchvision, geometric mean (times)",
        4.2,
        6,
        "shrink",
        shrink.AGAINST_TORCHVISION,
        "L",
        shrink.OURS,
        mean_over_images=True,
    ),
    Figure("read_header on a photograph (us)", 20, 5, "coefficients", f"{coefficients.HEADER}, jpegfreq"),
    Figure("`import jpegfreq` after NumPy (ms)", 100, 20, "coefficients", coefficients.IMPORT),
    Figure("first `to_frequency_tensor` of a process after Numba is imported (ms)", 200, 50, "tensor", tensor.FIRST),
    *(Figure(f"{memory.title(*case)} (MB)", 4, 4, "memory", memory.title(*case)) for case in memory.CASES),
)
