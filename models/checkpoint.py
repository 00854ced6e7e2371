"""Networks on disk: a folder of model.safetensors and config.json, as on the Hub."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from jpegfreq._files import name_complete, write_whole
from jpegfreq.format import TensorFormat
from jpegfreq.models.networks.adapt import adaptation_of
from jpegfreq.models.networks.create import create_model
from jpegfreq.models.predict import Classifier

__all__ = [
    "CheckpointError",
    "Classifier",
    "LoadedWeights",
    "ModelConfig",
    "load_model",
    "load_rgb_weights",
    "save_model",
]

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_VERSION = 1
_LAST_LAYERS = ("fc.", "classifier.")
_LARGEST = 65536  # pixels, of `read_batch`


class CheckpointError(ValueError):
    """A folder that holds no network, or one that this version cannot build; the text says which and why."""


@dataclass(frozen=True)
class ModelConfig:
    """All that is needed to build a network and to feed it.

    Attributes:
        architecture: as for `create_model`.
        num_classes: as for `create_model`.
        format: its input, with the statistics that normalize it; None for RGB, normalized as torchvision's models are.
        size: (height, width) of the input in pixels, before the block DCT.
        shorter_side: what an image's shorter side is resized to before the centre of `size` is cut out.
        stride: as for `create_model`.
        gated: as for `create_model`.
        labels: the name of each class; () where they have none.
    """

    architecture: str
    num_classes: int
    format: TensorFormat | None
    size: tuple[int, int]
    shorter_side: int
    stride: str = "paper"
    gated: bool = False
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what can be checked without building the network."""
        for name, kind in (("architecture", str), ("stride", str), ("num_classes", int), ("shorter_side", int)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be {kind.__name__}, not {getattr(self, name)!r}")
        for name, kind in (("size", int), ("labels", str)):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not all(isinstance(value, kind) for value in values):
                raise ValueError(f"{name} must be a list of {kind.__name__}, not {values!r}")
            object.__setattr__(self, name, tuple(values))
        if len(self.size) != 2 or not all(0 < side <= _LARGEST for side in self.size):
            raise ValueError(f"size must be (height, width) of 1 to {_LARGEST} pixels, not {self.size}")
        if self.labels and len(self.labels) != self.num_classes:
            raise ValueError(f"{self.num_classes} classes need as many labels, not {len(self.labels)}")
        if self.format is not None and any(side % 8 for side in self.size):
            raise ValueError(f"size must be in multiples of 8, not {self.size}")
        if max(self.size) > self.shorter_side:
            raise ValueError(f"a crop of {self.size} is larger than a shorter side of {self.shorter_side}")

    def create(self) -> nn.Module:
        """The network, with new weights."""
        return create_model(
            self.architecture,
            format=self.format,
            num_classes=self.num_classes,
            stride=self.stride,
            gated=self.gated,
        )

    def to_json(self) -> str:
        """As JSON text; `from_json` gives an equal config back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["format"] = None if self.format is None else json.loads(self.format.to_json())
        return json.dumps({"jpegfreq_checkpoint": _VERSION, **values}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> ModelConfig:
        """From the text of `to_json`.

        Raises:
            ValueError: it is no such text, or a newer version wrote it.
        """
        values = json.loads(text)
        if not isinstance(values, dict) or "jpegfreq_checkpoint" not in values:
            raise ValueError("it has no field jpegfreq_checkpoint")
        version = values.pop("jpegfreq_checkpoint")
        known = {field.name for field in fields(cls)}
        if version != _VERSION or set(values) - known:
            unknown = f", fields {', '.join(sorted(set(values) - known))}" if set(values) - known else ""
            raise ValueError(f"a newer jpegfreq wrote it (version {version}{unknown}); this one reads {_VERSION}")
        if known - set(values):
            raise ValueError(f"it lacks {', '.join(sorted(known - set(values)))}")
        if values["format"] is not None:
            values["format"] = read_format(values["format"])
        return cls(**values)


def read_format(value: Any) -> TensorFormat:
    """The TensorFormat that a config holds.

    Raises:
        ValueError: it is none.
    """
    try:
        return TensorFormat.from_json(json.dumps(value))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its format is none of `TensorFormat.to_json` ({error})") from error


class Config(Protocol):
    """What a checkpoint needs to know of a network: ModelConfig, or DenseConfig of boxes and masks."""

    def create(self) -> nn.Module:
        """The network, with new weights."""

    def to_json(self) -> str:
        """The text of config.json."""


def save_model(folder: str | os.PathLike[str], network: nn.Module, config: Config) -> None:
    """Write FOLDER/model.safetensors and FOLDER/config.json.

    Killed at any point, it leaves the network that was there before, the new one, or (where the config changes) a
    folder without config.json, which `load_model` refuses; never a mixture.

    Args:
        folder: made where it is missing; other files in it stay.
        network: what `config` describes; on any device, in any memory format.
        config: what builds and feeds it.

    Raises:
        CheckpointError: the network is not the one that `config` describes.
    """
    folder = Path(folder)
    tensors = {name: tensor.detach().to("cpu").contiguous() for name, tensor in network.state_dict().items()}
    with torch.device("meta"):
        _check_tensors(config.create().state_dict(), tensors, "this network")
    folder.mkdir(parents=True, exist_ok=True)
    text = config.to_json() + "\n"
    config_path = folder / CONFIG
    if config_path.exists() and config_path.read_text(encoding="utf-8") != text:
        config_path.unlink()
    temporary = folder / (WEIGHTS + ".part")
    save_file(tensors, temporary, metadata={"format": "pt"})
    name_complete(temporary, folder / WEIGHTS)
    write_whole(config_path, text)


def checkpoint_in(folder: str | os.PathLike[str]) -> Path:
    """The checkpoint itself: a folder that holds a network, or the run whose best, or else last, one is meant.

    Raises:
        CheckpointError: there is none.
    """
    for path in (Path(folder), Path(folder, "best"), Path(folder, "last")):
        if (path / WEIGHTS).is_file():
            return path
    raise CheckpointError(f"{folder}: no checkpoint ({WEIGHTS} and {CONFIG}), nor a run with best/ or last/")


def read_tensors(path: Path) -> Any:
    """What torch.save wrote, where that is tensors and plain values.

    Raises:
        CheckpointError: it is damaged, or holds anything else.
        FileNotFoundError: there is no such file.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is damaged, or holds more than tensors by name: of a network, save its state_dict()"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged, or no file of torch.save") from error


