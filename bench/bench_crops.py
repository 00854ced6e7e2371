"""JPEG bytes to a training batch: random-resized crop, flip and normalization, into a tensor larger than any cache.

Every method makes the same crops and flips of the same images on one thread. jpegfreq produces the frequency tensor of
a 448 x 448 px crop (56 x 56 blocks). torchvision and OpenCV produce the RGB tensor of 224 x 224 px that a network takes
instead. OpenCV with a block DCT produces the same frequency tensor, except for rounding and OpenCV's own filter, and
shows what the tensor costs without jpegfreq. So does the released pipeline of "Learning in the Frequency Domain",
rewritten from its description: the crop is encoded at quality 100 and 4:2:0 for Y, doubled and encoded again for Cb and
Cr, and jpeg2dct reads both files. Two rows measure parts of our work alone, which no crop can avoid. torchvision and
OpenCV run the pipelines that `jpegfreq profile` times.

A second table has crops of 224 x 224 px (28 x 28 blocks): the input of RGB networks on frequencies. There the same
photographs are read once more with a restart marker every MCU row, as `jpegfreq prepare` writes them. jpegtran makes
these files; without it their rows are missing. So is that of DALI, which is a gigabyte, where it is not installed.

The last tables compare two threads with one, by wall time. Theirs are the only crops on more than one thread.
"""

from __future__ import annotations

import ctypes
import importlib
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

import jpegfreq
from bench import jpegfreq_methods as ours
from bench.results import Options, Result, Table
from bench.sets import Image
from bench.timing import Method, compare
from jpegfreq._dct import dct_matrix
from jpegfreq.crops import random_resized_crop_box
from jpegfreq.report import pipelines
from jpegfreq.report.laps import Laps
from jpegfreq.report.pipelines import BATCH, Draw, Pipeline

TITLE = "bytes to a batch of random-resized crops"
TITLE_224 = f"{TITLE} of 224 px"
AGAINST_ORIGINALS = f"{TITLE_224}, prepared files against the originals"
AGAINST_OPENCV = f"{TITLE}, against OpenCV"
AGAINST_BLOCKS = f"{TITLE}, against OpenCV with a block DCT"
AGAINST_PAPER = f"{TITLE}, against the paper's released pipeline"
AGAINST_OURS = f"{TITLE}, ours among themselves"
TORCHVISION, OPENCV, BLOCKS = "torchvision, RGB 224", "OpenCV, RGB 224", "OpenCV, block DCT 448"
PAPER = "the paper's pipeline, two encodes, 448"
HWC, CHW = "jpegfreq, 192 channels last, 448", "jpegfreq, 192 channels first, 448"
HWC_24, CHW_24 = "jpegfreq, 24 channels last, 448", "jpegfreq, 24 channels first, 448"
HWC_HALF = "jpegfreq, 192 channels last, float16, 448"
HWC_224, CHW_224 = "jpegfreq, 192 channels last, 224", "jpegfreq, 192 channels first, 224"
HWC_48_224, HWC_24_224 = "jpegfreq, 48 channels last, float16, 224", "jpegfreq, 24 channels last, 224"
PREPARED_224 = "jpegfreq, 192 channels last, 224, a restart marker per MCU row"
DALI_224 = "DALI on the CPU, RGB 224"
THREADS = "batches of up to 100 random-resized crops, two threads over one, wall time, {} px"
ONE_THREAD, TWO_THREADS = "jpegfreq, 1 thread", "jpegfreq, 2 threads"
AGAINST_DALI = f"{TITLE_224}, against DALI"
DECODE, FILL = "part: coefficients of the whole images alone", "part: zeros to the 192 x 56 x 56 tensors alone"

Draws = dict[Image, Draw]


def run(result: Result, options: Options) -> None:
    images = options.images("A")
    if images:
        with pipelines.on_one_thread():
            _run(result, options, images)


