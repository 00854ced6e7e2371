"""Run the networks of torchvision and timm on frequency tensors, with the preprocessing they were trained with."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torchvision.models import WeightsEnum

from jpegfreq._words import counted, verb
from jpegfreq.format import TensorFormat
from jpegfreq.models.frontend import FrequencyNetwork, checked_size, from_rgb
from jpegfreq.models.pretrained import read_pretrained
from jpegfreq.models.rgb_source import call_builder, check_finite, check_name, import_timm, load_fitting
from jpegfreq.models.stems import size_taken

__all__ = ["from_timm", "from_torchvision", "load_weights"]


def from_torchvision(
    name: str,
    *,
    weights: str | os.PathLike[str] | WeightsEnum | None = None,
    size: int | tuple[int, int] | None = None,
    format: TensorFormat | None = None,
    classes: Sequence[str] = (),
    shorter_side: int | None = None,
    **options: Any,
) -> FrequencyNetwork:
    """Make one of torchvision's classifiers, and let it take frequency tensors. See `from_rgb`.

    The mean, the standard deviation, the size, the shorter side and the filter are those of the weights' own
    preprocessing. Without weights, and for a file that torchvision does not offer under that name, they are those of
    the network's default weights. Nothing is downloaded to find them.

    Args:
        name: the network's name, such as "resnet50".
        weights: a file with a state dict; or weights that torchvision offers, such as "IMAGENET1K_V2" or "DEFAULT",
            which torchvision downloads unless it has done so before; or None for random weights.
        size: (height, width) of the images in pixels, or one number for both; None for the usual size.
        format: the format of the tensors to come; see `from_rgb`.
        classes: the names of the network's outputs; by default those of the weights that torchvision offers.
        shorter_side: see `from_rgb`; None for the usual one, in proportion to the size.
        options: are passed to torchvision's builder, such as `num_classes` or a vision transformer's `image_size`.

    Raises:
        CheckpointError: the file holds no weights.
        FileNotFoundError: the file does not exist.
        ValueError: the name or the weights are unknown, the weights are another network's, or an argument is out of
            range.

    >>> from_torchvision("resnet50", weights="resnet50-11ad3fa6.pth", format=TensorFormat(24))
    FrequencyNetwork(ResNet, layer, 24 channels of images of height 224 x width 224 pixels, shorter side 232, bilinear,
    1000 classes)
    """
    check_name(name, "torchvision", torchvision.models.list_models(module=torchvision.models))
    offered = torchvision.models.get_model_weights(name)
    chosen = _offered(name, weights, offered)
    loaded_there = chosen if isinstance(weights, WeightsEnum) or weights in offered.__members__ else None
    options = {**_as_trained(name, chosen), **_with_classes(options, classes)}
    build = torchvision.models.get_model_builder(name)
    network = call_builder(f"torchvision:{name}", build, {**options, "weights": loaded_there})
    if weights is not None and loaded_there is None:
        load_weights(network, name, Path(weights))
    if chosen is not None and not classes:
        classes = chosen.meta["categories"]
    usual = (chosen or offered.DEFAULT).transforms()
    (side,), (usual_side,) = usual.crop_size, usual.resize_size
    preprocessing = _Preprocessing(
        usual.mean, usual.std, (side, side), usual.interpolation.value, lambda new: round(new * usual_side / side)
    )
    made = _adapt(network.eval(), preprocessing, size, format, classes, shorter_side)
    if name in ("googlenet", "inception_v3"):  # torchvision drops the auxiliary outputs after it has loaded weights
        options["aux_logits"] = network.aux_logits
    made.source, made.options = f"torchvision:{name}", options
    return made


def from_timm(
    name: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] | None = None,
    format: TensorFormat | None = None,
    classes: Sequence[str] = (),
    shorter_side: int | None = None,
    **options: Any,
) -> FrequencyNetwork:
    """Make one of timm's networks, and let it take frequency tensors. See `from_rgb`.

    The mean, the standard deviation, the size, the shorter side (from `crop_pct`) and the filter are those of the
    network's `pretrained_cfg`. Nothing is downloaded to find them.

    Args:
        name: the network's name, such as "vit_base_patch16_224", with or without a tag such as ".augreg_in1k", which
            chooses among several weights and their preprocessing.
        weights: a file with a state dict; or "DEFAULT" for timm's own, which timm downloads unless it has done so
            before; or None for random weights.
        size: (height, width) of the images in pixels, or one number for both; None for the usual size. A vision
            transformer also needs the option `img_size`.
        format: the format of the tensors to come; see `from_rgb`.
        classes: the names of the network's outputs.
        shorter_side: see `from_rgb`; None for the usual one, in proportion to the size.
        options: are passed to `timm.create_model`, such as `num_classes` or `img_size`.

    Raises:
        CheckpointError: the file holds no weights.
        FileNotFoundError: the file does not exist.
        ImportError: timm is not installed.
        ValueError: the name is unknown, timm states no mean and std, the weights are another network's, or an argument
            is out of range.

    >>> from_timm("vit_base_patch16_224", format=TensorFormat(24))
    FrequencyNetwork(VisionTransformer, folded patch, 24 channels of images of height 224 x width 224 pixels, shorter
    side 248, bicubic)
    """
    timm = import_timm()
    check_name(name.partition(".")[0], "timm", timm.list_models())
    options = _with_classes(options, classes)
    build = partial(timm.create_model, name, pretrained=weights == "DEFAULT")
    network = call_builder(f"timm:{name}", build, options)
    if weights not in (None, "DEFAULT"):
        load_weights(network, name, Path(weights))
    config: Any = network.pretrained_cfg
    made = _adapt(network.eval(), _of_timm(name, config), size, format, classes, shorter_side)
    made.source, made.options = f"timm:{name}", options
    return made


@dataclass(frozen=True)
class _Preprocessing:
    """What a network's images go through: a resize of the shorter side, a crop of the centre, and a normalization."""

    mean: Sequence[float]
    std: Sequence[float]
    size: tuple[int, int]
    filter: str
    shorter_side: Callable[[int], int] | None  # of the side of a square crop; None if another step comes before it


