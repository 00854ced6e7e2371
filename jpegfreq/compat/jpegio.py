"""A drop-in for jpegio: what it reads and writes of coefficients, tables and markers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq._files import WriteError, write_whole
from jpegfreq.coefficients import read_coefficients
from jpegfreq.compat._common import COLORS, first_tables, image_of, tables_of, unused_tables, with_separate_tables
from jpegfreq.errors import JpegError
from jpegfreq.structure import HuffmanTable, read_structure
from jpegfreq.writer import write_jpeg

__all__ = ["DECOMPRESSED", "ZIGZAG_DCT_1D", "ComponentInfo", "DecompressedJpeg", "Flag", "read", "write"]

_COMMENT = 0xFE
_OUTPUT_COLORS = {"grey": 1, "YCbCr": 2, "RGB": 2, "CMYK": 4, "YCCK": 4}  # libjpeg's choice for the decoded image


class Flag(IntEnum):
    """Which form of an image to read; there is only DECOMPRESSED, as in jpegio."""

    DECOMPRESSED = 0
    ZIGZAG_DCT_1D = 2


DECOMPRESSED = Flag.DECOMPRESSED
ZIGZAG_DCT_1D = Flag.ZIGZAG_DCT_1D


@dataclass
class ComponentInfo:
    """A component, with libjpeg's names."""

    component_id: int = -1
    h_samp_factor: int = 0
    v_samp_factor: int = 0
    quant_tbl_no: int = 0
    ac_tbl_no: int = 0
    dc_tbl_no: int = 0
    downsampled_height: int = 0
    downsampled_width: int = 0
    height_in_blocks: int = 0
    width_in_blocks: int = 0


