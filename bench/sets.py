"""The inputs. Sets made from photographs are encoded again in memory by Pillow (libjpeg-turbo), always in the same way.

    A   the photographs as their authors encoded them
    B   the same at 4:2:0, quality 75
    C   the same at 4:4:4, quality 95
    P   the same, progressive, 4:2:0, quality 90
    R   as B, with a restart marker after every MCU row
    L   large photographs, 8 to 16 Mpx, as they are
    W   progressive files from the web, as they are

A, B, C, P and R come from the folder that PHOTOS names, or from `photos` in the data folder. L and W come from the data
folder, which JPEGFREQ_DATA names (default: ../shared/data, next to the project).
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image as PillowImage

DATA = Path(os.environ.get("JPEGFREQ_DATA") or Path(__file__).resolve().parents[1] / ".." / "shared" / "data")
MOST_IMAGES = 200
SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif"}


@dataclass(frozen=True)
class Image:
    """A file's bytes in memory."""

    name: str
    data: bytes


def _files(folder: Path) -> list[Image]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [Image(path.name, path.read_bytes()) for path in paths]


@cache
def photographs() -> tuple[Image, ...]:
    """Load up to 200 photographs that Pillow reads as grey or YCbCr, spread evenly over the folder."""
    folder = Path(os.environ.get("PHOTOS") or DATA / "photos")
    images = _files(folder) if folder.is_dir() else []
    if not images:
        raise SystemExit(
            f"there are no JPEG files in {folder}: name a folder of photographs, as in `make bench PHOTOS=~/Pictures`"
        )
    images = [image for image in images if _mode(image) in ("L", "RGB")]
    count = min(len(images), MOST_IMAGES)
    return tuple(images[i * len(images) // count] for i in range(count))


def tiny() -> Image:
    """Make the smallest image that is used: 8 x 8 pixels."""
    file = io.BytesIO()
    PillowImage.new("RGB", (8, 8)).save(file, "JPEG")
    return Image("8x8", file.getvalue())


def _mode(image: Image) -> str:
    try:
        with PillowImage.open(io.BytesIO(image.data)) as opened:
            return opened.mode if opened.format in ("JPEG", "MPO") else ""
    except (OSError, SyntaxError):
        return ""


def _encoded(**options: object) -> Callable[[], list[Image]]:
    def make() -> list[Image]:
        images = []
        for image in photographs():
            file = io.BytesIO()
            PillowImage.open(io.BytesIO(image.data)).convert("RGB").save(file, "JPEG", **options)
            images.append(Image(image.name, file.getvalue()))
        return images

    return make


def _progressive_from_the_web() -> list[Image]:
    """Load the progressive files of `odd` and `large` with sides of 100 px or more that Pillow reads to the end."""
    images = []
    for image in _files(DATA / "odd") + _files(DATA / "large"):
        try:
            with PillowImage.open(io.BytesIO(image.data)) as opened:
                arithmetic = b"\xff\xc2" not in image.data  # SOF10, which Pillow calls progressive too
                if arithmetic or not opened.info.get("progressive") or min(opened.size) < 100:
                    continue
                opened.load()
        except (OSError, SyntaxError, ValueError):  # damaged on purpose, so not from the web
            continue
        images.append(image)
    return images


_MAKERS: dict[str, tuple[str, Callable[[], list[Image]]]] = {
    "A": ("photographs as they are", lambda: list(photographs())),
    "B": ("4:2:0, quality 75", _encoded(quality=75, subsampling="4:2:0")),
    "C": ("4:4:4, quality 95", _encoded(quality=95, subsampling="4:4:4")),
    "P": ("progressive, 4:2:0, quality 90", _encoded(quality=90, subsampling="4:2:0", progressive=True)),
    "R": (
        "as B, with a restart marker every MCU row",
        _encoded(quality=75, subsampling="4:2:0", restart_marker_rows=1),
    ),
    "L": ("large photographs, 8 to 16 Mpx", lambda: _files(DATA / "large")),
    "W": ("progressive files from the web", _progressive_from_the_web),
}
NAMES = tuple(_MAKERS)


def describe(name: str) -> str:
    return _MAKERS[name][0]


@cache
def load(name: str) -> tuple[Image, ...]:
    """Load the images of a set; it is empty if its folder is missing (L and W)."""
    return tuple(_MAKERS[name][1]())
