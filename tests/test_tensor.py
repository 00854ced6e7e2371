"""to_frequency_tensor against its specification in NumPy, and against libjpeg's decoded YCbCr."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import jpegfreq
from jpegfreq import _native, read_batch, read_coefficients, read_header, resample
from jpegfreq.assembly import kernels
from jpegfreq.assembly.tensor import to_frequency_tensor
from jpegfreq.channels import ChannelSelection
from jpegfreq.coefficients import Coefficients
from jpegfreq.errors import UnsupportedJpegError
from jpegfreq.format import TensorFormat
from jpegfreq.header import Component, Header
from jpegfreq.statistics import ChannelStatistics
from tests.support import data_files, instruction_sets, run_on

u, x = np.mgrid[0:8, 0:8]
DCT = np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)

YCBCR_444, YCBCR_422, YCBCR_420, YCBCR_440 = (((h, v), (1, 1), (1, 1)) for h, v in ((1, 1), (2, 1), (2, 2), (1, 2)))
EXACT = ("fancy", "replicate")


def synthetic(
    height: int,
    width: int,
    sampling: tuple[tuple[int, int], ...],
    *,
    color: str = "YCbCr",
    reach: int = 8,
    seed: int = 0,
) -> Coefficients:
    """Random coefficients of frequencies below `reach` each way, for any sampling (h, v) of the components."""
    rng = np.random.default_rng(seed)
    high, wide = max(v for _, v in sampling), max(h for h, _ in sampling)
    components, planes, tables = [], [], []
    for number, (h, v) in enumerate(sampling):
        blocks = [ceil(ceil(size * own / most) / 8) for size, own, most in ((height, v, high), (width, h, wide))]
        components.append(Component(number + 1, h, v, 0, *blocks))
        plane = np.zeros((*blocks, 8, 8), np.int16)
        plane[..., :reach, :reach] = rng.integers(-30, 31, (*blocks, reach, reach))
        planes.append(plane)
        tables.append(rng.integers(1, 8, (8, 8), dtype=np.uint16))
    header = Header(height, width, 8, "baseline", tuple(components), 0, color, 1)
    return Coefficients(header, tuple(planes), tuple(tables))


def samples(plane: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Inverse DCT of a component, no rounding, no clamp."""
    blocks = np.einsum("vy,rcvu,ux->rycx", DCT, plane.astype(np.float64) * table, DCT)
    return blocks.reshape(plane.shape[0] * 8, plane.shape[1] * 8)


def enlarged(plane: np.ndarray, axis: int, own: int, most: int, outputs: int, *, linear: bool) -> np.ndarray:
    """Along one axis by most / own: output t lies at (t + 1/2) own / most - 1/2, behind the ends they are repeated."""
    position = (np.arange(outputs) + 0.5) * own / most - 0.5
    below = np.floor(position + 1e-9) if linear else np.floor((np.arange(outputs) + 0.5) * own / most)
    share = position - below if linear else 0 * position
    a, b = (plane.take(np.clip(below.astype(int) + n, 0, plane.shape[axis] - 1), axis) for n in (0, 1))
    share = share[:, None] if axis == 0 else share
    return a * (1 - share) + b * share


