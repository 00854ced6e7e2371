"""Where a training may start from: the weights of a classifier, for frequencies or RGB."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import (
    CheckpointError,
    LoadedWeights,
    ModelConfig,
    check_rgb_weights,
    checkpoint_in,
    load_network,
    read_tensors,
)
from jpegfreq.models.gate import ChannelGate, GatedNetwork
from jpegfreq.models.networks.adapt import adaptation_of
from jpegfreq.models.networks.create import create_model

__all__ = ["Pretrained", "load_pretrained", "read_pretrained"]


@dataclass(frozen=True)
class Pretrained:
    """A classifier's weights.

    Attributes:
        path: where they are from.
        tensors: by name, without a gate's.
        config: of a checkpoint of `save_model`; None for an RGB network's file.
        gate: the gate's tensors by name; None without one.
    """

    path: Path
    tensors: dict[str, Tensor]
    config: ModelConfig | None = None
    gate: dict[str, Tensor] | None = None

    @property
    def format(self) -> TensorFormat | None:
        """What their input was; None for RGB."""
        return None if self.config is None else self.config.format


def read_pretrained(path: str | os.PathLike[str]) -> Pretrained:
    """A checkpoint folder of `save_model`, the best of a run, or a file of an RGB network's state dict.

    A file (.pth, .pt or .safetensors) may hold the state dict itself or have it under "model", as torchvision's
    training writes it, or "state_dict".

    Raises:
        CheckpointError: it is neither.
        FileNotFoundError: there is nothing.
    """
    path = Path(path)
    if path.is_dir():
        path = checkpoint_in(path)
        config, network = load_network(path, ModelConfig.from_json)
        gate = network.gate.state_dict() if isinstance(network, GatedNetwork) else None
        inner = network.network if isinstance(network, GatedNetwork) else network
        return Pretrained(path, inner.state_dict(), config, gate)
    if path.suffix == ".safetensors":
        try:
            return Pretrained(path, load_file(path))
        except SafetensorError as error:
            raise CheckpointError(f"{path} is no file of weights: {error}") from error
    found = read_tensors(path)
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path} holds no state dict: tensors by name are wanted")
    return Pretrained(path, found)


def load_pretrained(
    network: nn.Module,
    source: Pretrained,
    *,
    architecture: str,
    format: TensorFormat | None,
    gate: ChannelGate | None = None,
) -> LoadedWeights:
    """Take a classifier's weights over into another, or into a backbone, wherever they mean the same.

    From a network of the same channels, in the same order, all of them that fit; and its gate, where both have one.
    From RGB or of other channels, all but the layers that see the input. A last layer is taken where it has as many
    classes.

    Args:
        network: a classifier behind its gate, or a backbone's stages under torchvision's names.
        source: of the same architecture.
        architecture: of the network.
        format: of its input; None for RGB.
        gate: the one before it; None without one.

    Returns:
        Names of the network's tensors, "gate." before the gate's.

    Raises:
        ValueError: it is of another architecture.
    """
    same = _channels(source.format) == _channels(format)
    with torch.device("meta"):
        pattern = create_model(architecture, format=format, num_classes=1)
        input_layers = () if same else adaptation_of(pattern).input_layers
        if source.config is None:
            try:
                check_rgb_weights(pattern, source.tensors)
            except ValueError as error:
                raise ValueError(f"{source.path}: {error}") from error
        elif source.config.architecture != architecture:
            raise ValueError(f"{source.path} is a {source.config.architecture}, not a {architecture}")
        elif not same:  # what is no input layer of the one may be one of the other
            theirs = create_model(architecture, format=source.format, num_classes=1)
            input_layers += adaptation_of(theirs).input_layers
    own = network.state_dict()
    taken = {
        name: value
        for name, value in source.tensors.items()
        if name in own
        and own[name].shape == value.shape
        and not name.startswith(tuple(f"{layer}." for layer in input_layers))
    }
    network.load_state_dict(taken, strict=False)
    loaded, fresh = list(taken), [name for name in own if name not in taken]
    if gate is not None:
        names = [f"gate.{name}" for name in gate.state_dict()]
        if same and source.gate is not None:
            gate.load_state_dict(source.gate)
            loaded += names
        else:
            fresh += names
    left = [name for name in source.tensors if name not in taken]
    if source.gate is not None and (gate is None or not same):
        left += [f"gate.{name}" for name in source.gate]
    return LoadedWeights(tuple(loaded), left=tuple(left), fresh=tuple(fresh))


def _channels(format: TensorFormat | None) -> tuple[int, ...] | None:
    return None if format is None else format.selection.channels