def _run(result: Result, options: Options, images: Sequence[Image]) -> None:
    random = np.random.default_rng(0)
    draws = {image: drawn(image, random) for image in images}
    kinds = {"A": images, "A, 4:4:4": sampled(images, 1, 1), "A, 4:2:0": sampled(images, 2, 2)}
    for name, chosen in kinds.items():
        if not chosen:
            continue
        units = [tuple(chosen[i : i + BATCH]) for i in range(0, len(chosen), BATCH)]
        paper = _paper(draws)
        methods = [
            _method(TORCHVISION, pipelines.torchvision(), draws),
            _method(OPENCV, pipelines.opencv(), draws),
            _blocks(draws),
            paper,
            _ours(draws, HWC, jpegfreq.TensorFormat(layout="HWC", statistics=statistics())),
            _ours(draws, CHW, jpegfreq.TensorFormat(layout="CHW", statistics=statistics())),
            _ours(draws, HWC_24, jpegfreq.TensorFormat(24, layout="HWC", statistics=statistics())),
            _ours(draws, CHW_24, jpegfreq.TensorFormat(24, layout="CHW", statistics=statistics())),
            _ours(draws, HWC_HALF, jpegfreq.TensorFormat(layout="HWC", dtype="float16", statistics=statistics())),
            replace(ours.coefficients_batch(threads=1), name=DECODE),
            _fill(),
        ]
        samples = result.compare(TITLE, name, units, methods, baseline=TORCHVISION, seconds=3 * options.seconds)
        baselines = {AGAINST_OPENCV: OPENCV, AGAINST_BLOCKS: BLOCKS, AGAINST_PAPER: paper.name, AGAINST_OURS: HWC}
        for title, baseline in baselines.items():
            result.add(Table(title, name, compare(samples, baseline)))
        _run_224(result, options, name, units, draws)
    chunks = ours.chunks(images)
    tensor_format = jpegfreq.TensorFormat(layout="HWC", statistics=statistics())
    for size in (448, 224):
        methods = [
            _ours(draws, name, tensor_format, size, threads=threads)
            for name, threads in ((ONE_THREAD, 1), (TWO_THREADS, 2))
        ]
        result.compare(
            THREADS.format(size), "A", chunks, methods, baseline=ONE_THREAD, seconds=options.seconds, clock="wall"
        )


def _run_224(result: Result, options: Options, name: str, units: Sequence[ours.Chunk], draws: Draws) -> None:
    last = jpegfreq.TensorFormat(layout="HWC", statistics=statistics())
    half_48 = jpegfreq.TensorFormat(48, layout="HWC", dtype="float16", statistics=statistics())
    methods = [
        _method(TORCHVISION, pipelines.torchvision(), draws),
        _ours(draws, HWC_224, last, 224),
        _ours(draws, CHW_224, replace(last, layout="CHW"), 224),
        _ours(draws, HWC_48_224, half_48, 224),
        _ours(draws, HWC_24_224, jpegfreq.TensorFormat(24, layout="HWC", statistics=statistics()), 224),
    ]
    prepared = _prepared(units)
    if prepared:
        methods.append(_ours(draws, PREPARED_224, last, 224, prepared))
    try:
        methods.append(_method(DALI_224, pipelines.dali(), draws))
    except ImportError:
        print(f"  not installed, so not measured: {DALI_224} (nvidia-dali-cuda120)", flush=True)
    samples = result.compare(TITLE_224, name, units, methods, baseline=TORCHVISION, seconds=2 * options.seconds)
    if prepared:
        result.add(Table(AGAINST_ORIGINALS, name, compare(samples, HWC_224)))
    if DALI_224 in samples.names:
        result.add(Table(AGAINST_DALI, name, compare(samples, DALI_224)))


def _prepared(units: Sequence[ours.Chunk]) -> dict[Image, bytes]:
    """Make files with optimal Huffman tables and a restart marker every MCU row; return {} if jpegtran is missing."""
    program = shutil.which("jpegtran")
    if program is None:
        return {}
    command = [program, "-copy", "all", "-optimize", "-restart", "1"]
    return {
        image: subprocess.run(command, input=image.data, capture_output=True, check=True).stdout
        for chunk in units
        for image in chunk
    }


def drawn(image: Image, random: np.random.Generator) -> Draw:
    """Draw a random-resized crop and a flip."""
    header = jpegfreq.read_header(image.data)
    return random_resized_crop_box(header.height, header.width, random), bool(random.integers(2))


def sampled(images: Sequence[Image], horizontal: int, vertical: int) -> tuple[Image, ...]:
    """Keep the images of three components whose luma has these sampling factors."""
    found = []
    for image in images:
        components = jpegfreq.read_header(image.data).components
        factors = (components[0].horizontal_sampling_factor, components[0].vertical_sampling_factor)
        if len(components) == 3 and factors == (horizontal, vertical):
            found.append(image)
    return tuple(found)


def statistics() -> jpegfreq.ChannelStatistics:
    """Make up statistics: any normalization costs the same."""
    return jpegfreq.ChannelStatistics((1.0,) * 192, (50.0,) * 192, "made up: any normalization costs the same")


def _ours(
    draws: Draws,
    name: str,
    tensor_format: jpegfreq.TensorFormat,
    size: int = 448,
    files: dict[Image, bytes] | None = None,
    threads: int = 1,
) -> Method[ours.Chunk]:
    """Make crops of `size` pixels, of the images themselves or of other files with the same coefficients."""
    batch = _aligned_zeros((max(BATCH, ours.CHUNK), *tensor_format.shape(size, size)), tensor_format.dtype)

    def data(image: Image) -> bytes:
        return files[image] if files else image.data

    def run(chunk: ours.Chunk) -> None:
        boxes, flips = zip(*(draws[image] for image in chunk), strict=True)
        jpegfreq.read_batch(
            [data(image) for image in chunk],
            size=(size, size),
            boxes=boxes,
            flips=flips,
            format=tensor_format,
            threads=threads,
            out=batch[: len(chunk)],
        )

    def check(chunk: ours.Chunk) -> str:
        run(chunk)
        for image, slot in zip(chunk, batch, strict=False):
            box, flip = draws[image]
            coefficients = jpegfreq.read_coefficients(image.data)
            if not np.array_equal(
                slot, jpegfreq.resample(coefficients, box, (size, size), flip=flip, format=tensor_format)
            ):
                return f"{image.name} differs from the same image alone"
        return ""

    return Method(name, run, check, strict=True)


