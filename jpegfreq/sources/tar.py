"""The one reader for tar files: a shard is whole, or an error names the shard, the member and the byte.

Python's tarfile reads what it can of a damaged archive: it takes a hole of zeros for the end, and stops without a word
at a header that is cut. Then the images after that place are missing, and nothing says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from jpegfreq.sources.opened import Opened

__all__ = ["Member", "read_members", "write_changed"]

_BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}
_REFUSED = {
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"S": "a sparse file",
    b"M": "a part of a file that continues on another volume",
}
_LONGEST_NAME_BYTES = 1 << 16  # of the records that carry long names
_LONGEST_END_BYTES = 2 * _BLOCK + 20 * _BLOCK  # two blocks, and zeros up to a multiple of 20 blocks, as tar writes them


@dataclass(frozen=True)
class Member:
    """A file of a tar archive.

    Attributes:
        name: as the archive has it, without a leading "./".
        header_bytes: where its header begins.
        offset_bytes: where its content begins.
        size_bytes: how long its content is.
        size_in_record: whether a pax record before its header states the size.
    """

    name: str
    header_bytes: int
    offset_bytes: int
    size_bytes: int
    size_in_record: bool = False

    @property
    def is_link(self) -> bool:
        """Whether it is a hard link, whose content is that of another member."""
        return self.offset_bytes != self.header_bytes + _BLOCK


def read_members(path: str | os.PathLike[str]) -> list[Member]:
    """Read the table of a tar file, every header and the end of it.

    Understands what GNU tar, BSD tar and Python write: ustar, GNU long names, and pax records for names and sizes.
    Folders are passed over, and a hard link has the content of the file that it links to.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is compressed or no tar file; a header, the padding or the end is damaged or missing; two members
            have one name; or a member is a link, a device or a sparse file. The message names file, member and byte.
    """
    reader = _Reader(os.fspath(path))
    try:
        return list(reader.members())
    finally:
        reader.close()


def write_changed(
    path: str | os.PathLike[str], contents: Iterable[tuple[Member, bytes]], write: Callable[[bytes], object]
) -> None:
    """Copy a tar file with other contents for some of its members; everything else stays, byte for byte.

    Args:
        path: the tar file.
        contents: members of `read_members`, in its order, that are no links and whose size no record states; and the
            new content of each.
        write: takes the parts of the copy, in order.

    Raises:
        ValueError: the file cannot be read, or became shorter; an OSError is one of `write`.
    """
    with _Parts(path) as parts:
        for member, content in contents:
            for part in parts.until(member.header_bytes):
                write(part)
            header = bytearray(b"".join(parts.until(member.offset_bytes)))
            header[124:136] = b"%011o\0" % len(content)
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\0 " % sum(header)
            write(bytes(header))
            write(content + bytes(_padded(len(content)) - len(content)))
            parts.at = member.offset_bytes + _padded(member.size_bytes)
        for part in parts.until(parts.size):
            write(part)


class _Parts:
    """A file that is read in parts from front to back."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file."""
        self._path = os.fspath(path)
        self.at = 0

    def __enter__(self) -> _Parts:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise self._error(error) from error
        self.size = os.fstat(self._file).st_size
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    def until(self, end: int) -> Iterator[bytes]:
        """Yield what lies between the present place and another one, at most a megabyte at a time."""
        while self.at < end:
            try:
                part = os.pread(self._file, min(1 << 20, end - self.at), self.at)
            except OSError as error:
                raise self._error(error) from error
            if not part:
                raise ValueError(f"{self._path} became shorter while it was read")
            self.at += len(part)
            yield part

    def _error(self, error: OSError) -> ValueError:
        return ValueError(f"{self._path} cannot be read: {error.strerror or error}")


@dataclass
class _Header:
    """One header block, and what the records before it said of the same member."""

    at: int
    name: str
    link: str
    size: int
    kind: bytes
    size_in_record: bool = False


