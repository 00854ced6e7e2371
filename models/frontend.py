"""Run RGB networks on frequency tensors, with the same outputs and without retraining.

Note [Fixed front end]
The inverse block DCT, the conversion from YCbCr to RGB and the network's own normalization are linear, so together they
are one fixed linear layer. With `D[u][x] = c_u cos((2x + 1) u pi / 16)`, c_0 = sqrt(1 / 8) and otherwise 1 / 2:

    component(y, x) = sum over v, u of D[v][y] D[u][x] coefficient[v][u]       (inverse DCT of an 8 x 8 block)
    pixel[r]        = sum over c of C[r][c] component[c] + 128                 (JFIF; RGB from 0 to 255)
    input[r]        = (pixel[r] / 255 - mean[r]) / std[r]                      (what the network was trained with)

A TensorFormat's statistics are undone by the same layer: coefficient = value * std + mean. A channel that the format
lacks stands at its mean, or at 0 without statistics; this is a constant, which goes into the bias.
Nothing is clipped to 0..255 and nothing is rounded, so the outputs equal those on the float pixels exactly.

A first convolution that reads each patch of the image once takes the layer in, because it is linear too:

    patch 8, 16, ...  an eighth of the kernel and of the stride, over the frequencies
    patch 4           each block holds 2 x 2 patches: a 1 x 1 convolution to 4 times the width, then a pixel shuffle

The second needs 4 * width * channels multiply-adds per block, and the layer form with the untouched convolution
64 * channels + 9 * 64 + 192 * width. At a width of 96 (ConvNeXt-T, Swin-T) folding is cheaper up to 59 channels.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from jpegfreq._arguments import check_choice
from jpegfreq._dct import dct_matrix
from jpegfreq.channels import CHANNEL_COUNT
from jpegfreq.format import TensorFormat
from jpegfreq.views import EvaluationView

__all__ = [
    "EvaluationFilter",
    "Form",
    "FrequencyNetwork",
    "PixelLayer",
    "check_mean_and_std",
    "checked_size",
    "first_convolution",
    "from_rgb",
    "in_form",
    "size_taken",
]

Form = Literal["layer", "folded patch", "folded stride 4"]
EvaluationFilter = Literal["bilinear", "bicubic"]

# The JFIF conversion, derived from the luma weights of R, G and B.
_LUMA = (0.299, 0.587, 0.114)
_TO_RGB = np.array(
    (
        (1, 0, 2 - 2 * _LUMA[0]),
        (1, -_LUMA[2] * (2 - 2 * _LUMA[2]) / _LUMA[1], -_LUMA[0] * (2 - 2 * _LUMA[0]) / _LUMA[1]),
        (1, 2 - 2 * _LUMA[2], 0),
    )
)


class PixelLayer(nn.Module):
    """Turn frequency tensors into an RGB network's normalized input. See Note [Fixed front end].

    The inverse DCT is a 1 x 1 convolution per component, then a pixel shuffle; the color conversion and the
    normalization are a 1 x 1 convolution 3 -> 3. At 224 x 224 pixels and with all 192 channels that is 0.010 GMAC.

    The weights do not require gradients; `requires_grad_()` frees them for fine-tuning.
    """

    def __init__(
        self, format: TensorFormat, size: tuple[int, int] | None, *, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        """Make the layer.

        Args:
            format: the format of the input.
            size: (height, width) of the output in pixels. The input's grid is an eighth of it, rounded up, and pixels
                beyond the size are cut off. None for whole blocks, in a grid of any size.
            mean: the network's mean of R, G and B, for pixels from 0 to 1.
            std: the network's standard deviation of R, G and B, likewise.
        """
        super().__init__()
        self.size = size
        channels = np.array(format.selection.channels)
        scale, offset = _undo_statistics(format)
        basis = _basis()
        # Where each component's channels lie in the input.
        self.places = [np.flatnonzero(channels // 64 == component).tolist() for component in range(3)]
        self.inverse = nn.ParameterList()
        for places in self.places:
            weight = basis[:, channels[places] % 64] * scale[places]  # [64 pixels, n]
            self.inverse.append(_parameter(weight[:, :, None, None]))
        self.offset = _parameter(np.concatenate([basis @ offset[64 * c : 64 * c + 64] for c in range(3)]))  # [192]
        deviation = np.array(std)
        self.color = _parameter((_TO_RGB / (255 * deviation[:, None]))[:, :, None, None])  # [3, 3, 1, 1]
        self.shift = _parameter((128 / 255 - np.array(mean)) / deviation)

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H / 8, W / 8] into [N, 3, H, W]."""
        with _full_precision(x.device):  # a DC coefficient needs more digits than bfloat16 has
            x = x.to(self.color.dtype)
            planes = []
            for component, (places, weight) in enumerate(zip(self.places, self.inverse, strict=True)):
                bias = self.offset[64 * component : 64 * component + 64]
                if places:
                    planes.append(nn.functional.conv2d(_take(x, places), weight, bias))  # [N, 64, H / 8, W / 8]
                else:
                    planes.append(bias[:, None, None].expand(x.shape[0], 64, *x.shape[2:]))
            pixels = nn.functional.pixel_shuffle(torch.cat(planes, 1), 8)  # [N, 3, H, W]: YCbCr
            if self.size is not None:
                pixels = pixels[:, :, : self.size[0], : self.size[1]]
            return nn.functional.conv2d(pixels, self.color, self.shift)  # [N, 3, H, W]: RGB, normalized

    def extra_repr(self) -> str:
        """Give the sizes."""
        pixels = "pixels of whole blocks" if self.size is None else f"height {self.size[0]} x width {self.size[1]}"
        return f"{sum(map(len, self.places))} channels -> 3 x {pixels}"


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
        if tuple(x.shape[1:]) != wanted:
            raise ValueError(
                f"the input must be [N, {', '.join(map(str, wanted))}], that is {wanted[0]} channels x height "
                f"{grid[0]} x width {grid[1]}, not {list(x.shape)}"
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
        classes = f", {len(self.classes)} classes" if self.classes else ""
        resize = f", shorter side {self.shorter_side}, {self.filter}" if self.shorter_side else ""
        return (
            f"FrequencyNetwork({type(self.network).__name__}, {self.form}, {len(self.format.selection)} channels of "
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
        ValueError: the network does not take RGB, or an argument is out of range.

    >>> network = from_rgb(torchvision.models.resnet50(), mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    >>> network(torch.zeros(1, 192, 28, 28)).shape
    torch.Size([1, 1000])
    """
    height, width = checked_size(size)
    check_mean_and_std(mean, std)
    taken = size_taken(network)
    if taken not in (None, (height, width)):
        raise ValueError(
            f"the network takes images of height {taken[0]} x width {taken[1]} pixels, but size is height {height} x "
            f"width {width}"
        )
    check_choice("filter", filter, get_args(EvaluationFilter))
    if shorter_side is not None and shorter_side < max(height, width):
        raise ValueError(
            f"shorter_side is {shorter_side}, but the crop is larger: height {height} x width {width} pixels"
        )
    format = TensorFormat() if format is None else format
    network = copy.deepcopy(network)
    stem = _find_stem(network, (height, width))
    if stem is not None and stem.convolution.in_channels != stem.given:
        raise ValueError(
            f"the network's first convolution, {stem.name!r}, takes {stem.convolution.in_channels} channels, but that "
            f"of an RGB network takes {stem.given}"
        )
    common = _Common(format, (height, width), shorter_side, filter, tuple(classes), tuple(mean), tuple(std))
    whole = _with_layer(network, common)
    if stem is not None and height % 8 == 0 and width % 8 == 0:
        folded = copy.deepcopy(network)
        form = _fold(folded, stem, format, mean, std)
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
    stem = _find_stem(network, size)
    made = "layer" if stem is None else _fold(network, stem, format, mean, std, even_if_dearer=True)
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


def check_mean_and_std(mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Require three numbers each.

    Raises:
        ValueError: they are others.
    """
    for name, values, low in (("mean", mean, 0.0), ("std", std, 1e-6)):
        if values is None or len(values) != 3 or not all(low <= value <= 1 for value in values):
            given = None if values is None else tuple(values)
            raise ValueError(f"{name} must be three numbers, for R, G and B as values from 0 to 1, not {given}")


def checked_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width).

    Raises:
        ValueError: the size is not one or two whole numbers of at least 1.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size) if isinstance(size, Sequence) else ()
    if len(pair) != 2 or not all(isinstance(side, int) for side in pair):
        raise ValueError(f"size must be a whole number of pixels, or (height, width), not {size!r}")
    if min(pair) < 1:
        raise ValueError(f"size must be at least 1 pixel, not height {pair[0]} x width {pair[1]}")
    return pair


# The attribute in which torchvision's VisionTransformer and timm's PatchEmbed hold the size of the images they take.
_SIZE_NAMES = ("image_size", "img_size")


def size_taken(network: nn.Module) -> tuple[int, int] | None:
    """Return the only (height, width) that a vision transformer takes; None for a network that takes any."""
    for module in network.modules():
        for name in _SIZE_NAMES:
            taken = getattr(module, name, None)
            reads_rgb = any(isinstance(part, nn.Conv2d) and part.in_channels == 3 for part in module.children())
            strict = reads_rgb and hasattr(module, "patch_size") and getattr(module, "strict_img_size", True)
            if strict and _is_size(taken):
                return _pair(taken)
    return None


def first_convolution(network: nn.Module, size: tuple[int, int]) -> str:
    """Return the name of the first convolution that an RGB network runs; "" without one.

    Raises:
        ValueError: the network refuses images of this size.
    """
    stem = _find_stem(network, size)
    return "" if stem is None else stem.name


@dataclass(frozen=True)
class _Stem:
    """The first convolution that a network runs.

    Attributes:
        name: its name.
        convolution: the convolution.
        given: how many channels it is given for RGB images; 3, or more where pixels are moved to channels first.
        reads_images: whether it alone reads the images just as they are.
    """

    name: str
    convolution: nn.Conv2d
    given: int
    reads_images: bool


class _StemFoundError(Exception):
    """Ends the run of a network at its first convolution."""


def _find_stem(network: nn.Module, size: tuple[int, int]) -> _Stem | None:
    """Run a network on one image up to its first convolution, and return that; None if it has none.

    Raises:
        ValueError: the network refuses images of this size.
    """
    convolutions = {name: module for name, module in network.named_modules() if isinstance(module, nn.Conv2d)}
    if not convolutions:
        return None
    weight = next(iter(convolutions.values())).weight
    images = torch.zeros(1, 3, *size, device=weight.device, dtype=weight.dtype)
    found: list[_Stem] = []

    def stop(name: str, convolution: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(convolution, nn.Conv2d)
        alone = sum(other.in_channels == 3 for other in convolutions.values()) == 1
        found.append(_Stem(name, convolution, arguments[0].shape[-3], alone and arguments[0] is images))
        raise _StemFoundError

    hooks = [module.register_forward_pre_hook(partial(stop, name)) for name, module in convolutions.items()]
    try:
        _evaluate(network, images)
    except _StemFoundError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else None


def _evaluate(network: nn.Module, images: Tensor) -> Any:
    """Run a network on images in evaluation mode, and leave its layers' modes as they are.

    Raises:
        ValueError: the network refuses images of this size.
    """
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            return network.eval()(images)
    except _StemFoundError:
        raise
    except Exception as error:
        height, width = images.shape[2:]
        raise ValueError(
            f"the network does not take images of height {height} x width {width} pixels as [N, 3, height, width]: "
            f"{error}"
        ) from error
    finally:
        for module, mode in modes.items():
            module.training = mode


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
        expected = _evaluate(whole.network, whole.front(noise))
    try:
        found = _evaluate(folded, noise)
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


def _fold(
    network: nn.Module,
    stem: _Stem,
    format: TensorFormat,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    even_if_dearer: bool = False,
) -> Form:
    """Let the first convolution take the frequencies, if it can and that is not dearer; return the form chosen."""
    patch = _patch_of(stem.convolution)
    if patch is None or not stem.reads_images or not stem.name:
        return "layer"
    holder_name, _, own_name = stem.name.rpartition(".")
    holder = network.get_submodule(holder_name)
    size_name = next((name for name in _SIZE_NAMES if _is_size(getattr(holder, name, None))), None)
    taken = None if size_name is None else getattr(holder, size_name)
    if patch == (4, 4):
        # torchvision's VisionTransformer derives its number of patches from the size of its input.
        if size_name == "image_size" or not (even_if_dearer or _folded_is_cheaper(stem.convolution, format)):
            return "layer"
    elif not (_is_size(taken, 8) and _is_size(getattr(holder, "patch_size", None), 8)):
        return "layer"
    setattr(holder, own_name, _folded(stem.convolution, format, mean, std))
    if size_name is not None and hasattr(holder, "patch_size"):
        # The network compares these with the size of its input, which is in blocks now.
        setattr(holder, size_name, _eighth(taken))
        holder.patch_size = _eighth(holder.patch_size)
    return "folded stride 4" if patch == (4, 4) else "folded patch"


def _folded_is_cheaper(convolution: nn.Conv2d, format: TensorFormat) -> bool:
    """Whether folding a stem of patch 4 saves multiply-adds against a PixelLayer. See Note [Fixed front end]."""
    channels, outputs = len(format.selection), convolution.out_channels
    return 4 * outputs * channels < 64 * channels + 9 * 64 + 192 * outputs


def _patch_of(convolution: nn.Conv2d) -> tuple[int, int] | None:
    """Return the patch (height, width) of a convolution over RGB that reads each patch of 4 x 4 or of blocks once."""
    height, width = convolution.kernel_size
    reads_once = (
        convolution.groups == 1
        and convolution.kernel_size == convolution.stride
        and convolution.padding in ((0, 0), "valid")
        and convolution.dilation == (1, 1)
    )
    fits = (height, width) == (4, 4) or (height % 8 == 0 and width % 8 == 0)
    return (height, width) if reads_once and fits else None


def _is_size(value: Any, multiple: int = 1) -> bool:
    """Whether a value is a size, or a pair of sizes, of which each is a multiple of a number."""
    return isinstance(value, int | tuple) and all(isinstance(s, int) and s % multiple == 0 for s in _pair(value))


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _eighth(value: Any) -> Any:
    """Return a size in blocks, at least 1."""
    return max(value // 8, 1) if isinstance(value, int) else tuple(max(side // 8, 1) for side in value)


def _folded(convolution: nn.Conv2d, format: TensorFormat, mean: Sequence[float], std: Sequence[float]) -> nn.Module:
    """Fold the fixed front end into a convolution that reads patches; patches of 4 x 4 become a pixel shuffle's."""
    rgb = convolution.weight.detach().double().cpu().numpy()  # [O, 3, P, Q]
    bias = np.zeros(len(rgb)) if convolution.bias is None else convolution.bias.detach().double().cpu().numpy()
    quarters = convolution.kernel_size == (4, 4)
    if quarters:  # [4 * O, 3, 8, 8]: each kernel at each of the four quarters of a block, as pixel_shuffle orders them
        corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
        placed = [np.pad(rgb, ((0, 0), (0, 0), (y, 4 - y), (x, 4 - x))) for y, x in corners]
        rgb, bias = np.stack(placed, 1).reshape(-1, 3, 8, 8), np.repeat(bias, 4)
    outputs, _, patch_height, patch_width = rgb.shape
    high, wide = patch_height // 8, patch_width // 8
    deviation = np.array(std)
    shift = (128 / 255 - np.array(mean)) / deviation  # [3]
    bias = bias + np.einsum("oryx,r->o", rgb, shift)
    # [O, RGB, a, y, b, x] with the colors as YCbCr and each block's pixels (y, x) as frequencies (v, u)
    blocks = rgb.reshape(outputs, 3, high, 8, wide, 8)
    colored = np.einsum("oraybx,rc->ocyxab", blocks, _TO_RGB / (255 * deviation[:, None]))
    weight = np.einsum("ocpab,pk->ockab", colored.reshape(outputs, 3, 64, high, wide), _basis())
    weight = weight.reshape(outputs, CHANNEL_COUNT, high, wide)
    scale, offset = _undo_statistics(format)
    bias = bias + np.einsum("okab,k->o", weight, offset)
    weight = weight[:, list(format.selection.channels)] * scale[:, None, None]
    folded = _FrequencyConv2d(weight.shape[1], outputs, (high, wide), stride=(high, wide), dtype=torch.float64)
    with torch.no_grad():
        folded.weight.copy_(torch.from_numpy(weight))
        assert folded.bias is not None
        folded.bias.copy_(torch.from_numpy(bias))
    folded = folded.to(convolution.weight.device, convolution.weight.dtype)
    folded = folded.requires_grad_(convolution.weight.requires_grad)
    return nn.Sequential(folded, nn.PixelShuffle(2)) if quarters else folded


class _FrequencyConv2d(nn.Conv2d):
    """A convolution over frequencies, which autocast leaves in its own precision, as it does a PixelLayer."""

    def forward(self, x: Tensor) -> Tensor:
        """Turn [N, C, H / 8, W / 8] into [N, O, h, w]."""
        with _full_precision(x.device):
            return super().forward(x.to(self.weight.dtype))


def _undo_statistics(format: TensorFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return what turns values back into coefficients.

    Returns:
        The scale of each channel of the format, [C], and the offset of each of the 192 channels: its mean, which is all
        that stands for a channel that the format lacks.
    """
    channels = list(format.selection.channels)
    scale, offset = np.ones(len(channels)), np.zeros(CHANNEL_COUNT)
    if format.statistics is not None:
        scale, offset = np.array(format.statistics.std)[channels], np.array(format.statistics.mean)
    if format.steps is not None:
        scale = scale * np.array(format.steps)[channels]
    return scale, offset


def _basis() -> np.ndarray:
    """Return the inverse DCT of a block as a matrix [pixel 8 * y + x, frequency 8 * v + u]."""
    basis: np.ndarray = np.kron(dct_matrix(), dct_matrix()).T
    return basis


def _take(x: Tensor, places: list[int]) -> Tensor:
    """Take channels of [N, C, H, W]; neighbours are taken as a slice, without a copy."""
    if places == list(range(places[0], places[0] + len(places))):
        return x[:, places[0] : places[0] + len(places)]
    return x[:, places]


def _full_precision(device: torch.device) -> AbstractContextManager[None]:
    """Switch autocast off; meta tensors know no autocast."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(values)), requires_grad=False)
