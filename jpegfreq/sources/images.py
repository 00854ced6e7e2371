"""Where a data set's images lie: a folder of classes, a list of files, or tar shards."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jpegfreq.sources.file_memory import BatchFiles, FileMemory

__all__ = ["Images", "file_list", "image_folder", "tar_shards"]

# Those of torchvision's ImageFolder.
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Images:
    """Image files and their labels, in order; nothing is read before it is asked for.

    Attributes:
        paths: the file of each image, or the tar shard that holds it.
        labels: the class number of each.
        spans: (offset_bytes, size_bytes) of each inside its tar shard, or () where every image is a file of its own.
        names: what to call each; () for its path.
        classes: the name of each class; () where nothing names them.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    spans: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many images."""
        return len(self.paths)

    def name(self, index: int) -> str:
        """What to call an image in a message."""
        return self.names[index] if self.names else self.paths[index]

    def read(self, index: int) -> bytes:
        """The bytes of one image.

        Raises:
            OSError: the file cannot be read, or its shard ends inside the image.
        """
        return bytes(self.read_into(index, FileMemory().batch()))

    def read_into(self, index: int, files: BatchFiles) -> memoryview:
        """The bytes of one image of a batch; raises as `read` does."""
        if not self.spans:
            return files.read(self.paths[index])
        offset, size = self.spans[index]
        data = files.read(self.paths[index], offset, size)
        if len(data) < size:
            raise OSError(f"{self.name(index)}: the shard ends {size - len(data)} bytes before the image does")
        return data


def image_folder(root: str | os.PathLike[str]) -> Images:
    """Images in a folder a class, `root/class/.../image.jpg`: torchvision's ImageFolder, in its order.

    Raises:
        FileNotFoundError: there is no class folder, or one without an image.
    """
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"{os.fspath(root)} has no class folders")
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = [
            os.path.join(folder, file)
            for folder, _, files in sorted(os.walk(os.path.join(root, name), followlinks=True))
            for file in sorted(files)
            if file.lower().endswith(_EXTENSIONS)
        ]
        if not found:
            raise FileNotFoundError(f"class folder {os.path.join(root, name)} has no image")
        paths += found
        labels += [label] * len(found)
    return Images(tuple(paths), tuple(labels), classes=tuple(classes))


def file_list(paths: Sequence[str | os.PathLike[str]], labels: Sequence[int], *, classes: Sequence[str] = ()) -> Images:
    """Files and the label of each.

    >>> len(file_list(["a.jpg", "b.jpg"], [0, 1]))
    2
    """
    if len(paths) != len(labels):
        raise ValueError(f"{len(paths)} files need as many labels, not {len(labels)}")
    return Images(tuple(os.fspath(path) for path in paths), tuple(map(int, labels)), classes=tuple(classes))


def tar_shards(shards: Iterable[str | os.PathLike[str]]) -> Images:
    """Images in uncompressed tar files laid out as WebDataset writes them: `key.jpg` beside `key.cls`.

    The shards' tables are read once, here; an image is then read from its place, in any order.

    A key is a name up to its first dot, so `a.left.jpg` is no image of that layout.

    Raises:
        ValueError: an image has no label, or one that is no number; a shard holds no image, or two of one key.
        tarfile.ReadError: a shard is no uncompressed tar file.
    """
    paths: list[str] = []
    labels: list[int] = []
    spans: list[tuple[int, int]] = []
    names: list[str] = []
    for path in shards:
        shard = os.fspath(path)
        images: dict[str, tarfile.TarInfo] = {}
        classes: dict[str, int] = {}
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                folder, _, base = member.name.rpartition("/")
                key, _, extension = base.partition(".")
                key = f"{folder}/{key}"
                if not member.isfile():
                    continue
                if f".{extension.lower()}" in _EXTENSIONS:
                    if key in images:
                        raise ValueError(f"{shard}: {member.name} has the key of {images[key].name}")
                    images[key] = member
                elif extension == "cls":
                    content = tar.extractfile(member)
                    assert content is not None  # it is a file
                    text = content.read().decode("ascii", "replace").strip()
                    if not text.isdecimal():
                        raise ValueError(f"{shard}: {member.name} holds {text!r}, not a class number")
                    classes[key] = int(text)
        if not images:
            raise ValueError(f"{shard} holds no image named key.jpg, or with another of {' '.join(_EXTENSIONS)}")
        for key, member in images.items():
            name = f"{Path(shard).name}/{member.name}"
            if key not in classes:
                raise ValueError(f"{name} has no label: {key.removeprefix('/')}.cls is missing")
            paths.append(shard)
            labels.append(classes[key])
            spans.append((member.offset_data, member.size))
            names.append(name)
    return Images(tuple(paths), tuple(labels), tuple(spans), tuple(names))
