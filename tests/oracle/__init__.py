"""libjpeg-turbo as the oracle: what it reads from a file, and what it warns of.

`oracle.c` is compiled with the system's compiler against jpeglib.h (Debian: libjpeg62-turbo-dev) and opens a libjpeg of
ABI 62 at run time: the libjpeg-turbo 3 in Pillow's wheel where there is one (it reads 12-bit files), else the system's.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_SOURCE = Path(__file__).with_name("oracle.c")
_COLOR_SPACES = {0: "unknown", 1: "grey", 2: "rgb", 3: "ycbcr", 4: "cmyk", 5: "ycck"}  # J_COLOR_SPACE


class OracleUnavailable(RuntimeError):
    """There is no compiler, no jpeglib.h or no libjpeg."""


class _Component(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in ("identifier", "horizontal", "vertical", "high", "wide", "latched")),
        ("table", ctypes.c_ushort * 64),
        ("plane", ctypes.POINTER(ctypes.c_int16)),
    )


class _Result(ctypes.Structure):
    _fields_ = (
        ("status", ctypes.c_int),
        ("stage", ctypes.c_int),
        ("error", ctypes.c_char * 200),
        ("warnings", ctypes.c_int),
        ("warning_text", ctypes.c_char * 4096),
        *(
            (n, ctypes.c_int)
            for n in ("height", "width", "precision", "color", "count", "progressive", "arithmetic", "dri")
        ),
        ("components", _Component * 10),
    )


@dataclass(frozen=True)
class OracleComponent:
    """One component as libjpeg read it; the plane holds no padding blocks."""

    identifier: int
    horizontal_sampling_factor: int
    vertical_sampling_factor: int
    coded: bool  # some scan named it
    plane: npt.NDArray[np.int16] | None  # [blocks_high, blocks_wide, 8, 8]
    quantization_table: npt.NDArray[np.uint16]  # [8, 8]; zeros where no scan named the component


@dataclass(frozen=True)
class OracleResult:
    """What libjpeg read from a file: coefficients, perhaps with warnings, or an error."""

    error: str | None  # why libjpeg gave up
    over_limits: bool  # not read to the end because of too many blocks or scans
    header_read: bool
    warnings: tuple[str, ...]
    height: int
    width: int
    precision: int
    color: str
    progressive: bool
    arithmetic: bool
    restart_interval: int
    components: tuple[OracleComponent, ...]

    @property
    def clean(self) -> bool:
        """Whether libjpeg read it to the end without a warning."""
        return self.error is None and not self.over_limits and not self.warnings


class Oracle:
    """One opened libjpeg."""

    def __init__(self, built: Path, library: Path) -> None:
        self.library = library
        self._c = ctypes.CDLL(str(built))
        self._c.oracle_open.restype = ctypes.c_void_p
        self._c.oracle_open.argtypes = (ctypes.c_char_p,)
        self._c.oracle_read.restype = ctypes.POINTER(_Result)
        self._c.oracle_read.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_long, ctypes.c_int)
        self._c.oracle_free.argtypes = (ctypes.POINTER(_Result),)
        self._c.oracle_free.restype = None
        self._handle = self._c.oracle_open(str(library).encode())
        if not self._handle:
            raise OracleUnavailable(f"{library} is no libjpeg of ABI 62")

    def read(self, data: bytes, *, max_blocks: int = 1 << 22, max_scans: int = 200) -> OracleResult:
        pointer = self._c.oracle_read(self._handle, data, len(data), max_blocks, max_scans)
        try:
            return _to_result(pointer.contents)
        finally:
            self._c.oracle_free(pointer)


def _to_result(raw: _Result) -> OracleResult:
    return OracleResult(
        error=raw.error.decode("latin-1") if raw.status == 1 else None,
        over_limits=raw.status == 2,
        header_read=raw.stage > 0,
        warnings=tuple(raw.warning_text.decode("latin-1").splitlines()),
        height=raw.height,
        width=raw.width,
        precision=raw.precision,
        color=_COLOR_SPACES.get(raw.color, "unknown"),
        progressive=bool(raw.progressive),
        arithmetic=bool(raw.arithmetic),
        restart_interval=raw.dri,
        components=tuple(_to_component(raw.components[i], raw.stage == 2) for i in range(raw.count)),
    )


def _to_component(raw: _Component, read: bool) -> OracleComponent:
    plane = None
    if read:
        values = np.ctypeslib.as_array(raw.plane, (raw.high * raw.wide * 64,))
        plane = values.reshape(raw.high, raw.wide, 8, 8).copy()
    table = np.array(raw.table[:], np.uint16).reshape(8, 8)
    return OracleComponent(raw.identifier, raw.horizontal, raw.vertical, bool(raw.latched), plane, table)


def libraries() -> list[Path]:
    """List every libjpeg of ABI 62, the best oracle first."""
    found: list[Path] = []
    try:
        import PIL
    except ImportError:
        pass
    else:
        found += sorted(Path(PIL.__file__).parents[1].glob("pillow.libs/libjpeg*.so.62*"))
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"):
        found += [path for path in (Path(folder) / "libjpeg.so.62",) if path.exists()]
    return found


def build(folder: Path) -> Path:
    """Compile oracle.c into `folder`."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OracleUnavailable("no C compiler")
    built = folder / "oracle.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-Wall", "-o", str(built), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OracleUnavailable(f"oracle.c does not compile (libjpeg62-turbo-dev?): {done.stderr[:500]}")
    return built
