"""The specification of `resample` in float64: inverse DCT without clamp, crop, resize, flip, block DCT.

With a Window: inverse DCT without clamp, resize of the whole image, crop, flip, block DCT.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq import Coefficients
from jpegfreq.crops import Window

Matrix = npt.NDArray[np.float64]

_FREQUENCY, _SAMPLE = np.mgrid[:8, :8]
DCT: Matrix = np.cos((2 * _SAMPLE + 1) * _FREQUENCY * np.pi / 16) / 2
DCT[0] = np.sqrt(1 / 8)


def samples_of(plane: npt.NDArray[Any], table: npt.NDArray[Any]) -> Matrix:
    """[blocks_high, blocks_wide, 8, 8] quantized to [8 * blocks_high, 8 * blocks_wide] samples, 128 below JPEG's."""
    blocks = DCT.T @ (plane.astype(np.float64) * table.astype(np.float64)) @ DCT
    return blocks.swapaxes(1, 2).reshape(8 * plane.shape[0], 8 * plane.shape[1])


def blocks_of(samples: Matrix) -> Matrix:
    """[8 * rows, 8 * columns] samples to [64, rows, columns] coefficients, channel 8 * v + u."""
    rows, columns = samples.shape[0] // 8, samples.shape[1] // 8
    blocks = DCT @ samples.reshape(rows, 8, columns, 8).swapaxes(1, 2) @ DCT.T
    return blocks.transpose(2, 3, 0, 1).reshape(64, rows, columns)


def enlarging_matrix(pixels: int, samples: int, factor: float, method: str) -> Matrix:
    """[pixels, samples]: `factor` times as many pixels as samples, the last sample repeated after the end."""
    rows = np.arange(pixels)
    centre = (rows + 0.5) / factor
    matrix = np.zeros((pixels, samples))
    if method == "replicate":
        matrix[rows, np.minimum(np.floor(centre + 1e-9).astype(int), samples - 1)] = 1
        return matrix
    first = np.floor(centre - 0.5 + 1e-9).astype(int)
    share = centre - 0.5 - first
    np.add.at(matrix, (rows, np.clip(first, 0, samples - 1)), 1 - share)
    np.add.at(matrix, (rows, np.clip(first + 1, 0, samples - 1)), share)
    return matrix


def _keys(x: Matrix, a: float) -> Matrix:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_KERNELS = {
    "box": lambda x: ((x > -0.5) & (x <= 0.5)).astype(float),
    "bilinear": lambda x: np.maximum(1 - np.abs(x), 0),
    "bicubic": lambda x: _keys(x, -0.5),
}
_RADIUS = {"box": 0.5, "bilinear": 1.0, "bicubic": 2.0}


def resizing_matrix(
    samples: int, outputs: int, filter: str, antialias: bool, begin: float = 0.0, end: float | None = None
) -> Matrix:
    """[outputs, samples]: what `F.interpolate` does along one axis to the part [begin, end) of the samples."""
    end = samples if end is None else end
    scale = (end - begin) / outputs
    rows = np.arange(outputs)
    centre = begin + (rows + 0.5) * scale
    if filter == "bicubic" and not antialias:  # a = -0.75, and samples outside repeat the last one
        matrix = np.zeros((outputs, samples))
        first = np.floor(centre - 0.5).astype(int) - 1
        for j in range(4):
            np.add.at(matrix, (rows, np.clip(first + j, 0, samples - 1)), _keys(first + j + 0.5 - centre, -0.75))
        return matrix
    stretch = max(scale, 1.0) if antialias else 1.0
    radius = _RADIUS[filter] * stretch
    j = np.arange(samples)
    first = np.trunc(centre - radius + 0.5)[:, None]
    last = np.trunc(centre + radius + 0.5)[:, None]
    weights = np.where((j >= first) & (j < last), _KERNELS[filter]((j - centre[:, None] + 0.5) / stretch), 0.0)
    return weights / weights.sum(1, keepdims=True)


@lru_cache(maxsize=8)
def _axis_matrix(
    image: int, sampling: int, most: int, begin: int, size: int, outputs: int, filter: str, antialias: bool, chroma: str
) -> Matrix:
    """[outputs, samples of the component]."""
    samples = -(-image * sampling // most)
    if sampling == most or chroma != "direct":
        resize = resizing_matrix(size, outputs, filter, antialias)
        if sampling == most:
            return np.pad(resize, ((0, 0), (begin, samples - begin - size)))
        return resize @ enlarging_matrix(image, samples, most / sampling, chroma)[begin : begin + size]
    first = begin * sampling // most
    last = min(-(-(begin + size) * sampling // most), samples)
    start = begin * sampling / most - first
    resize = resizing_matrix(last - first, outputs, filter, antialias, start, start + size * (sampling / most))
    return np.pad(resize, ((0, 0), (first, samples - last)))


def positions(first: int, size: int, resized: int, flip: bool) -> npt.NDArray[np.intp]:
    """Which samples of the resized image make `size` outputs from `first` on, and those that fill the last block."""
    outputs = np.arange(-(-size // 8) * 8)
    return np.clip(first + (size - 1 - outputs if flip else outputs), 0, resized - 1)


def resample_reference(
    coefficients: Coefficients,
    box: tuple[int, int, int, int] | Window,
    size: tuple[int, int],
    *,
    flip: bool = False,
    vertical_flip: bool = False,
    filter: str = "bilinear",
    antialias: bool = True,
    chroma: str = "fancy",
) -> Matrix:
    """[64 * components, height / 8, width / 8], rounded up."""
    header = coefficients.header
    if isinstance(box, Window):
        top, left, height, width = 0, 0, header.height, header.width
        resized, first = box.resized, (box.top, box.left)
    else:
        top, left, height, width = box
        resized, first = size, (0, 0)
    rows = positions(first[0], size[0], resized[0], vertical_flip)
    columns = positions(first[1], size[1], resized[1], flip)
    most_vertical = max(c.vertical_sampling_factor for c in header.components)
    most_horizontal = max(c.horizontal_sampling_factor for c in header.components)
    channels = []
    for component, plane, table in zip(
        header.components, coefficients.planes, coefficients.quantization_tables, strict=True
    ):
        vertical = _axis_matrix(
            header.height,
            component.vertical_sampling_factor,
            most_vertical,
            top,
            height,
            resized[0],
            filter,
            antialias,
            chroma,
        )
        horizontal = _axis_matrix(
            header.width,
            component.horizontal_sampling_factor,
            most_horizontal,
            left,
            width,
            resized[1],
            filter,
            antialias,
            chroma,
        )
        samples = samples_of(plane, table * header.grey_level)[: vertical.shape[1], : horizontal.shape[1]]
        channels.append(blocks_of(vertical[rows] @ samples @ horizontal[columns].T))
    return np.concatenate(channels)
