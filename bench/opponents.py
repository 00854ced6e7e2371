"""The opponents: libjpeg-turbo, driven by a small C file that is compiled here, and the packages Python users have.

Each function that makes a Method imports its package only when it is called. `available` leaves out the packages that
are not installed and prints which ones.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.sets import Image
from bench.timing import Method

BUILD = Path(__file__).resolve().parents[1] / "build" / "bench"
DEBIAN_LIBRARIES = ("/usr/lib/x86_64-linux-gnu/libjpeg.so.62", "/usr/lib/aarch64-linux-gnu/libjpeg.so.62")
WHAT_IT_NEEDS = "the opponent needs a C compiler and jpeglib.h: apt-get install gcc libjpeg62-turbo-dev"


@dataclass(frozen=True)
class Layout:
    """The image's size in pixels, and each component's in blocks: (high, wide)."""

    width: int
    height: int
    blocks: tuple[tuple[int, int], ...]


class JpegTurbo:
    """One libjpeg-turbo with one decompress struct, reused for every image."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = _version(path)
        self._functions = ctypes.CDLL(str(_build()))
        for name in ("header", "coefficients", "layout", "planes", "rgb"):
            output = (ctypes.c_void_p,) if name in ("layout", "planes", "rgb") else ()
            input_types = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
            getattr(self._functions, f"opponent_{name}").argtypes = input_types + output
        size = ctypes.POINTER(ctypes.c_ulong)
        self._functions.opponent_keep.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
        self._functions.opponent_write.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, size)
        self._functions.opponent_transcode.argtypes = (
            *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t),
            *(ctypes.c_int, ctypes.c_void_p, size),
        )
        self._functions.opponent_close.argtypes = (ctypes.c_void_p,)
        self._functions.opponent_open.argtypes = (ctypes.c_char_p,)
        self._functions.opponent_open.restype = ctypes.c_void_p
        opened = self._functions.opponent_open(str(path).encode())
        if not opened:
            raise OSError(f"{path} is not a libjpeg of ABI 62")
        self._opened = ctypes.c_void_p(opened)
        self._header = self._functions.opponent_header
        self._coefficients = self._functions.opponent_coefficients
        self._rgb = self._functions.opponent_rgb
        self._pixels = np.empty(0, dtype=np.uint8)
        self._pixels_address = 0
        self._file = np.zeros(64 << 20, dtype=np.uint8)  # the file that is written: untouched pages cost nothing

    @property
    def name(self) -> str:
        """The name in the tables."""
        return f"libjpeg-turbo {self.version}"

    def header(self, data: bytes) -> None:
        """Call jpeg_read_header, which reads up to the first SOS."""
        self._header(self._opened, data, len(data))

    def coefficients(self, data: bytes) -> int:
        """Call jpeg_read_coefficients and leave the result there; return the number of warnings, or -1."""
        return int(self._coefficients(self._opened, data, len(data)))

    def reserve(self, pixel_bytes: int) -> None:
        """Allocate the pixel buffer for images of up to this size, unless it is large enough."""
        if self._pixels.size < pixel_bytes:
            self._pixels = np.zeros(pixel_bytes, dtype=np.uint8)
            self._pixels_address = self._pixels.ctypes.data

    def rgb(self, data: bytes) -> int:
        """Decode to RGB, into one buffer that is reused; call `reserve` first."""
        return int(self._rgb(self._opened, data, len(data), self._pixels_address))

    def keep(self, data: bytes) -> int:
        """Read an image and keep its coefficients for `write`, until `close`; return the number of warnings, or -1."""
        return int(self._functions.opponent_keep(self._opened, data, len(data)))

    def write(self, progressive: bool, *, copy: bool = False) -> bytes | None:
        """Write the kept image with optimal tables; return the file only if a copy of it is wanted."""
        size = ctypes.c_ulong(self._file.size)
        address = self._file.ctypes.data
        if self._functions.opponent_write(self._opened, int(progressive), address, ctypes.byref(size)) < 0:
            raise ValueError("libjpeg cannot write this image")
        return self._file[: size.value].tobytes() if copy else None

    def transcode(self, data: bytes, progressive: bool, *, copy: bool = False) -> bytes | None:
        """Read and write a file as jpegtran does, with all its segments and optimal tables."""
        size = ctypes.c_ulong(self._file.size)
        address = self._file.ctypes.data
        arguments = (self._opened, data, len(data), int(progressive), address, ctypes.byref(size))
        if self._functions.opponent_transcode(*arguments) < 0:
            raise ValueError("libjpeg cannot transcode this file")
        return self._file[: size.value].tobytes() if copy else None

    def close(self) -> None:
        """Free the structs and what they keep; nothing else may be called after it."""
        self._functions.opponent_close(self._opened)

    def layout(self, data: bytes) -> Layout:
        """Read the sizes that the header declares."""
        values = (ctypes.c_int * 11)()
        if self._functions.opponent_layout(self._opened, data, len(data), values) < 0:
            raise ValueError("libjpeg cannot read this header")
        blocks = tuple((values[3 + 2 * c], values[4 + 2 * c]) for c in range(values[2]))
        return Layout(values[0], values[1], blocks)

    def planes(self, data: bytes) -> list[NDArray[np.int16]]:
        """Copy the coefficients: int16 [blocks_high, blocks_wide, 8, 8] per component."""
        planes = [np.zeros((high, wide, 8, 8), dtype=np.int16) for high, wide in self.layout(data).blocks]
        addresses = (ctypes.c_void_p * 4)(*[plane.ctypes.data for plane in planes])
        if self._functions.opponent_planes(self._opened, data, len(data), addresses) < 0:
            raise ValueError("libjpeg cannot read this file")
        return planes

    def pixels(self, data: bytes) -> NDArray[np.uint8]:
        """Decode the image into a new array: uint8 [height, width, 3]."""
        layout = self.layout(data)
        size = layout.width * layout.height * 3
        self.reserve(size)
        if self.rgb(data) < 0:
            raise ValueError("libjpeg cannot decode this file")
        return self._pixels[:size].reshape(layout.height, layout.width, 3).copy()