def reference(coefficients: Coefficients, chroma: str = "fancy") -> np.ndarray:
    """The whole tensor in float64 for "fancy" and "replicate": pixels, upsampled, cut into blocks, DCT."""
    header = coefficients.header
    grid = -(-header.height // 8), -(-header.width // 8)
    out = np.zeros((192, *grid))
    for number, component in enumerate(header.components):
        pixels = samples(coefficients.planes[number], coefficients.quantization_tables[number])
        own = component.vertical_sampling_factor, component.horizontal_sampling_factor
        most = (
            max(c.vertical_sampling_factor for c in header.components),
            max(c.horizontal_sampling_factor for c in header.components),
        )
        for axis, size in enumerate((header.height, header.width)):
            if own[axis] != most[axis]:
                pixels = pixels.take(range(-(-size * own[axis] // most[axis])), axis)
                pixels = enlarged(pixels, axis, own[axis], most[axis], 8 * grid[axis], linear=chroma == "fancy")
        blocks = pixels.reshape(grid[0], 8, grid[1], 8)
        out[64 * number : 64 * number + 64] = np.einsum("vy,rycx,ux->vurc", DCT, blocks, DCT).reshape(64, *grid)
    return out


@pytest.mark.parametrize("chroma", EXACT)
@pytest.mark.parametrize("sampling", [YCBCR_444, YCBCR_422, YCBCR_420, YCBCR_440])
@pytest.mark.parametrize("size", [(47, 131), (64, 64), (24, 1041), (1, 1), (8, 17), (270, 30)])
def test_tensor_is_the_dct_of_the_upsampled_planes(
    chroma: Any, sampling: tuple[tuple[int, int], ...], size: tuple[int, int]
) -> None:
    coefficients = synthetic(*size, sampling)
    tensor = to_frequency_tensor(coefficients, TensorFormat(chroma=chroma))
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, reference(coefficients, chroma), atol=1e-3)


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 300),
    sampling=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=3, max_size=3),
    chroma=st.sampled_from(EXACT),
    reach=st.sampled_from((1, 4, 5, 8)),
)
@settings(max_examples=60, deadline=None)
def test_any_sampling_factors_follow_the_same_rule(
    height: int, width: int, sampling: list[tuple[int, int]], chroma: Any, reach: int
) -> None:
    coefficients = synthetic(height, width, tuple(sampling), reach=reach)
    tensor = to_frequency_tensor(coefficients, TensorFormat(chroma=chroma))
    np.testing.assert_allclose(tensor, reference(coefficients, chroma), atol=1e-3)


@pytest.mark.parametrize("size", [(47, 140), (270, 30)])
def test_blocks_of_low_frequencies_beside_one_of_high_ones(size: tuple[int, int]) -> None:
    coefficients = synthetic(*size, YCBCR_420, reach=4)
    coefficients.planes[1][1, -1, 7, 0] = 20  # one block with high v, another with high u, between low neighbours
    coefficients.planes[2][0, 0, 0, 7] = 20
    np.testing.assert_allclose(to_frequency_tensor(coefficients), reference(coefficients), atol=1e-3)


@pytest.mark.parametrize("chroma", ["nearest", "bilinear", "direct"])
def test_other_chroma_modes_are_refused_by_name(chroma: Any) -> None:
    with pytest.raises(ValueError, match=f"chroma must be .fancy. or .replicate., not '{chroma}'"):
        TensorFormat(chroma=chroma)


def test_kernels_do_what_their_numpy_specification_says() -> None:
    rng = np.random.default_rng(0)
    blocks = rng.integers(-2000, 2000, (37, 64), dtype=np.int16)
    frequencies, slots = np.array([0, 9, 63, 8]), np.array([1, 2, 5, 6])
    scale, shift = rng.random(4, np.float32), rng.random(4, np.float32)
    expected = blocks[:, frequencies] * scale + shift
    cells, channels = np.zeros((37, 7), np.float32), np.zeros((7, 40), np.float32)
    kernels.place_blocks(blocks, frequencies, slots, scale, shift, cells)
    np.testing.assert_allclose(cells[:, slots], expected, rtol=1e-6)
    assert not cells[:, [0, 3, 4]].any()
    kernels.place_frequencies(np.ascontiguousarray(blocks.T), frequencies, slots, scale, shift, 3, channels)
    np.testing.assert_array_equal(channels[slots, 3:].T, cells[:, slots])
    assert not channels[:, :3].any()
    all_scale, all_shift, whole = rng.random(64, np.float32), rng.random(64, np.float32), np.zeros((37, 70), np.float32)
    kernels.place_whole_blocks(blocks, 4, all_scale, all_shift, whole)
    np.testing.assert_allclose(whole[:, 4:68], blocks * all_scale + all_shift, rtol=1e-6)


def test_kernels_work_where_their_machine_code_cannot_be_kept(tmp_path: Path) -> None:
    code = """
import jpegfreq
import jpegfreq.assembly.kernels
from tests.images import make_jpeg
from tests.support import files_limited_to

with files_limited_to(16):
    for dtype in ("float32", "float16", "int8"):
        steps = (1.0,) * 192 if dtype == "int8" else None
        format = jpegfreq.TensorFormat(6, dtype=dtype, steps=steps)
        jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(make_jpeg(64, 48)), format)
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", code]
    project = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project, timeout=100)
    assert done.returncode == 0, done.stderr


EVERY_KERNEL = """
import hashlib, sys
import jpegfreq
import numpy as np
from jpegfreq.assembly import kernels
from tests.images import make_jpeg

