"""Run RGB networks on frequency tensors, with the same outputs and without retraining.

Note [Fixed front end] in pixel_layer.py has the maths.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from jpegfreq._arguments import check_choice, check_type, given, whole_number
from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.models.pixel_layer import PixelLayer
from jpegfreq.models.stems import Form, evaluate, find_stem, fold, size_taken
from jpegfreq.views import EvaluationView

__all__ = [
    "LARGEST",
    "EvaluationFilter",
    "FrequencyNetwork",
    "checked_mean_and_std",
    "checked_size",
    "from_rgb",
    "in_form",
]

EvaluationFilter = Literal["bilinear", "bicubic"]

LARGEST = 65536  # pixels of a side, the limit of `read_batch`


class FrequencyNetwork(nn.Module):
    """An RGB network on frequency tensors; `from_rgb` makes it.

    Attributes:
        form: "layer" if a PixelLayer stands in front of the network; "folded patch" or "folded stride 4" if the
            network's first convolution takes the frequencies itself.
        format: the format of its input.
        size: (height, width) in pixels of the images.
        shorter_side: the length in pixels to which an image's shorter side is resized before its centre is cropped to
            the size, as the network expects it; None if that is unknown.
        filter: the filter of that resize, as `read_batch` takes it.
        classes: the names of the network's outputs; () if they have none.
        mean: the mean of R, G and B that the RGB network's input was normalized with, for pixels from 0 to 1.
        std: the standard deviation of R, G and B, likewise.
        source: where the RGB network comes from, such as "torchvision:resnet50", if `from_torchvision` or `from_timm`
            made it; None for a network of one's own, which `save_model` cannot keep.
        options: what its builder was called with.
        front: the PixelLayer; nn.Identity for the folded forms.
        network: a copy of the RGB network, with another first convolution in the folded forms.
        stem_weight: in the folded forms the RGB network's first convolution, as it was; otherwise None.
        stem_bias: its bias, if it has one.
    """

    stem_weight: Tensor | None
    stem_bias: Tensor | None

    def __init__(
        self,
        form: Form,
        front: nn.Module,
        network: nn.Module,
        *,
        format: TensorFormat,
        size: tuple[int, int],
        shorter_side: int | None,
        filter: EvaluationFilter,
        classes: tuple[str, ...],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        stem: nn.Conv2d | None,
    ) -> None:
        """Join the two parts; `stem` is the first convolution that was folded."""
        super().__init__()
        self.form = form
        self.format = format
        self.size = size
        self.shorter_side = shorter_side
        self.filter = filter
        self.classes = classes
        self.mean = mean
        self.std = std
        self.source: str | None = None
        self.options: dict[str, Any] = {}
        self.front = front
        self.network = network
        self.register_buffer("stem_weight", None if stem is None else stem.weight.detach().clone())
        bias = None if stem is None or stem.bias is None else stem.bias.detach().clone()
        self.register_buffer("stem_bias", bias)

    @property
    def view(self) -> EvaluationView:
        """The part of each image that the network expects, for `FrequencyDataset` and `convert`.

        Raises:
            ValueError: the shorter side is unknown.
        """
        if self.shorter_side is None:
            raise ValueError("the shorter side to which the network expects images to be resized is unknown")
        return EvaluationView(self.size, self.shorter_side, self.filter)

    def forward(self, x: Tensor) -> Tensor:
        """Run the network on [N, C, H / 8, W / 8]."""
        grid = (-(-self.size[0] // 8), -(-self.size[1] // 8))
        wanted = (len(self.format.selection), *grid)
        if not isinstance(x, Tensor):
            raise TypeError(f"the input must be a tensor, not {given(x)}")
        if tuple(x.shape[1:]) != wanted:
            raise ValueError(
                f"the input must be [N, {', '.join(map(str, wanted))}], that is {counted(wanted[0], 'channel')} x "
                f"height {grid[0]} x width {grid[1]}, not {list(x.shape)}"
            )
        output: Tensor = self.network(self.front(x))
        return output

    def with_rgb_weights(self, network: nn.Module) -> FrequencyNetwork:
        """Adapt another RGB network of the same kind as this one was: to the same format and in the same form.

        Args:
            network: the RGB network, which becomes a part of the result.
        """
        return in_form(
            self.form,
            network,
            size=self.size,
            mean=self.mean,
            std=self.std,
            format=self.format,
            classes=self.classes,
            shorter_side=self.shorter_side,
            filter=self.filter,
        )

    def __repr__(self) -> str:
        """Name the network, its form and its input, not the network's layers."""
        classes = f", {counted(len(self.classes), 'class')}" if self.classes else ""
        resize = f", shorter side {self.shorter_side}, {self.filter}" if self.shorter_side else ""
        return (
            f"FrequencyNetwork({type(self.network).__name__}, {self.form}, "
            f"{counted(len(self.format.selection), 'channel')} of "
            f"images of height {self.size[0]} x width {self.size[1]} pixels{resize}{classes})"
        )


