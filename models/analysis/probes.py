"""Rank channels without a gate: by the cost of removing a channel, and by the weights that multiply it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq._words import counted
from jpegfreq.models.analysis.evaluation import OnUnread, Progress, device_of, evaluation_batches, labelled_for
from jpegfreq.models.analysis.ranking import Ranking
from jpegfreq.models.gate import GatedNetwork
from jpegfreq.models.networks.adapt import adaptation_of
from jpegfreq.torch import Images

if TYPE_CHECKING:
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.models.predict import Classifier

__all__ = ["loss_ranking", "sample_images", "weight_ranking"]


def sample_images(images: Images, count: int, *, seed: int = 0) -> Images:
    """Draw `count` images at random, always the same for a seed; return all images if there are no more."""
    if count >= len(images):
        return images
    chosen = sorted(np.random.default_rng(seed).permutation(len(images))[:count].tolist())
    return images.select(chosen)


@torch.inference_mode()
def loss_ranking(
    classifier: Classifier,
    images: Images,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
    on_unread: OnUnread | None = None,
) -> Ranking:
    """Rank channels by how much the cross-entropy rises if the channel is replaced by its mean.

    The mean is taken over the given images, so for a normalized input it is near zero. Every channel costs one pass of
    the network over the images, so give it a sample (`sample_images`): a few hundred images separate the channels that
    matter most.

    Args:
        classifier: a trained model that takes frequency channels.
        images: labelled by the names of the model's classes or by their numbers.
        batch_size: images per batch.
        threads: native threads that read; None for one per core.
        progress: called after each step with its number of images; the total is images x channels.
        on_unread: called for each unreadable image.

    Raises:
        ValueError: the model takes pixels or lacks one of the images' classes, or no image could be read.
    """
    selection = _selection(classifier)
    images = labelled_for(classifier, images)
    network = classifier.network.eval()
    batches = [
        (tensors.cpu(), batch.labels)
        for tensors, batch in evaluation_batches(
            classifier, images, batch_size=batch_size, threads=threads, on_unread=on_unread
        )
    ]
    count = sum(len(labels) for _, labels in batches)
    if not count:
        raise ValueError("no image could be read")
    mean = sum((tensors.mean(dim=(2, 3)).sum(0) for tensors, _ in batches), torch.zeros(())) / count  # [C]
    device = device_of(network)
    rise = torch.zeros(len(selection), dtype=torch.float64)
    for tensors, labels in batches:
        x, y = tensors.to(device), labels.to(device)  # [N, C, H, W], [N]
        whole = _loss(network, x, y)
        for channel in range(len(selection)):
            kept = x[:, channel].clone()
            x[:, channel] = mean[channel]
            rise[channel] += _loss(network, x, y) - whole
            x[:, channel] = kept
            if progress is not None:
                progress(len(labels))
    scores = {channel: (float(rise[n]) / count,) for n, channel in enumerate(selection)}
    return Ranking.of("loss", scores, f"rise of the loss on {counted(count, 'image')} without the channel")


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(nn.functional.cross_entropy(network(x), y, reduction="sum"))


@torch.no_grad()
def weight_ranking(classifier: Classifier) -> Ranking:
    """Rank channels by the L2 norm of all weights that multiply a channel in the first convolutions.

    These are the convolutions among the network's input layers that mix channels: in a ResNet `layer1.0.conv1` and the
    shortcut's. If a depthwise convolution and a batch norm come first, as in MobileNetV2, the norm's scale for a
    channel is a factor, because the norm undoes the depthwise filter's own scale. The comparison is fair only if the
    format normalizes the channels.

    Raises:
        ValueError: the model takes pixels, a PixelLayer makes them for it, or `create_model` did not build it.
    """
    selection = _selection(classifier)
    network = classifier.network
    if isinstance(network, GatedNetwork):
        network = network.network
    squares = torch.zeros(len(selection), dtype=torch.float64)
    scale = torch.ones_like(squares)
    first: list[str] = []
    alone = False  # whether the last convolution was depthwise
    for layer in adaptation_of(network).input_layers:
        for name, module in network.get_submodule(layer).named_modules(prefix=layer):
            if isinstance(module, nn.Conv2d):
                alone = module.groups > 1
                if not alone:
                    squares += module.weight.double().square().sum(dim=(0, 2, 3)).cpu()  # [out, C, kh, kw]
                    first.append(name)
            elif isinstance(module, nn.BatchNorm2d) and alone:
                scale = module.weight.double().abs().cpu()  # [C]
    if not first:
        raise ValueError(
            f"no convolution of {classifier.config.architecture} takes the channels themselves: its weights rank none"
        )
    norms = scale * squares.sqrt()
    scores = {channel: (float(norms[n]),) for n, channel in enumerate(selection)}
    return Ranking.of("weights", scores, f"L2 norm of the weights of {', '.join(first)}")


def _selection(classifier: Classifier) -> ChannelSelection:
    if classifier.config.format is None:
        raise ValueError("the model takes RGB pixels, so it has no frequency channels to rank")
    return classifier.config.format.selection