def _fill() -> Method[ours.Chunk]:
    """Time the memory of the batch alone: the C library's memset, which uses non-temporal stores."""
    batch = _aligned_zeros((BATCH, 56, 56, 192))
    return Method(FILL, lambda chunk: ctypes.memset(batch.ctypes.data, 0, len(chunk) * batch[0].nbytes))


def _aligned_zeros(shape: tuple[int, ...], dtype: str = "float32") -> NDArray[np.floating]:
    """Allocate zeros at the start of a cache line, as PyTorch does, and touch them, as in a batch that is reused."""
    bytes_needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(bytes_needed + 64, np.uint8)
    memory += 0
    start = -memory.ctypes.data % 64
    return memory[start : start + bytes_needed].view(dtype).reshape(shape)


def _each(work: Callable[[Image, int], None]) -> Callable[[ours.Chunk], None]:
    def run(chunk: ours.Chunk) -> None:
        for slot, image in enumerate(chunk):
            work(image, slot)

    return run


def _method(name: str, pipeline: Pipeline, draws: Draws) -> Method[ours.Chunk]:
    """Time a pipeline of `jpegfreq profile` from memory."""

    def run(chunk: ours.Chunk) -> object:
        return pipeline.run([image.data for image in chunk], [draws[image] for image in chunk], Laps())

    return Method(name, run)


def _blocks(draws: Draws) -> Method[ours.Chunk]:
    import cv2

    cv2.setNumThreads(1)
    batch = np.zeros((BATCH, 56, 56, 192), np.float32)
    dct = dct_matrix().astype(np.float32)

    def work(image: Image, slot: int) -> None:
        pixels = cv2.cvtColor(_opencv_crop(image, draws[image], 448), cv2.COLOR_BGR2YCrCb)[..., [0, 2, 1]]
        samples = (pixels.astype(np.float32) - 128).reshape(56, 8, 56, 8, 3).transpose(0, 2, 4, 1, 3)
        batch[slot] = ((dct @ samples @ dct.T).reshape(56, 56, 192) - 1) / 50

    return Method(BLOCKS, _each(work), lambda chunk: _far_from_ours(draws, work, batch, chunk))


def _paper(draws: Draws) -> Method[ours.Chunk]:
    """Make the paper's pipeline. If jpeg2dct is missing, jpegfreq reads the encoded files, and the name says so."""
    import cv2

    cv2.setNumThreads(1)
    batch = np.zeros((BATCH, 56, 56, 192), np.float32)
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    try:
        name, read = PAPER, importlib.import_module("jpeg2dct.numpy").loads
    except ImportError:
        name, read = f"{PAPER}, read by jpegfreq", _read_planes

    def work(image: Image, slot: int) -> None:
        pixels = _opencv_crop(image, draws[image], 448)
        y = read(cv2.imencode(".jpg", pixels, options)[1].tobytes())[0]
        doubled = cv2.resize(pixels, (896, 896), interpolation=cv2.INTER_LINEAR)
        _, cb, cr = read(cv2.imencode(".jpg", doubled, options)[1].tobytes())
        batch[slot] = (np.concatenate((y, cb, cr), axis=2).astype(np.float32) - 1) / 50

    return Method(name, _each(work), lambda chunk: _far_from_ours(draws, work, batch, chunk))


def _read_planes(data: bytes) -> list[NDArray[np.int16]]:
    return [plane.reshape(*plane.shape[:2], 64) for plane in jpegfreq.read_coefficients(data).planes]


def _far_from_ours(
    draws: Draws, work: Callable[[Image, int], None], batch: NDArray[np.float32], chunk: ours.Chunk
) -> str:
    """Describe a difference from our tensor that is larger than filter and rounding explain; "" if there is none."""
    work(chunk[0], 0)
    box, flip = draws[chunk[0]]
    tensor_format = jpegfreq.TensorFormat(layout="HWC", statistics=statistics())
    coefficients = jpegfreq.read_coefficients(chunk[0].data)
    same = jpegfreq.resample(coefficients, box, (448, 448), flip=flip, format=tensor_format)
    distance = float(np.abs(batch[0] - same).mean()) * 50
    return "" if distance < 4 else f"{chunk[0].name} is {distance:.1f} away from ours, on average"


def _opencv_crop(image: Image, draw: Draw, size: int) -> NDArray[np.uint8]:
    import cv2

    (top, left, height, width), flip = draw
    pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
    pixels = cv2.resize(pixels[top : top + height, left : left + width], (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.flip(pixels, 1) if flip else pixels, np.uint8)
