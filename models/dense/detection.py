"""Boxes and instance masks from frequencies: torchvision's Faster and Mask R-CNN on a frequency ResNet with FPN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from jpegfreq.models.analysis.evaluation import device_of
from jpegfreq.models.dense.scenes import CELL, DetectionDataset, FrequencyImage
from jpegfreq.models.gate import ChannelGate, GateDecision
from jpegfreq.models.networks.create import create_model
from jpegfreq.models.readable import read_all

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat

__all__ = [
    "DetectionScores",
    "FrequencyDetector",
    "FrequencyTransform",
    "create_detector",
    "evaluate_detection",
    "stage_widths",
]

STAGES = ("layer1", "layer2", "layer3", "layer4")


def create_detector(
    architecture: str,
    *,
    format: TensorFormat,
    num_classes: int,
    instances: bool = False,
    gated: bool = False,
    gate_weight: float = 0.01,
) -> FasterRCNN:
    """Build a Faster R-CNN or a Mask R-CNN that takes frequencies, with new weights.

    It is called like torchvision's, with FrequencyImages in place of RGB tensors: `network(images, targets)` returns a
    dict of losses in training, and `network(images)` returns boxes, labels, scores (and masks) in evaluation, in pixels
    of the images. Anchors, heads and strides are torchvision's (Note [Frame]), and so are all parameter names except
    `backbone.gate`.

    Args:
        architecture: a ResNet or SE-ResNet of `architectures()`.
        format: the format of its input.
        num_classes: how many classes, background included.
        instances: whether to build a Mask R-CNN.
        gated: whether a ChannelGate stands before it; the dict of losses then has "loss_gate" too.
        gate_weight: loss_gate is this times the mean over images of the channels expected on.

    >>> network = create_detector("resnet50", format=TensorFormat(24), num_classes=91)
    """
    network = create_model(architecture, format=format, num_classes=1)
    channels = len(format.selection)
    backbone = FrequencyPyramid(network, channels, ChannelGate(channels) if gated else None)
    anchors = FrequencyAnchors(
        sizes=((32,), (64,), (128,), (256,), (512,)), aspect_ratios=((0.5, 1.0, 2.0),) * 5
    )  # torchvision's: one size per level, the fifth pooled from layer4
    kind = FrequencyMaskRCNN if instances else FrequencyFasterRCNN
    detector = kind(backbone, num_classes=num_classes, rpn_anchor_generator=anchors)
    detector.transform = FrequencyTransform()
    detector.gate_weight = gate_weight
    return detector


def stage_widths(network: nn.Module, channels: int) -> list[int]:
    """Return how many channels layer1 to layer4 have.

    Raises:
        ValueError: the network has no such stages.
    """
    children = dict(network.named_children())
    if not set(STAGES) <= set(children):
        raise ValueError(f"{type(network).__name__} has no stages {', '.join(STAGES)}: choose a ResNet")
    training = network.training
    network.eval()
    widths = []
    with torch.no_grad():
        x = torch.zeros(1, channels, 16, 16, device=device_of(network))
        for stage in STAGES:
            x = children[stage](x)
            widths.append(x.shape[1])
    network.train(training)
    return widths


class FrequencyPyramid(BackboneWithFPN):  # type: ignore[misc]
    """A gate, if any, a frequency ResNet's stages at strides 4, 8, 16, 32 of the frame, and FPN.

    Attributes:
        decision: the gate's decision for the last batch; None without a gate.
    """

    def __init__(self, network: nn.Module, channels: int, gate: ChannelGate | None) -> None:
        """Take the stages of a network."""
        super().__init__(
            network,
            return_layers={stage: str(level) for level, stage in enumerate(STAGES)},
            in_channels_list=stage_widths(network, channels),
            out_channels=256,
        )
        self.gate = gate
        self.decision: GateDecision | None = None

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return feature maps [N, 256, H / 2**level, W / 2**level] of a batch [N, C, H, W]."""
        if self.gate is not None:
            x, self.decision = self.gate(x)
        features: dict[str, Tensor] = super().forward(x)
        return features