def from_rgb(
    network: nn.Module,
    *,
    size: int | tuple[int, int] = 224,
    mean: Sequence[float],
    std: Sequence[float],
    format: TensorFormat | None = None,
    classes: Sequence[str] = (),
    shorter_side: int | None = None,
    filter: EvaluationFilter = "bilinear",
) -> FrequencyNetwork:
    """Make a trained RGB network take frequency tensors; its outputs stay the same, and nothing is retrained.

    The patch embedding of a vision transformer (torchvision's, or timm's with a PatchEmbed) whose patch is a multiple
    of 8 takes the frequencies itself, at no extra cost. So does a stem that reads patches of 4 x 4 pixels, such as
    ConvNeXt's and Swin's, if the format has so few channels that this needs fewer multiply-adds than a PixelLayer. In
    front of any other network stands a PixelLayer, also if the folded network should give other outputs in a trial on
    one tensor. See Note [Fixed front end].

    Args:
        network: a network that takes [N, 3, height, width]. It is not changed; the result holds a copy.
        size: (height, width) of the images in pixels, or one number for both.
        mean: the mean of R, G and B that the network's input was normalized with, for pixels from 0 to 1.
        std: the standard deviation of R, G and B, likewise.
        format: the format of the tensors to come; None for all 192 channels without statistics. Missing channels are
            taken to be at their mean.
        classes: the names of the network's outputs.
        shorter_side: the length in pixels to which the network expects an image's shorter side to be resized before its
            centre is cropped. This and the filter only go into the result, for its evaluation.
        filter: the filter of that resize.

    Returns:
        A module that takes [N, C, height / 8, width / 8], in any memory order, on the network's device and in its
        precision. The grid is rounded up for sizes that are not multiples of 8.

    Raises:
        TypeError: an argument is of another kind.
        ValueError: the network does not take RGB, or an argument is out of range.

    >>> network = from_rgb(torchvision.models.resnet50(), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    >>> network(torch.zeros(1, 192, 28, 28)).shape
    torch.Size([1, 1000])
    """
    check_type("network", network, nn.Module, " of torch.nn, such as a network that torchvision's functions return")
    height, width = checked_size(size)
    mean, std = checked_mean_and_std(mean, std)
    taken = size_taken(network)
    if taken not in (None, (height, width)):
        raise ValueError(
            f"the network takes images of height {taken[0]} x width {taken[1]} pixels, but size is height {height} x "
            f"width {width}"
        )
    check_choice("filter", filter, get_args(EvaluationFilter))
    if shorter_side is not None and whole_number("shorter_side", shorter_side) < max(height, width):
        raise ValueError(
            f"shorter_side is {shorter_side}, but the crop is larger: height {height} x width {width} pixels"
        )
    format = TensorFormat.of(format)
    if isinstance(classes, str) or not all(isinstance(name, str) for name in classes):
        raise TypeError(f"classes must be a list of names, not {given(classes)}")
    if any(parameter.is_meta for parameter in network.parameters()):
        raise ValueError("the network lies on the device meta, which holds no weights: load them first")
    network = copy.deepcopy(network)
    stem = find_stem(network, (height, width))
    if stem is not None and stem.convolution.in_channels != stem.given:
        raise ValueError(
            f"the network's first convolution, {stem.name!r}, takes "
            f"{counted(stem.convolution.in_channels, 'channel')}, but that "
            f"of an RGB network takes {stem.given}"
        )
    common = _Common(format, (height, width), shorter_side, filter, tuple(classes), tuple(mean), tuple(std))
    whole = _with_layer(network, common)
    if stem is not None and height % 8 == 0 and width % 8 == 0:
        folded = copy.deepcopy(network)
        form = fold(folded, stem, format, mean, std)
        if form != "layer" and _gives_the_same(folded, whole):
            return common.join(form, nn.Identity(), folded, stem.convolution)
    return whole


