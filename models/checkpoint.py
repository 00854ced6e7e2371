"""Networks on disk: a folder with model.safetensors and config.json, laid out as on the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from jpegfreq._arguments import given
from jpegfreq._files import read_text, write_whole
from jpegfreq._json import parse_json
from jpegfreq._words import counted, verb
from jpegfreq.format import TensorFormat
from jpegfreq.models.frontend import LARGEST, EvaluationFilter, FrequencyNetwork
from jpegfreq.models.gate import ChannelGate, GatedNetwork
from jpegfreq.models.networks.create import create_model
from jpegfreq.models.predict import Classifier
from jpegfreq.models.rgb_source import (
    RgbSource,
    build_rgb,
    check_finite,
    is_rgb_source,
    load_fitting,
    restored_rgb,
    runs_code,
)
from jpegfreq.views import EvaluationView

__all__ = [
    "CheckpointError",
    "ModelConfig",
    "NetworkConfig",
    "check_code",
    "load_model",
    "read_config",
    "rgb_original",
    "save_model",
]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_VERSION = 1
_KINDS = {str: "text", int: "a whole number"}
_LISTED = {str: "texts", int: "whole numbers"}


class CheckpointError(ValueError):
    """A folder holds no network, or one that this version cannot build; the message names the folder and the reason."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a classifier and to prepare its input.

    Attributes:
        architecture: as for `create_model`; or the RGB network that was adapted, such as "torchvision:resnet50".
        num_classes: as for `create_model`.
        format: the format of its input, with the statistics that normalize it; None for RGB, which is normalized as for
            torchvision's networks unless the source says otherwise.
        size: (height, width) of the input in pixels, before the block DCT.
        shorter_side: the length in pixels to which an image's shorter side is resized before the centre is cropped.
        stride: as for `create_model`.
        gated: as for `create_model`.
        labels: the name of each class; () if the classes have no names.
        filter: the filter of that resize.
        source: how the RGB network is built that was adapted; None for the networks of `create_model`.
    """

    architecture: str
    num_classes: int
    format: TensorFormat | None
    size: tuple[int, int]
    shorter_side: int
    stride: str = "paper"
    gated: bool = False
    labels: tuple[str, ...] = ()
    filter: EvaluationFilter = "bilinear"
    source: RgbSource | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without building the network."""
        for name, kind in (("architecture", str), ("stride", str), ("num_classes", int), ("shorter_side", int)):
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"{name} must be {_KINDS[kind]}, not {value!r}")
        if self.num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {self.num_classes}")
        if not isinstance(self.gated, bool):
            raise ValueError(f"gated must be True or False, not {self.gated!r}")
        for name, kind in (("size", int), ("labels", str)):
            values = getattr(self, name)
            listed = isinstance(values, list | tuple)
            if not listed or not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
                raise ValueError(f"{name} must be a list of {_LISTED[kind]}, not {given(values)}")
            object.__setattr__(self, name, tuple(values))
        if len(self.size) != 2 or not all(0 < side <= LARGEST for side in self.size):
            raise ValueError(f"size must be (height, width), each from 1 to {LARGEST} pixels, not {self.size}")
        if self.labels and len(self.labels) != self.num_classes:
            raise ValueError(
                f"there {verb(self.num_classes)} {counted(self.num_classes, 'class')} but "
                f"{counted(len(self.labels), 'label')}"
            )
        if (self.source is not None) != is_rgb_source(self.architecture):
            raise ValueError(f"the source of an RGB network and the architecture {self.architecture!r} contradict")
        height, width = self.size
        if self.format is not None and self.source is None and (height % 8 or width % 8):
            raise ValueError(f"height and width must be multiples of 8, not height {height} and width {width}")
        if max(self.size) > self.shorter_side:
            raise ValueError(
                f"the crop, height {height} x width {width}, is larger than a shorter_side of {self.shorter_side}"
            )
        if self.filter not in get_args(EvaluationFilter):
            raise ValueError(f"filter must be one of {', '.join(get_args(EvaluationFilter))}, not {self.filter!r}")

    def __repr__(self) -> str:
        """Name the network and its input, without the statistics and the labels."""
        height, width = self.size
        channels = "RGB" if self.format is None else counted(len(self.format.selection), "channel")
        extra = (", gated" if self.gated else "") + ("" if self.stride == "paper" else f", stride {self.stride}")
        return (
            f"ModelConfig({self.architecture} for {counted(self.num_classes, 'class')}, {channels}, height {height} x "
            f"width {width} pixels of a shorter side of {self.shorter_side}{extra})"
        )

    @classmethod
    def of(cls, network: nn.Module) -> ModelConfig:
        """Describe a FrequencyNetwork of `from_torchvision` or `from_timm`, with a gate in front of it or without.

        Raises:
            CheckpointError: it is another network, or does not give one number per class.
        """
        inner = network.network if isinstance(network, GatedNetwork) else network
        if not isinstance(inner, FrequencyNetwork):
            raise CheckpointError(
                f"a {type(inner).__name__} is not a FrequencyNetwork, so it needs a config to be saved"
            )
        if inner.source is None:
            raise CheckpointError(
                "the FrequencyNetwork cannot be saved, because nothing tells how to build its RGB network again: make "
                "it with from_torchvision, from_timm or `jpegfreq from-rgb`, or keep it with torch.export.save"
            )
        if inner.shorter_side is None:
            raise CheckpointError(
                f"nothing tells what the shorter side of images is resized to for {inner.source}: give shorter_side"
            )
        weight = next(inner.parameters())
        grid = (-(-side // 8) for side in inner.size)
        x = torch.zeros(1, len(inner.format.selection), *grid, device=weight.device, dtype=weight.dtype)
        modes = {module: module.training for module in inner.modules()}
        with torch.no_grad():
            output = inner.eval()(x)
        for module, mode in modes.items():
            module.training = mode
        if not isinstance(output, torch.Tensor) or output.ndim != 2:
            raise CheckpointError(f"{inner.source} is not a classifier: it does not give [N, classes]")
        try:
            source = RgbSource.of(inner)
        except ValueError as error:
            raise CheckpointError(str(error)) from error
        return cls(
            inner.source,
            output.shape[1],
            inner.format,
            inner.size,
            inner.shorter_side,
            gated=inner is not network,
            labels=inner.classes,
            filter=inner.filter,
            source=source,
        )

    @property
    def view(self) -> EvaluationView:
        """The part of each image that the network sees."""
        return EvaluationView(self.size, self.shorter_side, self.filter)

    def create(self) -> nn.Module:
        """Build the network with new weights."""
        if self.source is not None:
            network = self.source.create(
                self.architecture,
                format=self.format,
                size=self.size,
                shorter_side=self.shorter_side,
                filter=self.filter,
                classes=self.labels,
            )
            if not self.gated or self.format is None:
                return network
            return GatedNetwork(ChannelGate(len(self.format.selection)), network)
        return create_model(
            self.architecture,
            format=self.format,
            num_classes=self.num_classes,
            stride=self.stride,
            gated=self.gated,
            size=self.size,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON, with the version of this layout."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"size": list(self.size), "labels": list(self.labels)}
        values["format"] = None if self.format is None else self.format.to_dict()
        values["source"] = None if self.source is None else self.source.to_dict()
        return {"jpegfreq_checkpoint": _VERSION, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build the config that `to_dict` described.

        Raises:
            ValueError: the values are not a config, or a newer version wrote them.
        """
        if "jpegfreq_checkpoint" not in values:
            raise ValueError("the field jpegfreq_checkpoint is missing, so this is not the config of a classifier")
        version = values["jpegfreq_checkpoint"]
        entries = {"source": None, **{name: value for name, value in values.items() if name != "jpegfreq_checkpoint"}}
        known = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(entries) - known), sorted(known - set(entries))
        if version != _VERSION or unknown:
            details = f", with the fields {', '.join(unknown)}" if unknown else ""
            raise ValueError(f"a newer jpegfreq wrote it: version {version}{details}; this one reads {_VERSION}")
        if missing:
            raise ValueError(f"it lacks the fields {', '.join(missing)}")
        if entries["format"] is not None:
            entries["format"] = read_format(entries["format"])
        if entries["source"] is not None:
            entries["source"] = RgbSource.from_dict(entries["source"])
        return cls(**entries)

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """Build the config that `to_json` described.

        Raises:
            ValueError: the text is not JSON, or as `from_dict`.
        """
        values = parse_json(text)
        if not isinstance(values, dict):
            raise ValueError("it must be a JSON object")
        return cls.from_dict(values)


def read_format(value: Any) -> TensorFormat:
    """Build the TensorFormat in a config.

    Raises:
        ValueError: the value does not describe one.
    """
    try:
        return TensorFormat.from_dict(value)
    except ValueError as error:
        raise ValueError(f"format: {error}") from error


class NetworkConfig(Protocol):
    """What a checkpoint must know about a network: a ModelConfig, or the DenseConfig of boxes and masks."""

    def create(self) -> nn.Module:
        """Build the network with new weights."""

    def to_json(self) -> str:
        """Return the text of config.json."""


def save_model(folder: str | os.PathLike[str], network: nn.Module, config: NetworkConfig | None = None) -> None:
    """Write FOLDER/model.safetensors and FOLDER/config.json.

    If it is killed at any point, the folder holds the old network, the new one, or (when the config changes) no
    config.json, which `load_model` refuses. It never holds a mixture.

    Args:
        folder: created if it does not exist; other files in it stay.
        network: the network that `config` describes, on any device and in any memory format.
        config: how to build the network and prepare its input; None for a FrequencyNetwork of `from_torchvision` or
            `from_timm`, which knows it.

    Raises:
        CheckpointError: the network is not the one that `config` describes, or it needs a config.
    """
    folder = Path(folder)
    config = ModelConfig.of(network) if config is None else config
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in network.state_dict().items()}
    _check_tensors(_shapes(config), tensors, "this network")
    folder.mkdir(parents=True, exist_ok=True)
    text = config.to_json() + "\n"
    config_path = folder / CONFIG
    if config_path.exists() and read_text(config_path) != text:
        config_path.unlink()
    # Not save_file: it makes a file that only its owner may read, and raises a SafetensorError where the disk is full.
    write_whole(folder / WEIGHTS, save(tensors, metadata={"format": "pt"}))
    write_whole(config_path, text)


def _shapes(config: NetworkConfig) -> Mapping[str, torch.Tensor]:
    """Build a config's network for its tensors' names and shapes."""
    if isinstance(config, ModelConfig) and config.source is not None:
        return config.create().state_dict()  # timm's builders need real numbers
    with torch.device("meta"):
        return config.create().state_dict()


def checkpoint_in(folder: str | os.PathLike[str]) -> Path:
    """Find the checkpoint: the folder itself, or best/ or else last/ of a training run.

    Raises:
        CheckpointError: there is none.
    """
    for path in (Path(folder), Path(folder, "best"), Path(folder, "last")):
        if (path / WEIGHTS).is_file():
            return path
    raise CheckpointError(
        f"{folder}: no checkpoint here ({WEIGHTS} and {CONFIG}), and no training run with best/ or last/"
    )


def read_tensors(path: Path) -> Any:
    """Read a file of torch.save that holds only tensors and plain values.

    Raises:
        CheckpointError: the file is damaged or holds anything else.
        FileNotFoundError: there is no such file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds more than named tensors: save the state_dict() of a network, not the network"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(f"{path} is damaged, or torch.save did not write it") from error


def load_model(
    folder: str | os.PathLike[str], *, device: str | torch.device = "cpu", run_code: bool = False
) -> Classifier:
    """Read a classifier that `save_model` wrote.

    Args:
        folder: the folder of model.safetensors and config.json.
        device: where to put the network.
        run_code: for a network of one's own, allow the file that makes it to be executed.

    Raises:
        CheckpointError: a file is missing or damaged, the architecture is unknown, a newer version wrote the folder, or
            the tensors do not belong to the network that config.json describes.
        ImportError: the architecture comes from a package that is not installed.

    >>> load_model("runs/dct24/best").predict("photo.jpg").label
    'tench'
    """
    config, network = load_network(folder, ModelConfig.from_json, run_code=run_code)
    classifier = Classifier(config, network.to(device))
    classifier.network.register_forward_pre_hook(classifier.input_check)
    return classifier


def rgb_original(classifier: Classifier) -> Classifier | None:
    """Return the RGB network from which a network on frequencies was made, with its weights, on the same device.

    Args:
        classifier: of a checkpoint.

    Returns:
        A classifier of RGB pixels; None if the network was not made from one, or was trained further since.
    """
    config, source = classifier.config, classifier.config.source
    if source is None or source.tuned or config.format is None:
        return None
    network = build_rgb(config.architecture, source.options)
    inner = classifier.network.network if isinstance(classifier.network, GatedNetwork) else classifier.network
    load_fitting(network, restored_rgb(network, source, inner.state_dict(), size=config.size))
    device = next(classifier.network.parameters()).device
    return Classifier(replace(config, format=None, gated=False), network.to(device))


C = TypeVar("C", bound=NetworkConfig)


def load_network(
    folder: str | os.PathLike[str], from_json: Callable[[str], C], *, run_code: bool = False
) -> tuple[C, nn.Module]:
    """Read any kind of network that `save_model` wrote.

    Args:
        folder: the folder of model.safetensors and config.json.
        from_json: builds the config from the text of config.json.
        run_code: as for `load_model`.

    Raises:
        CheckpointError: as for `load_model`.
    """
    folder = Path(folder)
    _require_files(folder)
    try:
        config = from_json(read_text(folder / CONFIG))
        if isinstance(config, ModelConfig):
            check_code(config.architecture, run_code=run_code)
        tensors = _read_weights(folder / WEIGHTS)
        _check_size(config, tensors, str(folder / WEIGHTS))  # before memory is taken for what the config claims
        network = config.create()
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    own = network.state_dict()
    _check_tensors(own, tensors, str(folder / WEIGHTS))
    try:
        check_finite(tensors, own, str(folder / WEIGHTS))
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    load_fitting(network, tensors)
    return config, network


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read model.safetensors.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _check_size(config: NetworkConfig, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Require weights for the network that a config describes, without building the network where that is possible.

    A network of torchvision, timm or one's own cannot be built without memory; of these, only the number of classes is
    compared with the number of weights.

    Raises:
        CheckpointError: the config describes another network.
    """
    if not isinstance(config, ModelConfig) or config.source is None:
        _check_tensors(_shapes(config), tensors, where)
        return
    most = sum(tensor.numel() for tensor in tensors.values())
    for count in (config.num_classes, config.source.options.get("num_classes")):
        if isinstance(count, int) and count > most:
            raise CheckpointError(
                f"{where} does not fit {CONFIG}: it has {most:,} weights in all, too few for {count:,} classes"
            )


def read_config(folder: str | os.PathLike[str]) -> ModelConfig | None:
    """Read the config of a classifier that `save_model` wrote; None for a network for boxes or masks.

    Raises:
        CheckpointError: as for `load_model`.
    """
    folder = Path(folder)
    _require_files(folder)
    try:
        values = parse_json(read_text(folder / CONFIG))
        if isinstance(values, dict) and "jpegfreq_checkpoint" not in values:
            return None
        return ModelConfig.from_json(json.dumps(values))
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error


def _require_files(folder: Path) -> None:
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is not a checkpoint: it has no {' and no '.join(missing)}")


def check_code(architecture: str, *, run_code: bool) -> None:
    """Require that the file may be executed that makes a network of one's own.

    Raises:
        ValueError: the architecture is one, but `run_code` is False.
    """
    if runs_code(architecture) and not run_code:
        file, _, function = architecture.rpartition(":")
        raise ValueError(
            f"the network is made by {function}() of {file}, whose code would be executed: if you trust it, allow this "
            "with --run-code, in Python with run_code=True"
        )


def _check_tensors(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], where: str) -> None:
    """Require every tensor of the network in its shape, and no other.

    Raises:
        CheckpointError: one is missing, unknown, or of another shape; the message names up to three.
    """
    wrong = [f"no {name}" for name in expected if name not in found]
    wrong += [f"{name}, which the network does not have" for name in found if name not in expected]
    wrong += [
        f"{name} of shape {tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
        for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(f"{where} does not fit {CONFIG}: it has {'; '.join(wrong[:3])}{more}")
