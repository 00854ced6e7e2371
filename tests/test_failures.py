"""Failures: one reason and one message for each error, whatever raised it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpegfreq import (
    JpegError,
    MalformedJpegError,
    TruncatedJpegError,
    UnsupportedJpegError,
    read_coefficients,
    read_coefficients_batch,
)
from jpegfreq.failures import Failure, reason_for


@pytest.mark.parametrize(
    ("error", "data", "reason"),
    [
        (MalformedJpegError("x"), b"\xff\xd8\xff", "malformed"),
        (MalformedJpegError("x"), b"GIF89a", "not a JPEG"),
        (TruncatedJpegError("x"), b"\xff\xd8", "truncated"),
        (UnsupportedJpegError("x"), b"\xff\xd8", "unsupported"),
        (ValueError("the crop is larger than the image"), b"\xff\xd8", "unsupported"),
        (FileNotFoundError(2, "No such file or directory", "a.jpg"), b"", "unreadable"),
        (MemoryError("no room"), b"\xff\xd8", "unreadable"),
    ],
)
def test_each_kind_of_error_has_one_reason(error: Exception, data: bytes, reason: str) -> None:
    assert reason_for(error, data) == reason


def test_a_failure_tells_the_fault_without_file_and_batch(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_bytes(b"a note")
    errors: list[object] = []
    for source in (b"a note", path):
        with pytest.raises(JpegError) as caught:
            read_coefficients(source)
        errors += [caught.value, read_coefficients_batch([b"", source], errors="return")[1]]
    assert len({str(error) for error in errors}) == 4
    failures = {Failure.of_file("note.jpg", error, path) for error in errors if isinstance(error, JpegError)}
    assert failures == {
        Failure("note.jpg", "not a JPEG", "SOI at byte 0: the data do not begin with FF D8 (T.81 B.2.1)")
    }


def test_a_failure_of_the_system_gives_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone") as caught:
        read_coefficients(tmp_path / "gone.jpg")
    failure = Failure.of_file("gone.jpg", caught.value, tmp_path / "gone.jpg")
    assert failure == Failure("gone.jpg", "unreadable", "No such file or directory")
