"""read_header: the facts it reports, the inputs it accepts, and its errors."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jpegfreq
from jpegfreq import Component, Header, JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from tests.images import every_form, make_jpeg, segment, with_segments
from tests.support import data_files


def test_header_of_a_colour_file() -> None:
    header = jpegfreq.read_header(make_jpeg(40, 24, subsampling="4:2:0"))
    assert header == Header(
        height=24,
        width=40,
        precision=8,
        process="baseline",
        components=(Component(1, 2, 2, 0, 3, 5), Component(2, 1, 1, 1, 2, 3), Component(3, 1, 1, 1, 2, 3)),
        restart_interval=0,
        color="YCbCr",
        orientation=1,
    )


def test_header_of_other_kinds() -> None:
    assert jpegfreq.read_header(make_jpeg(mode="L")).color == "grey"
    assert jpegfreq.read_header(make_jpeg(mode="CMYK")).color in ("CMYK", "YCCK")
    assert jpegfreq.read_header(make_jpeg(progressive=True)).process == "progressive"
    assert jpegfreq.read_header(make_jpeg(restart_marker_blocks=3)).restart_interval == 3
    assert jpegfreq.read_header(make_jpeg(keep_rgb=True)).color == "RGB"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_tells_exif_orientation(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert jpegfreq.read_header(make_jpeg(exif=exif.tobytes())).orientation == orientation


# TIFF types: code and struct format. Pillow reads an orientation of each; one of type BYTE is a string of bytes to it.
INTEGER_TYPES = {
    "SHORT": (3, "H"),
    "LONG": (4, "I"),
    "SBYTE": (6, "b"),
    "SSHORT": (8, "h"),
    "SLONG": (9, "i"),
}


def exif_entry(order: str, kind: int, count: int, value: bytes) -> bytes:
    """Make the body of an EXIF segment whose only entry is the orientation."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return b"Exif\0\0" + head + struct.pack(order + "HHHI", 1, 0x0112, kind, count) + value.ljust(4, b"\0") + bytes(4)


@pytest.mark.filterwarnings("ignore:Metadata Warning")
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", INTEGER_TYPES)
def test_orientation_of_any_integer_type_is_read_as_pillow_reads_it(kind: str, order: str) -> None:
    code, letter = INTEGER_TYPES[kind]
    for value, count in ((6, 1), (8, 1), (9, 1), (-1 if letter.islower() else 0, 1), (6, 2), (6, 0), (6, 999)):
        body = exif_entry(order, code, count, struct.pack(order + letter, value))
        data = with_segments(make_jpeg(), segment(0xE1, body))
        theirs = Image.open(io.BytesIO(data)).getexif().get(0x0112)
        assert jpegfreq.read_header(data).orientation == (theirs if theirs in range(1, 9) else 1), (value, count)


def test_every_kind_of_input_is_read_alike(tmp_path: Path) -> None:
    data = make_jpeg()
    expected = jpegfreq.read_header(data)
    for kind, value in every_form(data, tmp_path):
        assert jpegfreq.read_header(value) == expected, kind


@pytest.mark.parametrize("value", [None, 7, 1.5, ["a"], object()])
def test_what_is_neither_bytes_nor_a_path_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="must be bytes, another contiguous buffer or a path, not"):
        jpegfreq.read_header(value)


def test_items_wider_than_a_byte_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="uint8"):
        jpegfreq.read_header(np.zeros(100, np.uint16))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="uint8"):
        jpegfreq.read_header(np.zeros(100, bool))  # type: ignore[arg-type]


def test_bytes_with_gaps_are_a_type_error() -> None:
    with pytest.raises(TypeError, match="contiguous") as caught:
        jpegfreq.read_header(memoryview(make_jpeg())[::2])
    assert caught.value.__cause__ is not None
    with pytest.raises(TypeError, match="contiguous"):
        jpegfreq.read_header(np.zeros((100, 2), np.uint8)[:, 0])


