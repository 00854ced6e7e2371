"""What edits change in the segments that a file keeps: EXIF orientation and size, thumbnails, colour profiles.

A segment is (marker, its bytes after the length); None stands for segments that were not read. A damaged segment never
fails an edit: it is kept as it is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import TypeAlias

__all__ = [
    "orientation_of",
    "with_orientation",
    "with_size",
    "without_color_profile",
    "without_further_images",
    "without_thumbnails",
]

Segments: TypeAlias = tuple[tuple[int, bytes], ...]
_Edit: TypeAlias = Callable[[int, bytes], bytes | None]

_APP0, _APP1, _APP2, _APP13 = 0xE0, 0xE1, 0xE2, 0xED
_EXIF = b"Exif\0\0"
_JFIF = b"JFIF\0"
_JFXX = b"JFXX\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MULTI_PICTURE = b"MPF\0"
_COLOR_PROFILE = b"ICC_PROFILE\0"
_PHOTOSHOP = b"Photoshop 3.0\0"

# EXIF 2.3, 4.6: tags, and the bytes per value of the types that hold integers.
_ORIENTATION, _EXIF_DIRECTORY, _WIDTH, _HEIGHT = 0x0112, 0x8769, 0xA002, 0xA003
_THUMBNAIL_OFFSET, _THUMBNAIL_SIZE, _STRIP_OFFSETS, _STRIP_SIZES = 0x0201, 0x0202, 0x0111, 0x0117
_INTEGERS = {3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
# Photoshop's image resources that hold thumbnails.
_THUMBNAIL_RESOURCES = (1033, 1036)


class _Tiff:
    """The directories of an EXIF segment, which can be changed in place."""

    def __init__(self, body: bytes) -> None:
        """Take a segment; without a TIFF header, there are no directories."""
        self.data = bytearray(body[len(_EXIF) :])
        little = self.data[:4] == b"II*\0"
        self.order = "<" if little else ">"
        self.valid = len(self.data) >= 8 and (little or self.data[:4] == b"MM\0*")

    def number(self, kind: str, at: int) -> int | None:
        """Return an integer; None where it would lie outside of the segment."""
        if at + struct.calcsize(kind) > len(self.data):
            return None
        value: int = struct.unpack_from(self.order + kind, self.data, at)[0]
        return value

    def write(self, kind: str, at: int, value: int) -> None:
        struct.pack_into(self.order + kind, self.data, at, value)

    @property
    def first_directory(self) -> int:
        return (self.number("I", 4) or 0) if self.valid else 0

    def entry(self, directory: int, tag: int) -> tuple[str, int] | None:
        """Find the first entry with a tag: the type and the place of its first integer."""
        count = self.number("H", directory) if directory else None
        for n in range(count or 0):
            at = directory + 2 + 12 * n
            if self.number("I", at + 8) is None:
                return None
            if self.number("H", at) != tag:
                continue
            kind = _INTEGERS.get(self.number("H", at + 2) or 0)
            values = self.number("I", at + 4)
            if kind is None or not values:
                return None
            size = struct.calcsize(kind) * values
            place = at + 8 if size <= 4 else self.number("I", at + 8) or 0
            return (kind, place) if place + size <= len(self.data) else None
        return None

    def value(self, directory: int, tag: int) -> int:
        """Return the first integer of an entry; 0 where there is none."""
        found = self.entry(directory, tag)
        return (self.number(*found) or 0) if found else 0

    def body(self) -> bytes:
        return _EXIF + bytes(self.data)


def _edited(segments: Segments | None, edit: _Edit) -> Segments | None:
    """Change the body of each segment; None leaves the segment out."""
    if segments is None:
        return None
    bodies = ((marker, edit(marker, body)) for marker, body in segments)
    return tuple((marker, body) for marker, body in bodies if body is not None)


def orientation_of(segments: Segments | None) -> int:
    """Return the orientation that the first EXIF segment states; 1 where there is none."""
    for marker, body in segments or ():
        if _starts(_APP1, _EXIF, marker, body):
            tiff = _Tiff(body)
            value = tiff.value(tiff.first_directory, _ORIENTATION)
            return value if 1 <= value <= 8 else 1
    return 1


def with_orientation(segments: Segments | None, orientation: int) -> Segments | None:
    """Set the orientation wherever EXIF or XMP states one."""

    def edit(marker: int, body: bytes) -> bytes:
        if _starts(_APP1, _EXIF, marker, body):
            tiff = _Tiff(body)
            if found := tiff.entry(tiff.first_directory, _ORIENTATION):
                tiff.write(*found, orientation)
                return tiff.body()
        elif _starts(_APP1, _XMP, marker, body):
            return re.sub(rb"(tiff:Orientation(?:=[\"']|>))[1-8](?=[\"'<])", rb"\g<1>%d" % orientation, body)
        return body

    return _edited(segments, edit)


def with_size(segments: Segments | None, height: int, width: int) -> Segments | None:
    """Set the size in pixels where EXIF states one, as jpegtran does."""

    def edit(marker: int, body: bytes) -> bytes:
        if not _starts(_APP1, _EXIF, marker, body):
            return body
        tiff = _Tiff(body)
        directory = tiff.value(tiff.first_directory, _EXIF_DIRECTORY)
        for tag, pixels in ((_WIDTH, width), (_HEIGHT, height)):
            found = tiff.entry(directory, tag)
            if found and pixels < 1 << 8 * struct.calcsize(found[0]) - (found[0] in "bhi"):
                tiff.write(*found, pixels)
        return tiff.body()

    return _edited(segments, edit)


def without_color_profile(segments: Segments | None) -> Segments | None:
    """Leave out the ICC profile, which is made for one number of components."""
    return _edited(segments, lambda marker, body: None if _starts(_APP2, _COLOR_PROFILE, marker, body) else body)


def without_further_images(segments: Segments | None) -> Segments | None:
    """Leave out the index of an MPO file: its further images lie after the end of the first one, and are not kept."""
    return _edited(segments, lambda marker, body: None if _starts(_APP2, _MULTI_PICTURE, marker, body) else body)


def without_thumbnails(segments: Segments | None) -> Segments | None:
    """Leave out the smaller copies of the image that JFIF, EXIF and Photoshop hold."""

    def edit(marker: int, body: bytes) -> bytes | None:
        if _starts(_APP0, _JFXX, marker, body):
            return None
        if _starts(_APP0, _JFIF, marker, body) and len(body) > 14:
            return body[:12] + b"\0\0"
        if _starts(_APP1, _EXIF, marker, body):
            return _without_exif_thumbnail(body)
        return _without_photoshop_thumbnails(body) if _starts(_APP13, _PHOTOSHOP, marker, body) else body

    return _edited(segments, edit)


def _starts(wanted: int, name: bytes, marker: int, body: bytes) -> bool:
    return marker == wanted and body.startswith(name)


def _without_exif_thumbnail(body: bytes) -> bytes:
    """Unlink the second directory, which describes the thumbnail, and remove the thumbnail's bytes."""
    tiff = _Tiff(body)
    first = tiff.first_directory
    count = tiff.number("H", first) if first else None
    if count is None:
        return body
    link = first + 2 + 12 * count
    second = tiff.number("I", link)
    if not second:
        return body
    for offset_tag, size_tag in ((_THUMBNAIL_OFFSET, _THUMBNAIL_SIZE), (_STRIP_OFFSETS, _STRIP_SIZES)):
        offset, size = tiff.value(second, offset_tag), tiff.value(second, size_tag)
        if offset <= link + 4 or size <= 0 or offset + size > len(tiff.data):
            continue
        if len(tiff.data) - (offset + size) < 4 and offset > second:  # nothing but padding follows it
            del tiff.data[offset:]
        else:
            tiff.data[offset : offset + size] = bytes(size)
    tiff.write("I", link, 0)
    return tiff.body()


def _without_photoshop_thumbnails(body: bytes) -> bytes:
    """Leave out the thumbnails among Photoshop's image resources; the segment is kept where it is damaged."""
    kept, at = [_PHOTOSHOP], len(_PHOTOSHOP)
    while at < len(body):
        name_size = body[at + 6] if at + 7 <= len(body) else 0
        head = at + 6 + (name_size + 2) // 2 * 2
        if body[at : at + 4] != b"8BIM" or head + 4 > len(body):
            return body
        size = int.from_bytes(body[head : head + 4], "big")
        end = head + 4 + size + size % 2
        if end > len(body) + size % 2:
            return body
        if int.from_bytes(body[at + 4 : at + 6], "big") not in _THUMBNAIL_RESOURCES:
            kept.append(body[at:end])
        at = end
    return b"".join(kept)
