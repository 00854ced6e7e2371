"""Exact operators on 8 x 8 DCT blocks: flips, transpose, rotations, crops, twofold enlargement.

A plane is an array [..., blocks_high, blocks_wide, 8, 8] of quantized or dequantized coefficients; its last two axes
are vertical and horizontal frequency. Each operator returns the coefficients of what its pixel counterpart returns.

`flip_horizontal`, `flip_vertical`, `transpose` and `rotate` take a plane or a whole image, a `Coefficients`; `upright`,
`crop`, `grey` and `requantize` take a whole image. `write_jpeg` writes what they return, without loss except where
`requantize` rounds.

The last MCUs of an image may lie only partly in it. A mirrored image cannot begin with such an MCU, and a cropped one
cannot begin inside an MCU. `edge` decides what happens then: "refuse" raises an error, "keep" leaves these MCUs in
their place, unmirrored, as jpegtran does, and "trim" drops them.
"""

from jpegfreq.blocks.images import (
    Edge,
    crop,
    flip_horizontal,
    flip_vertical,
    grey,
    requantize,
    rotate,
    transpose,
    upright,
)
from jpegfreq.blocks.planes import double_blocks

__all__ = [
    "Edge",
    "crop",
    "double_blocks",
    "flip_horizontal",
    "flip_vertical",
    "grey",
    "requantize",
    "rotate",
    "transpose",
    "upright",
]
