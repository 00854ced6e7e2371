"""New arrays in pooled memory behave like any array, and their memory goes back when they are gone."""

from __future__ import annotations

import gc
import pickle

import numpy as np
import pytest

from jpegfreq import _native
from jpegfreq._memory import empty


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(0, 3), (2, 5), (192, 47, 63), (3, 1000, 1000)])
def test_an_array_is_writable_contiguous_and_its_own(shape: tuple[int, ...], dtype: str) -> None:
    arrays = [empty(shape, np.dtype(dtype)) for _ in range(3)]
    for value, array in enumerate(arrays):
        array[...] = value
    for value, array in enumerate(arrays):
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert (array == value).all()
        assert np.array_equal(pickle.loads(pickle.dumps(array)), array)


def test_large_arrays_begin_on_a_cache_line() -> None:
    for size in (100_000, 100_001, 3_000_000):
        assert empty((size,), np.dtype(np.float32)).ctypes.data % 64 == 0


def test_a_view_keeps_the_memory_alive() -> None:
    array = empty((1000, 1000), np.dtype(np.float32))
    array[...] = 7
    view = array[10:20]
    del array
    gc.collect()
    other = empty((1000, 1000), np.dtype(np.float32))
    other[...] = 8
    assert (view == 7).all()


def test_memory_that_is_given_back_serves_again() -> None:
    first = empty((3, 1000, 1000), np.dtype(np.float32))
    address = first.ctypes.data
    del first
    assert empty((3, 1000, 1000), np.dtype(np.float32)).ctypes.data == address


def test_more_memory_than_there_is_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        _native.allocate(1 << 62)
