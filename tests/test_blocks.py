from __future__ import annotations

import numpy as np
import pytest

from jpegfreq import blocks
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.resample_reference import enlarging_matrix, samples_of

ONES = np.ones((8, 8))


def random_plane(high: int = 3, wide: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(high, wide, 8, 8))


def assert_same_samples(plane: np.ndarray, samples: np.ndarray) -> None:
    np.testing.assert_allclose(samples_of(plane, ONES), samples, atol=1e-4)


def test_flips_mirror_the_samples() -> None:
    plane = random_plane()
    assert_same_samples(blocks.flip_horizontal(plane), samples_of(plane, ONES)[:, ::-1])
    assert_same_samples(blocks.flip_vertical(plane), samples_of(plane, ONES)[::-1])


def test_transpose_exchanges_rows_and_columns() -> None:
    plane = random_plane()
    assert_same_samples(blocks.transpose(plane), samples_of(plane, ONES).T)


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3, 4])
def test_rotations_turn_the_samples_clockwise(turns: int) -> None:
    plane = random_plane()
    assert_same_samples(blocks.rotate(plane, turns), np.rot90(samples_of(plane, ONES), -turns))


def test_operators_keep_integers_exact() -> None:
    plane = np.random.default_rng(0).integers(-1024, 1024, (2, 3, 8, 8)).astype(np.int16)
    for operator in (blocks.flip_horizontal, blocks.flip_vertical, blocks.transpose):
        assert operator(plane).dtype == np.int16
        np.testing.assert_array_equal(operator(operator(plane)), plane)


def test_operators_take_planes_of_a_batch() -> None:
    planes = np.stack([random_plane(), random_plane()[::-1]])
    np.testing.assert_array_equal(blocks.rotate(planes, 1)[1], blocks.rotate(planes[1], 1))
    np.testing.assert_array_equal(
        blocks.double_blocks(planes, "vertical")[1], blocks.double_blocks(planes[1], "vertical")
    )


@pytest.mark.parametrize("method", ["fancy", "replicate"])
@pytest.mark.parametrize("samples", [1, 8, 9, 15, 16, 29])
def test_doubling_equals_upsampling_the_samples(method: str, samples: int) -> None:
    plane = random_plane(2, -(-samples // 8))
    doubled = samples_of(blocks.double_blocks(plane, "horizontal", samples=samples, method=method), ONES)
    want = samples_of(plane, ONES)[:, :samples] @ enlarging_matrix(2 * samples, samples, 2, method).T
    np.testing.assert_allclose(doubled[:, : 2 * samples], want, atol=1e-4)
    np.testing.assert_allclose(
        doubled[:, 2 * samples :], doubled[:, [2 * samples - 1] * (doubled.shape[1] - 2 * samples)], atol=1e-4
    )
    turned = blocks.double_blocks(blocks.transpose(plane), "vertical", samples=samples, method=method)
    assert_same_samples(turned, doubled.T)


def test_doubling_refuses_samples_that_do_not_end_in_the_last_block() -> None:
    for samples in (8, 33):
        with pytest.raises(ValueError, match="samples must be from 25 to 32 for 4 blocks"):
            blocks.double_blocks(random_plane(), "horizontal", samples=samples)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:1:0"])
def test_upright_turns_every_component(orientation: int, sampling: str) -> None:
    coefficients = make_coefficients(32, 64, SAMPLINGS[sampling], orientation=orientation)
    turned = blocks.upright(coefficients)
    turn = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.T,
        6: lambda x: np.rot90(x, -1),
        7: lambda x: x[::-1, ::-1].T,
        8: lambda x: np.rot90(x),
    }[orientation]
    for before, after, table_before, table_after in zip(
        coefficients.planes, turned.planes, coefficients.quantization_tables, turned.quantization_tables, strict=True
    ):
        np.testing.assert_allclose(samples_of(after, table_after), turn(samples_of(before, table_before)), atol=1e-9)
    assert turned.header.orientation == 1
    assert (turned.header.height, turned.header.width) == ((64, 32) if orientation > 4 else (32, 64))
    assert [(c.blocks_high, c.blocks_wide) for c in turned.header.components] == [p.shape[:2] for p in turned.planes]


def test_upright_refuses_to_mirror_a_side_that_ends_inside_an_mcu() -> None:
    with pytest.raises(ValueError, match="cannot mirror 60 columns without loss"):
        blocks.upright(make_coefficients(32, 60, SAMPLINGS["4:4:4"], orientation=2))
