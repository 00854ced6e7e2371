"""Prepare images for a trained model as in validation, as frequencies or as pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from jpegfreq._words import counted
from jpegfreq.models.predict import evaluation_data
from jpegfreq.torch import Batch, FrequencyDataset, FrequencyLoader, Images, RgbDataset

if TYPE_CHECKING:
    from jpegfreq.models.predict import Classifier

__all__ = [
    "OnUnread",
    "Progress",
    "device_of",
    "evaluation_batches",
    "evaluation_dataset",
    "evaluation_tensor",
    "labelled_for",
]

_NAMED = 10  # classes that an error lists

# Called with the number of images that a step has done.
Progress: TypeAlias = Callable[[int], None]

# Called with a message for each unreadable image; the message names the file.
OnUnread: TypeAlias = Callable[[str], None]


def evaluation_dataset(
    classifier: Classifier, images: Images, *, threads: int | None = None
) -> FrequencyDataset | RgbDataset:
    """Open images in the model's format, size and crop; unreadable images are left out.

    Args:
        classifier: the model.
        images: the images to read.
        threads: native threads that read; None for one per core.
    """
    return evaluation_data(classifier.config, images, errors="skip", threads=threads)


def evaluation_batches(
    classifier: Classifier,
    images: Images,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
    on_unread: OnUnread | None = None,
) -> Iterator[tuple[Tensor, Batch]]:
    """Yield the images in order, in batches.

    Args:
        classifier: the model.
        images: the images to read.
        batch_size: images per batch.
        threads: native threads that read; None for one per core.
        progress: called after each batch with its number of images, readable or not.
        on_unread: called for each unreadable image.

    Returns:
        Pairs of a float32 tensor [N, C, H, W] on the model's device and the batch as it was read.
    """
    device = device_of(classifier.network)
    for batch in FrequencyLoader(evaluation_dataset(classifier, images, threads=threads), batch_size, shuffle=False):
        yield batch.tensors.to(device).to(torch.float32), batch
        unread = [stray.message for stray in batch.strays if not stray.read]
        if on_unread is not None:
            for message in unread:
                on_unread(message)
        if progress is not None:
            progress(len(batch.labels) + len(unread))


def evaluation_tensor(
    classifier: Classifier, images: Images, *, progress: Progress | None = None, on_unread: OnUnread | None = None
) -> tuple[Tensor, Tensor]:
    """Read all images into memory, prepared as `evaluation_batches` prepares them.

    Returns:
        The readable images as float32 [N, C, H, W] in the host's memory, and their labels [N].

    Raises:
        ValueError: no image could be read.
    """
    parts = [
        (x.cpu(), batch.labels)
        for x, batch in evaluation_batches(classifier, images, progress=progress, on_unread=on_unread)
    ]
    if not any(len(labels) for _, labels in parts):
        raise ValueError("no image could be read")
    tensors, labels = zip(*parts, strict=True)
    return torch.cat(tensors), torch.cat(labels)


def labelled_for(classifier: Classifier, images: Images) -> Images:
    """Return the images with the model's class numbers.

    If both the images and the model name their classes, the names decide, because a folder with some of the classes
    numbers them differently. Otherwise the images keep their numbers.

    Raises:
        ValueError: the model lacks one of the images' classes.
    """
    count, known = classifier.config.num_classes, classifier.config.labels
    if not images.classes or known in ((), tuple(map(str, range(count)))):
        if images.labels and max(images.labels) >= count:
            raise ValueError(
                f"the images have labels up to {max(images.labels)}, but the model has {counted(count, 'class')}"
            )
        return images
    missing = sorted(set(images.classes) - set(known))
    if missing:
        raise ValueError(
            f"the model has no class {_some(missing)}; its classes are {_some(known)}: name the folders as these, or "
            "give a .txt list of paths and class numbers"
        )
    numbers = [known.index(name) for name in images.classes]
    return replace(images, labels=tuple(numbers[label] for label in images.labels), classes=known)


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's parameters."""
    return next(network.parameters()).device


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
