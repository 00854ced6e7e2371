"""The description of a training run: one frozen value, stored with the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from jpegfreq._arguments import check_choice
from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import ModelConfig, read_format
from jpegfreq.models.frontend import EvaluationFilter
from jpegfreq.models.rgb_source import RgbSource, is_rgb_source
from jpegfreq.models.training.state import CheckpointInterval
from jpegfreq.views import EvaluationView

__all__ = ["ADAMW", "PRESETS", "TrainConfig", "check_number", "check_target", "preset"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. It holds everything that changes the weights, so that a run can be repeated and resumed.

    Attributes:
        data: the training images: a folder per class, a .txt list of "path label" lines, a folder of .tar shards, or a
            store that `jpegfreq convert` wrote.
        validation: the validation images, likewise.
        out: the run's folder.
        architecture: as for `create_model`.
        format: the network's input; None for the RGB baseline. If it has no statistics, they are measured on `data`.
        size: height and width of the input in pixels, before the block DCT; a store has its own.
        shorter_side: what a validation image's shorter side is resized to, pixels; None for size * 8 / 7.
        filter: the filter with which crops are resized.
        stride: as for `create_model`.
        epochs: passes over the training images.
        batch_size: images per step, in all processes together.
        learning_rate: for 256 images per step; it is multiplied by batch_size / 256.
        optimizer: "sgd"; or "adamw" with betas of 0.9 and 0.999, as vision transformers need it. A gate is trained with
            SGD in either case, because what steers it holds for SGD alone (steering.py, Note [Gains]).
        momentum: of SGD.
        nesterov: whether SGD uses Nesterov's momentum.
        weight_decay: for convolutions and matrices; with `decay_all` for all parameters. SGD adds this share of a
            weight to its gradient; AdamW takes this share, times the learning rate, off the weight itself, so that
            its usual values are about a thousand times larger.
        decay_all: decay biases and norms too, as in the paper's recipe.
        schedule: "steps" divides the rate by 10 after each third of the epochs; "cosine" lets it fall to zero.
        warmup_epochs: epochs over which the rate rises from zero; at most a quarter of the run.
        label_smoothing: the share of each label that is spread over all classes.
        mixup: alpha of the Beta distribution from which the shares of mixed images are drawn; 0 for no mixing.
        average_decay: of the exponential moving average of the weights, which is validated and saved; 0 for none. In
            short runs it ramps up (average.py, Note [Short runs]).
        scale: the smallest share of an image's area that a training crop has.
        gated: whether a ChannelGate stands before the network.
        gate_weight: lambda: loss = cross-entropy + lambda * (mean over images of the sum over channels of p(on)). It is
            the price of one channel, the same for 24 channels and for 192. Unused with target_channels.
        target_channels: the mean number of channels on, by argmax, to which lambda is steered; None keeps lambda.
            Undecided channels then add to the loss too (steering.py).
        gate_learning_rate: of the gate, as learning_rate. A training of about a thousand steps needs a multiple of the
            network's: at the same rate, a lambda that moves the gate in time outweighs what one channel is worth to the
            task.
        temperature: of the Gumbel-softmax in the first epoch.
        final_temperature: in the last epoch; it falls geometrically between. The paper's code keeps 1.0.
        weights: what the network starts from, as for `read_pretrained`; None for new weights. For JPEG files, a format
            without statistics takes those of the checkpoint.
        source: how the RGB network is built, if `architecture` names one that was adapted, such as
            "torchvision:resnet50"; then `weights` must be its checkpoint. Without a gate, its tensors need no
            statistics.
        free_front: train the layer too that turns frequencies into pixels for an adapted network.
        run_code: execute the file that makes a network of one's own.
        amp: run the network in bfloat16 where that is safe.
        seed: of weights, order, crops, mixing and gate samples.
        device: where to train: "auto", or a name such as "cpu" or "cuda" (`best_device`).
        threads: native threads that read JPEG files while the network works; None for one per usable core.
        compute_threads: threads in which PyTorch computes on a CPU; None for PyTorch's choice. The last bits of the
            weights can depend on it.
        checkpoint_every: how often to save the state within an epoch, such as "500 steps" or "10 minutes"; None saves
            it only when an epoch ends.
    """

    data: str
    validation: str
    out: str
    architecture: str = "resnet18"
    format: TensorFormat | None = field(default_factory=lambda: TensorFormat(layout="HWC"))
    size: int = 448
    shorter_side: int | None = None
    filter: EvaluationFilter = "bilinear"
    stride: str = "paper"
    epochs: int = 90
    batch_size: int = 64
    learning_rate: float = 0.1
    optimizer: Literal["sgd", "adamw"] = "sgd"
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
    source: RgbSource | None = None
    free_front: bool = False
    run_code: bool = False
    amp: bool = False
    seed: int = 0
    device: str = "cpu"
    threads: int | None = 1
    compute_threads: int | None = None
    checkpoint_every: str | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without reading any file."""
        for name in ("epochs", "batch_size", "size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if (self.source is not None) != is_rgb_source(self.architecture):
            raise ValueError(f"the source of an RGB network and the architecture {self.architecture!r} contradict")
        if self.source is not None and self.weights is None:
            raise ValueError(f"{self.architecture} is trained further from a checkpoint: name it as weights")
        if self.free_front and (self.source is None or self.source.form != "layer" or self.format is None):
            raise ValueError("the network has no layer before it that could be trained: leave out free_front")
        if self.format is not None and self.source is None and self.size % 8:
            raise ValueError(f"size must be a multiple of 8, not {self.size}")
        check_choice("schedule", self.schedule, ("steps", "cosine"))
        check_choice("optimizer", self.optimizer, ("sgd", "adamw"))
        if self.gated and self.format is None:
            raise ValueError("an RGB network has no frequency channels to gate: give a format")
        check_target(self.target_channels, self.format, gated=self.gated)
        for name, highest in (
            ("label_smoothing", 1.0), ("average_decay", 1.0), ("mixup", math.inf), ("momentum", 1.0),
            ("learning_rate", math.inf), ("gate_learning_rate", math.inf), ("weight_decay", math.inf),
            ("seed", math.inf), ("warmup_epochs", math.inf), ("gate_weight", math.inf),
        ):  # fmt: skip
            check_number(name, getattr(self, name), highest)
        for name in ("threads", "compute_threads"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.validation_side < self.size:
            raise ValueError(f"a crop of size {self.size} is larger than a shorter_side of {self.validation_side}")
        if not 0 < self.scale <= 1:
            raise ValueError(f"scale must be above 0 and at most 1, not {self.scale}")
        check_choice("filter", self.filter, get_args(EvaluationFilter))
        for name in ("temperature", "final_temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        CheckpointInterval(self.checkpoint_every)

    @property
    def validation_side(self) -> int:
        """What a validation image's shorter side is resized to, pixels."""
        return round(self.size * 8 / 7) if self.shorter_side is None else self.shorter_side

    @property
    def validation_view(self) -> EvaluationView:
        """The part of each validation image that is read."""
        return EvaluationView((self.size, self.size), self.validation_side, self.filter)

    @property
    def needs_statistics(self) -> bool:
        """Whether the tensors must be normalized; for an adapted RGB network, only a gate in front of it needs that."""
        return self.format is not None and (self.source is None or self.gated)

    def model(
        self,
        *,
        format: TensorFormat | None,
        view: EvaluationView,
        classes: tuple[str, ...],
    ) -> ModelConfig:
        """Describe the network that is trained.

        Args:
            format: of the tensors that are read.
            view: the part of each validation image that is read.
            classes: the name of each class.
        """
        source = None if self.source is None else self.source.for_training(self.architecture, len(classes))
        return ModelConfig(
            self.architecture, len(classes), format, view.size, view.shorter_side, self.stride, self.gated, classes,
            view.filter,  # type: ignore[arg-type]  # ModelConfig checks it
            source,
        )  # fmt: skip

    @property
    def gate_rate(self) -> float:
        """The gate's learning rate as a multiple of the network's learning rate."""
        return self.gate_learning_rate / self.learning_rate if self.learning_rate else 0.0

    def learning_rate_at(self, progress_epochs: float) -> float:
        """Return the network's learning rate.

        Args:
            progress_epochs: how many epochs are over, as a fraction.

        >>> TrainConfig("a", "b", "c", epochs=90, batch_size=256).learning_rate_at(30)
        0.01
        """
        peak = self.learning_rate * self.batch_size / 256
        warmup = min(self.warmup_epochs, self.epochs / 4)
        if progress_epochs < warmup:
            return peak * progress_epochs / warmup
        share = (progress_epochs - warmup) / (self.epochs - warmup)
        if self.schedule == "cosine":
            return peak * (1 + math.cos(math.pi * min(share, 1))) / 2
        return peak / float(10 ** min(int(share * 3 + 1e-9), 2))

    def temperature_at(self, epoch: int) -> float:
        """Return the temperature of the Gumbel-softmax in an epoch, counted from 1."""
        share = (epoch - 1) / (self.epochs - 1) if self.epochs > 1 else 1.0
        return float(self.temperature * (self.final_temperature / self.temperature) ** share)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        values: dict[str, Any] = {known.name: getattr(self, known.name) for known in fields(self)}
        return {
            **values,
            "format": None if self.format is None else self.format.to_dict(),
            "source": None if self.source is None else self.source.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build the config that `to_dict` described; unknown fields are an error."""
        format = None if values["format"] is None else read_format(values["format"])
        source = None if values["source"] is None else RgbSource.from_dict(values["source"])
        return cls(**{**values, "format": format, "source": source})


def check_number(name: str, value: float, highest: float = math.inf) -> None:
    """Require a number from 0 to below a bound.

    Raises:
        ValueError: it is not one.
    """
    if not 0 <= value < highest:
        bound = "0 or more" if highest == math.inf else f"from 0 to below {highest:g}"
        raise ValueError(f"{name} must be {bound}, not {value}")


def check_target(target_channels: float | None, format: TensorFormat | None, *, gated: bool) -> None:
    """Require a gate, and as many channels, for a target.

    Raises:
        ValueError: there is no gate, or the target is out of range.
    """
    if target_channels is None:
        return
    if not gated or format is None:
        raise ValueError("target_channels needs a gate: set gated too")
    count = len(format.selection)
    if not 0 < target_channels <= count:
        raise ValueError(f"target_channels must be above 0 and at most {count}, not {target_channels}")


# The recipe of Xu et al., and a current one: warm-up, cosine, label smoothing, averaged weights, no decay of norms and
# biases.
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


# What AdamW needs instead of a recipe's values, as vision transformers are trained: a smaller rate, and more decay, of
# matrices alone.
ADAMW: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 5e-4, "weight_decay": 0.05, "decay_all": False}


def preset(name: str, config: TrainConfig) -> TrainConfig:
    """Return `config` with the values of a preset, "paper" or "modern"."""
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return replace(config, **PRESETS[name])
