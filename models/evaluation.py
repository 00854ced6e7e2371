"""Images as a trained model takes them for validation, frequencies or pixels, and what it then makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

from jpegfreq.torch import Batch, EvaluationView, FrequencyDataset, FrequencyLoader, Images, RgbDataset

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import Classifier

__all__ = ["Progress", "device_of", "evaluation_batches", "evaluation_dataset"]

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


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters are."""
    return next(network.parameters()).device
