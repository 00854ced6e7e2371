"""Ways from a JPEG's bytes to a normalized batch of training crops: jpegfreq's, and those of the RGB libraries.

Every pipeline makes the same crops and mirrors the same images, on one thread. `profile` times them on a user's own
files, and bench/bench_crops.py on those of the project.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

import jpegfreq
from jpegfreq._memory import empty
from jpegfreq.report.laps import Laps

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.crops import Box

__all__ = [
    "BATCH",
    "COLOR",
    "CROP",
    "DECODE",
    "ENTROPY",
    "NORMALIZE",
    "ONE_CALL",
    "RGB_SIZE",
    "Draw",
    "Pipeline",
    "Pixels",
    "entropy_of_ours",
    "on_one_thread",
    "opencv",
    "ours",
    "rgb_pipelines",
    "scaled_decoders",
    "torchvision",
]

BATCH = 50  # images per call
RGB_SIZE = 224  # pixels: the input of most RGB networks

# The stages of a pipeline. A pipeline that does several in one call has ONE_CALL instead.
DECODE = "decode"  # ENTROPY and COLOR together; `profile` tells them apart
ENTROPY, COLOR = "entropy decoding", "inverse DCT and colour"
CROP, NORMALIZE, ONE_CALL = "crop and resize", "normalize", "everything after entropy decoding, in one call"

_NO_SMOOTHING = "its bilinear filter does not smooth what it shrinks"

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Draw: TypeAlias = "tuple[Box, bool]"  # the crop of an image, and whether it is mirrored
Pixels: TypeAlias = "npt.NDArray[np.uint8]"


@dataclass(frozen=True)
class Pipeline:
    """A way to make a batch.

    Attributes:
        name: of the libraries.
        input: what a network gets, in words.
        shape: of one image's tensor.
        dtype: of its values.
        ours: whether it is jpegfreq's.
        run: makes the batch of at most BATCH files, given as their bytes, their crops and a watch for the stages;
            returns the batch, which the next call overwrites.
        decoder: the name of its decoder, as `scaled_decoders` has it; "" for ours.
        note: what to know when comparing it with others; "" for nothing.
        is_reduced: whether it decodes large images at a smaller size, which changes the pixels.
        format: what its tensors hold; None for pixels.
    """

    name: str
    input: str
    shape: tuple[int, ...]
    dtype: str
    ours: bool
    run: Callable[[Sequence[bytes], Sequence[Draw], Laps], Any]
    decoder: str = ""
    note: str = ""
    is_reduced: bool = False
    format: jpegfreq.TensorFormat | None = None

    @property
    def size_bytes(self) -> int:
        """How many bytes per image go to the accelerator."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def ours(channels: int, size: int, dtype: str, layout: str = "CHW") -> Pipeline:
    """Make the pipeline of `read_batch`.

    Args:
        channels: 192, or a preset's number.
        size: height and width in pixels of the crop.
        dtype: "float32" or "float16".
        layout: "CHW" or "HWC".
    """
    statistics = jpegfreq.ChannelStatistics((1.0,) * 192, (50.0,) * 192, "made up: any normalization costs the same")
    chosen: Any = "all" if channels == 192 else channels
    format = jpegfreq.TensorFormat(chosen, layout=layout, dtype=dtype, statistics=statistics)  # type: ignore[arg-type]
    batch = empty((BATCH, *format.shape(size, size)), format.numpy_dtype)
    batch[...] = 0  # memory that is used again, as a loader does

    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> Any:
        boxes, flips = zip(*draws, strict=True)
        out = batch[: len(images)]
        jpegfreq.read_batch(images, size=(size, size), boxes=boxes, flips=flips, format=format, threads=1, out=out)
        laps.lap(ONE_CALL)
        return out

    shape = format.shape(size, size)
    return Pipeline("jpegfreq", f"{channels} channels of {size} px", shape, dtype, True, run, format=format)