@contextmanager
def turbo_on_threads(count: int) -> Iterator[Method[Sequence[Image]]]:
    """Read a batch's coefficients in `count` threads, each with its own decompress struct."""
    decoders = [JpegTurbo(libraries()[0]) for _ in range(count)]

    def take(decoder: JpegTurbo, images: Iterator[Image]) -> None:
        for image in images:
            decoder.coefficients(image.data)  # releases the GIL

    with ThreadPoolExecutor(count) as pool:

        def run(batch: Sequence[Image]) -> None:
            images = iter(batch)
            for done in [pool.submit(take, decoder, images) for decoder in decoders]:
                done.result()

        yield Method(f"{decoders[0].name}, {count} thread{'s' * (count > 1)}", run)


def _version(library: Path) -> str:
    found = re.search(rb"libjpeg-turbo version (\d+(?:\.\d+)*)", library.read_bytes())
    return found.group(1).decode() if found else "unknown"


def _build() -> Path:
    source = Path(__file__).with_name("opponent.c")
    built = BUILD / f"opponent-{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}.so"
    if not built.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC") or "cc"
        partial = built.with_suffix(f".{os.getpid()}")
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(partial), str(source), "-ldl"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"{WHAT_IT_NEEDS}\n{getattr(error, 'stderr', '') or error}") from error
        partial.replace(built)
    return built


def _key(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def libraries() -> list[Path]:
    """List every libjpeg-turbo of ABI 62, newest first: the system's and the one in Pillow's wheel."""
    found = [Path(path) for path in DEBIAN_LIBRARIES if Path(path).exists()]
    pillow = importlib.util.find_spec("PIL")
    if pillow and pillow.origin:
        found += sorted(Path(pillow.origin).parents[1].glob("pillow.libs/libjpeg-*.so.62*"))
    return sorted(found, key=lambda path: _key(_version(path)), reverse=True)


@cache
def opponent() -> JpegTurbo:
    """Open the opponent of all tables: the newest libjpeg-turbo."""
    found = libraries()
    if not found:
        raise RuntimeError(f"no libjpeg-turbo found; {WHAT_IT_NEEDS}")
    return JpegTurbo(found[0])


def equal_planes(planes: Sequence[NDArray[Any]], data: bytes) -> str:
    """Describe how coefficients differ from the opponent's; "" if they are equal."""
    expected = opponent().planes(data)
    if len(planes) != len(expected):
        return f"{len(planes)} components instead of {len(expected)}"
    for c, (plane, reference) in enumerate(zip(planes, expected, strict=True)):
        if plane.size != reference.size:
            return f"component {c}: {plane.shape} instead of {reference.shape}"
        if not np.array_equal(plane.reshape(reference.shape), reference):
            return f"component {c} differs"
    return ""


def equal_pixels(pixels: NDArray[np.uint8], data: bytes) -> str:
    """Describe a difference from the opponent's RGB of more than one level on average; "" if there is none."""
    expected = opponent().pixels(data)
    if pixels.shape != expected.shape:
        return f"{pixels.shape} instead of {expected.shape}"
    difference = float(np.abs(pixels.astype(np.int16) - expected).mean())
    return f"differs by {difference:.1f} levels on average" if difference > 1 else ""


def turbo_coefficients(turbo: JpegTurbo) -> Method[Image]:
    def check(image: Image) -> str:
        if turbo.coefficients(image.data) < 0:
            raise ValueError("libjpeg cannot read this file")
        return equal_planes(turbo.planes(image.data), image.data)

    return Method(turbo.name, lambda image: turbo.coefficients(image.data), check)


def turbo_rgb(turbo: JpegTurbo) -> Method[Image]:
    def check(image: Image) -> str:
        return equal_pixels(turbo.pixels(image.data), image.data)  # also makes the buffer large enough

    return Method(f"{turbo.name}, RGB", lambda image: turbo.rgb(image.data), check)


def jpeg2dct(images: Sequence[Image]) -> Method[Image]:
    loads = importlib.import_module("jpeg2dct.numpy").loads

    def check(image: Image) -> str:
        planes = [plane for plane in loads(image.data, normalized=False) if plane.size]
        return equal_planes(planes, image.data)

    return Method("jpeg2dct", lambda image: loads(image.data, normalized=False), check)


def jpeglib(images: Sequence[Image]) -> Method[Image]:
    """Time jpeglib, which takes only paths; the files are in memory (/dev/shm) if the system has that."""
    import jpeglib as package

    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="jpegfreq-bench-", dir=memory if memory.is_dir() else None))
    _FOLDERS.append(folder)
    paths = {}
    for number, image in enumerate(images):
        path = folder / f"{number}.jpg"
        path.write_bytes(image.data)
        paths[image] = str(path)

    def read(image: Image) -> list[NDArray[Any]]:
        jpeg = package.read_dct(paths[image])
        return [plane for plane in (jpeg.Y, jpeg.Cb, jpeg.Cr, jpeg.K) if plane is not None]

    def check(image: Image) -> str:
        return equal_planes(read(image), image.data)

    return Method("jpeglib", read, check)


