"""What a training run is: one frozen value, kept with the run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from jpegfreq.format import TensorFormat

__all__ = ["PRESETS", "TrainConfig", "preset"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Everything that changes the weights is here, so that a run can be repeated and resumed.

    Attributes:
        data: training images: a folder a class, a .txt list of "path label" lines, a folder of .tar shards, or a
            store that `jpegfreq convert` wrote.
        validation: the same for validation.
        out: the run's folder.
        architecture: as for `create_model`.
        format: the network's input; None for the RGB baseline. Without statistics they are measured on `data` first.
        size: side of the input in pixels, before the block DCT; a store has its own.
        shorter_side: for validation; None for size * 8 / 7.
        stride: as for `create_model`.
        epochs: passes over the images.
        batch_size: images a step, all processes together.
        learning_rate: for 256 images a step; scaled linearly by batch_size / 256.
        momentum: of SGD.
        nesterov: take Nesterov's step.
        weight_decay: of convolutions and matrices; of all parameters with `decay_all`.
        decay_all: decay biases and norms too, as the paper's recipe does.
        schedule: "steps": a tenth from each third of the epochs to the next; "cosine": to zero.
        warmup_epochs: epochs over which the rate rises from zero first.
        label_smoothing: share of each label spread over all classes.
        mixup: alpha of the Beta distribution that images are mixed by; 0 for none.
        average_decay: of the exponential moving average of the weights that is validated and kept; 0 for none.
        scale: lower bound of a training crop's share of its image's area.
        gated: whether a ChannelGate stands before the network.
        gate_weight: lambda: loss = cross-entropy + lambda * (mean over images of the sum over channels of p(on)). It is
            the price of one channel, the same for 24 channels and for 192. Unused with target_channels.
        target_channels: mean number of channels on, by argmax, that lambda is steered to; None keeps lambda.
            Undecided channels then cost something too (target.py).
        gate_learning_rate: of the gate, as learning_rate. In a training of a thousand steps it must be a multiple of
            the network's: at the same rate a lambda that moves the gate in time outweighs whatever one channel is worth
            to the task.
        temperature: of the Gumbel-softmax in the first epoch.
        final_temperature: in the last; it falls geometrically between. 1.0 and 1.0 is the paper's code.
        weights: what the network starts from, as for `read_pretrained`; None for new weights. A format without
            statistics takes those of the checkpoint, where the data are JPEG files.
        amp: run the network in bfloat16 where that is safe.
        seed: of weights, order, crops, mixing and gate samples.
        device: where to train, such as "cpu" or "cuda".
        threads: native threads that read JPEG files beside the network; None for one a usable core.
    """

    data: str
    validation: str
    out: str
    architecture: str = "resnet18"
    format: TensorFormat | None = field(default_factory=lambda: TensorFormat(layout="HWC"))
    size: int = 448
    shorter_side: int | None = None
    stride: str = "paper"
    epochs: int = 90
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 4e-5
    decay_all: bool = True
    schedule: Literal["steps", "cosine"] = "steps"
    warmup_epochs: int = 0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    average_decay: float = 0.0
    scale: float = 0.08
    gated: bool = False
    gate_weight: float = 0.1
    target_channels: float | None = None
    gate_learning_rate: float = 0.1
    temperature: float = 1.0
    final_temperature: float = 1.0
    weights: str | None = None
    amp: bool = False
    seed: int = 0
    device: str = "cpu"
    threads: int | None = 1

    def __post_init__(self) -> None:
        """Check what can be checked without reading anything."""
        for name in ("epochs", "batch_size", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.format is not None and self.size % 8:
            raise ValueError(f"size must be a multiple of 8, not {self.size}")
        if self.schedule not in ("steps", "cosine"):
            raise ValueError(f'schedule must be "steps" or "cosine", not {self.schedule!r}')
        if self.gated and self.format is None:
            raise ValueError("an RGB network has no frequency channels to gate: give a format")
        if not self.gated and self.target_channels is not None:
            raise ValueError("target_channels steers a gate: set gated too")
        if self.target_channels is not None and self.format is not None:
            count = len(self.format.selection)
            if not 0 < self.target_channels <= count:
                raise ValueError(f"target_channels must lie above 0 and be at most {count}, not {self.target_channels}")
        for name, highest in (
            ("label_smoothing", 1.0), ("average_decay", 1.0), ("mixup", math.inf), ("momentum", 1.0),
            ("learning_rate", math.inf), ("gate_learning_rate", math.inf), ("weight_decay", math.inf),
            ("seed", math.inf), ("warmup_epochs", math.inf), ("gate_weight", math.inf),
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < highest:
                bound = "must be a number from 0 on" if highest == math.inf else f"must lie in 0 to below {highest:g}"
                raise ValueError(f"{name} {bound}, not {getattr(self, name)}")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be at least 1, not {self.threads}")
        if self.validation_side < self.size:
            raise ValueError(f"a crop of {self.size} is larger than a shorter side of {self.validation_side}")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must lie in 0 to 1, not {self.scale}")
        for temperature in (self.temperature, self.final_temperature):
            if not 0 < temperature < math.inf:
                raise ValueError(f"a temperature must be above 0, not {temperature}")

    @property
    def validation_side(self) -> int:
        """What the shorter side is resized to for validation, pixels."""
        return round(self.size * 8 / 7) if self.shorter_side is None else self.shorter_side

    @property
    def gate_rate(self) -> float:
        """The gate's learning rate as a multiple of the network's."""
        return self.gate_learning_rate / self.learning_rate if self.learning_rate else 0.0

    def learning_rate_at(self, progress_epochs: float) -> float:
        """The network's rate after so many epochs, a fraction of an epoch counted.

        >>> TrainConfig("a", "b", "c", epochs=90, batch_size=256).learning_rate_at(30)
        0.01
        """
        peak = self.learning_rate * self.batch_size / 256
        if progress_epochs < self.warmup_epochs:
            return peak * progress_epochs / self.warmup_epochs
        share = (progress_epochs - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1e-9)
        if self.schedule == "cosine":
            return peak * (1 + math.cos(math.pi * min(share, 1))) / 2
        return peak / float(10 ** min(int(share * 3 + 1e-9), 2))

    def temperature_at(self, epoch: int) -> float:
        """Of the Gumbel-softmax in an epoch."""
        share = epoch / (self.epochs - 1) if self.epochs > 1 else 1.0
        return float(self.temperature * (self.final_temperature / self.temperature) ** share)

    def to_json(self) -> str:
        """As JSON text; `from_json` gives an equal config back."""
        values: dict[str, Any] = {known.name: getattr(self, known.name) for known in fields(self)}
        values["format"] = None if self.format is None else self.format.to_dict()
        return json.dumps(values, indent=1)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """From the text of `to_json`. Unknown fields are an error: a newer version wrote them."""
        values: dict[str, Any] = json.loads(text)
        if values["format"] is not None:
            values["format"] = TensorFormat.from_dict(values["format"])
        return cls(**values)


# Xu et al.'s recipe, and today's: warm-up, cosine, label smoothing, averaged weights, no decay of norms and biases.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "epochs": 90,
        "learning_rate": 0.1,
        "gate_learning_rate": 0.1,
        "weight_decay": 4e-5,
        "nesterov": False,
        "decay_all": True,
        "schedule": "steps",
    },
    "modern": {
        "epochs": 30,
        "learning_rate": 0.2,
        "gate_learning_rate": 6.0,
        "weight_decay": 5e-5,
        "decay_all": False,
        "schedule": "cosine",
        "warmup_epochs": 2,
        "label_smoothing": 0.1,
        "average_decay": 0.99,
        "scale": 0.25,
    },
}


def preset(name: str, config: TrainConfig) -> TrainConfig:
    """`config` with the values of a preset: "paper" or "modern"."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return replace(config, **PRESETS[name])