class _Reader:
    def __init__(self, path: str) -> None:
        self.path = path
        self._file = Opened(path)
        self._size = self._file.size_bytes

    def close(self) -> None:
        self._file.close()

    def members(self) -> Iterator[Member]:
        """Go through the archive's files in order."""
        found: dict[str, Member] = {}
        for header in self._headers():
            content = header.at + _BLOCK
            if header.kind == b"5" or (header.kind == b"\0" and header.name.endswith("/")):
                continue
            if header.kind in _REFUSED:
                raise self._error(header.at, header.name, f"it is {_REFUSED[header.kind]}, not a file")
            member = Member(_plain(header.name), header.at, content, header.size, header.size_in_record)
            if header.kind == b"1":
                target = found.get(_plain(header.link))
                if target is None:
                    raise self._error(header.at, header.name, f"it links to {header.link!r}, which is not before it")
                member = replace(target, name=member.name, header_bytes=header.at)
            elif header.kind not in (b"0", b"\0", b"7"):
                raise self._error(header.at, header.name, f"a member of the unknown type {header.kind!r}")
            if member.name in found:
                first = found[member.name].header_bytes
                raise self._error(header.at, header.name, f"the shard has a member of this name at byte {first:,}, too")
            found[member.name] = member
            yield member

    def _no_tar(self) -> ValueError:
        """Say what a file is that does not begin with a tar header."""
        start = self._file.read(8, 0)
        if not start:
            return ValueError(f"{self.path} is empty, not a tar file")
        for magic, name in _COMPRESSED.items():
            if start.startswith(magic):
                return ValueError(f"{self.path} is compressed ({name}): images are read from uncompressed tar files")
        return ValueError(f"{self.path} is not a tar file: no tar header begins at byte 0")

    def _headers(self) -> Iterator[_Header]:
        """Go through the members' headers, up to the end of the archive, and check that it is one."""
        if self._size < _BLOCK:
            raise self._no_tar()
        at, name, link, size = 0, "", "", None
        while True:
            block = self._read(at, _BLOCK, name, "its header")
            if not any(block):
                break
            header = self._parse(at, block)
            if header.kind in (b"L", b"K", b"x", b"g", b"X"):
                # A record that describes the next member.
                header.name = header.name or "a record"
                if header.size > _LONGEST_NAME_BYTES:
                    raise self._error(at, header.name, f"a record of {header.size:,} bytes for a name")
                text = self._read(at + _BLOCK, _padded(header.size), header.name, "its content")[: header.size]
                if header.kind == b"L":
                    name = _text(text)
                elif header.kind == b"K":
                    link = _text(text)
                else:
                    records = self._pax(at, text)
                    if header.kind == b"g" and {"path", "linkpath", "size"} & set(records):
                        raise self._error(at, header.name, "a global record gives all members one name or size")
                    name, link = records.get("path", name), records.get("linkpath", link)
                    size = self._number(at, records["size"]) if "size" in records else size
                at += _BLOCK + _padded(header.size)
                continue
            header.name, header.link = name or header.name, link or header.link
            header.size, header.size_in_record = (header.size, False) if size is None else (size, True)
            has_content = header.kind in (b"0", b"7") or (header.kind == b"\0" and not header.name.endswith("/"))
            if has_content and at + _BLOCK + _padded(header.size) > self._size:
                short = at + _BLOCK + _padded(header.size) - self._size
                raise self._error(at, header.name, f"the shard ends {short:,} bytes before this member does")
            yield header
            at += _BLOCK + (_padded(header.size) if has_content else 0)
            name, link, size = "", "", None
        if name or link or size is not None:
            raise self._error(at, name, "the archive ends where this member's header should be")
        self._check_end(at)

    def _read(self, at: int, size: int, name: str, what: str) -> bytes:
        """Read a part of the file; it must be there whole."""
        if at == self._size and what == "its header":
            raise self._error(at, name, "the shard ends without the two zero blocks that end a tar file: it was cut")
        if at + size > self._size:
            raise self._error(at, name, f"the shard ends {at + size - self._size:,} bytes before {what} does")
        data = self._file.read(size, at)
        if len(data) < size:
            raise self._error(at, name, "the shard became shorter while it was read")
        return data

    def _check_end(self, at: int) -> None:
        """Check that two zero blocks end the archive, and that only zeros follow, no more than a tar program writes."""
        if at + 2 * _BLOCK > self._size:
            raise self._error(at, "", "the shard ends without the two zero blocks that end a tar file: it was cut")
        place = at
        while data := self._file.read(1 << 20, place):
            if any(data):
                place += len(data) - len(data.lstrip(b"\0"))
                raise self._error(
                    place, "", f"data after the zeros at byte {at:,}, where the archive ends: members are missing"
                )
            place += len(data)
        if place - at > _LONGEST_END_BYTES:
            raise self._error(
                at,
                "",
                f"{place - at:,} zeros end the shard, and tar programs write at most {_LONGEST_END_BYTES:,}: members "
                "may have been wiped out; if not, pack the shard again",
            )

    def _parse(self, at: int, block: bytes) -> _Header:
        """Check a header's sum and take it apart."""
        name, prefix = _text(block[:100]), ""
        if block[257:263] == b"ustar\0":  # GNU's "ustar " has other fields in this place
            prefix = _text(block[345:500])
        name = f"{prefix}/{name}" if prefix else name
        rest = block[:148] + b" " * 8 + block[156:]
        wanted = _text(block[148:156]).strip(" ").lstrip("0")
        # Some old programs add the bytes as signed numbers.
        if wanted != f"{sum(rest):o}" and wanted != f"{sum(rest) - 256 * sum(byte > 127 for byte in rest):o}":
            raise self._no_tar() if at == 0 else self._error(at, "", "the header's checksum is wrong: it is damaged")
        if block[124] & 0x80:  # base 256, for more than 8 GB
            size = int.from_bytes(block[125:136], "big") if block[124] == 0x80 else -1
        else:
            size = self._number(at, _text(block[124:136]), 8)
        if size < 0 or not name:
            raise self._error(at, name, "the header has a negative size" if size < 0 else "the header has no name")
        return _Header(at, name, _text(block[157:257]), size, block[156:157])

    def _number(self, at: int, text: str, base: int = 10) -> int:
        digits = text.strip(" ")
        if len(digits) > 20 or not digits.isascii() or not all("0" <= digit < chr(48 + base) for digit in digits):
            raise self._error(at, "", f"the header's number {text!r} is not one")
        return int(digits or "0", base)

    def _pax(self, at: int, text: bytes) -> dict[str, str]:
        """Take apart the records of an extended header, "LENGTH KEYWORD=VALUE" and a line feed each."""
        records = {}
        place = 0
        while place < len(text):
            length, _, _ = text[place : place + 12].partition(b" ")
            end = place + int(length) if length.isdigit() else 0
            keyword, equals, value = text[place + len(length) + 1 : end - 1].partition(b"=")
            if not place + len(length) + 1 < end <= len(text) or text[end - 1] != 10 or not equals:
                raise self._error(at + _BLOCK + place, "", "a damaged pax record")
            if keyword.startswith(b"GNU.sparse"):
                raise self._error(at, "", "it is a sparse file")
            records[keyword.decode("utf-8", "replace")] = os.fsdecode(value)
            place = end
        return records

    def _error(self, at: int, name: str, what: str) -> ValueError:
        member = f", member {name}" if name else ""
        return ValueError(f"{self.path}{member}, byte {at:,}: {what}")


def _text(field: bytes) -> str:
    return os.fsdecode(field.partition(b"\0")[0])


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _plain(name: str) -> str:
    """A member's name without the "./" with which `tar cf x.tar .` begins it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name
