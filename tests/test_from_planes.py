"""Coefficients.from_planes: what it makes of arrays, and which arrays it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from jpegfreq import Coefficients, read_coefficients, write_jpeg
from tests.support import same_coefficients

ONES = np.ones((8, 8), np.uint16)
YCBCR = {"sampling": ((2, 2), (1, 1), (1, 1)), "color": "YCbCr"}


def zeros(*shapes: tuple[int, int]) -> list[np.ndarray]:
    return [np.zeros((*shape, 8, 8), np.int16) for shape in shapes]


def test_the_size_is_that_of_the_largest_planes() -> None:
    coefficients = Coefficients.from_planes(zeros((4, 6), (2, 3), (2, 3)), [ONES] * 3, **YCBCR)
    assert (coefficients.header.height, coefficients.header.width) == (32, 48)
    assert coefficients.header.process == "baseline"
    assert same_coefficients(read_coefficients(write_jpeg(coefficients)), coefficients)


def test_a_size_may_end_within_the_last_blocks() -> None:
    coefficients = Coefficients.from_planes(zeros((4, 5), (2, 3), (2, 3)), [ONES] * 3, size=(25, 33), **YCBCR)
    assert [c.blocks_wide for c in coefficients.header.components] == [5, 3, 3]
    assert same_coefficients(read_coefficients(write_jpeg(coefficients)), coefficients)


def test_components_share_a_table_number_where_their_tables_are_equal() -> None:
    coefficients = Coefficients.from_planes(zeros((2, 2), (1, 1), (1, 1)), [ONES, 2 * ONES, 2 * ONES], **YCBCR)
    assert [c.quantization_table_id for c in coefficients.header.components] == [0, 1, 1]


def test_arrays_of_int16_are_not_copied_and_others_are_converted() -> None:
    plane = np.zeros((1, 1, 8, 8), np.int16)
    assert Coefficients.from_planes([plane], [ONES], sampling=[(1, 1)], color="grey").planes[0] is plane
    for dtype in (np.int64, np.uint8, ">i2"):
        made = Coefficients.from_planes([plane.astype(dtype)], [ONES.tolist()], sampling=[(1, 1)], color="grey")
        assert made.planes[0].dtype == np.int16


@pytest.mark.parametrize(
    ("precision", "tables", "process"), [(8, 255, "baseline"), (8, 256, "extended"), (12, 1, "extended")]
)
def test_the_process_is_the_simplest_that_holds_the_image(precision: int, tables: int, process: str) -> None:
    made = Coefficients.from_planes(
        zeros((1, 1)), [ONES * tables], sampling=[(1, 1)], color="grey", precision=precision, orientation=3
    )
    assert made.header.process == process
    assert same_coefficients(read_coefficients(write_jpeg(made)), made)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"color": "sepia"}, ValueError, "color must be"),
        ({"color": "CMYK"}, ValueError, "planes must have 4 entries, one per component of CMYK, not 3"),
        ({"quantization_tables": [ONES]}, ValueError, "quantization_tables must have 3 entries"),
        ({"sampling": ((1, 1),) * 2}, ValueError, "sampling must have 3 entries"),
        ({"sampling": ((2, 5), (1, 1), (1, 1))}, ValueError, r"sampling\[0\] must be from 1 to 4, not 5"),
        ({"sampling": (2, 1, 1)}, TypeError, r"sampling\[0\] must be \(horizontal, vertical\)"),
        ({"precision": 10}, ValueError, "precision must be 8 or 12"),
        ({"orientation": 0}, ValueError, "orientation must be from 1 to 8"),
        ({"size": (17, 32)}, ValueError, r"planes\[0\] has 4 x 4 blocks, but a size of 17 x 32 .* need 3 x 4"),
        ({"size": (0, 32)}, ValueError, "size must be"),
        ({"size": (70000, 32)}, ValueError, "at most 65535"),
        ({"planes": zeros((0, 0), (0, 0), (0, 0))}, ValueError, "no blocks"),
        ({"planes": zeros((4, 4), (2, 2), (2, 1))}, ValueError, r"planes\[2\] has 2 x 1 blocks"),
        ({"planes": [*zeros((4, 4), (2, 2)), np.ones((2, 2, 8, 8))]}, TypeError, "not an array of float64"),
        ({"planes": [*zeros((4, 4), (2, 2)), [[0]]]}, TypeError, r"planes\[2\] must be a NumPy array"),
        ({"planes": [*zeros((4, 4), (2, 2)), np.zeros((4, 64), int)]}, ValueError, r"planes\[2\] must have the shape"),
        ({"quantization_tables": [ONES, ONES, 0 * ONES]}, ValueError, r"tables\[2\] must hold whole numbers"),
        ({"quantization_tables": [ONES, ONES, 1.5 * ONES]}, ValueError, r"quantization_tables\[2\] must hold"),
        ({"quantization_tables": [ONES, ONES, np.nan * ONES]}, ValueError, r"quantization_tables\[2\] must hold"),
        ({"quantization_tables": [ONES, ONES, ONES * 1e9]}, ValueError, r"quantization_tables\[2\] must hold"),
        ({"quantization_tables": [ONES, ONES, ONES[:7]]}, ValueError, r"8 x 8 whole numbers"),
        ({"quantization_tables": [ONES, ONES, [[1], [1, 2]]]}, ValueError, r"8 x 8 whole numbers"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(changes: dict, error: type, message: str) -> None:
    arguments = {"planes": zeros((4, 4), (2, 2), (2, 2)), "quantization_tables": [ONES] * 3, **YCBCR, **changes}
    with pytest.raises(error, match=message):
        Coefficients.from_planes(arguments.pop("planes"), arguments.pop("quantization_tables"), **arguments)


@pytest.mark.parametrize(
    ("precision", "dtype", "frequency", "good", "bad"),
    [
        (8, np.int16, (0, 0), -1024, -1025),
        (8, np.int16, (0, 0), 1023, 1024),
        (8, np.int64, (1, 0), -1023, -1024),
        (8, np.uint16, (0, 1), 1023, 65535),
        (12, np.int16, (0, 0), -16384, -16385),
        (12, np.int32, (7, 7), 16383, 1 << 20),
    ],
)
def test_a_value_out_of_range_is_named(
    precision: int, dtype: type, frequency: tuple[int, int], good: int, bad: int
) -> None:
    plane = np.zeros((3, 4, 8, 8), dtype)
    plane[(1, 2, *frequency)] = good
    options = {"sampling": [(1, 1)], "color": "grey", "precision": precision}
    made = Coefficients.from_planes([plane], [ONES], **options)
    assert same_coefficients(read_coefficients(write_jpeg(made)), made)
    plane[(1, 2, *frequency)] = bad
    v, u = frequency
    message = rf"planes\[0\]: the coefficient of block \(1, 2\), frequency \(v={v}, u={u}\) must be .*, not {bad}"
    with pytest.raises(ValueError, match=message):
        Coefficients.from_planes([plane], [ONES], **options)
