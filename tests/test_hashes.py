"""SHA-256 of many buffers at once, against Python's own."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpegfreq import _native
from jpegfreq._hashes import sha256_of_each
from tests.support import instruction_sets, run_on

SIDE_BY_SIDE = _native.instruction_set() == "avx512"


def buffers(sizes: list[int]) -> list[memoryview]:
    draw = random.Random(0)
    return [memoryview(draw.randbytes(size)) for size in sizes]


def expected(data: list[memoryview]) -> list[str]:
    return [hashlib.sha256(each).hexdigest() for each in data]


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [0] * 17,
        list(range(300)),  # every place where a message may end in its last block
        [5000] * 33,
        [100_000, *range(40, 2000, 37)],  # the first is left to hashlib
        [64 * n for n in range(20)],
    ],
)
def test_many_messages_have_their_own_hashes_in_their_order(sizes: list[int]) -> None:
    data = buffers(sizes)
    assert sha256_of_each(data) == expected(data)


@given(st.lists(st.binary(max_size=400), max_size=40), st.integers(0, 63))
def test_any_messages_at_any_place_in_memory(messages: list[bytes], place: int) -> None:
    room = bytearray(place) + b"".join(messages)
    data, start = [], place
    for message in messages:
        data.append(memoryview(room)[start : start + len(message)])
        start += len(message)
    assert sha256_of_each(data) == [hashlib.sha256(message).hexdigest() for message in messages]


def test_only_as_many_messages_as_keep_the_lanes_at_work_are_hashed_side_by_side() -> None:
    found = _native.sha256_side_by_side(buffers([1_000_000, *[10_000] * 20]))
    assert [digest is not None for digest in found] == [False] + [SIDE_BY_SIDE] * 20
    assert _native.sha256_side_by_side(buffers([10_000] * 7)) == [None] * 7


def test_instruction_sets_agree() -> None:
    code = """
from jpegfreq._hashes import sha256_of_each
print(sha256_of_each([memoryview(bytes([n % 256]) * n * 11) for n in range(200)]))
"""
    printed = {run_on(name, "-c", code) for name in instruction_sets()}
    assert len(printed) == 1


def test_a_path_is_not_hashed_as_if_it_were_a_file() -> None:
    with pytest.raises(TypeError, match="hashes are made of bytes, not of paths"):
        _native.sha256_side_by_side(["a.jpg"])  # type: ignore[list-item]
