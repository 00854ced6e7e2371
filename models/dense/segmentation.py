"""A class for each pixel from frequencies: torchvision's FCN and DeepLabV3 heads on a frequency ResNet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.segmentation.deeplabv3 import DeepLabHead
from torchvision.models.segmentation.fcn import FCNHead

from jpegfreq.models.analysis.evaluation import device_of
from jpegfreq.models.dense.detection import stage_widths
from jpegfreq.models.dense.scenes import CELL, IGNORE, SegmentationDataset
from jpegfreq.models.gate import ChannelGate, GatedNetwork
from jpegfreq.models.networks.create import create_model
from jpegfreq.models.readable import read_all

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = ["HEADS", "Head", "SegmentationNetwork", "SegmentationScores", "create_segmenter", "evaluate_segmentation"]

Head = Literal["fcn", "deeplabv3"]
HEADS: dict[str, Callable[[int, int], nn.Module]] = {"fcn": FCNHead, "deeplabv3": DeepLabHead}


class SegmentationNetwork(nn.Module):
    """A frequency ResNet's last stage and a head, under torchvision's names."""

    def __init__(self, backbone: nn.Module, classifier: nn.Module) -> None:
        """Combine a backbone, which returns {"out": [N, D, h, w]}, and a head."""
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [N, classes, 4 H, 4 W], one per pixel of the frame (scenes.py, Note [Frame])."""
        logits = self.classifier(self.backbone(x)["out"])  # [N, classes, H / 2, W / 2]
        size = (CELL * x.shape[2], CELL * x.shape[3])
        return nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def create_segmenter(
    architecture: str, *, format: TensorFormat, num_classes: int, head: Head = "fcn", gated: bool = False
) -> nn.Module:
    """Build a network that classifies each pixel of the frame, with new weights.

    Its last stage works at stride 8 of the frame, as in torchvision: layer3 and layer4 keep the grid and dilate their
    kernels by 2 and 4.

    Args:
        architecture: a ResNet or SE-ResNet of `architectures()`.
        format: the format of its input.
        num_classes: how many classes the masks have, without the unlabelled pixels.
        head: "fcn" or "deeplabv3".
        gated: whether to return a GatedNetwork.
    """
    if head not in HEADS:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, not {head!r}")
    network = create_model(architecture, format=format, num_classes=1)
    channels = len(format.selection)
    width = stage_widths(network, channels)[-1]
    for stage, dilation in (("layer3", 2), ("layer4", 4)):
        _dilate(network.get_submodule(stage), dilation)
    backbone = IntermediateLayerGetter(network, return_layers={"layer4": "out"})
    segmenter: nn.Module = SegmentationNetwork(backbone, HEADS[head](width, num_classes))
    return GatedNetwork(ChannelGate(channels), segmenter) if gated else segmenter


def _dilate(stage: nn.Module, dilation: int) -> None:
    """Let a stage keep its grid; its first block is dilated half as much as the others, as in torchvision."""
    for number, (_, block) in enumerate(stage.named_children()):
        step = dilation // 2 if number == 0 else dilation
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    module.dilation = module.padding = (step, step)


@dataclass(frozen=True)
class SegmentationScores:
    """How well masks were predicted, over all labelled pixels of all images.

    Attributes:
        pixel_accuracy: the share of pixels with the right class, 0 to 1.
        mean_iou: the intersection over union, the mean over the classes that occur in truth or prediction.
        left_out: how many images were unreadable.
    """

    pixel_accuracy: float
    mean_iou: float
    left_out: int = 0


@torch.inference_mode()
def evaluate_segmentation(
    network: nn.Module,
    dataset: SegmentationDataset,
    *,
    progress: Callable[[int], None] | None = None,
) -> SegmentationScores:
    """Score whole images, one at a time, in their own pixels.

    Args:
        network: from `create_segmenter`; left in evaluation mode.
        dataset: without `crop`; unreadable images are left out.
        progress: called with the number of images after each.

    Raises:
        ValueError: no image can be read.
    """
    device = device_of(network)
    network.eval()
    pairs = torch.zeros(0, dtype=torch.int64)
    count = 0
    unread: list[str] = []
    for tensor, mask in read_all(dataset, unread):
        logits = network(tensor[None].to(device))  # [1, classes, 4 H, 4 W]
        count = logits.shape[1]
        predicted = predict_mask(logits, (mask.shape[0], mask.shape[1])).cpu()
        known = mask != IGNORE
        new = torch.bincount(mask[known] * count + predicted[known], minlength=count * count)
        pairs = new if not len(pairs) else pairs + new
        if progress is not None:
            progress(1)
    return replace(scores_of(pairs.reshape(count, count)), left_out=len(unread))


def predict_mask(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the likeliest class of each pixel of an image: int64 [*size], from logits [1, classes, height, width]."""
    resized = nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return resized[0].argmax(0)


def scores_of(confusion: Tensor) -> SegmentationScores:
    """Return the scores of counted pixels [classes, classes]: rows are the truth, columns the prediction."""
    right = confusion.diag().double()
    union = confusion.sum(0) + confusion.sum(1) - confusion.diag()
    occurs = union > 0
    if not occurs.any():
        return SegmentationScores(0.0, 0.0)
    return SegmentationScores(float(right.sum() / confusion.sum()), float((right[occurs] / union[occurs]).mean()))
