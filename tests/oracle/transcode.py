"""Arithmetic-coded files from Huffman-coded ones, by libjpeg-turbo (transcode.c)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

from tests.oracle import OracleUnavailable

_SOURCE = Path(__file__).with_name("transcode.c")


class _Options(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int) for name in ("progressive", "restart_interval", "dc_lower", "dc_upper", "ac_kx")
    )


class Transcoder:
    """transcode.c, compiled into a folder, with one libjpeg."""

    def __init__(self, folder: Path, library: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise OracleUnavailable("no C compiler")
        built = folder / "transcode.so"
        command = [compiler, "-O1", "-shared", "-fPIC", "-Wall", "-o", str(built), str(_SOURCE), "-ldl"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise OracleUnavailable(f"transcode.c does not compile (libjpeg62-turbo-dev?): {done.stderr[:500]}")
        self._library = str(library).encode()
        self._c = ctypes.CDLL(str(built))
        self._c.transcode.restype = ctypes.c_ulong
        self._c.transcode.argtypes = (
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_ulong,
            ctypes.POINTER(_Options),
            ctypes.POINTER(ctypes.c_void_p),
        )
        self._c.transcode_free.argtypes = (ctypes.c_void_p,)
        self._c.transcode_free.restype = None

    def to_arithmetic(
        self,
        data: bytes,
        *,
        progressive: bool = False,
        restart_interval: int = 0,
        dc_lower: int = 0,
        dc_upper: int = 1,
        ac_kx: int = 5,
    ) -> bytes:
        """The same coefficients as SOF9 or SOF10. Raises ValueError where libjpeg gives up."""
        options = _Options(progressive, restart_interval, dc_lower, dc_upper, ac_kx)
        written = ctypes.c_void_p()
        size = self._c.transcode(self._library, data, len(data), ctypes.byref(options), ctypes.byref(written))
        try:
            if not size:
                raise ValueError("libjpeg did not write the file")
            return ctypes.string_at(written, size)
        finally:
            self._c.transcode_free(written)
