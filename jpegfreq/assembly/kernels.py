"""Numba kernels that dequantize, select, normalize and lay out a component that is on the luma grid already.

Each channel n of a component is `coefficient[frequencies[n]] * scale[n] + shift[n]`, where `scale` holds the
quantization step as well as the normalization, and goes to channel `slots[n]` of the tensor. Output of type uint16
holds float16 bits, because Numba has no float16 on a CPU. Output of type int8 is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numba
import numpy as np
from numba import njit, types
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys
from numba.extending import overload

if TYPE_CHECKING:
    import numpy.typing as npt

    Coefficients = npt.NDArray[np.int16]
    Indices = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float32]
    Output = npt.NDArray[np.float32] | npt.NDArray[np.uint16] | npt.NDArray[np.int8]

__all__ = ["place_blocks", "place_frequencies", "place_whole_blocks", "to_half", "to_int8"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


_NEWEST_NUMBA = (0, 68)
"""The newest version that `_KernelCache` was tried with."""


class _KernelCache(FunctionCache):
    """The machine code of a kernel on disk, which is loaded without what only compiling needs.

    Before it loads a function, Numba registers all that it can compile, and imports SciPy for it. That takes ten times
    as long as to load the function. Whatever is compiled later, here or by others, makes Numba do so then.
    """

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compiled function of a signature; None if there is none on disk."""
        if numba.version_info[:2] > _NEWEST_NUMBA:  # its machine code may need more than Numba's runtime
            return super().load_overload(signature, target_context)
        rtsys.initialize(target_context)  # so that the machine code finds the functions that it calls
        return self._load_overload(signature, target_context)


def _kernel(function: _Function) -> _Function:
    """Compile without the GIL, and keep the machine code on disk where a folder for it can be written."""
    compiled: Any = njit(nogil=True)(function)
    with suppress(RuntimeError):  # neither the package's folder nor the user's cache (NUMBA_CACHE_DIR) can be written
        compiled._cache = _KernelCache(function)
    return cast("_Function", compiled)


def _entry(function: _Function) -> _Function:
    """Make a kernel that Python calls, which works on a full disk too, though its machine code cannot be kept then."""
    compiled = _kernel(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        for _ in range(_MOST_COMPILED):
            try:
                return compiled(*arguments)
            except OSError:  # from keeping the code: a kernel reads and writes no file, and is compiled by now
                continue
        return compiled(*arguments)

    return cast("_Function", call)


_MOST_COMPILED = 4
"""No fewer functions than one call compiles and tries to keep on disk: a kernel and what it calls."""


@_kernel
def to_half(value: np.float32) -> np.uint16:
    """Return the float16 bits of a float32, rounded to nearest even; values beyond +-65504 become +-65504."""
    value = min(max(value, np.float32(-65504)), np.float32(65504))
    bits = np.float32(value).view(np.uint32)
    sign = (bits >> np.uint32(16)) & np.uint32(0x8000)
    magnitude = bits & np.uint32(0x7FFFFFFF)
    # From 2 ** -14 on: move the exponent's bias from 127 to 15, and drop 13 bits of the fraction.
    tie = (magnitude >> np.uint32(13)) & np.uint32(1)
    normal = (magnitude + np.uint32(0xFFF) + tie - np.uint32(112 << 23)) >> np.uint32(13)
    # Below, one step of float16 is 2 ** -24, which is also the last bit of a float32 from 0.5 to 1: adding 0.5 rounds.
    subnormal = np.float32(abs(value) + np.float32(0.5)).view(np.uint32) - np.uint32(0x3F000000)
    return np.uint16(sign | (subnormal if magnitude < np.uint32(113 << 23) else normal))


@_kernel
def to_int8(value: np.float32) -> np.int8:
    """Return a float32 rounded to nearest even; values beyond +-127 become +-127."""
    value = min(max(value, np.float32(-127)), np.float32(127))
    # 1.5 * 2 ** 23: a sum with it has no digits after the point.
    return np.int8((value + np.float32(12582912)) - np.float32(12582912))


def _stored(value: Any, out: Any) -> Any:
    """Return `value` as `out` stores it: as it is, as float16 bits or as int8. Numba compiles one for each dtype."""


@overload(_stored)
def _stored_as(value: Any, out: Any) -> Any:
    def as_half(value: Any, out: Any) -> Any:
        return to_half(value)

    def as_int8(value: Any, out: Any) -> Any:
        return to_int8(value)

    def as_it_is(value: Any, out: Any) -> Any:
        return value

    return as_half if out.dtype == types.uint16 else as_int8 if out.dtype == types.int8 else as_it_is


@_entry
def place_frequencies(
    planes: Coefficients, frequencies: Indices, slots: Indices, scale: Floats, shift: Floats, start: int, out: Output
) -> None:
    """Fill channels of a CHW tensor from planes of one frequency: out[slots] = planes[frequencies] * scale + shift.

    Args:
        planes: int16 [64, count].
        frequencies: which plane each channel takes, 8 * v + u.
        slots: which channel of `out` it fills.
        scale: of each channel.
        shift: of each channel.
        start: where the first block lies in `out`.
        out: float32, int8, or uint16 for float16 bits: [channels, blocks].
    """
    for n in range(frequencies.size):
        plane = planes[frequencies[n]]
        row = out[slots[n], start : start + plane.size]
        factor, offset = scale[n], shift[n]
        for x in range(plane.size):
            row[x] = _stored(np.float32(plane[x]) * factor + offset, out)


@_entry
def place_blocks(
    blocks: Coefficients, frequencies: Indices, slots: Indices, scale: Floats, shift: Floats, out: Output
) -> None:
    """Fill channels of an HWC tensor from blocks: out[:, slots] = blocks[:, frequencies] * scale + shift.

    Args:
        blocks: int16 [blocks, 64].
        frequencies: which coefficient of a block each channel takes, 8 * v + u.
        slots: which channel of `out` it fills.
        scale: of each channel.
        shift: of each channel.
        out: float32, int8, or uint16 for float16 bits: [blocks, channels].
    """
    for x in range(blocks.shape[0]):
        block, cell = blocks[x], out[x]
        for n in range(frequencies.size):
            cell[slots[n]] = _stored(np.float32(block[frequencies[n]]) * scale[n] + shift[n], out)


@_entry
def place_whole_blocks(blocks: Coefficients, first_slot: int, scale: Floats, shift: Floats, out: Output) -> None:
    """Do what `place_blocks` does for all 64 frequencies in raster order, which fill neighbouring channels.

    Args:
        blocks: int16 [blocks, 64].
        first_slot: the channel of `out` that frequency 0 fills.
        scale: of each frequency.
        shift: of each frequency.
        out: float32, int8, or uint16 for float16 bits: [blocks, channels].
    """
    for x in range(blocks.shape[0]):
        block, cell = blocks[x], out[x, first_slot : first_slot + 64]
        for k in range(64):
            cell[k] = _stored(np.float32(block[k]) * scale[k] + shift[k], out)