coefficients = jpegfreq.read_coefficients(make_jpeg(64, 48))
results = hashlib.sha256()
for dtype in ("float32", "float16", "int8"):
    steps = (1.0,) * 192 if dtype == "int8" else None
    for channels, layout in ((192, "CHW"), (192, "HWC"), (6, "HWC")):
        format = jpegfreq.TensorFormat(channels, layout=layout, dtype=dtype, steps=steps)
        results.update(jpegfreq.to_frequency_tensor(coefficients, format))
print(results.hexdigest(), "numba.np.arraymath" in sys.modules, kernels.numba.version_info[:2] > kernels._NEWEST_NUMBA)
"""
LATER_FUNCTION = """
total = kernels.numba.njit(lambda values: np.sort(values).cumsum().mean())(np.array([3.0, 1.0, 2.0]))
assert total == 10 / 3, total
"""


def test_kept_machine_code_is_loaded_without_what_only_compiling_needs(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    project = Path(__file__).resolve().parents[1]
    printed = []
    for code in (EVERY_KERNEL, EVERY_KERNEL + LATER_FUNCTION):
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project, timeout=100)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.split())
    compiled, loaded = printed
    assert compiled[:2] == [loaded[0], "True"]
    assert loaded[1] == loaded[2]  # a newer Numba initializes itself before it loads anything


@given(st.floats(width=32, allow_nan=False))
def test_to_half_rounds_as_numpy_does_and_saturates(value: float) -> None:
    expected = np.float16(np.clip(value, -65504, 65504)).view(np.uint16)
    assert kernels.to_half(np.float32(value)) == expected


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1500])
def test_frequencies_are_split_into_planes(count: int) -> None:
    blocks = np.random.default_rng(count).integers(-32768, 32767, (count, 64), dtype=np.int16)
    planes = np.zeros((64, count), np.int16)
    _native.split_frequencies(blocks, 0b10000101, planes)
    wanted = np.isin(np.arange(64) // 8, (0, 2, 7))
    np.testing.assert_array_equal(planes[wanted], blocks.T[wanted])
    assert not planes[~wanted].any()


def test_instruction_sets_agree(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
from jpegfreq import TensorFormat, to_frequency_tensor
from tests.coefficient_maker import make_coefficients
one = (1, 1)
cases = [((2, 2), one, one), ((2, 1), one, one), ((1, 2), one, one), (one, one, one), (one, (2, 2), (4, 1)),
         ((3, 2), one, (2, 1))]
formats = [TensorFormat(n, layout=layout, dtype=dtype)
           for n in ("all", 24) for layout in ("CHW", "HWC") for dtype in ("float32", "float16")]
np.savez(sys.argv[1], *[to_frequency_tensor(make_coefficients(53, 91, case), f) for case in cases for f in formats])
"""
    results = []
    for name in instruction_sets()[1:] or ["plain"]:
        run_on(name, "-c", code, tmp_path / f"{name}.npz")
        results.append(dict(np.load(tmp_path / f"{name}.npz")))
    generic, *others = results
    for other in others:
        for key, value in generic.items():
            np.testing.assert_allclose(value, other[key], rtol=1e-3 if value.dtype == np.float16 else 1e-5, atol=1e-3)
        np.testing.assert_equal(other, others[0])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize(
    "channels",
    ["all", 24, ChannelSelection.zigzag(20, 9, 1), ChannelSelection((191, 3, 64, 2, 40, 5, 6, 7, 8, 9, 10, 11, 12))],
)
@pytest.mark.parametrize("sampling", [YCBCR_444, YCBCR_420, ((3, 1), (1, 1), (1, 1))])
def test_selection_layout_dtype_and_statistics_rearrange_the_same_values(
    channels: Any, layout: Any, dtype: Any, sampling: tuple[tuple[int, int], ...]
) -> None:
    coefficients = synthetic(40, 141, sampling)
    statistics = ChannelStatistics.preset("dctnet")
    format = TensorFormat(channels=channels, layout=layout, dtype=dtype, statistics=statistics)
    tensor = to_frequency_tensor(coefficients, format)
    everything = reference(coefficients)
    everything -= np.array(statistics.mean)[:, None, None]
    everything /= np.array(statistics.std)[:, None, None]
    expected = everything[list(format.selection)]
    assert tensor.shape == format.shape(40, 141)
    assert tensor.dtype == dtype
    if layout == "HWC":
        expected = expected.transpose(1, 2, 0)
    np.testing.assert_allclose(
        tensor.astype(np.float64), expected, rtol=1e-5 if dtype == "float32" else 1e-3, atol=1e-2
    )


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_float16_rounds_to_nearest_even_and_saturates(layout: Any) -> None:
    coefficients = synthetic(16, 128, YCBCR_444)
    values = [0, 1, 2047, 2049, 2051, 4098, 32767, -32768, -1, -2049, -2051, 65, 7, 3, 11, 4102]
    coefficients.planes[0][..., 0, 0] = np.resize(values, (2, 16))
    for scale in (1.0, 3.0, 2.0**-20, 1e-7, 2.0):  # the last ones reach subnormals, and beyond 65504
        statistics = ChannelStatistics((0.0,) * 192, (1 / scale,) * 192, "made up")
        coefficients.quantization_tables[0][0, 0] = 1
        wide = to_frequency_tensor(coefficients, TensorFormat(layout=layout, statistics=statistics))
        half = to_frequency_tensor(coefficients, TensorFormat(layout=layout, dtype="float16", statistics=statistics))
        np.testing.assert_array_equal(half, np.clip(wide, -65504, 65504).astype(np.float16))
    assert np.isfinite(half).all()


