"""Augmentations of batches in the frequency domain, each equal to the same step on pixels without clamping.

All of them are affine in the pixels, so that they can be applied to coefficients: as a gain on every channel of a
component, and a shift of its DC, which is 8 * (value - 128) in a flat block. Colours are YCbCr, and grey is Y. Batches
are [N, C, H, W], as data sets return them; the TensorFormat tells which channels they hold and how those are
normalized. Nothing is changed in place.
"""

from __future__ import annotations

from typing import TypeAlias

import torch

from jpegfreq.format import TensorFormat

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_saturation",
    "cut_mix",
    "cut_out",
    "mix_up",
    "to_grayscale",
]

Factor: TypeAlias = float | torch.Tensor

# (top, left, height, width) in blocks, not pixels.
BlockBox: TypeAlias = tuple[int, int, int, int]

_DC_OF_BLACK = 8.0 * -128


def adjust_brightness(batch: torch.Tensor, factor: Factor, format: TensorFormat) -> torch.Tensor:
    """Multiply R, G and B by the factor, which blends the image with black.

    Args:
        batch: [N, C, H, W].
        factor: one number, or one per image, [N]; 1 changes nothing.
        format: what the batch holds.
    """
    gain = _per_image(batch, factor)
    return _affine(batch, gain, gain, (1 - gain) * _DC_OF_BLACK, format)


def adjust_contrast(batch: torch.Tensor, factor: Factor, format: TensorFormat) -> torch.Tensor:
    """Blend each image with a flat grey, the mean of its Y.

    Args:
        batch: [N, C, H, W].
        factor: one number, or one per image, [N]; 1 changes nothing, 0 leaves the flat grey.
        format: what the batch holds; the DC of Y must be among its channels.

    Raises:
        ValueError: the DC of Y is not among the channels.
    """
    if 0 not in format.selection.channels:
        raise ValueError("adjusting the contrast needs the DC of its luma, channel 0, among the batch's channels")
    gain = _per_image(batch, factor)
    place = format.selection.channels.index(0)
    mean, std = _normalization(batch, format)
    luma = batch[:, place].to(gain.dtype).mean((1, 2)) * std[place] + mean[place]
    return _affine(batch, gain, gain, (1 - gain) * luma[:, None], format)


def adjust_saturation(batch: torch.Tensor, factor: Factor, format: TensorFormat) -> torch.Tensor:
    """Blend each image with its own grey version.

    Args:
        batch: [N, C, H, W].
        factor: one number, or one per image, [N]; 1 changes nothing, 0 leaves a grey image.
        format: what the batch holds.
    """
    gain = _per_image(batch, factor)
    return _affine(batch, torch.ones_like(gain), gain, torch.zeros_like(gain), format)


def to_grayscale(batch: torch.Tensor, format: TensorFormat) -> torch.Tensor:
    """Remove the colour: Cb and Cr become those of grey, and Y stays."""
    return adjust_saturation(batch, 0.0, format)


def cut_out(batch: torch.Tensor, box: BlockBox, format: TensorFormat) -> torch.Tensor:
    """Fill a box of every image with mid-grey (128, the value whose coefficients are all zero).

    Args:
        batch: [N, C, H, W].
        box: (top, left, height, width) in blocks of the tensor's grid, 8 x 8 pixels each; a cut through a block would
            need all of its frequencies.
        format: what the batch holds.
    """
    result = batch.clone()
    mean, std = _normalization(batch, format)
    result[_slots(batch, box)] = (-mean / std).to(batch.dtype)[:, None, None]
    return result


def mix_up(
    batch: torch.Tensor, targets: torch.Tensor, share: float, order: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend every image and its target with those of another image of the batch (Zhang et al., 2018).

    Args:
        batch: [N, C, H, W].
        targets: [N, classes], one-hot or soft.
        share: the weight of the image itself, from 0 to 1.
        order: int64 [N], the index of the other image for each: `torch.randperm(N)`.
    """
    return torch.lerp(batch[order], batch, share), _blended(targets, share, order)


def cut_mix(
    batch: torch.Tensor, targets: torch.Tensor, box: BlockBox, order: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paste a box of another image of the batch into every image, and blend targets by area (Yun et al., 2019).

    Args:
        batch: [N, C, H, W].
        targets: [N, classes], one-hot or soft.
        box: (top, left, height, width) in blocks of the tensor's grid, as for `cut_out`.
        order: int64 [N], the index of the other image for each.
    """
    slots = _slots(batch, box)
    result = batch.clone()
    result[slots] = batch[slots][order]
    share = 1 - box[2] * box[3] / (batch.shape[2] * batch.shape[3])
    return result, _blended(targets, share, order)


def _blended(targets: torch.Tensor, share: float, order: torch.Tensor) -> torch.Tensor:
    soft = targets if targets.is_floating_point() else targets.float()  # one_hot gives integers
    return torch.lerp(soft[order], soft, share)


def _slots(batch: torch.Tensor, box: BlockBox) -> tuple[slice, slice, slice, slice]:
    top, left, height, width = box
    if not (min(top, left) >= 0 and 0 < height <= batch.shape[2] - top and 0 < width <= batch.shape[3] - left):
        raise ValueError(
            f"box {box} is empty, or not inside {batch.shape[2]} x {batch.shape[3]} blocks (height x width)"
        )
    return slice(None), slice(None), slice(top, top + height), slice(left, left + width)


def _per_image(batch: torch.Tensor, factor: Factor) -> torch.Tensor:
    """Return the factor as [N, 1], or [1, 1] for one number, in float32 at least."""
    dtype = torch.promote_types(batch.dtype, torch.float32)
    return torch.as_tensor(factor, dtype=dtype, device=batch.device).reshape(-1, 1)


def _normalization(batch: torch.Tensor, format: TensorFormat) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and std of the batch's channels, [C] each; 0 and 1 without statistics."""
    channels = list(format.selection.channels)
    if batch.ndim != 4 or batch.shape[1] != len(channels):
        raise ValueError(f"a batch of this format is [N, {len(channels)}, H, W], not {list(batch.shape)}")
    dtype = torch.promote_types(batch.dtype, torch.float32)
    if format.steps is not None:
        raise ValueError("int8 tensors cannot be augmented, because results would be rounded again: read float tensors")
    if format.statistics is None:
        one = torch.ones(len(channels), dtype=dtype, device=batch.device)
        return torch.zeros_like(one), one
    mean, std = (
        torch.tensor([values[channel] for channel in channels], dtype=dtype, device=batch.device)
        for values in (format.statistics.mean, format.statistics.std)
    )
    return mean, std


def _affine(
    batch: torch.Tensor, luma: torch.Tensor, chroma: torch.Tensor, dc_shift: torch.Tensor, format: TensorFormat
) -> torch.Tensor:
    """Multiply each component by its gain, and shift the DC of Y; gains and shift are [N, 1] or [1, 1]."""
    mean, std = _normalization(batch, format)
    channels = torch.tensor(format.selection.channels, device=batch.device)
    gain = torch.where(channels < 64, luma, chroma)  # [N, C]
    shift = torch.where(channels == 0, dc_shift, 0.0)
    # With z = (x - mean) / std: (gain * x + shift - mean) / std.
    offset = ((gain - 1) * mean + shift) / std
    return (batch * gain[:, :, None, None] + offset[:, :, None, None]).to(batch.dtype)
