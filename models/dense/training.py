"""Train a network for boxes, instance masks or semantic masks: one visible loop over a frozen config."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from jpegfreq._files import write_whole
from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import save_model
from jpegfreq.models.dense.config import DenseConfig, DenseModel, Task, body_of, dense_heat_map, gate_of
from jpegfreq.models.dense.detection import DetectionScores, FrequencyDetector, evaluate_detection
from jpegfreq.models.dense.scenes import (
    CELL,
    IGNORE,
    DetectionDataset,
    Scene,
    SegmentationDataset,
    box_class_count,
    mask_classes,
    measure_statistics,
    read_scenes,
)
from jpegfreq.models.dense.segmentation import Head, SegmentationScores, evaluate_segmentation
from jpegfreq.models.gate import GateDecision, GatedOutput
from jpegfreq.models.pretrained import Pretrained, load_pretrained, read_pretrained
from jpegfreq.models.readable import Readable, Unread, check_readable, sound_scenes
from jpegfreq.models.training.run_folder import STATE, begin_run, check_run_folder, read_state
from jpegfreq.models.training.target import TargetControl, decision_weight, indecision, sharpened_count
from jpegfreq.torch import file_list

__all__ = ["DenseObserver", "DenseTraining", "Scores", "dense_config", "train_dense"]

_LOG = "log.csv"
_NAMED = 10  # pictures that cannot be read, of each folder

Scores = DetectionScores | SegmentationScores


@dataclass(frozen=True)
class DenseTraining:
    """What to train, on what, for how long.

    Attributes:
        task: as in DenseConfig.
        data: folder of images/, masks/ and boxes/.
        validation: another such folder.
        out: folder for the run: last/ (checkpoint), log.csv, scores.json, and with a gate heatmap.json.
        architecture: as in DenseConfig.
        format: without statistics those of `weights` are taken, or else measured on the training pictures.
        shorter_side: of the frame; for segmentation the side of the square crops too.
        longer_side: of the frame.
        head: as in DenseConfig.
        epochs: over the training pictures.
        batch_size: pictures a step.
        learning_rate: of AdamW at the start; it falls to 0 along a cosine.
        gate_learning_rate: of SGD with momentum, for the gate, until the last fifth of the training, over which it
            falls to 0: in the some hundred steps that few pictures make, a slower gate does not reach its target.
        gated: as in DenseConfig.
        gate_weight: as in DenseConfig; unused with target_channels.
        target_channels: mean number of channels on, by argmax, that the gate's weight is steered to (target.py); None
            keeps the weight.
        weights: what the backbone starts from, as for `read_pretrained`; None for new weights.
        seed: of weights, order, crops, flips and gate samples.
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
    gate_learning_rate: float = 1.0
    gated: bool = False
    gate_weight: float = 0.01
    target_channels: float | None = None
    weights: str | None = None
    seed: int = 0
    workers: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Check what can be checked without reading anything."""
        for name in ("epochs", "batch_size", "shorter_side", "longer_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "gate_learning_rate", "gate_weight"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number from 0 on, not {getattr(self, name)}")
        if self.fewest > self.batch_size:
            raise ValueError("a gate and DeepLabV3's head take means over a batch: batch_size must be at least 2")
        if self.target_channels is not None:
            count = len(self.format.selection)
            if not self.gated:
                raise ValueError("target_channels steers a gate: set gated too")
            if not 0 < self.target_channels <= count:
                raise ValueError(f"target_channels must lie above 0 and be at most {count}, not {self.target_channels}")

    @property
    def fewest(self) -> int:
        """How many pictures a step needs: batch norms over a single cell need two."""
        return 2 if self.gated or (self.task == "segmentation" and self.head == "deeplabv3") else 1

    def to_json(self) -> str:
        """As JSON text; `from_json` gives an equal value back."""
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        return json.dumps({**values, "format": self.format.to_dict()}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> DenseTraining:
        """From the text of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{**values, "format": TensorFormat.from_dict(values["format"])})


class DenseObserver(Protocol):
    """Who is told how a run goes."""

    def note(self, text: str) -> None:
        """Something worth showing: weights taken over, a picture that cannot be read."""

    def begin(self, training: DenseTraining, steps: int, first_epoch: int) -> None:
        """Everything is checked; epochs of so many steps begin."""

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """A training step ended."""

    def end_epoch(self, line: dict[str, float]) -> None:
        """An epoch is saved; its line of log.csv."""


