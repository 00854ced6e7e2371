"""read_batch and resample write to torch tensors what they write to arrays, and to bfloat16 the same values rounded."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

from jpegfreq import JpegError, TensorFormat, read_batch, read_coefficients, resample, to_frequency_tensor
from jpegfreq.statistics import ChannelStatistics
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg
from tests.int8_formats import int8
from tests.support import instruction_sets, run_on

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

CHANNELS = ("all", 48, 24, 6)
SHAPE = (1, 192, 8, 6)  # of one image of this size
SIZE = (64, 48)


def files(count: int) -> list[bytes]:
    kinds: list[dict[str, Any]] = [
        {"subsampling": "4:2:0"},
        {"subsampling": "4:4:4", "quality": 95},
        {"mode": "L"},
        {"progressive": True},
    ]
    return [make_jpeg(40 + 37 * i % 300, 30 + 91 * i % 200, seed=i, **kinds[i % len(kinds)]) for i in range(count)]


def assert_rounded(got: Any, single: Any) -> None:
    """Check that `got` holds the values of a NumPy array of float32 as torch rounds them, bit for bit."""
    assert got.dtype == torch.bfloat16
    want = torch.from_numpy(single).to(torch.bfloat16)
    assert torch.equal(got.view(torch.int16), want.view(torch.int16))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_bfloat16_is_float32_rounded(channels: Any, layout: Any) -> None:
    images = files(8)
    format = TensorFormat(channels, layout=layout)
    for size in ((64, 56), (8, 8), (40, 120)):
        single = read_batch(images, size=size, format=format)
        out = torch.empty(single.shape, dtype=torch.bfloat16)
        assert read_batch(images, size=size, format=format, out=out) is out
        assert_rounded(out, single)
        coefficients = read_coefficients(images[1])
        box = (0, 0, coefficients.header.height, coefficients.header.width)
        out[1].zero_()
        resample(coefficients, box, size, format=format, out=out[1])
        assert_rounded(out, single)


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_large_bfloat16_is_float32_rounded_wherever_it_begins(channels: Any, layout: Any) -> None:
    format = TensorFormat(channels, layout=layout)
    count = 1 + (4 << 20) // (2 * len(format.channels.channels) * 29 * 41)
    images = (files(8) * count)[:count]
    single = read_batch(images, size=(232, 328), format=format)
    for offset in (0, 1, 8):
        memory = torch.full((single.size + 64,), -1, dtype=torch.int16)
        begin = -memory.data_ptr() % 64 // 2 + offset
        out = memory[begin : begin + single.size].view(torch.bfloat16).view(single.shape)
        read_batch(images, size=(232, 328), format=format, out=out)
        assert_rounded(out, single)
        assert (memory[:begin] == -1).all()
        assert (memory[begin + single.size :] == -1).all()


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("tiny", [False, True])
def test_every_float_is_rounded_as_torch_rounds_it(channels: Any, layout: Any, tiny: bool) -> None:
    """A flat image has the constants of the statistics: of any size, half-way ones, too large ones; tiny: and NaN."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 1 << 32, 192, np.uint32)
    bits[:96] = bits[:96] & 0xFFFF0000 | random.choice([0, 0x7FFF, 0x8000, 0x8001, 0xFFFF], 96)
    bits[:192:12] = [0x7F7FFFFF, 0xFF7FFFFF, 0x7F7F7FFF, 0x7F7F8000, 0, 0x80000000, 0x00008000, 0x00018000] * 2
    constants = bits.view(np.float32)
    constants[~np.isfinite(constants)] = 1.00390625
    statistics = ChannelStatistics(tuple((-constants).tolist()), (1e-45 if tiny else 1.0,) * 192, "made up")
    format = TensorFormat(channels, layout=layout, statistics=statistics)
    for sampling in ("grey", "4:2:0"):
        coefficients = make_coefficients(64, 56, SAMPLINGS[sampling])
        for plane in coefficients.planes:
            plane[:] = 0
        with np.errstate(all="ignore"):
            single = resample(coefficients, (0, 0, 64, 56), (64, 56), format=format)
            out = torch.empty(single.shape, dtype=torch.bfloat16)
            resample(coefficients, (0, 0, 64, 56), (64, 56), format=format, out=out)
        nan = np.isnan(single)
        assert tiny or not nan.any()
        assert torch.equal(out.isnan(), torch.from_numpy(nan))
        single[nan] = 0
        assert_rounded(out.masked_fill(torch.from_numpy(nan), 0), single)


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", CHANNELS)
def test_large_photographs_are_reduced_to_bfloat16(channels: Any, layout: Any) -> None:
    """Row by row as they are decoded: see test_reduction.py."""
    images = [make_jpeg(640, 1152, quality=90, subsampling=subsampling) for subsampling in (0, 2)]
    format = TensorFormat(channels, layout=layout)
    single = read_batch(images, size=(64, 72), format=format)
    out = torch.empty(single.shape, dtype=torch.bfloat16)
    assert_rounded(read_batch(images, size=(64, 72), format=format, out=out), single)


