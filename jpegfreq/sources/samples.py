"""Samples of other libraries: where in them the image's bytes are, and where the label is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jpegfreq._words import counted

if TYPE_CHECKING:
    from jpegfreq.sources.file_memory import BatchFiles

__all__ = ["IndexedImages", "Samples", "class_label", "image_bytes", "image_key", "is_image_value", "name_of"]

# The names under which WebDataset and Hugging Face's data sets hold an image and its class.
IMAGE_KEYS = ("jpg", "jpeg", "image", "img", "png", "webp")
LABEL_KEYS = ("cls", "label", "labels", "fine_label", "target")
_IMAGE_VALUE = {"bytes", "path"}


def is_image_value(value: Any) -> bool:
    """Tell whether a value is an image of Hugging Face's `Image(decode=False)`: a mapping of "bytes" and "path"."""
    return isinstance(value, Mapping) and set(value) == _IMAGE_VALUE


def image_key(sample: Mapping[str, Any], key: str | None = None) -> str:
    """Find the key under which a sample holds its image.

    Args:
        sample: the sample.
        key: the key, where the caller knows it.

    Raises:
        ValueError: the sample has no such key, or not exactly one of the usual keys.
    """
    if key is not None:
        if key not in sample:
            raise ValueError(f"the sample has no {key!r}, only {', '.join(map(repr, sample))}")
        return key
    found = [name for name in IMAGE_KEYS if name in sample]
    if len(found) != 1:
        raise ValueError(
            f"the image of a sample with the keys {', '.join(map(repr, sample))} cannot be told: name it, as in "
            f"key={(found or ['image'])[0]!r}"
        )
    return found[0]


def image_bytes(value: Any) -> bytes | memoryview:
    """Return the bytes of an image.

    Args:
        value: bytes or another object with contiguous bytes (an LMDB value, a uint8 array or tensor); an image of
            Hugging Face's `Image(decode=False)`; or the path of a file.

    Raises:
        TypeError: it is none of these, such as an image that is decoded already.
        ValueError: it is None, as where a data set lacks an image.
        OSError: the file cannot be read.
    """
    if isinstance(value, bytes):
        return value
    if is_image_value(value):
        value = value["path"] if value["bytes"] is None else value["bytes"]
    if value is None:
        raise ValueError("the sample holds no image: it is None")
    if isinstance(value, str | os.PathLike):
        return Path(value).read_bytes()
    if hasattr(value, "numpy") and not hasattr(value, "__buffer__"):  # a tensor, such as torchvision.io.read_file's
        value = value.numpy()
    try:
        view = memoryview(value)
    except TypeError:
        raise TypeError(
            f"an image must be the bytes of a file, not {type(value).__module__}.{type(value).__qualname__}: let the "
            "data set hand out encoded images, as `Image(decode=False)` of Hugging Face's datasets does"
        ) from None
    if view.ndim > 1 or view.itemsize != 1 or not view.contiguous:
        raise TypeError(
            f"an image must be the bytes of a file, not values of shape {view.shape}: it is decoded already"
        )
    return view.cast("B")


def name_of(sample: Any, fallback: str) -> str:
    """Return what to call a sample in a message: WebDataset's key, the path of an image, or the fallback."""
    if isinstance(sample, Mapping):
        for key in ("__key__", "path"):
            if isinstance(sample.get(key), str):
                return str(sample[key])
        return next((name_of(value, fallback) for value in sample.values() if is_image_value(value)), fallback)
    return os.fspath(sample) if isinstance(sample, str | os.PathLike) else fallback


def class_label(value: Any) -> int:
    """Return a class number that may be text, as in WebDataset's `cls` members.

    Raises:
        ValueError: it is no whole number.
    """
    try:
        return int(bytes(value) if isinstance(value, bytearray | memoryview) else value)
    except (TypeError, ValueError):
        raise ValueError(f"a label must be a class number, not {value!r}") from None


class Samples(Protocol):
    """Anything with a length whose items are (image, label), or mappings that hold both."""

    def __len__(self) -> int:
        """Return how many samples there are."""

    def __getitem__(self, index: int, /) -> Any:
        """Return one sample."""


class IndexedImages:
    """The images of any indexable, in the form that data sets read.

    Attributes:
        classes: (), because nothing names the classes.
    """

    classes: tuple[str, ...] = ()

    def __init__(self, samples: Samples) -> None:
        """Wrap the samples.

        Raises:
            TypeError: they cannot be indexed.
        """
        if not hasattr(samples, "__getitem__") or not hasattr(samples, "__len__"):
            raise TypeError(
                "images must be Images, as image_folder returns them, or an indexable of (bytes, label) with a length, "
                f"not {type(samples).__name__}"
            )
        self._samples = samples
        self._labels: dict[int, int] = {}  # of images that were read and whose labels were not asked for yet

    def __len__(self) -> int:
        """Return how many images there are."""
        return len(self._samples)

    def __repr__(self) -> str:
        """Say what is wrapped."""
        return f"IndexedImages({counted(len(self), 'sample')} of {type(self._samples).__name__})"

    def name(self, index: int) -> str:
        """Return what to call an image in a message."""
        return f"sample {index}"

    @property
    def labels(self) -> IndexedImages._Labels:
        """The label of each image, by its index."""
        return self._Labels(self)

    class _Labels:
        def __init__(self, images: IndexedImages) -> None:
            self._images = images

        def __getitem__(self, index: int) -> int:
            """Return the label of an image, which is read again unless it was just read."""
            known = self._images._labels.pop(index, None)
            return self._images._split(index)[1] if known is None else known

    def read_into(self, index: int, files: BatchFiles) -> bytes | memoryview:
        """Return the bytes of one image; `files`, the memory for files, is not needed.

        Raises:
            TypeError, ValueError: the sample holds no image or label.
            OSError: its file cannot be read.
        """
        data, label = self._split(index)
        self._labels[index] = label
        return data

    def _split(self, index: int) -> tuple[bytes | memoryview, int]:
        sample = self._samples[index]
        if isinstance(sample, Mapping):
            labels = [key for key in LABEL_KEYS if key in sample]
            if len(labels) != 1:
                keys = ", ".join(map(repr, sample))
                raise ValueError(f"the label of a sample with the keys {keys} cannot be told: hand out (image, label)")
            return image_bytes(sample[image_key(sample)]), class_label(sample[labels[0]])
        if not isinstance(sample, Sequence) or isinstance(sample, str | bytes) or len(sample) != 2:
            raise TypeError(f"sample {index} must be (image, label), not {type(sample).__name__}")
        return image_bytes(sample[0]), class_label(sample[1])