def in_form(
    form: Form,
    network: nn.Module,
    *,
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
    format: TensorFormat,
    classes: Sequence[str] = (),
    shorter_side: int | None = None,
    filter: EvaluationFilter = "bilinear",
) -> FrequencyNetwork:
    """Make an RGB network take frequency tensors in the form that `from_rgb` once chose, without a trial.

    Args:
        form: the form of the FrequencyNetwork.
        network: as for `from_rgb`, but it becomes a part of the result.
        size: (height, width) of the images in pixels.
        mean: as for `from_rgb`, and so are all others.
        std: likewise.
        format: likewise.
        classes: likewise.
        shorter_side: likewise.
        filter: likewise.

    Raises:
        ValueError: the network cannot have this form.
    """
    common = _Common(format, size, shorter_side, filter, tuple(classes), tuple(mean), tuple(std))
    if form == "layer":
        return _with_layer(network, common)
    stem = find_stem(network, size)
    made = "layer" if stem is None else fold(network, stem, format, mean, std, even_if_dearer=True)
    if made != form or stem is None:
        raise ValueError(f"the network cannot have the form {form!r}, but only {made!r}")
    return common.join(form, nn.Identity(), network, stem.convolution)


@dataclass(frozen=True)
class _Common:
    """What a FrequencyNetwork of any form keeps."""

    format: TensorFormat
    size: tuple[int, int]
    shorter_side: int | None
    filter: EvaluationFilter
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def join(self, form: Form, front: nn.Module, network: nn.Module, stem: nn.Conv2d | None = None) -> FrequencyNetwork:
        """Put a front end before a network; its layers keep their own modes, because some may be frozen."""
        made = FrequencyNetwork(
            form,
            front,
            network,
            format=self.format,
            size=self.size,
            shorter_side=self.shorter_side,
            filter=self.filter,
            classes=self.classes,
            mean=self.mean,
            std=self.std,
            stem=stem,
        )
        made.training = network.training
        return made


def _with_layer(network: nn.Module, common: _Common) -> FrequencyNetwork:
    """Put a PixelLayer before a network, on its device and in its precision."""
    weights = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))
    layer = PixelLayer(common.format, common.size, mean=common.mean, std=common.std)
    return common.join("layer", layer.to(weights.device, weights.dtype), network)


def checked_mean_and_std(
    mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return both as three numbers each.

    Raises:
        ValueError: they are others.
    """
    return _three("mean", mean, 0.0), _three("std", std, 1e-6)


def _three(name: str, values: Any, least: float) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values if not isinstance(value, str))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != 3 or len(values) != 3 or not all(least <= number <= 1 for number in numbers):
        found = numbers if len(numbers) == 3 else given(values)
        raise ValueError(f"{name} must be three numbers, for R, G and B as values from 0 to 1, not {found}")
    return numbers


def checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width).

    Raises:
        ValueError: the size is not one or two whole numbers of at least 1.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in pair):
        raise ValueError(f"size must be a whole number of pixels, or (height, width), not {size!r}")
    if min(pair) < 1 or max(pair) > LARGEST:
        raise ValueError(f"size must be from 1 to {LARGEST} pixels, not height {pair[0]} x width {pair[1]}")
    return pair


def _gives_the_same(folded: nn.Module, whole: FrequencyNetwork) -> bool:
    """Whether a folded network gives what the layer form gives, tried on one tensor of noise.

    A network may use the size of its input elsewhere, and that size is in blocks after the fold.
    """
    grid = (1, len(whole.format.selection), whole.size[0] // 8, whole.size[1] // 8)
    noise = torch.randn(grid, generator=torch.Generator().manual_seed(0))
    if whole.format.statistics is None:
        noise *= 30  # grey levels
    if whole.format.steps is not None:
        noise /= torch.tensor(whole.format.steps)[list(whole.format.selection.channels), None, None]
    noise = noise.to(next(whole.front.parameters()))
    with torch.no_grad():
        expected = evaluate(whole.network, whole.front(noise))
    try:
        found = evaluate(folded, noise)
    except ValueError:
        return False
    tolerance = 1e-2 if noise.element_size() >= 4 else 0.1
    ours, theirs = _tensors(found), _tensors(expected)
    if not theirs or [tensor.shape for tensor in ours] != [tensor.shape for tensor in theirs]:
        return False
    return all(bool((a - b).norm() <= tolerance * b.norm()) for a, b in zip(ours, theirs, strict=True))


def _tensors(output: Any) -> list[Tensor]:
    """Return the tensors of a network's output, be it one, or several in lists, tuples and dictionaries."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