def load_model(folder: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Classifier:
    """Read what `save_model` wrote.

    Args:
        folder: of model.safetensors and config.json.
        device: where the network is to work.

    Raises:
        CheckpointError: a file is missing or broken, the architecture is unknown, a newer version wrote the folder, or
            the tensors are not those of the network.
        ImportError: the architecture comes from a package that is not installed.

    >>> load_model("runs/dct24/best").predict("photo.jpg").label
    'tench'
    """
    config, network = load_network(folder, ModelConfig.from_json)
    return Classifier(config, network.to(device).eval())


C = TypeVar("C", bound=Config)


def load_network(folder: str | os.PathLike[str], from_json: Callable[[str], C]) -> tuple[C, nn.Module]:
    """Read what `save_model` wrote, whatever kind of network it is.

    Args:
        folder: of model.safetensors and config.json.
        from_json: makes the config of the text of config.json.

    Raises:
        CheckpointError: as `load_model`.
    """
    folder = Path(folder)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise CheckpointError(f"{folder} is no checkpoint: it has no {' and no '.join(missing)}")
    try:
        config = from_json((folder / CONFIG).read_text(encoding="utf-8"))
        network = config.create()
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: {error}") from error
    _check_tensors(network.state_dict(), tensors, str(folder / WEIGHTS))
    network.load_state_dict(tensors)
    return config, network


def _check_tensors(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], where: str) -> None:
    """Every tensor of the network, of its shape, and no other."""
    wrong = [f"no {name}" for name in expected if name not in found]
    wrong += [f"{name}, which the network does not have" for name in found if name not in expected]
    wrong += [
        f"{name} of shape {tuple(tensor.shape)} for {tuple(expected[name].shape)}"
        for name, tensor in found.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(f"{where} is not what {CONFIG} says: it has {'; '.join(wrong[:3])}{more}")


@dataclass(frozen=True)
class LoadedWeights:
    """What an RGB network's weights became.

    Attributes:
        loaded: names of the tensors that were taken over.
        left: names of the RGB network's tensors that were not: its stem, the layers that see the input, and a last
            layer for another number of classes.
        fresh: names of the network's tensors that keep the values they had.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    fresh: tuple[str, ...]

    @property
    def summary(self) -> str:
        """In one line."""
        new = f", new are {', '.join(self.fresh)}" if self.fresh else ""
        gate = "; the gate is not" if any(name.startswith("gate.") for name in self.left) else ""
        return f"{len(self.loaded)} tensors are taken over{new}{gate}"


def check_rgb_weights(network: nn.Module, state_dict: Mapping[str, torch.Tensor]) -> None:
    """Whether weights are of the RGB network that a network was made of, whatever their last layer.

    Args:
        network: from `create_model`.
        state_dict: of an RGB network.

    Raises:
        ValueError: they are another architecture's.
    """
    adaptation = adaptation_of(network)
    own = getattr(network, "network", network).state_dict()
    elsewhere = (*(f"{name}." for name in adaptation.stem + adaptation.input_layers), *_LAST_LAYERS)
    wrong = [
        f"{name} of shape {tuple(tensor.shape)}"
        for name, tensor in state_dict.items()
        if not name.startswith(elsewhere) and (name not in own or own[name].shape != tensor.shape)
    ]
    wrong += [
        f"no {name}"
        for name in own
        if name not in state_dict and not name.startswith(elsewhere) and not name.endswith("num_batches_tracked")
    ]
    if wrong:
        raise ValueError(f"these are weights of another architecture: they have {', '.join(wrong[:2])}")


def load_rgb_weights(network: nn.Module, state_dict: Mapping[str, torch.Tensor]) -> LoadedWeights:
    """Take over an RGB network's weights wherever they mean the same.

    Args:
        network: from `create_model`; of a gated one the gate stays as it is.
        state_dict: of the RGB network of the same architecture: torchvision's, or timm's for an SE-ResNet.

    Raises:
        ValueError: they are another architecture's.

    >>> loaded = load_rgb_weights(network, torchvision.models.resnet50(weights="DEFAULT").state_dict())
    >>> loaded.left
    ('conv1.weight', 'bn1.weight', ..., 'layer1.0.conv1.weight', 'layer1.0.downsample.0.weight')
    """
    inner: Any = getattr(network, "network", network)
    check_rgb_weights(network, state_dict)
    own = inner.state_dict()
    input_layers = tuple(f"{name}." for name in adaptation_of(network).input_layers)
    loaded = tuple(
        name
        for name, tensor in state_dict.items()
        if name in own and own[name].shape == tensor.shape and not name.startswith(input_layers)
    )
    inner.load_state_dict({name: state_dict[name] for name in loaded}, strict=False)
    taken = set(loaded)
    return LoadedWeights(
        loaded,
        left=tuple(name for name in state_dict if name not in taken),
        fresh=tuple(name for name in own if name not in taken),
    )
