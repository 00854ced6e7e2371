"""Small files with known content, for tests that edit one."""

from __future__ import annotations

from tests.generate import random_image
from tests.writer import WrittenComponent, WrittenImage, WrittenScan, write


def small_image(sof: int, scans: tuple[WrittenScan, ...], sampling: tuple[tuple[int, int], ...]) -> WrittenImage:
    """Make an image of 24 x 40 pixels (height x width) with component identifiers 1, 2, 3 and table 0 for all."""
    picture = random_image(7, sof=sof, height=24, width=40, sampling=sampling)
    components = tuple(WrittenComponent(i, h, v, 0) for i, (h, v) in enumerate(sampling, 1))
    tables = {0: list(range(1, 65))}
    return WrittenImage(sof, 8, 24, 40, components, picture.planes, tables, scans)


BASELINE_IMAGE = small_image(0, (WrittenScan((0, 1, 2), restart_interval=1),), ((2, 2), (1, 1), (1, 1)))
BASELINE = write(BASELINE_IMAGE, 3)
SEPARATE_IMAGE = small_image(0, tuple(WrittenScan((i,)) for i in range(3)), ((2, 2), (1, 1), (1, 1)))
SEPARATE = write(SEPARATE_IMAGE, 4)  # one scan per component
PROGRESSIVE = write(
    small_image(
        2,
        (
            WrittenScan((0, 1), 0, 0, 0, 1),
            WrittenScan((0, 1), 0, 0, 1, 0),
            WrittenScan((0,), 1, 63, 0, 1),
            WrittenScan((1,), 1, 63, 0, 0),
            WrittenScan((0,), 1, 63, 1, 0),
        ),
        ((1, 1), (1, 1)),
    ),
    5,
)
ARITHMETIC_IMAGE = small_image(9, (WrittenScan((0, 1, 2), restart_interval=2),), ((2, 1), (1, 1), (1, 1)))
ARITHMETIC = write(ARITHMETIC_IMAGE)
