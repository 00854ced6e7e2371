"""Folders of images, and of files that are not good images, for tests of data sets and loaders."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from jpegfreq import TensorFormat
from tests.images import make_jpeg

SIZE = (32, 24)
FORMAT = TensorFormat(24, layout="HWC")


def encoded(kind: str, width: int = 60, height: int = 50) -> bytes:
    """Encode an image in another format, without loss where that is a choice."""
    file = io.BytesIO()
    Image.open(io.BytesIO(make_jpeg(width, height))).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


STRAYS = {"PNG": encoded("PNG"), "WebP": encoded("WEBP"), "CMYK": make_jpeg(50, 40, mode="CMYK")}
BROKEN = {"truncated": make_jpeg(300, 300, quality=95)[:6000], "not a JPEG": b"no image"}


def make_folder(root: Path) -> Path:
    """Write eleven good images of two classes, of several sizes."""
    for i in range(11):
        path = root / "ba"[i % 2] / f"{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(60 + 9 * i, 90 - 5 * i, seed=i, quality=90, subsampling=("4:2:0", "4:4:4")[i % 2]))
    return root


def add_strays(folder: Path) -> Path:
    """Add the strays and the broken files to a class of a folder."""
    for i, data in enumerate((STRAYS | BROKEN).values()):
        (folder / "a" / f"{i:02}x.jpg").write_bytes(data)
    return folder