def entropy_of_ours(images: Sequence[bytes], draws: Sequence[Draw]) -> None:
    """Entropy-decode the rows that the crops need, and next to nothing else: a strip of one pixel's width."""
    boxes = [(top, left, height, 1) for (top, left, height, _), _ in draws]
    jpegfreq.read_batch(images, size=(8, 8), boxes=boxes, format=jpegfreq.TensorFormat([0]), threads=1)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Let PyTorch and OpenCV, where they are installed, work on one thread."""
    threads = []
    if _is_installed("torch"):
        import torch

        threads.append((torch.set_num_threads, torch.get_num_threads()))
    if _is_installed("cv2"):
        import cv2

        threads.append((cv2.setNumThreads, cv2.getNumThreads()))
    for set_threads, _ in threads:
        set_threads(1)
    try:
        yield
    finally:
        for set_threads, count in threads:
            set_threads(count)


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def rgb_pipelines(*, are_large: bool) -> tuple[list[Pipeline], list[str]]:
    """Make the RGB pipelines of the libraries that are installed.

    Args:
        are_large: whether images are so large that decoding them at a reduced size is worth measuring.

    Returns:
        The pipelines, and the names of those whose libraries are missing or do not work here.
    """
    makers: dict[str, Callable[[], Pipeline]] = {
        "torchvision": torchvision,
        "Pillow + torchvision": _pillow,
        "OpenCV": opencv,
        "simplejpeg + OpenCV": _simplejpeg,
        "simplejpeg at reduced size": _simplejpeg_reduced,
        "PyTurboJPEG + OpenCV": _pyturbojpeg,
        "DALI on the CPU": dali,
    }
    if not are_large:
        del makers["simplejpeg at reduced size"]
    found, missing = [], []
    for name, make in makers.items():
        try:
            found.append(make())
        except (ImportError, OSError, RuntimeError):  # the package, or the library of the system that it needs
            missing.append(name)
    return found, missing


def torchvision() -> Pipeline:
    """Make torchvision's pipeline: its decoder and its transforms v2."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional

    normalize = _torch_normalize()

    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> Any:
        for slot, (data, (box, flip)) in enumerate(zip(images, draws, strict=True)):
            pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
            laps.lap(DECODE)
            pixels = functional.resized_crop(pixels, *box, [RGB_SIZE, RGB_SIZE], antialias=True)
            pixels = pixels.flip(-1) if flip else pixels
            laps.lap(CROP)
            batch = normalize(pixels, slot)
            laps.lap(NORMALIZE)
        return batch

    return _rgb("torchvision", run, "torchvision")


def _pillow() -> Pipeline:
    from PIL import Image
    from torchvision.transforms.v2 import functional

    normalize = _torch_normalize()

    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> Any:
        for slot, (data, (box, flip)) in enumerate(zip(images, draws, strict=True)):
            image = Image.open(io.BytesIO(data)).convert("RGB")
            laps.lap(DECODE)
            image = functional.resized_crop(image, *box, [RGB_SIZE, RGB_SIZE], antialias=True)
            image = functional.horizontal_flip(image) if flip else image
            laps.lap(CROP)
            batch = normalize(functional.pil_to_tensor(image), slot)
            laps.lap(NORMALIZE)
        return batch

    return _rgb("Pillow + torchvision", run, "Pillow")


def _torch_normalize() -> Callable[[Any, int], Any]:
    import torch

    batch = torch.zeros(BATCH, 3, RGB_SIZE, RGB_SIZE)
    mean, std = (torch.tensor(values)[:, None, None] for values in (_MEAN, _STD))

    def normalize(pixels: Any, slot: int) -> Any:
        batch[slot] = (pixels.float() / 255 - mean) / std
        return batch

    return normalize


def opencv() -> Pipeline:
    """Make OpenCV's pipeline."""
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION

    def decode(data: bytes, draw: Draw) -> Pixels:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if pixels is None:
            raise ValueError("cannot be decoded")
        return np.asarray(pixels, np.uint8)

    def convert(pixels: Pixels) -> Pixels:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)

    return _with_opencv("OpenCV", decode, "OpenCV", convert)


def _simplejpeg() -> Pipeline:
    from simplejpeg import decode_jpeg

    return _with_opencv("simplejpeg + OpenCV", lambda data, draw: decode_jpeg(data, "RGB"), "simplejpeg")


def _simplejpeg_reduced() -> Pipeline:
    from simplejpeg import decode_jpeg, decode_jpeg_header

    def decode(data: bytes, draw: Draw) -> Pixels:
        _, _, box_height, box_width = draw[0]
        height, width = decode_jpeg_header(data)[:2]
        scale = min(1.0, max(RGB_SIZE / box_height, RGB_SIZE / box_width))  # what the crop still needs
        least = {"min_height": int(np.ceil(height * scale)), "min_width": int(np.ceil(width * scale))}
        pixels: Pixels = decode_jpeg(data, "RGB", min_factor=1, **(least if scale < 1 else {}))
        return pixels

    return _with_opencv("simplejpeg at reduced size", decode, "simplejpeg", is_reduced=True)


def _pyturbojpeg() -> Pipeline:
    import turbojpeg

    decoder = turbojpeg.TurboJPEG()

    def decode(data: bytes, draw: Draw) -> Pixels:
        return np.asarray(decoder.decode(data, pixel_format=turbojpeg.TJPF_RGB), np.uint8)

    return _with_opencv("PyTurboJPEG + OpenCV", decode, "PyTurboJPEG")


