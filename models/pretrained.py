"""Start from the weights of another network: an RGB network's, or those of an earlier run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from jpegfreq._files import check_not_special
from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import CheckpointError, ModelConfig, checkpoint_in, load_network, read_tensors
from jpegfreq.models.frontend import FrequencyNetwork
from jpegfreq.models.gate import ChannelGate, GatedNetwork
from jpegfreq.models.networks.adapt import adaptation_of
from jpegfreq.models.networks.create import create_model
from jpegfreq.models.pixel_layer import PixelLayer
from jpegfreq.models.rgb_source import build_rgb, check_finite, restored_rgb

__all__ = [
    "LoadedWeights",
    "Pretrained",
    "load_adapted",
    "load_pretrained",
    "load_rgb_weights",
    "read_pretrained",
]


@dataclass(frozen=True)
class LoadedWeights:
    """Which weights were loaded into a network.

    Attributes:
        loaded: the names of the tensors that were loaded.
        left: the names of the source's tensors that were not used: an RGB network's stem, the layers that see the
            input, and a last layer for another number of classes.
        fresh: the names of the network's tensors that keep their own values.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    fresh: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One line for the console."""
        new = f"; new: {', '.join(self.fresh)}" if self.fresh else ""
        gate = "; the gate was not loaded" if any(name.startswith("gate.") for name in self.left) else ""
        return f"{counted(len(self.loaded), 'tensor')} loaded{new}{gate}"

    def __repr__(self) -> str:
        """Give counts only: there are hundreds of names."""
        return f"LoadedWeights({len(self.loaded)} loaded, {len(self.left)} left, {len(self.fresh)} fresh)"


@dataclass(frozen=True)
class Pretrained:
    """A classifier's weights.

    Attributes:
        path: where they were read from.
        tensors: the tensors by name, without the gate's.
        config: the config of a checkpoint that `save_model` wrote; None for an RGB network's file.
        gate: the gate's tensors by name; None without a gate.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: ModelConfig | None = None
    gate: dict[str, Tensor] | None = None

    @property
    def format(self) -> TensorFormat | None:
        """The format of the classifier's input; None for RGB."""
        return None if self.config is None else self.config.format

    def __repr__(self) -> str:
        """Give the source, without the tensors."""
        gate = "" if self.gate is None else ", with a gate"
        return f"Pretrained({str(self.path)!r}, {counted(len(self.tensors), 'tensor')}{gate})"


def read_pretrained(path: str | os.PathLike[str], *, run_code: bool = False) -> Pretrained:
    """Read weights from a checkpoint folder, from the best epoch of a training run, or from an RGB network's file.

    A file (.pth, .pt or .safetensors) holds a state dict, directly or under "model", as torchvision's training
    scripts write it, or "state_dict".

    Args:
        path: the folder or file.
        run_code: as for `load_model`.

    Raises:
        CheckpointError: the path holds none of these.
        FileNotFoundError: the path does not exist.
    """
    path = Path(path)
    if path.is_dir():
        path = checkpoint_in(path)
        config, network = load_network(path, ModelConfig.from_json, run_code=run_code)
        gate = network.gate.state_dict() if isinstance(network, GatedNetwork) else None
        inner = network.network if isinstance(network, GatedNetwork) else network
        return Pretrained(path, inner.state_dict(), config, gate)
    check_not_special(path)
    if path.suffix == ".safetensors":
        try:
            return Pretrained(path, load_file(path))
        except SafetensorError as error:
            raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    found = read_tensors(path)
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path} holds no state dict, which maps names to tensors")
    return Pretrained(path, found)


def load_rgb_weights(network: nn.Module, state_dict: Mapping[str, Tensor]) -> LoadedWeights:
    """Load an RGB network's weights into every layer except the input layers.

    The last layer is loaded if it has the same number of classes.

    Args:
        network: from `create_model`; a gate in front of it keeps its values.
        state_dict: from the RGB network of the same architecture: torchvision's, or timm's for an SE-ResNet.

    Raises:
        ValueError: the weights belong to another architecture.

    >>> load_rgb_weights(network, torchvision.models.resnet50(weights="DEFAULT").state_dict())
    LoadedWeights(312 loaded, 8 left, 2 fresh)
    """
    _check_rgb_weights(network, state_dict)
    inner = getattr(network, "network", network)
    return _load(inner, state_dict, "state_dict", adaptation_of(network).input_layers, _fixed(inner))


