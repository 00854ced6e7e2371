"""Coefficients of a whole image to its frequency tensor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jpegfreq.errors import UnsupportedJpegError
from jpegfreq.format import TensorFormat

if TYPE_CHECKING:
    from jpegfreq.coefficients import Coefficients
    from jpegfreq.header import Header

__all__ = ["to_frequency_tensor"]


def to_frequency_tensor(
    coefficients: Coefficients, format: TensorFormat | None = None, *, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Dequantize an image's coefficients and lay all components out on one grid of 8 x 8 pixel blocks.

    One pass: dequantization, chroma upsampling, channel selection, normalization, layout and dtype. Values are
    dequantized coefficients at the file's own precision: DC of a flat block of value m is 8 * (m - 128) in an 8-bit
    file, 8 * (m - 2048) in a 12-bit one.

    Chroma "fancy" and "replicate" equal, to 1e-3: inverse DCT of the component's plane without rounding or clamping,
    upsampled by libjpeg's triangle filter (weights 3/4 and 1/4) or by replication, cut into blocks, DCT. Ratios other
    than 1 and 2 (a luma of lower resolution than chroma, 4:1:1, 3:1, 3:2) are interpolated by the same rule, linearly
    between sample centres. Along an axis that is upsampled, only the ceil(size * H_i / H_max) samples of the
    component's own (T.81 A.1.1) are used: behind the last one that sample is repeated, as libjpeg does for its last
    column and row, both as its neighbour and to fill the grid's last block. Along an axis that is not upsampled, the
    last block holds what the file has coded there.

    Args:
        coefficients: of a YCbCr or grey image; damaged ones (`damage="keep"`) are taken as they are. Of a YCCK image
            the luma can be had, with a selection of luma channels only.
        format: channels, chroma mode, layout, dtype and statistics; default TensorFormat().
        out: where to write: C-contiguous, of the format's dtype and shape.

    Returns:
        `out`, or a new array: [C, ceil(height / 8), ceil(width / 8)], or [.., .., C] for layout "HWC". Chroma of a grey
        image is zero, and is normalized like any other value.

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (other than luma only) or of unknown colour.
        ValueError: `out` does not fit.

    >>> from jpegfreq.coefficients import read_coefficients
    >>> to_frequency_tensor(read_coefficients(gray_16x8)).shape
    (192, 1, 2)
    """
    from jpegfreq.assembly import enlarge as _enlarge  # Numba, which takes a second to import
    from jpegfreq.assembly import kernels as _kernels
    from jpegfreq.assembly import on_grid as _on_grid

    if format is None:
        format = _DEFAULT
    header = coefficients.header
    _check_color(header, format)
    shape = format.shape(header.height, header.width)
    if out is None:
        out = np.empty(shape, format.numpy_dtype)
    else:
        _check_out(out, shape, format.numpy_dtype)
    flat = out.reshape(-1)
    rows_first = format.layout == "CHW"
    channels, grid_high, grid_wide = shape if rows_first else (shape[2], shape[0], shape[1])
    target = (
        flat if format.dtype == "float32" else _NO_FLOATS,
        flat.view(np.uint16) if format.dtype == "float16" else _NO_HALVES,
        rows_first,
        grid_high,
        grid_wide,
        channels,
    )

    components = header.components
    most_down = max([component.vertical_sampling_factor for component in components])
    most_across = max([component.horizontal_sampling_factor for component in components])
    for component, (where, affine, whole, raster) in enumerate(format.placements):
        if where.shape[1] == 0:
            continue
        if component >= len(components):  # chroma of a grey image
            view = out if rows_first else out.transpose(2, 0, 1)
            view[where[1]] = affine[1, :, None, None]
            continue
        down = _axis(header.height, most_down, components[component].vertical_sampling_factor)
        across = _axis(header.width, most_across, components[component].horizontal_sampling_factor)
        blocks = _kernel_plane(coefficients.planes[component])
        factors = coefficients.quantization_tables[component].astype(np.float32).reshape(64)
        on_grid = down.step == across.step == 1
        if on_grid and format.dtype == "float32" and rows_first and whole and blocks.size >= 8 * 16:
            _on_grid.move(blocks, blocks.size // 16, factors, where, affine, flat)
            continue
        if on_grid and format.dtype == "float32" and not rows_first and raster:
            _on_grid.move_last(blocks, factors, affine, int(where[1, 0]), channels, flat)
            continue
        exact = format.chroma in ("fancy", "replicate")
        if on_grid:  # one long row of blocks
            count = grid_high * grid_wide
            unused = _doubling("fancy", 0, 0)
            grid = (rows_first, 1, count, channels)
            _kernels.place(
                blocks, 1, count, factors, 1, 1, False, False, unused, where, affine, target[0], target[1], *grid
            )
            continue
        if exact and min(down.step, across.step) > 0:
            _kernels.place(
                blocks,
                down.blocks,
                across.blocks,
                factors,
                down.step,
                across.step,
                down.step == 2 and down.samples % 8 != 0,
                across.step == 2 and across.samples % 8 != 0,
                _doubling(format.chroma, down.samples % 8, across.samples % 8),
                where,
                affine,
                *target,
            )
            continue
        plane = blocks.view(np.int16).reshape(down.blocks, across.blocks, 64)
        enlarged = np.empty((grid_high, grid_wide, 64), np.float32)
        if exact:
            operators = (*_block_operators(format.chroma, down), *_block_operators(format.chroma, across))
            _enlarge.enlarge_blocks(plane, *operators, factors, enlarged)
        else:
            grid_taps = [_taps(format.chroma, axis.ratio, axis.blocks, axis.grid) for axis in (down, across)]
            _enlarge.enlarge_grid(plane, *grid_taps[0], *grid_taps[1], factors, enlarged)
        _enlarge.place_plane(enlarged, where, affine, *target)
    return out


_DEFAULT = TensorFormat()
_NO_FLOATS = np.empty(0, np.float32)
_NO_HALVES = np.empty(0, np.uint16)


class _Axis(NamedTuple):
    """One axis of a component on the full grid.

    Attributes:
        ratio: (highest sampling factor, the component's own).
        step: 1 or 2 where the ratio is that, else 0.
        samples: the component's own, ceil(size * H_i / H_max).
        blocks: the component's.
        grid: blocks of the full image.
    """

    ratio: tuple[int, int]
    step: int
    samples: int
    blocks: int
    grid: int


@lru_cache(maxsize=4096)
def _axis(size: int, most: int, own: int) -> _Axis:
    samples = -(-size * own // most)
    step = most // own if most in (own, 2 * own) else 0
    return _Axis((most, own), step, samples, -(-samples // 8), -(-size // 8))


def _kernel_plane(plane: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
    """A plane as the kernels are compiled for it: flat, aligned, four coefficients a word."""
    flags = plane.flags
    if not (flags.c_contiguous and flags.aligned and flags.writeable):
        plane = np.require(plane, np.int16, ["C", "A", "W"])
    return plane.reshape(-1).view(np.int64)


def _check_color(header: Header, format: TensorFormat) -> None:
    if header.color in ("grey", "YCbCr") or (header.color == "YCCK" and format.selection.luma_only):
        return
    hint = "; of YCCK only luma channels can be had" if header.color == "YCCK" else ""
    raise UnsupportedJpegError(f"a frequency tensor needs a YCbCr or grey image; this one is {header.color}{hint}")


def _check_out(out: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}; of a torch tensor, its .numpy()")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out must be {dtype} {shape}, not {out.dtype} {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out must be C-contiguous, aligned and writable")


def _dct_matrix() -> npt.NDArray[np.float64]:
    """D[u, x] of T.81 A.3.3: coefficients = D @ samples @ D.T."""
    u, x = np.mgrid[0:8, 0:8]
    matrix: npt.NDArray[np.float64] = np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)
    return matrix


@lru_cache(maxsize=256)
def _doubling(chroma: str, samples_high: int, samples_wide: int) -> npt.NDArray[np.float32]:
    """`operators` of _kernels.place.

    Args:
        chroma: "fancy" or "replicate".
        samples_high: samples in the component's last row of blocks, 0 for all 8.
        samples_wide: the same for columns.
    """
    dct = _dct_matrix()
    upsample = np.zeros((8, 8))  # the left block's samples, of the block itself
    output = np.arange(8)
    upsample[output, output // 2] = 1
    edge = np.zeros(8)
    if chroma == "fancy":
        upsample[output, output // 2] = 0.75
        upsample[output[1:], np.where(output % 2, output // 2 + 1, output // 2 - 1)[1:]] += 0.25
        edge = 0.25 * dct[:, 0]
    operators = [dct @ upsample @ dct.T, edge[None], dct[None, :, 0]]
    signs = np.where(np.add.outer(output, output)[:, :, None] % 2, (-1.0) ** output, 1)
    signed = np.concatenate([operators[0][:, :, None] * signs, edge[:, None, None] * signs[:, :1]], axis=1)
    repeat_down, repeat_across = (
        dct @ np.eye(8)[np.minimum(output, (samples or 8) - 1)] @ dct.T for samples in (samples_high, samples_wide)
    )
    mirror = np.diag((-1.0) ** output)
    ending = [operators[0] @ repeat_across, mirror @ operators[0] @ mirror @ repeat_across]
    tail = dct[None, :, (samples_wide or 8) - 1]
    return np.concatenate([*operators, repeat_down.T, signed.reshape(72, 8), *ending, tail]).astype(np.float32)


def _taps(
    chroma: str, ratio: tuple[int, int], inputs: int, outputs: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Which two inputs make each output of an axis, [2, outputs], and their weights.

    Output t lies at (t + 1/2) * own / highest - 1/2 of the inputs, whose end is repeated.
    """
    twice = (2 * np.arange(outputs) + 1) * ratio[1]
    if chroma in ("replicate", "nearest"):
        index = np.stack([twice // (2 * ratio[0])] * 2)
        weight = np.zeros(outputs)
    else:
        numerator = twice - ratio[0]
        below = numerator // (2 * ratio[0])
        index = np.stack([below, below + 1])
        weight = (numerator - below * 2 * ratio[0]) / (2 * ratio[0])
    return np.clip(index, 0, inputs - 1), np.stack([1 - weight, weight]).astype(np.float32)


@lru_cache(maxsize=16)
def _block_operators(chroma: str, axis: _Axis) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Along one axis: the first block that each output block is made of, and its matrix [8, 8 * span]."""
    inputs = axis.blocks * 8 if axis.step == 1 else axis.samples
    index, weight = _taps(chroma, axis.ratio, inputs, axis.grid * 8)
    blocks = index.reshape(2, axis.grid, 8) // 8
    first = blocks.min(axis=(0, 2))
    span = int((blocks.max(axis=(0, 2)) - first).max()) + 1
    first = np.minimum(first, axis.blocks - span)
    resample = np.zeros((axis.grid, 8, span * 8))
    output = np.arange(axis.grid * 8)
    for place, share in zip(index, weight, strict=True):
        resample[output // 8, output % 8, place - 8 * first[output // 8]] += share
    dct = _dct_matrix()
    matrices = dct @ resample @ np.kron(np.eye(span), dct).T
    return first, matrices.astype(np.float32)
