"""Other readers of JPEG coefficients and planes, as far as they are installed: what `verify` compares with."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.util
import os
import pickle
import re
import select
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jpegfreq._files import WriteError
from jpegfreq.header import Header

__all__ = [
    "CoefficientReader",
    "NotReadError",
    "PlaneReader",
    "Read",
    "coefficient_readers",
    "libraries",
    "plane_reader",
]

_SECONDS = 60.0  # that libjpeg may take for one file


class NotReadError(Exception):
    """A reader cannot read a file; the message says why."""


@dataclass(frozen=True)
class Read:
    """What a reader found in a file.

    Attributes:
        planes: int16 [blocks_high, blocks_wide, 8, 8] of each component.
        tables: the quantization table of each, [8, 8]; () where the reader does not give them.
    """

    planes: Sequence[npt.NDArray[Any]]
    tables: Sequence[npt.NDArray[Any] | None] = ()


class CoefficientReader(Protocol):
    """A reader of quantized coefficients."""

    name: str
    is_separate: bool  # whether it runs in a process of its own, so that a damaged file cannot hurt this one

    def read(self, data: bytes, header: Header | None) -> Read:
        """Read a file; `header` is what jpegfreq found, or None. Raises NotReadError."""

    def close(self) -> None:
        """Give back what it holds."""


def libraries() -> list[Path]:
    """List the libjpeg libraries of ABI 62: the one of Pillow's wheel and the system's."""
    found: list[Path] = []
    pillow = importlib.util.find_spec("PIL")
    if pillow is not None and pillow.origin is not None:
        found += sorted(Path(pillow.origin).parents[1].glob("pillow.libs/libjpeg*.so.62*"))
    name = ctypes.util.find_library("jpeg")
    folders = ("/lib", "/usr/lib", "/usr/lib64", *map(str, Path("/usr/lib").glob("*-linux-gnu*")))
    if name is not None and name.endswith(".so.62"):
        found += [path for path in (Path(folder) / name for folder in folders) if path.exists()][:1]
    return found


def coefficient_readers() -> Iterator[CoefficientReader]:
    """Make the readers that are installed."""
    if struct.calcsize("P") == 8:
        yield from map(LibjpegReader, libraries())
    for make in (JpeglibReader, Jpeg2dctReader):
        try:
            yield make()
        except (ImportError, OSError, RuntimeError):
            continue


@contextmanager
def _silent() -> Iterator[None]:
    """Drop what a C library prints on the error stream."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class LibjpegReader:
    """A libjpeg library in a process of its own; jpeg_read_coefficients reads the files."""

    is_separate = True

    def __init__(self, library: Path) -> None:
        """Name the library by its version and where it comes from; the process is started at its first file."""
        found = re.search(rb"libjpeg-turbo version (\d+(?:\.\d+)*)", library.read_bytes())
        kind = f"libjpeg-turbo {found[1].decode()}" if found else "libjpeg"
        self.name = f"{kind} of {'Pillow' if 'pillow.libs' in library.parts else 'the system'}"
        self._library = library
        self._process: subprocess.Popen[bytes] | None = None
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the process is

    def read(self, data: bytes, header: Header | None) -> Read:
        """Read a file; see CoefficientReader."""
        process = self._process or self._start()
        assert process.stdin is not None
        self._messages.seek(0)
        self._messages.truncate()
        try:
            process.stdin.write(struct.pack("<Q", len(data)) + data)
            process.stdin.flush()
            end = time.monotonic() + _SECONDS
            answer = self._receive(struct.unpack("<Q", self._receive(8, end))[0], end)
        except (EOFError, BrokenPipeError):
            process.wait()
            self._process = None
            raise NotReadError(self._message() or f"the library ended with exit code {process.returncode}") from None
        except TimeoutError:
            self.close()
            raise NotReadError(f"it takes longer than {_SECONDS:.0f} seconds") from None
        planes, tables, warned = pickle.loads(answer)
        if warned:
            raise NotReadError(f"it warns and makes up what is missing: {self._message()}")
        return Read(planes, tables)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jpegfreq.report.libjpeg_process", str(self._library)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._messages, bufsize=0
        )
        return self._process

    def _receive(self, count: int, end: float) -> bytes:
        """Read so many bytes of the answer.

        Raises:
            EOFError: the process ends before.
            TimeoutError: they do not come in time.
        """
        assert self._process is not None
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        parts = bytearray()
        while len(parts) < count:
            if not select.select([file], [], [], max(0.0, end - time.monotonic()))[0]:
                raise TimeoutError
            part = os.read(file, count - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _message(self) -> str:
        """Return the last line that the library printed."""
        self._messages.seek(0)
        lines = self._messages.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip() if lines else ""

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


class JpeglibReader:
    """The package jpeglib, which takes only paths."""

    is_separate = False

    def __init__(self) -> None:
        """Import it, and make the file that it reads."""
        self._package: Any = importlib.import_module("jpeglib")
        self.name = f"jpeglib {_version('jpeglib')}"
        self._folder = tempfile.TemporaryDirectory(prefix="jpegfreq-verify-")

    def read(self, data: bytes, header: Header | None) -> Read:
        """Read a file; see CoefficientReader."""
        path = Path(self._folder.name) / "image.jpg"
        try:
            path.write_bytes(data)
        except OSError as error:
            raise NotReadError(str(WriteError.of(path, error))) from error
        try:
            with _silent():  # it reads at the first use of a plane
                found = self._package.read_dct(str(path))
                planes = [plane for plane in (found.Y, found.Cb, found.Cr, found.K) if plane is not None]
        except Exception as error:  # it raises many kinds
            raise NotReadError(str(error).replace(str(path), "the file") or type(error).__name__) from error
        return Read(planes)

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


class Jpeg2dctReader:
    """The package jpeg2dct, which encodes again what is neither grey nor 4:2:0."""

    is_separate = False

    def __init__(self) -> None:
        """Import it."""
        self._loads: Any = importlib.import_module("jpeg2dct.numpy").loads
        self.name = f"jpeg2dct {_version('jpeg2dct')}"

    def read(self, data: bytes, header: Header | None) -> Read:
        """Read a file; see CoefficientReader."""
        factors = (
            ()
            if header is None
            else tuple((c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in header.components)
        )
        is_grey = len(factors) == 1
        if header is None or not (is_grey or (header.color == "YCbCr" and factors == ((2, 2), (1, 1), (1, 1)))):
            raise NotReadError("it encodes the image again, unless it is grey or 4:2:0")
        try:
            with _silent():
                planes = self._loads(data, normalized=False)
        except Exception as error:
            raise NotReadError(str(error) or type(error).__name__) from error
        # It adds two empty planes to a grey image.
        return Read([plane.reshape(*plane.shape[:2], 8, 8) for plane in planes[: len(header.components)]])

    def close(self) -> None:
        """Hold nothing."""


class PlaneReader:
    """PyTurboJPEG: the decoded planes of Y, Cb and Cr, before chroma is upsampled."""

    def __init__(self) -> None:
        """Open the library.

        Raises:
            ImportError, RuntimeError, OSError: the package or its library is not installed.
        """
        self._package: Any = importlib.import_module("turbojpeg")
        self._decoder = self._package.TurboJPEG()
        self.name = f"PyTurboJPEG {_version('PyTurboJPEG')}"

    def read(self, data: bytes, header: Header) -> list[npt.NDArray[np.uint8]]:
        """Return the uint8 plane of each component of a grey or YCbCr image.

        Raises:
            NotReadError: it cannot read the file.
        """
        flags = self._package.TJFLAG_ACCURATEDCT
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of bytes between segments; jpegfreq has read the file whole
                if header.color == "grey":
                    planes = [self._decoder.decode(data, pixel_format=self._package.TJPF_GRAY, flags=flags)[..., 0]]
                else:
                    planes = self._decoder.decode_to_yuv_planes(data, flags=flags)
        except Exception as error:
            raise NotReadError(str(error) or type(error).__name__) from error
        return [np.asarray(plane) for plane in planes]


def plane_reader() -> PlaneReader | None:
    """Make the reader of planes; None if it is not installed."""
    try:
        return PlaneReader()
    except (ImportError, OSError, RuntimeError):
        return None
