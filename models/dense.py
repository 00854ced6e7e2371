"""Train a network for boxes, instance masks or semantic masks: one visible loop over a frozen config."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import load_network, save_model
from jpegfreq.models.detection import DetectionScores, create_detector, evaluate_detection
from jpegfreq.models.evaluation import device_of
from jpegfreq.models.gate import GatedOutput
from jpegfreq.models.heatmap import HeatMap, heat_map_of
from jpegfreq.models.scenes import (
    CELL,
    IGNORE,
    DetectionDataset,
    FrequencyImage,
    Scene,
    SegmentationDataset,
    box_class_count,
    mask_classes,
    measure_statistics,
    read_frequencies,
    read_scenes,
)
from jpegfreq.models.segmentation import (
    Head,
    SegmentationScores,
    create_segmenter,
    evaluate_segmentation,
    predict_mask,
)

__all__ = ["TASKS", "DenseConfig", "DenseModel", "DenseTraining", "dense_heat_map", "load_dense", "train_dense"]

Task = Literal["detection", "instances", "segmentation"]
TASKS: tuple[Task, ...] = ("detection", "instances", "segmentation")
_VERSION = 1


@dataclass(frozen=True)
class DenseConfig:
    """All that is needed to build a network for boxes or masks, and to feed it.

    Attributes:
        task: "detection" (Faster R-CNN), "instances" (Mask R-CNN) or "segmentation".
        architecture: a ResNet of `create_model`.
        format: of its input, with statistics.
        classes: for segmentation the mask's number of each class; else 0, 1 ... of background and the boxes' classes.
        shorter_side: of the frame, as for `frame_of`.
        longer_side: of the frame.
        head: "fcn" or "deeplabv3"; for segmentation.
        gated: with a ChannelGate.
        gate_weight: of the gate's loss, per channel expected on.
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
        """Check the task."""
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")
        if not self.classes:
            raise ValueError("there is no class to learn")

    def create(self) -> nn.Module:
        """The network, with new weights."""
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

    def to_json(self) -> str:
        """As JSON text; `from_json` gives an equal config back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["format"] = json.loads(self.format.to_json())
        return json.dumps({"jpegfreq_dense_checkpoint": _VERSION, **values}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> DenseConfig:
        """From the text of `to_json`.

        Raises:
            ValueError: it is no such text, or a newer version wrote it.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or values.pop("jpegfreq_dense_checkpoint", None) != _VERSION:
            raise ValueError(f"it has no field jpegfreq_dense_checkpoint of version {_VERSION}")
        if set(values) != {f.name for f in fields(cls)}:
            raise ValueError("its fields are not those of this version")
        return cls(**{**values, "format": TensorFormat.from_json(json.dumps(values["format"]))})


@dataclass(frozen=True)
class DenseModel:
    """A network for boxes or masks and what feeds it.

    Attributes:
        config: what it was made with.
        network: in evaluation mode.
    """

    config: DenseConfig
    network: nn.Module

    @torch.inference_mode()
    def predict(self, image: str | os.PathLike[str] | bytes) -> dict[str, Tensor]:
        """From a JPEG to what is in it, in pixels of the image.

        Returns:
            "boxes" [M, 4], "labels" (class + 1) and "scores" [M], for instances "masks" [M, 1, height, width] of
            probabilities; for segmentation "mask" int64 [height, width] of the class numbers of the masks.
        """
        picture = self.read(image).to(device_of(self.network))
        if self.config.task != "segmentation":
            (found,) = self.network([picture])
            return dict(found)
        mask = predict_mask(self.network(picture.tensor[None]), picture.size)
        return {"mask": torch.tensor(self.config.classes, device=mask.device)[mask]}

    def read(self, image: str | os.PathLike[str] | bytes) -> FrequencyImage:
        """A JPEG as the network takes it."""
        config = self.config
        return read_frequencies(image, config.format, shorter_side=config.shorter_side, longer_side=config.longer_side)


