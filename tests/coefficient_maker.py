"""Random coefficients of any size and sampling, for tests."""

from __future__ import annotations

import numpy as np

from jpegfreq import Coefficients, Component, Header

SAMPLINGS = {
    "4:4:4": ((1, 1), (1, 1), (1, 1)),
    "4:2:2": ((2, 1), (1, 1), (1, 1)),
    "4:2:0": ((2, 2), (1, 1), (1, 1)),
    "4:4:0": ((1, 2), (1, 1), (1, 1)),
    "4:1:1": ((4, 1), (1, 1), (1, 1)),
    "4:1:0": ((4, 2), (1, 1), (1, 1)),
    "luma sub-sampled": ((1, 1), (2, 2), (2, 1)),
    "factors of three": ((3, 2), (2, 1), (1, 2)),
    "grey": ((1, 1),),
    "grey of 2x2": ((2, 2),),
}


def make_coefficients(
    height: int, width: int, sampling: tuple[tuple[int, int], ...], seed: int = 0, orientation: int = 1
) -> Coefficients:
    """Make blocks whose values fall with frequency as in a photograph, up to about 1000 after dequantization."""
    random = np.random.default_rng(seed)
    most_horizontal = max(h for h, _ in sampling)
    most_vertical = max(v for _, v in sampling)
    v, u = np.mgrid[:8, :8]
    components, planes, tables = [], [], []
    for i, (horizontal, vertical) in enumerate(sampling):
        high = -(-height * vertical // (8 * most_vertical))
        wide = -(-width * horizontal // (8 * most_horizontal))
        table = random.integers(1, 24, (8, 8)).astype(np.uint16)
        planes.append(
            np.round(random.normal(size=(high, wide, 8, 8)) * 300 / (1 + v + u) ** 2 / table).astype(np.int16)
        )
        tables.append(table)
        components.append(Component(i + 1, horizontal, vertical, i, high, wide))
    color = "grey" if len(sampling) == 1 else "YCbCr"
    header = Header(height, width, 8, "baseline", tuple(components), 0, color, orientation)
    return Coefficients(header, tuple(planes), tuple(tables))