def test_a_path_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        jpegfreq.read_header(tmp_path / "missing.jpg")
    assert caught.value.filename == str(tmp_path / "missing.jpg")
    with pytest.raises(IsADirectoryError):
        jpegfreq.read_header(tmp_path)
    with pytest.raises(ValueError, match="null"):
        jpegfreq.read_header("a\0b")


def test_a_header_behind_the_beginning_of_a_file_is_found(tmp_path: Path) -> None:
    preview = segment(0xE2, bytes(65_000))
    path = tmp_path / "preview.jpg"
    path.write_bytes(with_segments(make_jpeg(), preview, preview, preview))
    assert jpegfreq.read_header(path) == jpegfreq.read_header(make_jpeg())


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = with_segments(make_jpeg(), segment(0xE2, bytes(60_000)), segment(0xE2, bytes(60_000)))
    # The writer needs the GIL while the reader waits: this ends only because reading a file holds none.
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert jpegfreq.read_coefficients(pipe).header == jpegfreq.read_header(data)
    writer.join()


def test_data_without_an_image_are_refused() -> None:
    with pytest.raises(TruncatedJpegError):
        jpegfreq.read_header(b"")
    with pytest.raises(MalformedJpegError):
        jpegfreq.read_header(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(TruncatedJpegError):
        jpegfreq.read_header(make_jpeg()[:100])
    with pytest.raises(MalformedJpegError, match=r"EOI at byte 2: .*\(T\.81 B\.2\.1\)"):
        jpegfreq.read_header(b"\xff\xd8\xff\xd9")


def test_lossless_is_unsupported_by_name() -> None:
    sof = make_jpeg().index(b"\xff\xc0")
    data = bytearray(make_jpeg())
    data[sof + 1] = 0xC3
    with pytest.raises(UnsupportedJpegError, match="lossless"):
        jpegfreq.read_coefficients(data)


def test_error_says_what_where_and_which_rule(tmp_path: Path) -> None:
    data = bytearray(make_jpeg())
    offset = data.index(b"\xff\xdb")
    data[offset + 2 : offset + 4] = b"\x00\x01"
    with pytest.raises(MalformedJpegError) as caught:
        jpegfreq.read_header(data)
    error = caught.value
    assert (error.segment, error.offset_bytes, error.clause) == ("DQT", offset, "B.1.1.4")
    assert str(error).startswith(f"DQT at byte {offset}: ")
    assert str(error).endswith("(T.81 B.1.1.4)")
    assert error.path is None

    path = tmp_path / "bad.jpg"
    path.write_bytes(data)
    with pytest.raises(MalformedJpegError) as of_file:
        jpegfreq.read_header(path)
    assert str(of_file.value) == f"{path}: {error}"
    assert of_file.value.path == str(path)


@pytest.mark.parametrize("kind", [JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError])
def test_errors_pickle_with_their_attributes(kind: type[JpegError]) -> None:
    error = kind("text", segment="DHT", offset_bytes=177, clause="C.2", path="a.jpg", index=3)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.message == "text"
    assert copy.description == "DHT at byte 177: text (T.81 C.2)"
    assert str(copy) == "image 3: a.jpg: DHT at byte 177: text (T.81 C.2)"
    assert vars(copy) == vars(error)
    assert issubclass(kind, ValueError)


def test_headers_are_frozen_values() -> None:
    header = jpegfreq.read_header(make_jpeg())
    with pytest.raises(dataclasses.FrozenInstanceError):
        header.width = 3  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(header)) == header
    assert hash(header) == hash(jpegfreq.read_header(make_jpeg()))
    assert dataclasses.replace(header, width=8).width == 8


def test_headers_of_photographs_agree_with_pillow() -> None:
    for path in data_files("photos"):
        header = jpegfreq.read_header(path)
        with Image.open(path) as image:
            assert (header.width, header.height) == image.size
            assert {"L": "grey", "RGB": "YCbCr", "CMYK": "YCCK"}[image.mode] == header.color