class FrequencyTransform(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Stacks FrequencyImages, and moves boxes and masks to the frames; torchvision's postprocess moves them back.

    Images are padded to the batch's size with 0, which after normalization is the mean of a channel.
    """

    def __init__(self) -> None:
        """Neither resize nor normalize: the tensors are resized and normalized already."""
        super().__init__(min_size=0, max_size=0, image_mean=[], image_std=[], size_divisible=32 // CELL)

    def forward(
        self, images: Sequence[FrequencyImage], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        """Return tensors [N, C, H, W], H and W multiples of 8, and image_sizes and targets in pixels of the frames."""
        batch = self.batch_images([image.tensor for image in images], self.size_divisible)
        frames = [image.frame for image in images]
        if targets is None:
            return ImageList(batch, frames), None
        return ImageList(batch, frames), [
            _to_frame(target, image) for target, image in zip(targets, images, strict=True)
        ]


def _to_frame(target: dict[str, Tensor], image: FrequencyImage) -> dict[str, Tensor]:
    resized = {**target, "boxes": resize_boxes(target["boxes"], image.size, image.frame)}
    if "masks" in target:  # nearest pixel, as torchvision resizes them
        masks = target["masks"][:, None].float()
        resized["masks"] = (
            nn.functional.interpolate(masks, size=image.frame)[:, 0].byte()
            if len(masks)
            else (target["masks"].new_zeros((0, *image.frame)))
        )
    return resized


class FrequencyAnchors(AnchorGenerator):  # type: ignore[misc]
    """Torchvision's anchors, in pixels of the frame: strides come from the batch's size, which is in cells here."""

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        """Return the anchors of each image: float32 [anchors, 4]."""
        height, width = (CELL * cells for cells in image_list.tensors.shape[-2:])
        in_pixels = ImageList(image_list.tensors.new_empty((0, 0, height, width)), image_list.image_sizes)
        anchors: list[Tensor] = super().forward(in_pixels, feature_maps)
        return anchors


class FrequencyDetector:
    """Adds the gate's loss to those of a detector.

    Attributes:
        backbone: holds the gate and its last decision.
        gate_weight: the price of a channel; the training loop may change it.
    """

    training: bool
    backbone: FrequencyPyramid
    gate_weight: float

    def forward(self, images: Sequence[FrequencyImage], targets: Any = None) -> Any:
        """Return what torchvision's detector returns, with the gate's loss in training."""
        result = super().forward(list(images), targets)  # type: ignore[misc]
        decision = self.backbone.decision
        if self.training and decision is not None:
            result["loss_gate"] = self.gate_weight * decision.on_probability.sum(1).mean()
        return result


class FrequencyFasterRCNN(FrequencyDetector, FasterRCNN):  # type: ignore[misc]
    """Faster R-CNN for FrequencyImages."""


class FrequencyMaskRCNN(FrequencyDetector, MaskRCNN):  # type: ignore[misc]
    """Mask R-CNN for FrequencyImages."""


@dataclass(frozen=True)
class DetectionScores:
    """COCO's average precision, the mean over the classes that occur, 0 to 1; -1 if there is no box to find.

    Attributes:
        box: the mean over the IoU thresholds 0.5 to 0.95.
        box_50: at IoU 0.5.
        mask: as `box`, of instance masks; None for a Faster R-CNN.
        mask_50: as `box_50`, of instance masks.
        left_out: how many images were unreadable.
    """

    box: float
    box_50: float
    mask: float | None = None
    mask_50: float | None = None
    left_out: int = 0


@torch.inference_mode()
def evaluate_detection(
    network: nn.Module, dataset: DetectionDataset, *, progress: Callable[[int], None] | None = None
) -> DetectionScores:
    """Measure the average precision with torchmetrics, image by image.

    Args:
        network: from `create_detector`; left in evaluation mode.
        dataset: without flips; with instances for a Mask R-CNN. Unreadable images are left out.
        progress: called with the number of images after each.

    Raises:
        ImportError: torchmetrics or pycocotools is missing.
        ValueError: no image can be read.
    """
    from torchmetrics.detection import MeanAveragePrecision

    device = device_of(network)
    network.eval()
    precision = MeanAveragePrecision(iou_type=("bbox", "segm") if dataset.instances else "bbox")
    unread: list[str] = []
    for image, target in read_all(dataset, unread):
        (found,) = network([image.to(device)])
        found = {name: value.cpu() for name, value in found.items()}
        if dataset.instances:
            found["masks"] = found["masks"][:, 0] > 0.5  # [M, 1, height, width] of probabilities
            target["masks"] = target["masks"].bool()
        precision.update([found], [target])
        if progress is not None:
            progress(1)
    scores = precision.compute()
    means = {name: float(value) for name, value in scores.items() if value.numel() == 1}
    if dataset.instances:
        masks = (means["segm_map"], means["segm_map_50"])
        return DetectionScores(means["bbox_map"], means["bbox_map_50"], *masks, left_out=len(unread))
    return DetectionScores(means["map"], means["map_50"], left_out=len(unread))
