"""The one walker for folders: every file is found, counted as left out, or named in an error."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields

__all__ = ["IMAGE_EXTENSIONS", "JPEG_EXTENSIONS", "Found", "LeftOut", "find_files", "is_hidden"]

# The extensions that torchvision's ImageFolder reads.
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
JPEG_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")


@dataclass(frozen=True)
class LeftOut:
    """How many entries of a source were left out, and why; `str` puts it in words, "" where nothing was.

    Attributes:
        hidden: files and folders whose names begin with a dot, such as `.ipynb_checkpoints` and `._a.jpg`.
        other_files: files without one of the extensions asked for.
        circular_links: links to a folder that contains the link.
        special: pipes, sockets and devices.
        outside_classes: images beside the class folders, not in one.
    """

    hidden: int = field(default=0, metadata={"words": ("hidden entry", "hidden entries")})
    other_files: int = field(default=0, metadata={"words": ("file of another type", "files of other types")})
    circular_links: int = field(
        default=0, metadata={"words": ("link to a folder that contains it", "links to folders that contain them")}
    )
    special: int = field(default=0, metadata={"words": ("pipe, socket or device", "pipes, sockets or devices")})
    outside_classes: int = field(
        default=0, metadata={"words": ("image beside the class folders", "images beside the class folders")}
    )

    def __str__(self) -> str:
        """Put the counts in words: "2 hidden entries, 1 file of another type"."""
        counts = [(getattr(self, item.name), item.metadata["words"]) for item in fields(self)]
        return ", ".join(f"{count:,} {words[count != 1]}" for count, words in counts if count)

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return any(getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True)
class Found:
    """What lies below a folder.

    Attributes:
        root: the folder.
        files: paths of the files, each beginning with `root`: folder by folder in the order of their paths, and sorted
            by name within a folder, as torchvision's ImageFolder sorts them.
        folders: names of the folders directly below `root`, sorted; hidden ones are left out.
        left_out: how many entries were left out, and why.
    """

    root: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    left_out: LeftOut


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden by its name."""
    return name.startswith(".") and name not in (".", "..")


def find_files(root: str | os.PathLike[str], extensions: Collection[str] | None = IMAGE_EXTENSIONS) -> Found:
    """Find the files below a folder, however deep.

    Links to files and folders are followed, and two links to one folder are both followed; only a link to a folder
    that contains the link is left out, because it would never end. A link to nothing with the name of an image is
    listed as a file, so that whoever reads it reports it; any other may have led to a folder, and is an error.

    Args:
        root: the folder. Its own name may be hidden.
        extensions: of the files wanted, in lower case with their dot; upper case matches, too. None for every file.

    Raises:
        OSError: a folder cannot be listed: no permission, a path longer than the system allows, links that lead only
            to each other, a link to nothing, or a folder that vanished meanwhile. The message names it.
    """
    top = os.fspath(root)
    counts = dict.fromkeys(("hidden", "other_files", "circular_links", "special"), 0)
    listed: list[tuple[str, list[str]]] = []
    folders: list[str] = []
    # What is still to be listed: a folder, how deep it lies, and the identities of the folders that contain it.
    waiting = [(top, 0, _above(top))]
    while waiting:
        folder, depth, above = waiting.pop()
        identity = _identity(folder)
        if identity in above:
            counts["circular_links"] += 1
            continue
        if depth == 1:
            folders.append(os.path.basename(folder))
        names = []
        for entry in _entries(folder):
            kind = "hidden" if is_hidden(entry.name) else _kind(entry)
            if kind == "folder":
                waiting.append((os.path.join(folder, entry.name), depth + 1, above | {identity}))
            elif kind == "file" and (extensions is None or os.path.splitext(entry.name)[1].lower() in extensions):
                names.append(os.path.join(folder, entry.name))
            else:
                counts["other_files" if kind == "file" else kind] += 1
        listed.append((folder, sorted(names)))
    files = tuple(path for _, names in sorted(listed) for path in names)
    return Found(top, files, tuple(sorted(folders)), LeftOut(**counts))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise _named(folder, "cannot list this folder", error) from error


def _kind(entry: os.DirEntry[str]) -> str:
    """Tell a "folder", a "file" and a "special" apart; a link is what it leads to.

    Raises:
        OSError: the link leads to nothing, and its name is not that of an image.
    """
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        if not os.path.exists(entry.path):
            if os.path.splitext(entry.name)[1].lower() not in (*IMAGE_EXTENSIONS, *JPEG_EXTENSIONS):
                os.stat(entry.path)
            return "file"
    except OSError as error:
        raise _named(entry.path, "cannot tell whether this is a file or a folder", error) from error
    return "special"


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError as error:
        raise _named(folder, "cannot list this folder", error) from error
    return status.st_dev, status.st_ino


def _above(root: str) -> frozenset[tuple[int, int]]:
    """The identities of the folders that contain a folder: a link from below to one of them is circular, too."""
    found = set()
    path = os.path.realpath(root)
    while (parent := os.path.dirname(path)) != path:
        path = parent
        try:
            found.add(_identity(path))
        except PermissionError:
            break  # no link below can lead where this process may not go
    return frozenset(found)


def _named(path: str, what: str, error: OSError) -> OSError:
    """The same error in one line that names the place; the middle of a very long path is left out."""
    if len(path) > 200:
        path = f"{path[:80]}...{path[-80:]} ({len(path):,} characters)"
    named = type(error)(f"{path}: {what}: {error.strerror or error}")
    named.errno = error.errno
    return named