@pytest.mark.parametrize("instruction_set", instruction_sets()[:-1])
def test_other_instruction_sets_round_alike(instruction_set: str) -> None:
    run_on(instruction_set, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "bfloat16 or every_float")


@pytest.mark.parametrize("format", [TensorFormat(), TensorFormat(24, layout="HWC", dtype="float16"), int8(24)])
def test_tensors_of_the_formats_dtype_hold_what_arrays_do(format: TensorFormat) -> None:
    images = files(4)
    want = read_batch(images, size=SIZE, format=format)
    out = torch.empty(want.shape, dtype=getattr(torch, format.dtype))
    assert read_batch(images, size=SIZE, format=format, out=out) is out
    np.testing.assert_array_equal(out.numpy(), want)


def test_failed_images_are_zero_in_tensors_too() -> None:
    out = torch.ones((2, *SHAPE[1:]), dtype=torch.bfloat16)
    got, errors = read_batch([make_jpeg(), b"no JPEG"], size=SIZE, out=out, errors="return")
    assert got is out
    assert errors[0] is None
    assert isinstance(errors[1], JpegError)
    assert out[0].any()
    assert not out[1].any()
    assert read_batch([], size=SIZE, out=out[:0]).shape == (0, *SHAPE[1:])


class Pinned(torch.Tensor):  # type: ignore[misc]
    """A tensor that reports page-locked memory of CUDA (kDLCUDAHost) by DLPack."""

    def __dlpack__(self, **_: Any) -> Any:
        capsule = super().__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        device_type = ctypes.c_int32.from_address(pointer(capsule, b"dltensor") + 8)
        assert device_type.value == 1
        device_type.value = self.reported
        return capsule


def test_page_locked_memory_is_taken() -> None:
    single = read_batch([make_jpeg()], size=SIZE)
    out = torch.empty(SHAPE, dtype=torch.bfloat16).as_subclass(Pinned)
    out.reported = 3
    read_batch([make_jpeg()], size=SIZE, out=out)
    assert_rounded(out.as_subclass(torch.Tensor), single)
    out.reported = 2  # CUDA
    with pytest.raises(TypeError, match="the output must be in the processor's memory"):
        read_batch([make_jpeg()], size=SIZE, out=out)


WRONG: dict[str, tuple[Any, str]] = {
    "device": (lambda: torch.empty(SHAPE, device="meta"), "out must be a tensor on the CPU, not on meta"),
    "dtype": (
        lambda: torch.empty(SHAPE, dtype=torch.float16),
        r"out must be float32 or bfloat16 \(1, 192, 8, 6\), not float16 \(1, 192, 8, 6\)",
    ),
    "shape": (
        lambda: torch.empty(SHAPE[1:], dtype=torch.bfloat16),
        r"out must be float32 or bfloat16 \(1, 192, 8, 6\), not bfloat16 \(192, 8, 6\)",
    ),
    "gradients": (
        lambda: torch.empty(SHAPE, requires_grad=True),
        r"out must not require gradients: give its \.detach\(\)",
    ),
    "strides": (lambda: torch.empty((1, 8, 6, 192)).permute(0, 3, 1, 2), "out must be contiguous and aligned"),
    "sparse": (lambda: torch.zeros(SHAPE).to_sparse(), "out must be contiguous and aligned"),
    "alignment": (
        lambda: torch.frombuffer(bytearray(4 * 192 * 48 + 2), dtype=torch.float32, offset=2, count=192 * 48).view(
            SHAPE
        ),
        "out must be contiguous and aligned",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_tensors_that_do_not_fit_are_refused(kind: str) -> None:
    make, message = WRONG[kind]
    with pytest.raises(ValueError, match=f"^{message}$"):
        read_batch([make_jpeg()], size=SIZE, out=make())


def test_bfloat16_is_for_formats_of_float32() -> None:
    out = torch.empty(SHAPE, dtype=torch.bfloat16)
    with pytest.raises(ValueError, match=r"out must be float16 .*, not bfloat16"):
        read_batch([make_jpeg()], size=SIZE, format=TensorFormat(dtype="float16"), out=out)


def test_other_objects_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"^out must be a NumPy array or a torch tensor, not list$"):
        read_batch([make_jpeg()], size=SIZE, out=[])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"^out must be a NumPy array, not Tensor; of a torch tensor, its \.numpy\(\)$"):
        to_frequency_tensor(read_coefficients(make_jpeg()), out=torch.empty(SHAPE[1:]))
