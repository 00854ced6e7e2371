"""A process that reads coefficients through a libjpeg library: `python -m jpegfreq.report.libjpeg_process LIBRARY`.

libjpeg ends the process at the first error, unless its caller jumps out of the C code, which Python cannot. So it gets
a process of its own, which `LibjpegReader` starts again. On standard input come files, each after its length; on
standard output go their planes and tables, as pickles after their lengths.

The offsets are those of the structures of ABI 62 on 64-bit machines, in libjpeg-turbo's jpeglib.h. The library compares
the version and the size that it is told with its own, and ends the process if they differ.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import struct
import sys
from typing import Any, BinaryIO

import numpy as np

__all__ = ["main", "read_exactly"]

_VERSION, _SIZE_BYTES = 62, 632  # JPEG_LIB_VERSION, sizeof(struct jpeg_decompress_struct)
_ERROR_BYTES, _WARNINGS = 168, 128  # sizeof(struct jpeg_error_mgr); its num_warnings
_MEMORY, _WIDTH, _HEIGHT, _COMPONENTS, _COMPONENT_INFO = 8, 48, 52, 56, 304
_ACCESS_BLOCKS = 64  # access_virt_barray of struct jpeg_memory_mgr
_INFO_BYTES, _BLOCKS_WIDE, _BLOCKS_HIGH, _TABLE = 96, 28, 32, 80  # of jpeg_component_info

_Access = ctypes.CFUNCTYPE(
    ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_int
)


def main(library_path: str) -> None:
    """Serve until standard input ends."""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library prints goes to the error stream
    library = ctypes.CDLL(library_path)
    library.jpeg_read_coefficients.restype = ctypes.POINTER(ctypes.c_void_p)
    library.jpeg_std_error.restype = ctypes.c_void_p
    while length := sys.stdin.buffer.read(8):
        data = read_exactly(sys.stdin.buffer, struct.unpack("<Q", length)[0])
        answer = pickle.dumps(_read(library, data))
        results.write(struct.pack("<Q", len(answer)) + answer)
        results.flush()


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Read so many bytes.

    Raises:
        EOFError: the stream ends before.
    """
    data = stream.read(count)
    if len(data) < count:
        raise EOFError(f"{count - len(data)} bytes are missing")
    return data


def _read(library: Any, data: bytes) -> tuple[list[Any], list[Any], int]:
    """Return the planes, the quantization tables and the number of warnings."""
    errors = ctypes.create_string_buffer(_ERROR_BYTES)
    image = ctypes.create_string_buffer(_SIZE_BYTES)
    at = ctypes.addressof(image)
    ctypes.c_void_p.from_address(at).value = library.jpeg_std_error(errors)
    library.jpeg_CreateDecompress(image, _VERSION, ctypes.c_size_t(_SIZE_BYTES))
    library.jpeg_mem_src(image, data, ctypes.c_ulong(len(data)))
    library.jpeg_read_header(image, 1)
    arrays = library.jpeg_read_coefficients(image)
    memory = ctypes.c_void_p.from_address(at + _MEMORY).value or 0
    access = _Access(ctypes.c_void_p.from_address(memory + _ACCESS_BLOCKS).value or 0)
    infos = ctypes.c_void_p.from_address(at + _COMPONENT_INFO).value or 0
    planes, tables = [], []
    for component in range(ctypes.c_int.from_address(at + _COMPONENTS).value):
        info = infos + component * _INFO_BYTES
        wide, high = (ctypes.c_uint.from_address(info + offset).value for offset in (_BLOCKS_WIDE, _BLOCKS_HIGH))
        plane = np.empty((high, wide, 8, 8), np.int16)
        for row in range(high):
            blocks = access(at, arrays[component], row, 1, 0)[0]
            ctypes.memmove(plane[row].ctypes.data, blocks, plane[row].nbytes)
        planes.append(plane)
        table = ctypes.c_void_p.from_address(info + _TABLE).value
        tables.append(None if table is None else np.array((ctypes.c_uint16 * 64).from_address(table)).reshape(8, 8))
    warnings = ctypes.c_long.from_address(ctypes.addressof(errors) + _WARNINGS).value
    library.jpeg_destroy_decompress(image)
    return planes, tables, warnings


if __name__ == "__main__":
    main(sys.argv[1])
