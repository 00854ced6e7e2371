"""The description of a training run for boxes or masks: one frozen value, stored with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import read_format
from jpegfreq.models.dense.config import Task
from jpegfreq.models.dense.segmentation import Head
from jpegfreq.models.training.recipe import check_number, check_target
from jpegfreq.models.training.state import CheckpointInterval

__all__ = ["DenseTraining"]


@dataclass(frozen=True)
class DenseTraining:
    """What to train, on which images, and for how long.

    Attributes:
        task: as in DenseConfig.
        data: a folder of images/, masks/ and boxes/.
        validation: another such folder.
        out: the run's folder: last/ (checkpoint), log.csv, tensorboard/, scores.json, and with a gate heatmap.json.
        architecture: as in DenseConfig.
        format: without statistics, those of `weights` are taken, or else measured on the training images.
        shorter_side: of the frame, pixels; for segmentation also height and width of the crops.
        longer_side: of the frame, pixels.
        head: as in DenseConfig.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: of AdamW at the start; it falls to 0 along a cosine.
        gate_learning_rate: of SGD with momentum, for the gate. It falls to 0 over the last fifth of the training: in
            the few hundred steps that a small data set gives, a slower gate does not reach its target.
        gated: as in DenseConfig.
        gate_weight: as in DenseConfig; unused with target_channels.
        target_channels: the mean number of channels on, by argmax, to which the gate's weight is steered (steering.py);
            None keeps the weight.
        weights: what the backbone starts from, as for `read_pretrained`; None for new weights.
        seed: of weights, order, crops, flips and gate samples.
        workers: processes that read images.
        compute_threads: as in TrainConfig.
        device: where to train: "auto", or a name such as "cpu" or "cuda" (`best_device`).
        checkpoint_every: how often to save the state within an epoch, such as "500 steps" or "10 minutes"; None saves
            it only when an epoch ends.
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
    compute_threads: int | None = None
    device: str = "cpu"
    checkpoint_every: str | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without reading any file."""
        for name in ("epochs", "batch_size", "shorter_side", "longer_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("learning_rate", "gate_learning_rate", "gate_weight"):
            check_number(name, getattr(self, name))
        if self.fewest > self.batch_size:
            raise ValueError(
                "a gate and DeepLabV3's head take means over a batch: batch_size must be at least 2, not "
                f"{self.batch_size}"
            )
        if self.compute_threads is not None and self.compute_threads < 1:
            raise ValueError(f"compute_threads must be at least 1, not {self.compute_threads}")
        check_target(self.target_channels, self.format, gated=self.gated)
        CheckpointInterval(self.checkpoint_every)

    @property
    def fewest(self) -> int:
        """How many images a step needs: batch norms over a single cell need two."""
        return 2 if self.gated or (self.task == "segmentation" and self.head == "deeplabv3") else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        return {**values, "format": self.format.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DenseTraining:
        """Build the value that `to_dict` described; unknown fields are an error."""
        return cls(**{**values, "format": read_format(values["format"])})
