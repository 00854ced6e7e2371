"""Images and their labels, from a folder of class folders, a list of files, or tar shards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jpegfreq._files import check_not_special
from jpegfreq._words import counted, verb
from jpegfreq.sources.file_memory import BatchFiles, FileMemory
from jpegfreq.sources.labels import check_numbers
from jpegfreq.sources.lists import read_list
from jpegfreq.sources.opened import is_remote
from jpegfreq.sources.packed import PackedNames, pack_numbers
from jpegfreq.sources.patterns import expand, is_pattern
from jpegfreq.sources.shards import ShardImage, read_shard
from jpegfreq.sources.walk import IMAGE_EXTENSIONS, JPEG_EXTENSIONS, LeftOut, find_files, is_hidden

__all__ = ["Images", "file_list", "image_folder", "list_file", "open_images", "tar_shards"]


_COMPRESSED_SHARDS = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True, repr=False)
class Images:
    """Image files and their labels, in order; nothing is read before it is asked for.

    Sequences are packed into a few buffers, so that DataLoader workers share them with their parent however many
    images there are.

    Attributes:
        paths: the file of each image, or the tar shard that holds it.
        labels: the class number of each; -1 for an image without a label.
        offsets_bytes: where each image begins in its tar shard, or () where every image is a file of its own.
        sizes_bytes: how long each is, likewise.
        names: what to call each image in a message; () for its path.
        classes: the name of each class; () where nothing names them.
        left_out: how many entries of the source were left out, and why.
    """

    paths: Sequence[str]
    labels: Sequence[int]
    offsets_bytes: Sequence[int] = ()
    sizes_bytes: Sequence[int] = ()
    names: Sequence[str] = ()
    classes: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)

    def __post_init__(self) -> None:
        """Pack the sequences, and check that they are equally long.

        Raises:
            ValueError: they are not.
        """
        for name in ("paths", "names"):
            value = getattr(self, name)
            object.__setattr__(self, name, value if isinstance(value, PackedNames) else PackedNames(value))
        for name in ("labels", "offsets_bytes", "sizes_bytes"):
            object.__setattr__(self, name, pack_numbers(getattr(self, name)))
        for name in ("labels", "offsets_bytes", "sizes_bytes", "names"):
            count = len(getattr(self, name))
            if count != len(self) and (count or name == "labels"):
                raise ValueError(
                    f"{counted(len(self), 'image')} {verb(len(self), 'needs', 'need')} as many {name}, not {count:,}"
                )

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self.paths)

    def __repr__(self) -> str:
        """Say how many images of how many classes there are, and where the first lies."""
        classes = len(self.classes) or len(set(self.labels) - {-1})
        first = f", from {self.name(0)}" if len(self) else ""
        left_out = f", left out: {self.left_out}" if self.left_out else ""
        return f"Images({counted(len(self), 'image')} of {counted(classes, 'class')}{first}{left_out})"

    def select(self, indices: Sequence[int]) -> Images:
        """Return these of the images, in this order, with the same class names."""
        parts = {
            name: [getattr(self, name)[index] for index in indices] if len(getattr(self, name)) else ()
            for name in ("paths", "labels", "offsets_bytes", "sizes_bytes", "names")
        }
        return Images(**parts, classes=self.classes, left_out=self.left_out)

    def name(self, index: int) -> str:
        """Return what to call an image in a message."""
        return self.names[index] if len(self.names) else self.paths[index]

    def read(self, index: int) -> bytes:
        """Read the bytes of one image.

        Raises:
            OSError: the file cannot be read, or its shard ends inside the image.
        """
        return bytes(self.read_into(index, FileMemory().batch()))

    def read_into(self, index: int, files: BatchFiles) -> memoryview:
        """Read the bytes of one image into a batch's memory; raises as `read` does."""
        if not len(self.offsets_bytes):
            return files.read(self.paths[index])
        size = self.sizes_bytes[index]
        data = files.read(self.paths[index], self.offsets_bytes[index], size)
        if len(data) < size:
            short = size - len(data)
            raise OSError(f"{self.paths[index]} ends {short:,} bytes before its member {self.name(index)} does")
        return data


