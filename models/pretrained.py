"""Where a network for boxes or masks starts from: the weights of a classifier, for frequencies or RGB."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from jpegfreq.format import TensorFormat
from jpegfreq.models.adapt import adaptation_of
from jpegfreq.models.checkpoint import CheckpointError, LoadedWeights, ModelConfig, load_network, load_rgb_weights
from jpegfreq.models.create import create_model
from jpegfreq.models.dense import DenseConfig, body_of, gate_of
from jpegfreq.models.gate import GatedNetwork

__all__ = ["Pretrained", "load_backbone", "read_pretrained"]


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
    """A checkpoint folder of `save_model`, or a file of an RGB network's state dict (.pth, .pt or .safetensors).

    A file may hold the state dict itself or have it under "model", as torchvision's training writes it, or
    "state_dict".

    Raises:
        CheckpointError: it is neither.
        FileNotFoundError: there is nothing.
    """
    path = Path(path)
    if path.is_dir():
        config, network = load_network(path, ModelConfig.from_json)
        gate = network.gate.state_dict() if isinstance(network, GatedNetwork) else None
        inner = network.network if isinstance(network, GatedNetwork) else network
        return Pretrained(path, inner.state_dict(), config, gate)
    try:
        if path.suffix == ".safetensors":
            return Pretrained(path, load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(f"{path} is no file of weights: {error}") from error
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise CheckpointError(f"{path} holds no state dict: tensors by name are wanted")
    return Pretrained(path, found)


def load_backbone(network: nn.Module, config: DenseConfig, source: Pretrained) -> LoadedWeights:
    """Take a classifier's weights over into a backbone.

    From a frequency network of the same channels, in the same order, all of them; and its gate, where both have one.
    From RGB or of other channels, all but the layers that see the input.

    Args:
        network: what `config` created.
        config: of the network.
        source: of the same architecture.

    Returns:
        Names of the backbone's tensors, "gate." before the gate's.

    Raises:
        ValueError: it is of another architecture.
    """
    if source.config is not None and source.config.architecture != config.architecture:
        raise ValueError(f"{source.path} is a {source.config.architecture}, the backbone a {config.architecture}")
    body = body_of(network)
    own = body.state_dict()
    tensors = source.tensors
    same = source.format is not None and source.format.selection.channels == config.format.selection.channels
    if not same:
        classifier = create_model(config.architecture, format=config.format, num_classes=1)
        if source.format is not None:  # trained for other channels: what is no input layer of it may be one here
            inputs = adaptation_of(create_model(config.architecture, format=source.format, num_classes=1)).input_layers
            tensors = {name: value for name, value in tensors.items() if not name.startswith(inputs)}
        try:
            tensors = {name: tensors[name] for name in load_rgb_weights(classifier, tensors).loaded}
        except ValueError as error:
            raise ValueError(f"{source.path}: {error}") from error
    taken = {name: value for name, value in tensors.items() if name in own}  # not the last layer
    body.load_state_dict(taken, strict=False)
    loaded, fresh = list(taken), [name for name in own if name not in taken]
    if config.gated:
        gate = gate_of(network)
        names = [f"gate.{name}" for name in gate.state_dict()]
        if same and source.gate is not None:
            gate.load_state_dict(source.gate)
            loaded += names
        else:
            fresh += names
    return LoadedWeights(
        tuple(loaded), left=tuple(name for name in source.tensors if name not in taken), fresh=tuple(fresh)
    )