def train_dense(
    training: DenseTraining, *, observer: DenseObserver | None = None, stop: Callable[[], bool] | None = None
) -> tuple[DenseModel, Scores]:
    """Train, save and score, or go on where the run in `training.out` was stopped.

    Pictures that cannot be read are left out and counted. Every epoch ends with a checkpoint from which the same
    weights follow (on a CPU) as without the stop.

    Args:
        training: the run.
        observer: told of each step and epoch.
        stop: asked before each epoch but the first; where it says so, the model is scored as it is. The same call goes
            on later.

    Returns:
        The model, and its scores on the validation pictures.

    Raises:
        FileNotFoundError, ValueError: the data do not fit, nothing can be read, or `out` holds another run; before
            anything is trained.
        FloatingPointError: the loss is no number any more.
    """
    out = Path(training.out)
    check_run_folder(out, training, DenseTraining.from_json, movable={"out", "device"})
    note = (lambda text: None) if observer is None else observer.note
    scenes, validation = (_sound(training, source, note) for source in (training.data, training.validation))
    state = read_state(out)
    pretrained = None
    if state is not None:
        config = DenseConfig.from_json(state["config"])
    else:
        if training.weights is not None:
            pretrained = read_pretrained(training.weights)
        config = dense_config(training, scenes, pretrained)
    train_set, held_out = _datasets(training, config, scenes, validation)
    if len(train_set) < training.fewest:
        raise ValueError(f"{training.data} has {len(train_set)} pictures, fewer than the {training.fewest} of a step")
    samples = Readable(train_set)
    # A broken folder is an error now, not after the first epoch or the last.
    check_readable(train_set, training.data)
    check_readable(held_out, training.validation)
    torch.manual_seed(training.seed)
    network = config.create()
    if pretrained is not None:
        names = load_pretrained(
            body_of(network),
            pretrained,
            architecture=config.architecture,
            format=config.format,
            gate=gate_of(network) if config.gated else None,
        )
        note(f"{pretrained.path}: {names.summary}")
    network.to(training.device)
    optimizers = _optimizers(training, network)
    peaks = [float(optimizer.param_groups[0]["lr"]) for optimizer in optimizers]
    control = None
    if training.target_channels is not None:
        control = TargetControl(len(config.format.selection), training.target_channels)
    log: list[dict[str, float]] = []
    if state is not None:
        network.load_state_dict(state["network"])
        for optimizer, known in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(known)
        if control is not None:
            control.load_state_dict(state["control"])
        log = state["log"]
    else:
        begin_run(out, training)
    loader: DataLoader[Any] = DataLoader(
        samples,
        training.batch_size,
        shuffle=True,
        drop_last=len(samples) > training.batch_size,
        num_workers=training.workers,
        collate_fn=_collate,
    )
    steps = len(loader)
    named: set[str] = set()
    if observer is not None:
        observer.begin(training, steps, len(log))

    for number in range(len(log), training.epochs):
        if log and stop is not None and stop():
            break
        torch.manual_seed(hash((training.seed, number)) % 2**63)  # of order, crops, flips and the gate's samples
        start = time.perf_counter()
        network.train()
        sums: dict[str, float] = {}
        done = left_out = 0
        weight = config.gate_weight if control is None else control.gate_weight
        for step, (batch, unread) in enumerate(loader):
            left_out += len(unread)
            for message in sorted(set(unread) - named):
                note(f"left out: {message}")
            named.update(unread)
            if len(batch[0]) < training.fewest:
                continue
            share = (number + step / steps) / training.epochs
            falls = ((1 + math.cos(math.pi * share)) / 2, min(5 * (1 - share), 1.0))  # of the network, of a gate
            for optimizer, peak, part in zip(optimizers, peaks, falls, strict=False):
                optimizer.param_groups[0]["lr"] = peak * part
            losses, decision = _losses(network, batch, training.device, weight)
            if control is not None and decision is not None:
                losses["loss_indecision"] = decision_weight(share) * indecision(decision.on_probability)
            loss = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(loss):
                raise FloatingPointError(f"the loss is {float(loss)} in epoch {number}: try a lower learning rate")
            network.zero_grad()
            torch.autograd.backward(loss)
            for optimizer in optimizers:
                optimizer.step()
            if control is not None and decision is not None:
                control.step(sharpened_count(decision.on_probability), share)
                weight = control.gate_weight
            measured = {"loss": loss, **losses, **_channels(decision)}
            for name, value in measured.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            done += 1
            if observer is not None:
                observer.step(number, step, float(loss.detach()), len(batch[0]))
        if not done:
            raise ValueError(f"no batch of epoch {number} had {training.fewest} pictures that can be read")
        seconds = round(time.perf_counter() - start, 2)
        means = {name: total / done for name, total in sums.items()}
        log.append({"epoch": number, "seconds": seconds, **means, "left_out": left_out})
        if config.gated:
            log[-1]["gate_weight"] = weight
        save_model(out / "last", network, config)
        write_whole(out / _LOG, _csv(log))
        state = {
            "network": network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "control": None if control is None else control.state_dict(),
            "config": config.to_json(),
            "log": log,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_whole(out / STATE, buffer.getvalue())
        if observer is not None:
            observer.end_epoch(log[-1])

    model = DenseModel(config, network.eval())
    scores: Scores
    if isinstance(held_out, SegmentationDataset):
        scores = evaluate_segmentation(network, held_out)
    else:
        scores = evaluate_detection(network, held_out)
    if config.gated:
        pictures = file_list([scene.image for scene in validation], [0] * len(validation))
        dense_heat_map(model, pictures, source=f"{out.name}, {training.validation}").save(out / "heatmap.json")
    write_whole(out / "scores.json", json.dumps(vars(scores)) + "\n")
    return model, scores


def dense_config(
    training: DenseTraining, scenes: tuple[Scene, ...], pretrained: Pretrained | None = None
) -> DenseConfig:
    """What the data say about the network: its classes, and its statistics where the format has none."""
    sides = {"shorter_side": training.shorter_side, "longer_side": training.longer_side}
    format = training.format
    if format.statistics is None and pretrained is not None and pretrained.format is not None:
        format = replace(format, statistics=pretrained.format.statistics)
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


def _sound(training: DenseTraining, source: str, note: Callable[[str], None]) -> tuple[Scene, ...]:
    """The scenes of a folder whose headers can be read; what is wrong with the others is noted."""
    scenes, problems = sound_scenes(read_scenes(source), masks=training.task != "detection")
    for problem in problems[:_NAMED]:
        note(f"left out: {problem}")
    if len(problems) > _NAMED:
        note(f"left out: {len(problems) - _NAMED} more pictures of {source}")
    if not scenes:
        raise ValueError(f"no image of {source} can be read: {problems[0]}")
    return scenes


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


def _optimizers(training: DenseTraining, network: nn.Module) -> list[torch.optim.Optimizer]:
    """AdamW for the network, SGD for a gate, whose lambda (target.py, Note [Gains]) means something to SGD alone.

    AdamW would divide what a channel is worth to the task by the lambda of hundreds of steps ago. A gate is never
    decayed: decay would pull p(on) towards a half.
    """
    gate = list(gate_of(network).parameters()) if training.gated else []
    in_gate = {id(parameter) for parameter in gate}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in in_gate]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, training.learning_rate)]
    if gate:
        optimizers.append(torch.optim.SGD(gate, training.gate_learning_rate, momentum=0.9, nesterov=True))
    return optimizers


