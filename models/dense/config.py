"""Networks for boxes, instance masks or semantic masks: their description, predictions and heat maps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from jpegfreq._files import read_text
from jpegfreq._json import parse_json
from jpegfreq.format import TensorFormat
from jpegfreq.models.analysis.evaluation import device_of
from jpegfreq.models.analysis.heatmap import HeatMap, heat_map_of
from jpegfreq.models.checkpoint import CONFIG, load_network, read_format
from jpegfreq.models.dense.detection import create_detector
from jpegfreq.models.dense.scenes import READ_ERRORS, FrequencyImage, read_frequencies
from jpegfreq.models.dense.segmentation import Head, create_segmenter, predict_mask
from jpegfreq.models.gate import ChannelGate, GatedNetwork
from jpegfreq.torch import Images

__all__ = [
    "TASKS",
    "DenseConfig",
    "DenseModel",
    "Task",
    "body_of",
    "dense_heat_map",
    "gate_of",
    "is_dense",
    "load_dense",
]

Task = Literal["detection", "instances", "segmentation"]
TASKS: tuple[Task, ...] = ("detection", "instances", "segmentation")
_KIND, _VERSION = "jpegfreq_dense_checkpoint", 1


@dataclass(frozen=True)
class DenseConfig:
    """How to build a network for boxes or masks, and to prepare its input.

    Attributes:
        task: "detection" (Faster R-CNN), "instances" (Mask R-CNN) or "segmentation".
        architecture: a ResNet of `create_model`.
        format: the format of its input, with statistics.
        classes: for segmentation the mask's number of each class; otherwise 0 for background and 1, 2 ... for the
            classes of the boxes.
        shorter_side: of the frame, as for `frame_of`.
        longer_side: of the frame.
        head: "fcn" or "deeplabv3"; for segmentation.
        gated: whether a ChannelGate stands before the network.
        gate_weight: the price in the training loss of each channel that is expected on.
    """

    task: Task
    architecture: str
    format: TensorFormat
    classes: tuple[int, ...]
    shorter_side: int
    longer_side: int
    head: Head = "fcn"
    gated: bool = False
    gate_weight: float = 0.01

    def __post_init__(self) -> None:
        """Check everything that can be checked without building the network."""
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")
        if not self.classes:
            raise ValueError("classes is empty: the data hold no class to learn")

    def create(self) -> nn.Module:
        """Build the network with new weights."""
        if self.task == "segmentation":
            return create_segmenter(
                self.architecture,
                format=self.format,
                num_classes=len(self.classes),
                head=self.head,
                gated=self.gated,
            )
        detector: nn.Module = create_detector(
            self.architecture,
            format=self.format,
            num_classes=len(self.classes),
            instances=self.task == "instances",
            gated=self.gated,
            gate_weight=self.gate_weight,
        )
        return detector

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON, with the version of this layout."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"classes": list(self.classes), "format": self.format.to_dict()}
        return {_KIND: _VERSION, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DenseConfig:
        """Build the config that `to_dict` described.

        Raises:
            ValueError: the values are not a config, or a newer version wrote them.
        """
        if values.get(_KIND) != _VERSION:
            raise ValueError(f"it has no field {_KIND} of version {_VERSION}")
        given = {name: value for name, value in values.items() if name != _KIND}
        if set(given) != {f.name for f in fields(cls)}:
            raise ValueError("its fields are not those of this version")
        return cls(**{**given, "format": read_format(given["format"])})

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> DenseConfig:
        """Build the config that `to_json` described.

        Raises:
            ValueError: the text is not JSON, or as `from_dict`.
        """
        values = parse_json(text)
        if not isinstance(values, dict):
            raise ValueError("it must be a JSON object")
        return cls.from_dict(values)


@dataclass(frozen=True)
class DenseModel:
    """A network for boxes or masks, ready to predict.

    Attributes:
        config: how it was built, and how its input is prepared.
        network: the network, in evaluation mode.
    """

    config: DenseConfig
    network: nn.Module

    @torch.inference_mode()
    def predict(self, image: str | os.PathLike[str] | bytes) -> dict[str, Tensor]:
        """Find what is in a JPEG, in pixels of the image.

        Returns:
            "boxes" [M, 4], "labels" (class + 1) and "scores" [M], for instances "masks" [M, 1, height, width] of
            probabilities; for segmentation "mask" int64 [height, width] of the class numbers of the masks.
        """
        frequencies = self.read(image).to(device_of(self.network))
        if self.config.task != "segmentation":
            (found,) = self.network([frequencies])
            return dict(found)
        mask = predict_mask(self.network(frequencies.tensor[None]), frequencies.size)
        return {"mask": torch.tensor(self.config.classes, device=mask.device)[mask]}

    def read(self, image: str | os.PathLike[str] | bytes) -> FrequencyImage:
        """Read a JPEG as the network takes it."""
        config = self.config
        return read_frequencies(image, config.format, shorter_side=config.shorter_side, longer_side=config.longer_side)


def is_dense(folder: str | os.PathLike[str]) -> bool:
    """Return whether a checkpoint holds a network for boxes or masks."""
    try:
        return _KIND in parse_json(read_text(Path(folder) / CONFIG))
    except (OSError, ValueError, TypeError):
        return False  # whoever reads it reports what is wrong


def load_dense(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> DenseModel:
    """Read the checkpoint of a network for boxes or masks onto a device.

    Raises:
        CheckpointError: as `load_model`.
    """
    config, network = load_network(folder, DenseConfig.from_json)
    return DenseModel(config, network.to(device).eval())


@torch.inference_mode()
def dense_heat_map(
    model: DenseModel,
    images: Images,
    *,
    progress: Callable[[int], None] | None = None,
    on_unread: Callable[[str], None] | None = None,
    source: str = "",
) -> HeatMap:
    """Count how often the gate turns each channel on, over whole images: the paper's heat map of segmentation.

    Args:
        model: a model with a gate.
        images: the images; labels are ignored, and unreadable images are left out.
        progress: called with the number of images after each.
        on_unread: called with a message for each unreadable image.
        source: a description that is stored with the heat map.

    Raises:
        ValueError: the model has no gate, or no image can be read.
    """
    if not model.config.gated:
        raise ValueError("the model has no gate, so no channel is ever off")
    gate = gate_of(model.network.eval())

    def decisions() -> Iterator[Any]:
        for index in range(len(images)):
            try:
                yield gate(model.read(images.read(index)).tensor[None].to(device_of(gate)))[1]
            except READ_ERRORS as error:
                if on_unread is not None:
                    on_unread(f"{images.name(index)}: {error}")
            if progress is not None:
                progress(1)

    return heat_map_of(decisions(), model.config.format.selection, source)


def gate_of(network: nn.Module) -> ChannelGate:
    """Return the gate of a GatedNetwork or of a detector's backbone."""
    holder = network if hasattr(network, "gate") else network.get_submodule("backbone")
    gate = holder.get_submodule("gate")
    assert isinstance(gate, ChannelGate)
    return gate


def body_of(network: nn.Module) -> nn.Module:
    """Return the stages of the frequency ResNet, under torchvision's names, in a network of `DenseConfig.create`."""
    holder = network.network if isinstance(network, GatedNetwork) else network
    backbone = holder.get_submodule("backbone")
    return backbone.get_submodule("body") if hasattr(backbone, "body") else backbone