def _of_timm(name: str, config: Mapping[str, Any]) -> _Preprocessing:
    """Read a `pretrained_cfg`.

    Raises:
        ValueError: it states no mean and std.
    """
    if not config.get("mean") or not config.get("std"):
        raise ValueError(f"timm states no mean and std for {name}: make it with timm, and give them to from_rgb")
    share = config.get("crop_pct") or 0.875
    by_center = config.get("crop_mode", "center") == "center"  # the others squeeze the image, or pad it
    return _Preprocessing(
        config["mean"],
        config["std"],
        tuple(config.get("input_size", (3, 224, 224))[1:]),
        config.get("interpolation") or "bicubic",
        (lambda side: math.floor(side / share)) if by_center else None,
    )


def _adapt(
    network: nn.Module,
    preprocessing: _Preprocessing,
    size: int | tuple[int, int] | None,
    format: TensorFormat | None,
    classes: Sequence[str],
    shorter_side: int | None,
) -> FrequencyNetwork:
    """Let a network take frequency tensors; the size it was built for comes before the usual one."""
    height, width = checked_size((size_taken(network) or preprocessing.size) if size is None else size)
    if shorter_side is None and height == width and preprocessing.shorter_side is not None:
        shorter_side = preprocessing.shorter_side(height)
    return from_rgb(
        network,
        size=(height, width),
        mean=preprocessing.mean,
        std=preprocessing.std,
        format=format,
        classes=classes,
        shorter_side=shorter_side,
        filter=preprocessing.filter,  # type: ignore[arg-type]  # from_rgb checks it
    )


def _offered(name: str, weights: Any, offered: type[WeightsEnum]) -> WeightsEnum | None:
    """Return torchvision's weights that are meant: by themselves, by their name or by their file's name, or None.

    Raises:
        ValueError: they are another network's, or an unknown name.
    """
    if weights is None:
        return None
    if isinstance(weights, WeightsEnum):
        if not isinstance(weights, offered):
            raise ValueError(f"{weights} are the weights of another network than {name}")
        return weights
    if weights in offered.__members__:
        return offered[weights]
    path = Path(weights)
    if not path.suffix and not path.exists():
        names = ", ".join(offered.__members__)
        raise ValueError(f"weights of {name} must be the path of a file, {names} or None, not {str(weights)!r}")
    return next((entry for entry in offered if entry.url.endswith(f"/{path.name}")), None)


def _as_trained(name: str, chosen: WeightsEnum | None) -> dict[str, Any]:
    """Return the options that torchvision adds when it loads weights itself, and a file of them needs too."""
    if chosen is None:
        return {}
    if name.startswith("vit_"):
        return {"image_size": chosen.meta["min_size"][0]}
    return {"transform_input": True} if name in ("googlenet", "inception_v3") else {}


def _with_classes(options: dict[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """Add the number of the classes that are named.

    Raises:
        ValueError: another number was asked for.
    """
    if not classes:
        return options
    if options.get("num_classes", len(classes)) != len(classes):
        raise ValueError(f"num_classes is {options['num_classes']}, but classes has {counted(len(classes), 'name')}")
    return {**options, "num_classes": len(classes)}


def load_weights(network: nn.Module, name: str, path: Path) -> None:
    """Load all weights of an RGB network from a file.

    Args:
        network: it gets the weights.
        name: of the network, for errors.
        path: a file as for `read_pretrained`.

    Raises:
        CheckpointError: the file holds no weights.
        FileNotFoundError: the file does not exist.
        ValueError: the weights are another network's, or not finite.
    """
    source = read_pretrained(path)
    if source.config is not None:
        raise ValueError(
            f"{path} is a checkpoint of a network on frequency tensors, which load_model reads; weights must be those "
            "of an RGB network"
        )
    own = network.state_dict()
    # The files of torchvision's DenseNets are older than the names of their layers.
    tensors = {
        key if key in own else re.sub(r"\b(norm|conv)\.([12])\.", r"\1\2.", key): tensor
        for key, tensor in source.tensors.items()
    }
    lacking = [key for key in own if key not in tensors and not key.endswith("num_batches_tracked")]
    unknown = [key for key in tensors if key not in own]
    reshaped = [key for key in own if key in tensors and own[key].shape != tensors[key].shape]
    faults = [
        f"{counted(len(keys), 'tensor')} {verb(len(keys))} {what}, such as {keys[0]}"
        for keys, what in ((lacking, "missing"), (unknown, "unknown"))
        if keys
    ]
    if reshaped:
        found, wanted = tuple(tensors[reshaped[0]].shape), tuple(own[reshaped[0]].shape)
        faults.append(f"{reshaped[0]} has shape {found} instead of {wanted} (is num_classes right?)")
    if faults:
        raise ValueError(f"{path} holds the weights of another network than this {name}: {'; '.join(faults)}")
    check_finite(tensors, own, str(path))
    load_fitting(network, tensors)
