"""Rankings that need no gate: what a channel's absence costs a trained model, and the weight that meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq.models.analysis.evaluation import Progress, device_of, evaluation_batches, labelled_for
from jpegfreq.models.analysis.ranking import Ranking
from jpegfreq.models.gate import GatedNetwork
from jpegfreq.models.networks.adapt import adaptation_of
from jpegfreq.torch import Images

if TYPE_CHECKING:
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.models.checkpoint import Classifier

__all__ = ["loss_ranking", "sample_images", "weight_ranking"]


def sample_images(images: Images, count: int, *, seed: int = 0) -> Images:
    """So many of the images, drawn at random; all where there are no more."""
    if count >= len(images):
        return images
    chosen = sorted(np.random.default_rng(seed).permutation(len(images))[:count].tolist())
    return Images(
        tuple(images.paths[n] for n in chosen),
        tuple(images.labels[n] for n in chosen),
        tuple(images.spans[n] for n in chosen) if images.spans else (),
        tuple(images.names[n] for n in chosen) if images.names else (),
        images.classes,
    )


@torch.inference_mode()
def loss_ranking(
    classifier: Classifier,
    images: Images,
    *,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ranking:
    """Rank by what a channel's absence costs: the rise of the cross-entropy when it is replaced by its mean.

    The mean is that over the images given, so with a format that normalizes it is near zero. One pass over the images
    for each channel, so take a sample (`sample_images`): a few hundred images tell the larger channels apart.

    Args:
        classifier: a trained model on frequency channels.
        images: labelled, by the names of the model's classes or by their numbers.
        batch_size: images at a time.
        threads: native threads that read; None for one a core.
        progress: called with (images times channels) after each step.

    Raises:
        ValueError: the model takes pixels or lacks a class of the images, or no image could be read.
    """
    selection = _selection(classifier)
    images = labelled_for(classifier, images)
    network = classifier.network.eval()
    batches = [
        (tensors.cpu(), batch.labels)
        for tensors, batch in evaluation_batches(classifier, images, batch_size=batch_size, threads=threads)
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
    return Ranking.of("loss", scores, f"rise of the loss on {count} images without the channel")


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> float:
    return float(nn.functional.cross_entropy(network(x), y, reduction="sum"))


@torch.no_grad()
def weight_ranking(classifier: Classifier) -> Ranking:
    """Rank by the weights of the first convolutions: the L2 norm of all weights that multiply a channel.

    First are all that mix the input's channels: in a ResNet `layer1.0.conv1` and the shortcut's. MobileNetV2 filters
    each channel alone before; the batch norm in between takes away what size the filter gives it and puts its own scale
    there, which is therefore a factor. Norms compare channels fairly only where the format normalizes them.

    Raises:
        ValueError: the model takes pixels, or is none of `create_model`.
    """
    selection = _selection(classifier)
    network = classifier.network
    if isinstance(network, GatedNetwork):
        network = network.network
    squares = torch.zeros(len(selection), dtype=torch.float64)
    scale = torch.ones_like(squares)
    first: list[str] = []
    alone = False  # the last convolution filtered each channel alone
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
        raise ValueError(f"no convolution of {classifier.config.architecture} is known to see the input channels")
    norms = scale * squares.sqrt()
    scores = {channel: (float(norms[n]),) for n, channel in enumerate(selection)}
    return Ranking.of("weights", scores, f"L2 norm of the weights of {', '.join(first)}")


def _selection(classifier: Classifier) -> ChannelSelection:
    if classifier.config.format is None:
        raise ValueError("the model takes RGB pixels: it has no frequency channels to rank")
    return classifier.config.format.selection