def test_grey_has_zero_chroma_which_is_normalized_like_any_value() -> None:
    coefficients = synthetic(20, 30, ((2, 2),), color="grey")
    tensor = to_frequency_tensor(coefficients)
    np.testing.assert_allclose(tensor, reference(coefficients), atol=1e-3)
    assert not tensor[64:].any()
    statistics = ChannelStatistics.preset("dctnet")
    for layout in ("CHW", "HWC"):
        normalized = to_frequency_tensor(coefficients, TensorFormat(statistics=statistics, layout=layout))  # type: ignore[arg-type]
        chroma = normalized[64:] if layout == "CHW" else normalized[..., 64:].transpose(2, 0, 1)
        expected = np.broadcast_to((-np.array(statistics.mean) / statistics.std)[64:, None, None], chroma.shape)
        np.testing.assert_allclose(chroma, expected, rtol=1e-6)


@pytest.mark.parametrize("color", ["RGB", "CMYK", "YCCK", "unknown"])
def test_other_colors_are_refused_by_name(color: str) -> None:
    coefficients = synthetic(8, 8, YCBCR_444 if color == "RGB" else (*YCBCR_444, (1, 1)), color=color)
    with pytest.raises(UnsupportedJpegError, match=color):
        to_frequency_tensor(coefficients)
    luma = TensorFormat(channels=range(64))
    if color == "YCCK":
        np.testing.assert_allclose(
            to_frequency_tensor(coefficients, luma)[0],
            coefficients.planes[0][..., 0, 0] * float(coefficients.quantization_tables[0][0, 0]),
        )
    else:
        with pytest.raises(UnsupportedJpegError, match=color):
            to_frequency_tensor(coefficients, luma)


def test_out_is_filled_and_returned() -> None:
    coefficients = synthetic(20, 40, YCBCR_420)
    format = TensorFormat(channels=24)
    out = np.full(format.shape(20, 40), np.nan, np.float32)
    assert to_frequency_tensor(coefficients, format, out=out) is out
    np.testing.assert_array_equal(out, to_frequency_tensor(coefficients, format))


def test_unfit_out_is_refused() -> None:
    coefficients = synthetic(16, 16, YCBCR_444)
    for out, complaint in (
        (np.empty((192, 2, 3), np.float32), "192, 2, 2"),
        (np.empty((192, 2, 2), np.float16), "float32"),
        (np.empty((2, 2, 192), np.float32).transpose(2, 0, 1), "C-contiguous"),
    ):
        with pytest.raises(ValueError, match=complaint):
            to_frequency_tensor(coefficients, out=out)


