"""Small JPEGs with known content, made by Pillow, and the forms in which a caller may pass one."""

from __future__ import annotations

import array
import ctypes
import io
import mmap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@cache
def make_jpeg(width: int = 40, height: int = 24, mode: str = "RGB", seed: int = 0, **options: Any) -> bytes:
    """Make a JPEG of smooth noise; Pillow's encoder gets the `options`."""
    channels = len(mode) if mode != "L" else 1
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    pixels = np.clip(pixels + rng.integers(-12, 12, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """Make a marker segment, for `with_segments`."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Insert segments directly after the file's SOI."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


class PathOf:
    """A path-like object that is neither str nor Path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


def every_form(data: bytes, folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield the same file in every form that our functions accept, each with a name for the message of a failure."""
    yield "bytes", data
    yield "bytearray", bytearray(data)
    yield "memoryview", memoryview(data)
    yield "read-only memoryview of a slice", memoryview(b"xx" + data)[2:]
    yield "signed bytes", memoryview(data).cast("b")
    yield "array", array.array("B", data)
    yield "ctypes array", (ctypes.c_char * len(data)).from_buffer_copy(data)
    yield "uint8 array", np.frombuffer(data, np.uint8)
    yield "array of two dimensions", np.frombuffer(data + b"\0" * (len(data) % 2), np.uint8).reshape(-1, 2)
    path = folder / "päth.jpg"
    path.write_bytes(data)
    yield "str", str(path)
    yield "Path", path
    yield "path-like", PathOf(path)
    with path.open("rb") as file:
        yield "mmap", mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
