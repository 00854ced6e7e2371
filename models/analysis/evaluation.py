"""Images as a trained model takes them for validation, frequencies or pixels, and what it then makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from jpegfreq.torch import Batch, EvaluationView, FrequencyDataset, FrequencyLoader, Images, RgbDataset

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import Classifier

__all__ = ["Progress", "device_of", "evaluation_batches", "evaluation_dataset", "labelled_for"]

# Called with the number of images that a step has done.
Progress: TypeAlias = Callable[[int], None]


def evaluation_dataset(
    classifier: Classifier, images: Images, *, threads: int | None = None
) -> FrequencyDataset | RgbDataset:
    """Images in the model's format, size and crop; those that cannot be read are left out.

    Args:
        classifier: the model.
        images: to look at.
        threads: native threads that read; None for one a core.
    """
    config = classifier.config
    view = EvaluationView(config.size, config.shorter_side)
    if config.format is None:
        return RgbDataset(images, view, errors="skip", fallback="pixels")
    return FrequencyDataset(images, view, format=config.format, errors="skip", fallback="pixels", threads=threads)


def evaluation_batches(
    classifier: Classifier,
    images: Images,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Tensor, Batch]]:
    """The images in order, in batches: (float32 [N, C, H, W] on the model's device, the batch as it was read)."""
    device = device_of(classifier.network)
    for batch in FrequencyLoader(evaluation_dataset(classifier, images, threads=threads), batch_size, shuffle=False):
        yield batch.tensors.to(device, torch.float32), batch
        if progress is not None:
            progress(len(batch.labels) + sum(not stray.read for stray in batch.strays))


def labelled_for(classifier: Classifier, images: Images) -> Images:
    """The images with the model's class numbers: by name where both name their classes, else as they are.

    A folder of some of the classes, or of others, numbers them otherwise than the model does.

    Raises:
        ValueError: the model lacks a class of the images.
    """
    count, known = classifier.config.num_classes, classifier.config.labels
    if not images.classes or known in ((), tuple(map(str, range(count)))):
        if images.labels and max(images.labels) >= count:
            raise ValueError(f"the images' labels go to {max(images.labels)}, and the model has {count} classes")
        return images
    missing = sorted(set(images.classes) - set(known))
    if missing:
        raise ValueError(f"the model has no class {', '.join(missing)}; its classes are {', '.join(known)}")
    numbers = [known.index(name) for name in images.classes]
    return replace(images, labels=tuple(numbers[label] for label in images.labels), classes=known)


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters are."""
    return next(network.parameters()).device
