# The native module (native/bindings). tests/test_package.py compares this file with what the built module holds.
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from jpegfreq.assembly.checks import TorchTensor
from jpegfreq.coefficients import Coefficients
from jpegfreq.header import Header, Source

class PlaneMemory:
    def __buffer__(self, flags: int, /) -> memoryview: ...

def allocate(size_bytes: int) -> PlaneMemory: ...
def read_file(path: str, memory: Buffer, begin: int, offset_bytes: int, size_bytes: int) -> tuple[int, int]: ...
def read_header(data: Source) -> Header: ...
def color_refusal(color: str, luma_only: bool) -> str | None: ...
def read_coefficients(data: Source, keep_damage: bool, max_pixels: int, segments: bool) -> Coefficients: ...
def read_coefficients_batch(
    images: list[Source], threads: int, keep_damage: bool, return_errors: bool, max_pixels: int
) -> list[Any]: ...
def read_batch(
    images: list[Source],
    size: tuple[int, int],
    regions: npt.NDArray[np.int64] | None,
    flips: npt.NDArray[np.uint8] | None,
    apply_orientation: bool,
    filter: int,
    antialias: bool,
    chroma: int,
    channels: npt.NDArray[np.uint16],
    scale: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    channels_last: bool,
    out: npt.NDArray[Any] | TorchTensor,
    threads: int,
    keep_damage: bool,
    return_errors: bool,
    max_pixels: int,
) -> list[Any]: ...
def resample(
    coefficients: Coefficients,
    region: tuple[int, int, int, int, int, int],
    size: tuple[int, int],
    horizontal_flip: bool,
    vertical_flip: bool,
    apply_orientation: bool,
    filter: int,
    antialias: bool,
    chroma: int,
    channels: npt.NDArray[np.uint16],
    scale: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    channels_last: bool,
    out: npt.NDArray[Any] | TorchTensor,
) -> None: ...
def upsample(
    coefficients: Coefficients,
    chroma: int,
    channels: npt.NDArray[np.uint16],
    scale: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    channels_last: bool,
    out: npt.NDArray[Any],
) -> None: ...
def split_frequencies(blocks: npt.NDArray[np.int16], rows: int, planes: npt.NDArray[np.int16]) -> None: ...
def write_jpeg(image: tuple[Any, ...], optimize: bool, restart_rows: int, scans: list[Any]) -> bytes: ...
def write_jpeg_batch(
    images: list[tuple[Any, ...]],
    optimize: bool,
    restart_rows: int,
    scans: list[Any],
    threads: int,
    return_errors: bool,
) -> list[Any]: ...
def instruction_set() -> str: ...
def read_structure(data: Source, keep_damage: bool) -> tuple[Any, ...]: ...
