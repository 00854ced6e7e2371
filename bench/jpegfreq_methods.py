"""Our side, through the public Python API. Every result is compared with the opponent's before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import jpegfreq
from bench.opponents import equal_pixels, equal_planes
from bench.sets import Image
from bench.timing import Method
from jpegfreq._dct import dct_matrix

Chunk = tuple[Image, ...]
CHUNK = 100  # images per batch call


def coefficients() -> Method[Image]:
    def check(image: Image) -> str:
        return _named(image, equal_planes(jpegfreq.read_coefficients(image.data).planes, image.data))

    return Method("jpegfreq", lambda image: jpegfreq.read_coefficients(image.data), check, strict=True)


def chunks(images: Sequence[Image]) -> list[Chunk]:
    """Divide the images into parts of nearly equal length, of at most 100 images each."""
    count = -(-len(images) // CHUNK)
    return [tuple(images[i * len(images) // count : (i + 1) * len(images) // count]) for i in range(count)]


def coefficients_batch(threads: int) -> Method[Chunk]:
    def run(chunk: Chunk) -> object:
        return jpegfreq.read_coefficients_batch([image.data for image in chunk], threads=threads)

    def check(chunk: Chunk) -> str:
        results = jpegfreq.read_coefficients_batch([image.data for image in chunk], threads=threads)
        differences = [
            _named(image, equal_planes(result.planes, image.data)) for image, result in zip(chunk, results, strict=True)
        ]
        return "; ".join(filter(None, differences))

    return Method(f"jpegfreq, batch, {threads} thread{'s' * (threads > 1)}", run, check, strict=True)


def tensor(tensor_format: jpegfreq.TensorFormat, name: str) -> Method[Image]:
    """Time bytes to tensor. If it has all 192 channels, it is checked by converting it back to RGB."""

    def run(image: Image) -> NDArray[np.generic]:
        return jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(image.data), tensor_format)

    def check(image: Image) -> str:
        values = run(image).astype(np.float32)
        if tensor_format.layout == "HWC":
            values = values.transpose(2, 0, 1)
        if values.shape[0] != 192:
            return ""
        height, width = _size(image)
        return _named(image, equal_pixels(to_rgb(values)[:height, :width], image.data))

    return Method(name, run, check, strict=True)


def _size(image: Image) -> tuple[int, int]:
    header = jpegfreq.read_header(image.data)
    return header.height, header.width


def to_rgb(channels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert a tensor [192, H/8, W/8] to RGB by inverse DCT and JFIF's YCbCr -> RGB: uint8 [H, W, 3]."""
    count, high, wide = channels.shape
    basis = dct_matrix()
    blocks = channels.reshape(count // 64, 8, 8, high, wide)
    y, cb, cr = np.einsum("cvuij,vy,ux->ciyjx", blocks, basis, basis, optimize=True).reshape(-1, high * 8, wide * 8)
    y = y + 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    pixels: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return pixels


def _named(image: Image, difference: str) -> str:
    return f"{image.name}: {difference}" if difference else ""
