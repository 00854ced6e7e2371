"""The native code reads a file, or a part of it, into the caller's memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jpegfreq._native import read_file
from jpegfreq.sources.file_memory import FileMemory

LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "letters"
    file.write_bytes(LETTERS)
    return str(file)


@pytest.mark.parametrize(("offset", "size"), [(0, -1), (0, 26), (3, 5), (20, -1), (24, 9), (26, -1), (30, -1), (30, 4)])
@pytest.mark.parametrize("begin", [0, 7])
def test_a_part_is_read_to_its_place_and_nothing_else_is_touched(path: str, begin: int, offset: int, size: int) -> None:
    want = LETTERS[offset:] if size < 0 else LETTERS[offset : offset + size]
    memory = bytearray(b"\xa5" * 64)
    assert read_file(path, memory, begin, offset, size) == (len(want) if size < 0 else size, len(want))
    assert memory == b"\xa5" * begin + want + b"\xa5" * (64 - begin - len(want))


@pytest.mark.parametrize(("length", "begin"), [(0, 0), (25, 0), (30, 5), (26, 27), (26, 2**40)])
def test_without_room_nothing_is_read(path: str, length: int, begin: int) -> None:
    memory = bytearray(length)
    assert read_file(path, memory, begin, 0, -1) == (26, -1)
    assert memory == bytes(length)


def test_what_cannot_be_read_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    for name, error in ((tmp_path / "none", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error) as raised:
            read_file(str(name), bytearray(1 << 16), 0, 0, -1)
        assert raised.value.filename == str(name)
    with pytest.raises(ValueError, match="null"):
        read_file("a\0b", bytearray(9), 0, 0, -1)
    with pytest.raises(BufferError):
        read_file(str(tmp_path), bytes(9), 0, 0, -1)  # type: ignore[arg-type]


def test_no_descriptor_stays_open(path: str) -> None:
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for size in (-1, 5, 99):
        read_file(path, bytearray(50), 0, 0, size)
    assert len(os.listdir("/proc/self/fd") if before else []) == len(before)


def test_files_of_a_batch_lie_in_one_memory_once_its_size_is_known(path: str) -> None:
    memory = FileMemory()
    for _ in range(3):
        files = memory.batch()
        assert [bytes(files.read(path)), bytes(files.read(path, 2, 3)), bytes(files.read(path, 24, 9))] == [
            LETTERS,
            b"cde",
            b"yz",
        ]
    assert memory.most_bytes == 26 + 3 + 9