def load_dense(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> DenseModel:
    """Read the checkpoint of a network for boxes or masks.

    Raises:
        CheckpointError: as `load_model`.
    """
    config, network = load_network(folder, DenseConfig.from_json)
    return DenseModel(config, network.to(device).eval())


@torch.inference_mode()
def dense_heat_map(
    model: DenseModel,
    scenes: tuple[Scene, ...],
    *,
    progress: Callable[[int], None] | None = None,
    source: str = "",
) -> HeatMap:
    """How often the gate turns each channel on, over whole images: the paper's heat map of segmentation.

    Args:
        model: trained with a gate.
        scenes: to look at; masks and boxes are not read.
        progress: called with the number of images after each.
        source: what to remember it by.

    Raises:
        ValueError: the model has no gate.
    """
    if not model.config.gated:
        raise ValueError("the model has no gate, so no channel is ever off")
    gate = _gate(model.network.eval())

    def decisions() -> Iterator[Any]:
        for scene in scenes:
            yield gate(model.read(scene.image).tensor[None].to(device_of(gate)))[1]
            if progress is not None:
                progress(1)

    return heat_map_of(decisions(), model.config.format.selection, source)


def _gate(network: nn.Module) -> nn.Module:
    """The gate of a GatedNetwork or of a detector's backbone."""
    holder = network if hasattr(network, "gate") else network.get_submodule("backbone")
    return holder.get_submodule("gate")


@dataclass(frozen=True)
class DenseTraining:
    """What to train, on what, for how long.

    Attributes:
        task: as in DenseConfig.
        data: folder of images/, masks/ and boxes/.
        validation: another such folder.
        out: folder for the run: last/ (checkpoint), log.csv, and with a gate heatmap.json.
        architecture: as in DenseConfig.
        format: without statistics they are measured on the training pictures.
        shorter_side: of the frame; for segmentation the side of the square crops too.
        longer_side: of the frame.
        head: as in DenseConfig.
        epochs: over the training pictures.
        batch_size: pictures a step.
        learning_rate: of AdamW at the start; it falls to 0 along a cosine.
        gate_learning_rate: of the gate.
        gated: as in DenseConfig.
        gate_weight: as in DenseConfig.
        seed: of weights, order, crops and flips.
        workers: processes that read.
        device: where to train.
    """

    task: Task
    data: str
    validation: str
    out: str
    architecture: str = "resnet18"
    format: TensorFormat = field(default_factory=TensorFormat)
    shorter_side: int = 400
    longer_side: int = 667
    head: Head = "fcn"
    epochs: int = 20
    batch_size: int = 4
    learning_rate: float = 1e-3
    gate_learning_rate: float = 1e-2
    gated: bool = False
    gate_weight: float = 0.01
    seed: int = 0
    workers: int = 0
    device: str = "cpu"


Scores = DetectionScores | SegmentationScores
Report = Callable[[int, dict[str, float]], None]


def train_dense(
    training: DenseTraining, *, step: Callable[[int], None] | None = None, report: Report | None = None
) -> tuple[DenseModel, Scores]:
    """Train, save and score.

    Args:
        training: what to do.
        step: called with the number of images after each step.
        report: called after each epoch with its number and its mean losses, by name.

    Returns:
        The model, and its scores on the validation pictures.
    """
    torch.manual_seed(training.seed)
    scenes, validation = read_scenes(training.data), read_scenes(training.validation)
    config = dense_config(training, scenes)
    train_set, held_out = _datasets(training, config, scenes, validation)
    held_out[0]  # a broken validation folder is an error now, not after the last epoch
    network = config.create().to(training.device)
    gate = list(_gate(network).parameters()) if config.gated else []
    in_gate = {id(parameter) for parameter in gate}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in in_gate]
    optimizer = torch.optim.AdamW(
        [{"params": rest, "lr": training.learning_rate}, {"params": gate, "lr": training.gate_learning_rate}]
    )
    loader: DataLoader[Any] = DataLoader(
        train_set,
        training.batch_size,
        shuffle=True,
        drop_last=len(train_set) > training.batch_size,
        num_workers=training.workers,
        collate_fn=_collate,
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.epochs * len(loader))
    out = Path(training.out)
    out.mkdir(parents=True, exist_ok=True)
    log: list[dict[str, float]] = []
    for epoch in range(training.epochs):
        start = time.perf_counter()
        network.train()
        sums: dict[str, float] = {}
        for batch in loader:
            losses = _losses(network, batch, config, training.device)
            loss = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {float(loss)} in epoch {epoch}: try a lower learning rate")
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach()) / len(loader)
            if step is not None:
                step(len(batch[0]))
        log.append(
            {"epoch": epoch, "seconds": round(time.perf_counter() - start, 2), "loss": sum(sums.values()), **sums}
        )
        _write_log(out / "log.csv", log)
        save_model(out / "last", network, config)
        if report is not None:
            report(epoch, log[-1])
    model = DenseModel(config, network.eval())
    scores: Scores
    if isinstance(held_out, SegmentationDataset):
        scores = evaluate_segmentation(network, held_out)
    else:
        scores = evaluate_detection(network, held_out)
    if config.gated:
        dense_heat_map(model, validation, source=f"{out.name}, {training.validation}").save(out / "heatmap.json")
    (out / "scores.json").write_text(json.dumps(vars(scores)) + "\n", encoding="utf-8")
    return model, scores