class DecompressedJpeg:
    """An image as jpegio holds it.

    Attributes:
        coef_arrays: one per component: int32 [8 * blocks_high, 8 * blocks_wide], each block in its place.
        quant_tables: int32 [8, 8], in the order of the tables' numbers.
        comp_info: one ComponentInfo per component.
        markers: APPn and COM segments, {"type": the marker's second byte, "data": bytes}; bytes alone are a comment.
        ac_huff_tables: those of the first scan: {"counts": int32 [16], "symbols": int32 [256]}.
        dc_huff_tables: likewise.
        image_height: pixels.
        image_width: pixels.
        num_components: how many components there are.
        jpeg_color_space: libjpeg's number for the colour of the file.
        progressive_mode: 1 to write a progressive file.
        optimize_coding: 1 to write a sequential file with the Huffman tables that fit it best.
        restart_interval: MCUs between restart markers.
        arith_code: 1 for an arithmetic-coded file, which cannot be written.
    """

    def __init__(self) -> None:
        """Begin without an image."""
        self.coef_arrays: list[npt.NDArray[Any]] = []
        self.quant_tables: list[npt.NDArray[Any]] = []
        self.comp_info: list[ComponentInfo] = []
        self.markers: list[Any] = []
        self.ac_huff_tables: list[dict[str, npt.NDArray[np.int32]]] = []
        self.dc_huff_tables: list[dict[str, npt.NDArray[np.int32]]] = []
        self.image_height = self.image_width = self.num_components = self.image_components = 0
        self.jpeg_color_space = self.image_color_space = 0
        self.optimize_coding = self.progressive_mode = self.restart_interval = self.arith_code = 0
        self.data_precision = self.max_h_samp_factor = self.max_v_samp_factor = 0

    def read(self, fpath: str | os.PathLike[str], read_spatial: bool = False) -> None:
        """Read a file.

        Raises:
            FileNotFoundError: there is no such file.
            RuntimeError: it is not a JPEG, or it is damaged.
            NotImplementedError: pixels are asked for.
        """
        if read_spatial:
            raise NotImplementedError("jpegfreq.compat.jpegio reads coefficients; decode pixels with Pillow or OpenCV")
        if not os.path.isfile(fpath):
            raise FileNotFoundError(f"no such file: {os.fspath(fpath)}")
        data = Path(fpath).read_bytes()
        try:
            image = read_coefficients(data, segments=True)
            structure = read_structure(data)
        except JpegError as error:
            raise RuntimeError(str(error)) from error
        header, tables = image.header, tables_of(image)
        huffman = first_tables(structure)
        numbers = {part.index: part for scan in reversed(structure.scans) for part in scan.components}
        most_high = max(component.vertical_sampling_factor for component in header.components)
        most_wide = max(component.horizontal_sampling_factor for component in header.components)
        self.coef_arrays = [_flat(plane) for plane in image.planes]
        by_number = tables.by_number | unused_tables(data, structure, tables)
        self._tables = sorted(by_number)
        self.quant_tables = [by_number[number].astype(np.int32) for number in self._tables]
        self.comp_info = [
            ComponentInfo(
                component.identifier,
                component.horizontal_sampling_factor,
                component.vertical_sampling_factor,
                tables.numbers[c],
                numbers[c].ac_table,
                numbers[c].dc_table,
                -(-header.height * component.vertical_sampling_factor // most_high),
                -(-header.width * component.horizontal_sampling_factor // most_wide),
                component.blocks_high,
                component.blocks_wide,
            )
            for c, component in enumerate(header.components)
        ]
        self.markers = [{"type": marker, "data": body} for marker, body in image.segments or ()]
        self.ac_huff_tables = [_huffman(slot["AC"]) for slot in huffman if "AC" in slot]
        self.dc_huff_tables = [_huffman(slot["DC"]) for slot in huffman if "DC" in slot]
        self.image_height, self.image_width = header.height, header.width
        self.num_components = self.image_components = len(header.components)
        self.jpeg_color_space = COLORS.index(header.color)
        self.image_color_space = _OUTPUT_COLORS.get(header.color, 0)
        self.optimize_coding = 0
        self.progressive_mode = int(header.process.endswith("progressive"))
        self.arith_code = int(header.process.startswith("arithmetic"))
        self.restart_interval = header.restart_interval
        self.data_precision = header.precision
        self.max_v_samp_factor, self.max_h_samp_factor = most_high, most_wide

    def write(self, fpath: str | os.PathLike[str]) -> None:
        """Write the coefficients, tables and markers as they are now.

        Raises:
            RuntimeError: nothing was read, a value is out of range, or the file cannot be written.
        """
        if not self.coef_arrays:
            raise RuntimeError("no JPEG has been read yet")
        if self.arith_code:
            raise RuntimeError("arithmetic-coded files cannot be written: set arith_code = 0 for Huffman codes")
        try:
            image = image_of(
                [_blocks(array) for array in self.coef_arrays],
                [self.quant_tables[self._tables.index(info.quant_tbl_no)] for info in self.comp_info],
                table_numbers=[info.quant_tbl_no for info in self.comp_info],
                sampling=[(info.h_samp_factor, info.v_samp_factor) for info in self.comp_info],
                identifiers=[info.component_id for info in self.comp_info],
                color=COLORS[self.jpeg_color_space],
                size=(self.image_height, self.image_width),
                process="progressive" if self.progressive_mode else "baseline",
                restart_interval=self.restart_interval,
                segments=tuple(map(_segment, self.markers)),
                precision=self.data_precision,
            )
            optimize = bool(self.optimize_coding or self.progressive_mode or self.data_precision != 8)
            write_whole(Path(fpath), with_separate_tables(write_jpeg(image, optimize=optimize)))
        except (ValueError, WriteError) as error:
            raise RuntimeError(str(error)) from error

    def get_coef_block(self, c: int, i: int, j: int) -> npt.NDArray[Any]:
        """Return block (i, j) of component c: [8, 8], a view."""
        block: npt.NDArray[Any] = self.coef_arrays[c][8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
        return block

    def get_coef_block_array_shape(self, c: int) -> tuple[int, int]:
        """Return how many rows and columns of blocks component c has."""
        height, width = self.coef_arrays[c].shape
        return height // 8, width // 8

    def are_channel_sizes_same(self) -> bool:
        """Return whether all components have equally many samples."""
        return len({(info.downsampled_height, info.downsampled_width) for info in self.comp_info}) <= 1

    def count_nnz_ac(self) -> int:
        """Count the AC coefficients that are not zero."""
        return sum(int(np.count_nonzero(a) - np.count_nonzero(a[::8, ::8])) for a in self.coef_arrays)


def read(fpath: str | os.PathLike[str], flag: int = DECOMPRESSED, read_spatial: bool = False) -> DecompressedJpeg:
    """Read a JPEG file; see `DecompressedJpeg.read`.

    Raises:
        ValueError: the flag is not DECOMPRESSED, the only one that jpegio supports.
    """
    _check_flag(flag)
    image = DecompressedJpeg()
    image.read(fpath, read_spatial=read_spatial)
    return image


def write(obj: DecompressedJpeg, fpath: str | os.PathLike[str], flag: int = DECOMPRESSED) -> DecompressedJpeg:
    """Write an image to a file and return it; see `DecompressedJpeg.write`."""
    _check_flag(flag)
    obj.write(fpath)
    return obj


def _check_flag(flag: int) -> None:
    if flag != DECOMPRESSED:
        raise ValueError(f"flag must be DECOMPRESSED, not {flag!r}")


def _flat(plane: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """Put each block of a plane in its place of a two-dimensional array."""
    high, wide = plane.shape[:2]
    return plane.transpose(0, 2, 1, 3).reshape(8 * high, 8 * wide).astype(np.int32)


def _blocks(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.ndim != 2 or array.shape[0] % 8 or array.shape[1] % 8:
        raise ValueError(f"a coefficient array must have sides that are multiples of 8, not {array.shape}")
    high, wide = array.shape
    return array.reshape(high // 8, 8, wide // 8, 8).transpose(0, 2, 1, 3)


def _huffman(table: HuffmanTable) -> dict[str, npt.NDArray[np.int32]]:
    symbols = np.zeros(256, np.int32)
    symbols[: len(table.values)] = list(table.values)
    return {"counts": np.array(table.code_counts, np.int32), "symbols": symbols}


def _segment(marker: Any) -> tuple[int, bytes]:
    return (marker.get("type", _COMMENT), bytes(marker["data"])) if isinstance(marker, dict) else (_COMMENT, marker)
