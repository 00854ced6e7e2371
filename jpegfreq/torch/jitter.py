"""Random strengths for the augmentations, drawn per image and the same whichever worker draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from jpegfreq.format import TensorFormat
from jpegfreq.torch.augment import BlockBox, adjust_brightness, adjust_contrast, adjust_saturation, cut_out

__all__ = ["ColorJitter", "Strengths"]

# Keeps these draws apart from those of boxes and flips, which depend on (seed, epoch, index).
_STREAM = 1


class Strengths(NamedTuple):
    """What is done to each image of a batch.

    Attributes:
        brightness: float64 [N], factors; 1 changes nothing.
        contrast: float64 [N], likewise.
        saturation: float64 [N], likewise; 0 makes the image grey.
        boxes: the box that is cut out of each image, in blocks, or None.
    """

    brightness: torch.Tensor
    contrast: torch.Tensor
    saturation: torch.Tensor
    boxes: tuple[BlockBox | None, ...]


@dataclass(frozen=True)
class ColorJitter:
    """Random brightness, contrast, saturation, grey and cut-out, in this order, equal to the same steps on pixels.

    Attributes:
        brightness: lower and upper bound of the factor, which is drawn uniformly; (1, 1) leaves the step out.
        contrast: likewise.
        saturation: likewise.
        grayscale: the probability that an image loses its colour.
        cut_out: the probability that a box of an image becomes mid-grey.
        cut_out_share: lower and upper bound of the box's share of the image's area.

    >>> jitter = ColorJitter(brightness=(0.6, 1.4), saturation=(0.6, 1.4), cut_out=0.5)
    >>> strengths = jitter.draw([3, 8], (56, 56), seed=0, epoch=1)
    >>> strengths.brightness.shape
    torch.Size([2])
    """

    brightness: tuple[float, float] = (1.0, 1.0)
    contrast: tuple[float, float] = (1.0, 1.0)
    saturation: tuple[float, float] = (1.0, 1.0)
    grayscale: float = 0.0
    cut_out: float = 0.0
    cut_out_share: tuple[float, float] = (0.02, 0.2)

    def __post_init__(self) -> None:
        """Check the bounds and the probabilities."""
        for name in ("brightness", "contrast", "saturation"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < math.inf:
                raise ValueError(f"{name} needs bounds 0 <= low <= high, not {(low, high)}")
        for name in ("grayscale", "cut_out"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, not {getattr(self, name)}")
        low, high = self.cut_out_share
        if not 0 < low <= high <= 1:
            raise ValueError(f"cut_out_share needs bounds 0 < low <= high <= 1, not {(low, high)}")

    def draw(self, indices: Iterable[int], grid: tuple[int, int], *, seed: int, epoch: int) -> Strengths:
        """Draw the strengths for a batch; as a data set's boxes and flips, they depend on (seed, epoch, index) alone.

        Args:
            indices: the images' positions in the data set: `Batch.indices`.
            grid: (height, width) of the tensors, in blocks.
            seed: the data set's seed, or another.
            epoch: the epoch.
        """
        generators = (np.random.default_rng((seed, epoch, int(index), _STREAM)) for index in indices)
        return self._together([self._one(random, grid) for random in generators])

    def draw_from(self, random: np.random.Generator, count: int, grid: tuple[int, int]) -> Strengths:
        """Draw the strengths for `count` images from a generator of your own."""
        return self._together([self._one(random, grid) for _ in range(count)])

    def __call__(self, batch: torch.Tensor, strengths: Strengths, format: TensorFormat) -> torch.Tensor:
        """Apply strengths to a batch [N, C, H, W], and return the result; the batch itself stays as it is.

        Raises:
            ValueError: the contrast changes, and the DC of Y is not among the channels.
        """
        if self.brightness != (1, 1):
            batch = adjust_brightness(batch, strengths.brightness, format)
        if self.contrast != (1, 1):
            batch = adjust_contrast(batch, strengths.contrast, format)
        if self.saturation != (1, 1) or self.grayscale:
            batch = adjust_saturation(batch, strengths.saturation, format)
        if any(strengths.boxes):
            batch = batch.clone()
            for index, box in enumerate(strengths.boxes):
                if box is not None:
                    batch[index] = cut_out(batch[index : index + 1], box, format)[0]
        return batch

    def _one(self, random: np.random.Generator, grid: tuple[int, int]) -> tuple[float, float, float, BlockBox | None]:
        # Always the same draws in the same order, so that the result of one option does not depend on the others.
        brightness, contrast, saturation = (
            low + (high - low) * random.random() for low, high in (self.brightness, self.contrast, self.saturation)
        )
        grey = random.random() < self.grayscale
        cut, share, aspect, top, left = random.random(5)
        box = None
        if cut < self.cut_out:
            low, high = self.cut_out_share
            side = math.sqrt(low + (high - low) * share)
            stretch = math.exp((2 * aspect - 1) * math.log(4 / 3) / 2)
            height = min(max(round(grid[0] * side * stretch), 1), grid[0])
            width = min(max(round(grid[1] * side / stretch), 1), grid[1])
            box = (int(top * (grid[0] - height + 1)), int(left * (grid[1] - width + 1)), height, width)
        return brightness, contrast, 0.0 if grey else saturation, box

    def _together(self, drawn: Sequence[tuple[float, float, float, BlockBox | None]]) -> Strengths:
        factors = torch.tensor([one[:3] for one in drawn], dtype=torch.float64).reshape(-1, 3)
        return Strengths(factors[:, 0], factors[:, 1], factors[:, 2], tuple(one[3] for one in drawn))
