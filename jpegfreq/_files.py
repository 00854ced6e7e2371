"""Files that appear whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["name_complete", "write_whole"]


def write_whole(path: Path, content: str | bytes, *, suffix: str = ".part") -> None:
    """Write a file under another name first; what it held before is there until all of the new content is.

    Args:
        path: the file.
        content: text is written as UTF-8.
        suffix: of the other name; processes that write one file need one each.
    """
    temporary = path.with_name(path.name + suffix)
    temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    name_complete(temporary, path)


def name_complete(temporary: Path, path: Path) -> None:
    """Give a complete file its name, once its bytes are on disk; then the name is, too."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