def load_pretrained(
    network: nn.Module,
    source: Pretrained,
    *,
    architecture: str,
    format: TensorFormat | None,
    gate: ChannelGate | None = None,
) -> LoadedWeights:
    """Load a classifier's weights into another classifier, or into a backbone.

    If both networks take the same channels in the same order, every tensor that fits is loaded, the gate's too.
    Otherwise every layer except the input layers is loaded. The last layer is loaded if it has the same number of
    classes.

    Args:
        network: a classifier without its gate, or a backbone's stages under torchvision's names.
        source: the weights, of the same architecture.
        architecture: the network's architecture.
        format: the format of the network's input; None for RGB.
        gate: the gate in front of the network; None without one.

    Returns:
        Names of tensors; those of the gate begin with "gate.".

    Raises:
        ValueError: the weights belong to another architecture.
    """
    same = _channels(source.format) == _channels(format)
    with torch.device("meta"):
        pattern = create_model(architecture, format=format, num_classes=1)
        input_layers = () if same else adaptation_of(pattern).input_layers
        if source.config is None:
            try:
                _check_rgb_weights(pattern, source.tensors)
            except ValueError as error:
                raise ValueError(f"{source.path}: {error}") from error
        elif source.config.architecture != architecture:
            raise ValueError(f"{source.path} is a {source.config.architecture}, but the network is a {architecture}")
        elif not same:  # the two networks need not have the same input layers: see `resnet` on 64 channels
            theirs = create_model(architecture, format=source.format, num_classes=1)
            input_layers += adaptation_of(theirs).input_layers
    body = _load(network, source.tensors, str(source.path), input_layers, _fixed(network))
    own = () if gate is None else _of_gate(gate.state_dict())
    theirs_gate = _of_gate(source.gate or ())
    if gate is not None and source.gate is not None and same:
        gate.load_state_dict(source.gate)
        return LoadedWeights((*body.loaded, *own), body.left, body.fresh)
    return LoadedWeights(body.loaded, (*body.left, *theirs_gate), (*body.fresh, *own))


def load_adapted(network: nn.Module, source: Pretrained, model: ModelConfig) -> LoadedWeights:
    """Load the weights of an adapted RGB network into another one, which may take other channels, or RGB.

    For other channels or statistics, the RGB network is adapted anew: a PixelLayer and a folded first convolution are
    those of the RGB network again, whatever was trained of them. The last layer is loaded if it has the same number of
    classes, and the gate if it has the same channels.

    Args:
        network: what `model.create()` returned.
        source: the weights.
        model: the network's config.

    Raises:
        ValueError: the weights belong to another RGB network.
    """
    theirs = source.config
    if theirs is None or theirs.source is None or theirs.architecture != model.architecture or model.source is None:
        found = "an RGB network's file" if theirs is None else f"a {theirs.architecture}"
        raise ValueError(f"{source.path} is {found}, but the network is a {model.architecture}")
    gate = network.gate if isinstance(network, GatedNetwork) else None
    inner = network.network if isinstance(network, GatedNetwork) else network
    if theirs.format == model.format:
        body = _load(inner, source.tensors, str(source.path))
    else:
        tensors = source.tensors
        if theirs.format is not None:
            original = build_rgb(theirs.architecture, theirs.source.options)
            tensors = restored_rgb(original, theirs.source, tensors, size=theirs.size)
        rgb = replace(model, format=None, gated=False).create()
        body = _load(rgb, tensors, str(source.path))
        if isinstance(inner, FrequencyNetwork):
            rgb = inner.with_rgb_weights(rgb)
        inner.load_state_dict(rgb.state_dict())
    own = () if gate is None else _of_gate(gate.state_dict())
    if gate is not None and source.gate is not None and _channels(theirs.format) == _channels(model.format):
        gate.load_state_dict(source.gate)
        return LoadedWeights((*body.loaded, *own), body.left, body.fresh)
    return LoadedWeights(body.loaded, (*body.left, *_of_gate(source.gate or ())), (*body.fresh, *own))


def _of_gate(tensors: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"gate.{name}" for name in tensors)


def _fixed(network: nn.Module) -> tuple[str, ...]:
    """Return how the names of the tensors begin that follow from the format alone: a PixelLayer's of `create_model`."""
    inner = getattr(network, "network", network)
    return tuple(f"{name}." for name, module in inner.named_modules() if isinstance(module, PixelLayer))


def _check_rgb_weights(network: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Require the weights of the RGB network from which a network was made, whatever their last layer.

    Raises:
        ValueError: they belong to another architecture.
    """
    adaptation = adaptation_of(network)
    entry = adaptation.architecture
    elsewhere = tuple(
        f"{name}." for name in (*adaptation.input_layers, *((*entry.stem, entry.last_layer) if entry else ()))
    )
    elsewhere += _fixed(network) + (entry.sized if entry else ())
    own = getattr(network, "network", network).state_dict()
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
        raise ValueError(f"these weights belong to another architecture: they have {', '.join(wrong[:2])}")


def _load(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    where: str,
    input_layers: tuple[str, ...] = (),
    fixed: tuple[str, ...] = (),
) -> LoadedWeights:
    """Load the tensors that fit by name and shape, except those of the input layers; those that are fixed do not count.

    Args:
        network: what they are loaded into.
        tensors: the tensors by name.
        where: the file they are from, for errors.
        input_layers: the names of the layers.
        fixed: how the names of tensors begin that are neither loaded nor reported.

    Raises:
        ValueError: a tensor that fits is not finite.
    """
    excluded = tuple(f"{name}." for name in input_layers)
    own = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(fixed)}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(fixed)}
    loaded = {
        name: value
        for name, value in tensors.items()
        if name in own and own[name].shape == value.shape and not name.startswith(excluded)
    }
    check_finite(loaded, own, where)
    network.load_state_dict(loaded, strict=False)
    return LoadedWeights(
        tuple(loaded),
        left=tuple(name for name in tensors if name not in loaded),
        fresh=tuple(name for name in own if name not in loaded),
    )


def _channels(format: TensorFormat | None) -> tuple[int, ...] | None:
    return None if format is None else format.selection.channels