def open_images(source: str | os.PathLike[str], *, labels: bool = True) -> Images:
    """Find the images of any source: a folder, a .txt list, a .tar shard, or a folder of shards.

    Args:
        source: the folder, list or shard, or a pattern of shards, such as "train-{000..127}.tar" or "shards/*.tar";
            without labels, a JPEG file, too. A list or a shard may lie in an object
            store, as in "s3://photos/0.tar", and so may the files of a list; this needs fsspec.
        labels: whether every image needs a label. Then a folder has one folder per class, or shards. Without it, the
            JPEG files of a folder are taken however deep they lie, and its shards only where there are none; the label
            of an image that has none is -1.

    Raises:
        FileNotFoundError: there is no such source, it holds no image, or a list names files that do not exist.
        OSError: the source cannot be read.
        ValueError: the source is of another kind or damaged, or an image has no label although it needs one.
    """
    path = os.fspath(source)
    if path.endswith(".tar") and is_pattern(path):
        return tar_shards(path, labels=labels)
    if is_remote(path):
        return _open_remote(path, labels=labels)
    if not os.path.lexists(path):
        raise FileNotFoundError(f"{path}: no such folder, list or shard")
    if not os.path.isdir(path):
        check_not_special(path)
        if path.endswith(".txt"):
            return list_file(path, labels=labels)
        if path.endswith(".tar"):
            return tar_shards([path], labels=labels)
        if not labels and path.lower().endswith(JPEG_EXTENSIONS):
            return Images([path], [-1])
        raise ValueError(f"{path} is neither a folder, a .txt list nor a .tar shard")
    if os.path.exists(os.path.join(path, "manifest.json")):
        raise ValueError(f"{path} is a store of tensors, not of images: name the images from which it was made")
    if os.path.exists(os.path.join(path, "plan.json")):
        raise ValueError(f"{path} is a store that is not finished: repeat its `jpegfreq convert`")
    found = find_files(path, JPEG_EXTENSIONS) if not labels else None
    if found is not None and found.files:
        return Images(found.files, [-1] * len(found.files), left_out=found.left_out)
    entries = sorted(os.listdir(path))
    names = [name for name in entries if name.endswith(".tar") and not is_hidden(name)]
    if names:
        _refuse_beside_shards(path, names[0], entries)
        images = tar_shards([os.path.join(path, name) for name in names], labels=labels)
        beside = len(entries) - len(names)
        hidden = sum(map(is_hidden, entries))
        left_out = replace(
            images.left_out,
            hidden=images.left_out.hidden + hidden,
            other_files=images.left_out.other_files + beside - hidden,
        )
        return replace(images, left_out=left_out)
    if not labels:
        raise FileNotFoundError(f"{path} has neither JPEG files ({', '.join(JPEG_EXTENSIONS)}) nor .tar shards")
    return image_folder(path)


def _open_remote(path: str, *, labels: bool) -> Images:
    """Find the images of a source in an object store: a list or a shard; see `open_images`."""
    if path.endswith(".txt"):
        return list_file(path, labels=labels)
    if path.endswith(".tar"):
        return tar_shards([path], labels=labels)
    raise ValueError(f"{path} is neither a .txt list nor a .tar shard, and folders of object stores are not listed")