def dense_config(training: DenseTraining, scenes: tuple[Scene, ...]) -> DenseConfig:
    """What the data say about the network: its classes, and its statistics where the format has none."""
    sides = {"shorter_side": training.shorter_side, "longer_side": training.longer_side}
    format = training.format
    if format.statistics is None:
        format = replace(format, statistics=measure_statistics(scenes, chroma=format.chroma, **sides))
    if training.task == "segmentation":
        classes = mask_classes(scenes)
    else:
        count = box_class_count(scenes)
        if count < 2:
            raise ValueError(f"no picture of {training.data} has a box")
        classes = tuple(range(count))
    return DenseConfig(
        training.task,
        training.architecture,
        format,
        classes,
        head=training.head,
        gated=training.gated,
        gate_weight=training.gate_weight,
        **sides,
    )


def _datasets(
    training: DenseTraining, config: DenseConfig, scenes: tuple[Scene, ...], validation: tuple[Scene, ...]
) -> tuple[DetectionDataset | SegmentationDataset, DetectionDataset | SegmentationDataset]:
    sides = (config.shorter_side, config.longer_side)
    if config.task == "segmentation":
        side = config.shorter_side // CELL * CELL
        return (
            SegmentationDataset(scenes, config.classes, format=config.format, crop=(side, side)),
            SegmentationDataset(
                validation, config.classes, format=config.format, shorter_side=sides[0], longer_side=sides[1]
            ),
        )
    train, held_out = (
        DetectionDataset(
            pictures,
            format=config.format,
            shorter_side=sides[0],
            longer_side=sides[1],
            flip=flip,
            instances=config.task == "instances",
        )
        for pictures, flip in ((scenes, True), (validation, False))
    )
    return train, held_out


def _collate(samples: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Tensors and masks of one size are stacked, images and targets listed."""
    images, targets = (list(part) for part in zip(*samples, strict=True))
    return (torch.stack(images), torch.stack(targets)) if isinstance(images[0], Tensor) else (images, targets)


def _losses(network: nn.Module, batch: tuple[Any, Any], config: DenseConfig, device: str) -> dict[str, Tensor]:
    """Every loss of a batch by name; the training loss is their sum."""
    images, targets = batch
    if config.task != "segmentation":
        on_device = [{name: value.to(device) for name, value in target.items()} for target in targets]
        losses: dict[str, Tensor] = network([image.to(device) for image in images], on_device)
        return losses
    output = network(images.to(device))
    logits = output.logits if isinstance(output, GatedOutput) else output  # [N, classes, height, width]
    mask = targets.to(device)
    # Not the mean that cross_entropy takes: a batch without a labelled pixel would be 0 / 0.
    pixels = (mask != IGNORE).sum().clamp(min=1)
    losses = {"loss_mask": nn.functional.cross_entropy(logits, mask, ignore_index=IGNORE, reduction="sum") / pixels}
    if isinstance(output, GatedOutput):
        losses["loss_gate"] = config.gate_weight * output.gate.on_probability.sum(1).mean()
    return losses


def _write_log(path: Path, log: list[dict[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)