def test_read_only_and_strided_planes_are_taken() -> None:
    coefficients = synthetic(16, 80, YCBCR_420)
    expected = to_frequency_tensor(coefficients)
    planes = [np.repeat(plane, 2, axis=1)[:, ::2] for plane in coefficients.planes]
    planes[0] = coefficients.planes[0].copy()
    planes[0].flags.writeable = False
    other = Coefficients(coefficients.header, tuple(planes), coefficients.quantization_tables)
    np.testing.assert_array_equal(to_frequency_tensor(other), expected)


def test_12_bit_values_have_the_grey_levels_of_8_bits() -> None:
    coefficients = synthetic(8, 8, ((1, 1),), color="grey")
    coefficients.planes[0][:] = 0
    coefficients.planes[0][0, 0, 0, 0] = 8 * (4095 - 2048) // 2
    coefficients.quantization_tables[0][:] = 2
    deep = dataclasses.replace(coefficients, header=dataclasses.replace(coefficients.header, precision=12))
    assert to_frequency_tensor(deep)[0, 0, 0] == 8 * (4095 / 16 - 128)
    assert to_frequency_tensor(coefficients)[0, 0, 0] == 8 * (4095 - 2048)


@pytest.mark.parametrize("sampling", [((1, 1),), YCBCR_444, YCBCR_420])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_a_12_bit_image_equals_the_8_bit_image_of_a_sixteenth(sampling: Any, layout: Any) -> None:
    coefficients = synthetic(47, 131, sampling, color="grey" if len(sampling) == 1 else "YCbCr")
    tables = tuple(16 * table for table in coefficients.quantization_tables)
    header = dataclasses.replace(coefficients.header, precision=12)
    deep = dataclasses.replace(coefficients, header=header, quantization_tables=tables)
    for channels in ("all", 24):
        format = TensorFormat(channels, layout=layout)
        np.testing.assert_array_equal(to_frequency_tensor(deep, format), to_frequency_tensor(coefficients, format))
        box = (3, 5, 40, 100)
        np.testing.assert_array_equal(
            resample(deep, box, (32, 48), format=format), resample(coefficients, box, (32, 48), format=format)
        )


def test_a_12_bit_file_reads_as_its_8_bit_twin() -> None:
    """libjpeg's testorig12.jpg and testimg.jpg: one picture, coded with 12 and with 8 bits."""
    files = {path.name: path for path in data_files("odd")}
    deep, shallow = files["e90cb1fea570.jpg"], files["8619eeff5c5d.jpg"]
    assert (read_header(deep).precision, read_header(shallow).precision) == (12, 8)
    pairs = [
        [to_frequency_tensor(read_coefficients(path)) for path in (deep, shallow)],
        list(read_batch([deep, shallow], size=(64, 96))),
    ]
    for ours, theirs in pairs:
        luma = [0, 1, 8]  # the lowest frequencies: quantization changes the others
        assert np.abs(ours - theirs).mean() < 0.3
        assert np.abs(ours[luma] - theirs[luma]).mean() < 0.05 * np.abs(theirs[luma]).mean()


def ycbcr_of(data: bytes) -> np.ndarray:
    """libjpeg's decoded YCbCr, fancy upsampling, no colour conversion."""
    image = Image.open(io.BytesIO(data))
    image.draft("YCbCr", image.size)
    return np.asarray(image.convert("YCbCr"), np.float64)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("trim", [(0, 0), (1, 1), (3, 6)])
def test_photographs_equal_the_dct_of_what_libjpeg_decodes(subsampling: str, trim: tuple[int, int]) -> None:
    """Up to libjpeg's own rounding, on the blocks that lie wholly inside the picture."""
    image = Image.open(data_files("flowers")[0]).convert("RGB")
    image = image.crop((0, 0, image.width - trim[1], image.height - trim[0]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, subsampling=subsampling)
    pixels = ycbcr_of(buffer.getvalue())
    high, wide = pixels.shape[0] // 8, pixels.shape[1] // 8
    blocks = pixels[: 8 * high, : 8 * wide].reshape(high, 8, wide, 8, 3) - 128
    expected = np.einsum("vy,rycxk,ux->kvurc", DCT, blocks, DCT).reshape(192, high, wide)
    tensor = to_frequency_tensor(jpegfreq.read_coefficients(buffer.getvalue()))[:, :high, :wide]
    error = np.abs(tensor - expected)
    assert error.mean() < 0.5
    assert error.max() < 12  # clipped samples of saturated colours