def _refuse_beside_shards(folder: str, shard: str, entries: Sequence[str]) -> None:
    """Refuse a folder that holds more images than those of its shards, because they would be missing silently."""
    for name in entries:
        if is_hidden(name):
            continue
        path = os.path.join(folder, name)
        if name.lower().endswith((*_COMPRESSED_SHARDS, ".tar")) and not name.endswith(".tar"):
            raise ValueError(
                f"{path}: images are read from uncompressed shards, whose names end in .tar, as {shard} does"
            )
        if os.path.isdir(path) and (below := find_files(path, (*IMAGE_EXTENSIONS, *JPEG_EXTENSIONS, ".tar")).files):
            raise ValueError(
                f"{folder} has shards, such as {shard}, and the folder {name}, which holds images or shards, too "
                f"({below[0]}): name a folder that has only shards or only class folders"
            )


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
    """Make Images of files and the class number of each.

    >>> file_list(["a.jpg", "b.jpg"], [0, 1])
    Images(2 images of 2 classes, from a.jpg)
    """
    if len(paths) != len(labels):
        raise ValueError(
            f"{counted(len(paths), 'file')} {verb(len(paths), 'needs', 'need')} as many labels, not {len(labels)}"
        )
    return Images([os.fspath(path) for path in paths], labels, classes=tuple(classes))


def list_file(path: str | os.PathLike[str], *, labels: bool = True) -> Images:
    """Read a list of images, `PATH CLASS_NUMBER` per line; `read_list` has the rules and the errors.

    Args:
        path: the list; relative paths in it are resolved against its own folder.
        labels: whether every line needs a class number.
    """
    listed = read_list(path, labels=labels)
    return Images(listed.paths, listed.labels)


def tar_shards(
    shards: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    labels: bool = True,
    json_key: str | None = None,
) -> Images:
    """Find the images in uncompressed tar files laid out as WebDataset writes them: `key.jpg` beside `key.cls`.

    The shards' tables are read once, here, and checked whole; an image is then read from its place, in any order. A
    key is a member's name up to the first dot of its last part. Hidden members, and members that are neither an image
    nor a label, are left out and counted in `Images.left_out`.

    Args:
        shards: the tar files, or one of them. A name may be a pattern: "train-{000..127}.tar" stands for 128 files,
            "{a,b}.tar" for two, and "shards/*.tar" for all that match, sorted.
        labels: whether every image needs a label and every label an image. Without it, nothing but images is read, and
            every label is -1: enough for statistics.
        json_key: take an image's label from this key of its `key.json`: a class number, or a class name in every
            shard. Without it, labels are the class numbers in `key.cls`; only an image without that file takes what
            "label" is in its `key.json`.

    Raises:
        OSError: a shard cannot be read.
        ValueError: a shard is damaged or compressed, a member is a link or a device, an image has no label or a label
            no image, a label is neither a class number nor a name, two images have one key, a member's extension only
            ends in that of an image, or a shard holds no image. The message names the shard and the member.
    """
    names = [shards] if isinstance(shards, str | os.PathLike) else shards
    paths = [path for name in names for path in expand(os.fspath(name))]
    found = [read_shard(path, labels=labels, json_key=json_key) for path in paths]
    images = [image for shard in found for image in shard.images]
    numbers, classes = _numbered(images) if labels else ([-1] * len(images), ())
    left_out = LeftOut(
        hidden=sum(shard.hidden for shard in found), other_files=sum(shard.other_files for shard in found)
    )
    return Images(
        [image.shard for image in images],
        numbers,
        [image.member.offset_bytes for image in images],
        [image.member.size_bytes for image in images],
        [image.name for image in images],
        classes,
        left_out,
    )


def _numbered(images: Sequence[ShardImage]) -> tuple[list[int], tuple[str, ...]]:
    """Return the images' class numbers, and the names of the classes where labels are names.

    Raises:
        ValueError: some labels are numbers and others names, or a number is far too large.
    """
    classes = sorted({image.label for image in images if isinstance(image.label, str)})
    by_name = {name: number for number, name in enumerate(classes)}
    numbers = [by_name.get(image.label, -1) if isinstance(image.label, str) else image.label for image in images]
    if classes:
        for image in images:
            if not isinstance(image.label, str):
                raise ValueError(f"{image.name} has the label {image.label}, and others have names, as {classes[0]!r}")
    else:
        check_numbers(numbers, lambda index: images[index].name)
    return numbers, tuple(classes)
