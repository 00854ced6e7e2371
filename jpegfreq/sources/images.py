"""Where a data set's images lie: a folder of classes, a list of files, or tar shards."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from jpegfreq.sources.file_memory import BatchFiles, FileMemory
from jpegfreq.sources.walk import IMAGE_EXTENSIONS, LeftOut, find_files

__all__ = ["Images", "file_list", "image_folder", "tar_shards"]


@dataclass(frozen=True)
class Images:
    """Image files and their labels, in order; nothing is read before it is asked for.

    Attributes:
        paths: the file of each image, or the tar shard that holds it.
        labels: the class number of each.
        spans: (offset_bytes, size_bytes) of each inside its tar shard, or () where every image is a file of its own.
        names: what to call each; () for its path.
        classes: the name of each class; () where nothing names them.
        left_out: how many entries of the source were left out, and why.
    """

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    spans: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)

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
    """Find the images of a folder with one folder per class, `root/class/.../image.jpg`.

    Classes, labels and order are those of torchvision's ImageFolder, except that hidden files and folders are left out
    and that links in circles end; `Images.left_out` counts what is left out. `find_files` has the rules.

    Raises:
        FileNotFoundError: there is no class folder, or a class folder holds no image.
        OSError: a folder cannot be listed.
    """
    found = find_files(root)
    if not found.folders:
        raise FileNotFoundError(f"{found.root} has no class folders")
    of_class: dict[str, list[str]] = {name: [] for name in found.folders}
    start = len(os.path.join(found.root, ""))
    outside = 0
    for path in found.files:
        name, below, _ = path[start:].partition(os.sep)
        if below:
            of_class[name].append(path)
        else:
            outside += 1
    for name, paths in of_class.items():
        if not paths:
            raise FileNotFoundError(f"class folder {os.path.join(found.root, name)} has no image")
    labels = [label for label, paths in enumerate(of_class.values()) for _ in paths]
    files = tuple(path for paths in of_class.values() for path in paths)
    left_out = replace(found.left_out, outside_classes=outside)
    return Images(files, tuple(labels), classes=found.folders, left_out=left_out)


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
                if f".{extension.lower()}" in IMAGE_EXTENSIONS:
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
            raise ValueError(f"{shard} holds no image named key.jpg, or with another of {' '.join(IMAGE_EXTENSIONS)}")
        for key, member in images.items():
            name = f"{Path(shard).name}/{member.name}"
            if key not in classes:
                raise ValueError(f"{name} has no label: {key.removeprefix('/')}.cls is missing")
            paths.append(shard)
            labels.append(classes[key])
            spans.append((member.offset_data, member.size))
            names.append(name)
    return Images(tuple(paths), tuple(labels), tuple(spans), tuple(names))