def _collate(samples: list[Any]) -> tuple[tuple[Any, Any], list[str]]:
    """Tensors and masks of one size are stacked, images and targets listed; and what could not be read."""
    unread = [sample.message for sample in samples if isinstance(sample, Unread)]
    pairs = [sample for sample in samples if not isinstance(sample, Unread)]
    images, targets = [image for image, _ in pairs], [target for _, target in pairs]
    if images and isinstance(images[0], Tensor):
        return (torch.stack(images), torch.stack(targets)), unread
    return (images, targets), unread


def _losses(
    network: nn.Module, batch: tuple[Any, Any], device: str, gate_weight: float
) -> tuple[dict[str, Tensor], GateDecision | None]:
    """Every loss of a batch by name, whose sum is the training loss, and what the gate decided."""
    images, targets = batch
    losses: dict[str, Tensor]
    if isinstance(network, FrequencyDetector):
        network.gate_weight = gate_weight
        on_device = [{name: value.to(device) for name, value in target.items()} for target in targets]
        losses = network([image.to(device) for image in images], on_device)
        return losses, network.backbone.decision
    output = network(images.to(device))
    logits, decision = output if isinstance(output, GatedOutput) else (output, None)  # [N, classes, height, width]
    mask = targets.to(device)
    # Not the mean that cross_entropy takes: a batch without a labelled pixel would be 0 / 0.
    pixels = (mask != IGNORE).sum().clamp(min=1)
    losses = {"loss_mask": nn.functional.cross_entropy(logits, mask, ignore_index=IGNORE, reduction="sum") / pixels}
    if decision is not None:
        losses["loss_gate"] = gate_weight * decision.on_probability.sum(1).mean()
    return losses, decision


def _channels(decision: GateDecision | None) -> dict[str, Tensor]:
    """Means over a batch: the sum of p(on), and the channels that are on by argmax."""
    if decision is None:
        return {}
    on_probability = decision.on_probability
    return {
        "channels_expected": on_probability.sum(1).mean(),
        "channels_on": (on_probability > 0.5).sum(1).to(on_probability.dtype).mean(),
    }


def _csv(log: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(log[0]))
    writer.writeheader()
    writer.writerows(log)
    return text.getvalue()
