"""The one reader for list files: a line per image, with its path and its class number."""

from __future__ import annotations

import codecs
import os
from dataclasses import dataclass

from jpegfreq.sources.labels import check_numbers, class_number
from jpegfreq.sources.opened import Opened, is_remote, remote_exists

__all__ = ["Listed", "read_list"]

_MARKS = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


@dataclass(frozen=True)
class Listed:
    """What a list file names.

    Attributes:
        paths: the file of each image; relative ones are resolved against the list's own folder.
        labels: the class number of each; -1 where a line has none.
    """

    paths: list[str]
    labels: list[int]


def read_list(path: str | os.PathLike[str], *, labels: bool = True) -> Listed:
    """Read a list of images, `PATH CLASS_NUMBER` per line.

    The list is UTF-8 with or without a byte order mark, and its lines end with LF or CRLF; every other character is
    part of a name. A path may contain spaces, and may stand in double quotes. Names are bytes to the system: one that
    is not UTF-8 is found if a file has exactly these bytes. Empty lines are skipped.

    Args:
        path: the list.
        labels: whether every line needs a class number; without it, a line may be a path alone.

    Raises:
        OSError: the list cannot be read.
        FileNotFoundError: files that it names do not exist; the message names the first of them and its line.
        ValueError: the list is empty or not UTF-8, or a line is wrong; the message names the list and the line.
    """
    name = os.fspath(path)
    with Opened(name) as file:
        data = file.read(file.size_bytes, 0)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise ValueError(f"{name} is encoded as {encoding}: save it as UTF-8")
    folder = os.path.dirname(name)  # of a remote list, too: its names are remote
    listed, lines, missing = Listed([], []), list[int](), list[str]()
    for number, raw in enumerate(data.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        line = raw.removesuffix(b"\r")
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        file_name, label = _parse(line, where, labels)
        full = file_name if is_remote(file_name) else os.path.join(folder, file_name)
        if not (remote_exists(full) if is_remote(full) else os.path.isfile(full)):
            missing.append(f"{where}: {_why_missing(full, line)}")
        listed.paths.append(full)
        listed.labels.append(label)
        lines.append(number)
    if not lines:
        raise ValueError(f"{name} lists no image")
    if missing:
        more = f" ({len(missing) - 1:,} more of its files are missing)" if len(missing) > 1 else ""
        raise FileNotFoundError(missing[0] + more)
    check_numbers(listed.labels, lambda index: f"{name}, line {lines[index]}")
    return listed


def _parse(line: bytes, where: str, labels: bool) -> tuple[str, int]:
    """Split a line into a path and a class number, -1 for none."""
    if b"\0" in line:
        raise ValueError(f"{where}: a null byte is not part of any path; the list must be saved as UTF-8")
    if b"\r" in line:
        raise ValueError(f"{where}: a carriage return inside the line; lines must end with LF or CRLF")
    words = line.rsplit(maxsplit=1)  # of bytes: splits at ASCII spaces and tabs, not inside other characters
    label = class_number(words[-1]) if len(words) == 2 else None
    if label is None and labels:
        wrong = f"{_shown(words[-1])} is not a class number" if len(words) == 2 else f"{_shown(line)} has no space"
        raise ValueError(f"{where}: {wrong}; a line is a path, a space and a class number from 0 to 999999999")
    path = line.strip() if label is None else words[0]
    if len(path) > 1 and path[:1] == path[-1:] == b'"':
        path = path[1:-1]
    return os.fsdecode(path), -1 if label is None else label


def _why_missing(path: str, line: bytes) -> str:
    shown = os.fsencode(path).decode("utf-8", "backslashreplace")
    if not is_remote(path) and os.path.isdir(path):
        return f"{shown} is a folder, not a file"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"there is no file {shown}; byte {error.start + 1} of the line is not UTF-8: save the list as UTF-8"
    return f"there is no file {shown}"


def _shown(text: bytes) -> str:
    shown = repr(text.decode("utf-8", "backslashreplace"))
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
