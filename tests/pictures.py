"""Small JPEGs with known content, made by Pillow."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


@cache
def picture(width: int = 40, height: int = 24, mode: str = "RGB", seed: int = 0, **options: Any) -> bytes:
    """A JPEG of smooth noise; `options` go to Pillow's encoder."""
    channels = len(mode) if mode != "L" else 1
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, channels), np.uint8)
    pixels = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    pixels = np.clip(pixels + rng.integers(-12, 12, pixels.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if mode == "L" else pixels, mode).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """A marker segment, to be put behind the SOI of a file."""
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """The file with segments put in behind its SOI."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]
