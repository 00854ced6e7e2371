"""Run RGB detectors and segmenters on the frequencies of whole images, with the same outputs and without retraining.

A PixelLayer stands in front of the untouched network (pixel_layer.py, Note [Fixed front end]). The blocks of an image
reach up to 7 pixels beyond its edges; these are cut off, so that the network sees images of their true size. Boxes and
masks are in pixels of the image, as usual.
"""

from __future__ import annotations

import copy
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from jpegfreq._arguments import check_type
from jpegfreq._resample import resample
from jpegfreq._words import counted
from jpegfreq.assembly.tensor import to_frequency_tensor
from jpegfreq.coefficients import read_coefficients
from jpegfreq.crops import Window, center_crop_window
from jpegfreq.format import TensorFormat
from jpegfreq.models.frontend import checked_mean_and_std
from jpegfreq.models.pixel_layer import PixelLayer

__all__ = ["FrequencyDenseNetwork", "WholeImage", "from_rgb_dense", "read_whole"]


@dataclass(frozen=True)
class WholeImage:
    """The frequencies of a whole image of any size. FrequencyImage is for the networks of `create_detector`.

    Attributes:
        tensor: [C, height / 8, width / 8], rounded up.
        size: (height, width) in pixels, in which boxes and masks are given.
    """

    tensor: Tensor
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Check that the tensor has the blocks of an image of this size."""
        grid = tuple(-(-side // 8) for side in self.size)
        if self.tensor.ndim != 3 or tuple(self.tensor.shape[1:]) != grid:
            raise ValueError(
                f"an image of height {self.size[0]} x width {self.size[1]} pixels has a tensor of [C, {grid[0]}, "
                f"{grid[1]}], not {list(self.tensor.shape)}"
            )

    def to(self, device: str | torch.device) -> WholeImage:
        """Return the same image on a device."""
        return WholeImage(self.tensor.to(device), self.size)


def read_whole(
    image: str | os.PathLike[str] | bytes, format: TensorFormat | None = None, *, shorter_side: int | None = None
) -> WholeImage:
    """Read a whole JPEG without decoding pixels, in its own size or resized.

    Args:
        image: a JPEG file.
        format: of the tensor; None for all 192 channels without statistics.
        shorter_side: the length in pixels to which the shorter side is resized, bilinear and rounded as torchvision's
            Resize does it; its weights for segmentation expect 520. None keeps the size: detectors resize themselves.

    Raises:
        JpegError, OSError: the file cannot be read.
    """
    format = TensorFormat.of(format)
    coefficients = read_coefficients(image)
    size = (coefficients.header.height, coefficients.header.width)
    if shorter_side is None:
        array = to_frequency_tensor(coefficients, format)
    else:
        size = center_crop_window(*size, (1, 1), shorter_side=shorter_side).resized
        array = resample(coefficients, Window(size, 0, 0, size), size, format=format)
    tensor = torch.from_numpy(array)
    return WholeImage(tensor.permute(2, 0, 1) if format.layout == "HWC" else tensor, size)


class FrequencyDenseNetwork(nn.Module):
    """An RGB detector or segmenter on the frequencies of whole images; `from_rgb_dense` makes it.

    Attributes:
        format: the format of its input.
        front: the PixelLayer.
        network: a copy of the RGB network, untouched: its weights load with `network.load_state_dict`.
    """

    def __init__(self, front: PixelLayer, network: nn.Module, format: TensorFormat) -> None:
        """Join the two parts."""
        super().__init__()
        self.front = front
        self.network = network
        self.format = format

    def forward(self, images: Sequence[WholeImage], targets: Sequence[dict[str, Tensor]] | None = None) -> Any:
        """Run the network on images of any sizes.

        Args:
            images: the images.
            targets: for a detector in training: a dict per image, as torchvision describes it, with boxes and masks in
                pixels of the image.

        Returns:
            For a detector what torchvision's returns: a dict per image in evaluation ("boxes", "labels", "scores" ...),
            a dict of losses in training. For a segmenter a dict per image, of which "out" is [classes, height, width].
            Images of one size go through a segmenter together, as one batch.
        """
        pixels = [self.pixels(image) for image in images]
        if _is_detector(self.network):
            return self.network(pixels, None if targets is None else list(targets))
        if targets is not None:
            raise ValueError("a segmenter takes no targets: compute the loss of its outputs")
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number, image in enumerate(images):
            groups[image.size].append(number)
        found: list[dict[str, Tensor]] = [{} for _ in images]
        for numbers in groups.values():
            outputs = self.network(torch.stack([pixels[number] for number in numbers]))
            for place, number in enumerate(numbers):
                found[number] = {name: output[place] for name, output in outputs.items()}
        return found

    def pixels(self, image: WholeImage) -> Tensor:
        """Return what the RGB network would be given: [3, height, width]."""
        if image.tensor.shape[0] != len(self.format.selection):
            raise ValueError(
                f"the images have {counted(image.tensor.shape[0], 'channel')}, but the network takes "
                f"{len(self.format.selection)}"
            )
        height, width = image.size
        pixels: Tensor = self.front(image.tensor[None])[0, :, :height, :width]
        return pixels

    def __repr__(self) -> str:
        """Name the network and its input, not the network's layers."""
        channels = len(self.format.selection)
        return f"FrequencyDenseNetwork({type(self.network).__name__}, {counted(channels, 'channel')} of whole images)"


def from_rgb_dense(
    network: nn.Module,
    *,
    format: TensorFormat | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> FrequencyDenseNetwork:
    """Make an RGB detector or segmenter of torchvision take the frequencies of whole images; its outputs stay the same.

    Args:
        network: a detector (Faster, Mask or Keypoint R-CNN, RetinaNet, FCOS, SSD), which takes a list of images with
            pixels from 0 to 1 and resizes and normalizes them itself; or a segmenter (FCN, DeepLabV3, LR-ASPP), which
            takes [N, 3, height, width] and returns a dict of maps. It is not changed; the result holds a copy.
        format: the format of the tensors to come; None for all 192 channels without statistics. Missing channels are
            taken to be at their mean.
        mean: for a segmenter, the mean of R, G and B that its input was normalized with, for pixels from 0 to 1. A
            detector normalizes for itself.
        std: for a segmenter, the standard deviation, likewise.

    Returns:
        A module on the network's device and in its precision, which takes a list of `WholeImage`.

    Raises:
        ValueError: a segmenter without mean and std, or a detector with them.

    >>> detector = from_rgb_dense(torchvision.models.detection.maskrcnn_resnet50_fpn(weights="DEFAULT").eval())
    >>> detector([read_whole("photo.jpg")])[0]["boxes"]
    """
    check_type("network", network, nn.Module, " of torch.nn")
    if _is_detector(network):
        if mean is not None or std is not None:
            raise ValueError(f"{type(network).__name__} normalizes its images itself: mean and std must be None")
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean, std = checked_mean_and_std(mean, std)
    format = TensorFormat.of(format)
    weights = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    front = PixelLayer(format, None, mean=mean, std=std).to(weights.device, weights.dtype)
    made = FrequencyDenseNetwork(front, copy.deepcopy(network), format)
    made.training = network.training  # its layers keep their own modes: some may be frozen
    return made


def _is_detector(network: nn.Module) -> bool:
    return isinstance(getattr(network, "transform", None), GeneralizedRCNNTransform)