def _with_opencv(
    name: str,
    decode: Callable[[bytes, Draw], Pixels],
    decoder: str,
    convert: Callable[[Pixels], Pixels] | None = None,
    *,
    is_reduced: bool = False,
) -> Pipeline:
    """Make a pipeline that crops, resizes and mirrors with OpenCV; if `is_reduced`, `decode` may shrink the image."""
    import cv2

    batch = np.zeros((BATCH, 3, RGB_SIZE, RGB_SIZE), np.float32)
    scale = 1 / (255 * np.array(_STD, np.float32)[:, None, None])
    shift = -255 * np.array(_MEAN, np.float32)[:, None, None] * scale

    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> Any:
        for slot, (data, draw) in enumerate(zip(images, draws, strict=True)):
            pixels = decode(data, draw)
            laps.lap(DECODE)
            (top, left, height, width), flip = draw
            if is_reduced:
                full = jpegfreq.read_header(data)
                y, x = pixels.shape[0] / full.height, pixels.shape[1] / full.width
                top, height = round(top * y), max(1, round(height * y))
                left, width = round(left * x), max(1, round(width * x))
            pixels = pixels[top : top + height, left : left + width]
            pixels = np.asarray(cv2.resize(pixels, (RGB_SIZE, RGB_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)
            pixels = np.asarray(cv2.flip(pixels, 1), np.uint8) if flip else pixels
            pixels = convert(pixels) if convert else pixels
            laps.lap(CROP)
            out = batch[slot]
            out[...] = pixels.transpose(2, 0, 1)  # six times as fast as NumPy's arithmetic on channels last
            out *= scale
            out += shift
            laps.lap(NORMALIZE)
        return batch[: len(images)]

    note = "decodes large images at 1/2 of their size or less; its pixels differ" if is_reduced else _NO_SMOOTHING
    return _rgb(name, run, decoder, note, is_reduced)


def dali() -> Pipeline:
    """Make DALI's pipeline on the CPU, in one thread."""
    package: Any = importlib.import_module("nvidia.dali")  # its own type stubs do not know all of its options
    fn, types = package.fn, package.types
    names = ("jpegs", "start", "shape", "mirror")

    def graph() -> Any:
        jpegs, start, shape, mirror = (fn.external_source(name=name) for name in names)
        pixels = fn.decoders.image_slice(jpegs, start=start, shape=shape, axes=(0, 1), output_type=types.RGB)
        pixels = fn.resize(pixels, size=[RGB_SIZE, RGB_SIZE], interp_type=types.INTERP_LINEAR, antialias=True)
        mean, std = [255 * value for value in _MEAN], [255 * value for value in _STD]
        return fn.crop_mirror_normalize(
            pixels, dtype=types.FLOAT, output_layout="CHW", mean=mean, std=std, mirror=mirror
        )

    options = {"batch_size": BATCH, "num_threads": 1, "device_id": None, "prefetch_queue_depth": 1}
    make = package.pipeline_def(**options, exec_dynamic=False)(graph)
    pipeline: Any = None

    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> Any:
        values = (
            [np.frombuffer(data, np.uint8) for data in images],
            [np.array(box[:2], np.int32) for box, _ in draws],
            [np.array(box[2:], np.int32) for box, _ in draws],
            [np.array(flip, np.int32) for _, flip in draws],
        )
        nonlocal pipeline
        if pipeline is None:
            pipeline = make()
            pipeline.build()
        for name, arrays in zip(names, values, strict=True):
            pipeline.feed_input(name, arrays)
        try:
            batch = pipeline.run()[0]
        except RuntimeError:
            pipeline = None  # it cannot be used again
            raise
        laps.lap(ONE_CALL)
        return batch

    return _rgb("DALI on the CPU", run, "DALI")


def _rgb(name: str, run: Callable[..., Any], decoder: str, note: str = "", is_reduced: bool = False) -> Pipeline:
    shape = (3, RGB_SIZE, RGB_SIZE)
    return Pipeline(name, f"RGB of {RGB_SIZE} px", shape, "float32", False, run, decoder, note, is_reduced)


def scaled_decoders() -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """Yield decoders that decode at 1/8 of the size, by the name of the decoder.

    At 1/8 of the size the inverse DCT and the colour conversion work on 1/64 of the pixels, so that nearly all of the
    time is entropy decoding, which every size needs in full.
    """
    if _is_installed("simplejpeg"):
        from simplejpeg import decode_jpeg

        yield "simplejpeg", lambda data: decode_jpeg(data, "RGB", min_height=1, min_width=1, min_factor=8)
    if _is_installed("PIL"):
        from PIL import Image

        def pillow(data: bytes) -> Any:
            image = Image.open(io.BytesIO(data))
            image.draft("RGB", (1, 1))
            return image.convert("RGB")

        yield "Pillow", pillow
    if _is_installed("cv2"):
        import cv2

        flags = cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION
        yield "OpenCV", lambda data: cv2.imdecode(np.frombuffer(data, np.uint8), flags)