_FOLDERS: list[Path] = []


def clean_up() -> None:
    """Remove the temporary files of the opponents that read only paths."""
    while _FOLDERS:
        shutil.rmtree(_FOLDERS.pop(), ignore_errors=True)


def simplejpeg(images: Sequence[Image]) -> Method[Image]:
    import simplejpeg as package

    def read(image: Image) -> NDArray[np.uint8]:
        decoded: NDArray[np.uint8] = package.decode_jpeg(image.data, "RGB")
        return decoded

    return Method("simplejpeg", read, lambda image: equal_pixels(read(image), image.data))


def pyturbojpeg(images: Sequence[Image]) -> Method[Image]:
    import turbojpeg

    decoder = turbojpeg.TurboJPEG()

    def read(image: Image) -> NDArray[np.uint8]:
        decoded: NDArray[np.uint8] = decoder.decode(image.data, pixel_format=turbojpeg.TJPF_RGB)
        return decoded

    return Method("PyTurboJPEG", read, lambda image: equal_pixels(read(image), image.data))


def opencv(images: Sequence[Image]) -> Method[Image]:
    import cv2

    cv2.setNumThreads(1)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION

    def read(image: Image) -> NDArray[np.uint8]:
        decoded = cv2.imdecode(np.frombuffer(image.data, dtype=np.uint8), flags)
        return np.asarray(decoded, dtype=np.uint8)

    return Method("OpenCV", read, lambda image: equal_pixels(read(image), image.data))


def pillow(images: Sequence[Image]) -> Method[Image]:
    import io

    from PIL import Image as PillowImage

    def read(image: Image) -> NDArray[np.uint8]:
        return np.asarray(PillowImage.open(io.BytesIO(image.data)).convert("RGB"))

    return Method("Pillow", read, lambda image: equal_pixels(read(image), image.data))


def torchvision(images: Sequence[Image]) -> Method[Image]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    torch.set_num_threads(1)
    inputs = {image: torch.frombuffer(bytearray(image.data), dtype=torch.uint8) for image in images}

    def check(image: Image) -> str:
        pixels = decode_jpeg(inputs[image], mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
        return equal_pixels(pixels, image.data)

    return Method("torchvision", lambda image: decode_jpeg(inputs[image], mode=ImageReadMode.RGB), check)


COEFFICIENT_READERS = (jpeg2dct, jpeglib)
RGB_DECODERS = (simplejpeg, pyturbojpeg, opencv, pillow, torchvision)
PACKAGES = ("pillow", "jpeg2dct", "jpeglib", "simplejpeg", "PyTurboJPEG", "opencv-python-headless", "torchvision")


def available(
    makers: Sequence[Callable[[Sequence[Image]], Method[Image]]], images: Sequence[Image]
) -> list[Method[Image]]:
    """Make the methods of the opponents that are installed, and print which are not."""
    methods = []
    for maker in makers:
        try:
            methods.append(maker(images))
        except (ImportError, OSError, RuntimeError) as error:
            print(f"  {maker.__name__} is left out: {str(error).splitlines()[0]}")
    return methods


def versions() -> dict[str, str]:
    """List the installed version of every package that is measured."""
    found = {}
    for package in ("jpegfreq", "numpy", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
