"""Whole images with their truth: frequencies as the networks take them, boxes and masks in pixels of the image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from jpegfreq._files import read_text
from jpegfreq._resample import resample
from jpegfreq.coefficients import read_coefficients
from jpegfreq.crops import Box, random_resized_crop_box
from jpegfreq.errors import JpegError
from jpegfreq.format import TensorFormat
from jpegfreq.header import read_header
from jpegfreq.sources import find_files
from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "CELL",
    "COCO_THINGS",
    "IGNORE",
    "READ_ERRORS",
    "DetectionDataset",
    "FrequencyImage",
    "Scene",
    "SegmentationDataset",
    "box_class_count",
    "frame_of",
    "mask_classes",
    "mask_size",
    "measure_statistics",
    "read_boxes",
    "read_frequencies",
    "read_mask",
    "read_scenes",
]

# Note [Frame]
# An RGB network sees the image resized to its frame, and its first stage works on a grid of 4 pixels per cell. The
# frequencies are those of the image at twice that size, as in the paper: a block of 8 pixels there is 4 of the frame.
# So the frequency network has the same strides, anchors and boxes as the RGB network.
CELL = 4

# Marks the pixels of a mask whose class is not learned: the ignore_index of torch.nn.functional.cross_entropy.
IGNORE = 255

# What an unreadable image or mask raises; any other error is a mistake in the data set.
READ_ERRORS = (JpegError, OSError, MemoryError)

# COCO's category numbers of its 80 things, in order: class k of a YOLO label file is COCO_THINGS[k] in a COCO mask.
COCO_THINGS = tuple(k for k in range(1, 91) if k not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))


@dataclass(frozen=True)
class Scene:
    """The files of an image.

    Attributes:
        image: the JPEG file.
        mask: a PNG of the same size with one class number per pixel, 0 for unlabelled; None without one.
        boxes: a YOLO label file with one line "class centre_x centre_y width height" per box, as shares of the image's
            size; None without one, which means that the image has no box.
    """

    image: Path
    mask: Path | None
    boxes: Path | None


@dataclass(frozen=True)
class FrequencyImage:
    """An image as a detector takes it.

    Attributes:
        tensor: [C, h, w], of the image resized to its frame, height 4 h x width 4 w pixels (Note [Frame]).
        size: (height, width) of the image itself in pixels, in which boxes and masks are given.
    """

    tensor: Tensor
    size: tuple[int, int]

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) in pixels of what an RGB network would see."""
        return (CELL * self.tensor.shape[-2], CELL * self.tensor.shape[-1])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, height, width): torchvision's detectors return boxes in pixels of this size."""
        return (self.tensor.shape[0], *self.size)

    def to(self, device: str | torch.device) -> FrequencyImage:
        """Return the same image on a device."""
        return FrequencyImage(self.tensor.to(device), self.size)


def read_scenes(folder: str | os.PathLike[str]) -> tuple[Scene, ...]:
    """Find the images below FOLDER/images, with their FOLDER/masks/NAME.png and FOLDER/boxes/NAME.txt, sorted.

    Raises:
        OSError: there is no image, or a folder cannot be listed.
    """
    folder = Path(folder)
    if not (folder / "images").is_dir():
        raise FileNotFoundError(f"{folder} has no folder images, so it has no JPEG files")
    found = find_files(folder / "images", (".jpg", ".jpeg"))
    images = [Path(path) for path in found.files if os.path.dirname(path) == found.root]
    if not images:
        raise FileNotFoundError(f"{folder / 'images'} has no JPEG files")

    def beside(image: Path, kind: str, suffix: str) -> Path | None:
        path = folder / kind / (image.stem + suffix)
        return path if path.is_file() else None

    return tuple(Scene(image, beside(image, "masks", ".png"), beside(image, "boxes", ".txt")) for image in images)


def read_boxes(path: Path | None, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Read the boxes of a YOLO label file, cut to the image; boxes without area are left out.

    Args:
        path: the file; None for no box.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        float32 [M, 4], (left, top, right, bottom) in pixels; int64 [M], their classes, counted from 0.

    Raises:
        ValueError: a line does not have five numbers.
    """
    boxes, classes = [], []
    for number, line in enumerate([] if path is None else read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, x, y, box_width, box_height = (float(word) for word in line.split())
            if not (kind.is_integer() and kind >= 0 and np.isfinite([x, y, box_width, box_height]).all()):
                raise ValueError
        except ValueError:
            raise ValueError(f'{path}, line {number}: {line!r} is not "class x y width height"') from None
        left, right = (np.clip(x + sign * box_width / 2, 0, 1) * width for sign in (-1, 1))
        top, bottom = (np.clip(y + sign * box_height / 2, 0, 1) * height for sign in (-1, 1))
        if right > left and bottom > top:
            boxes.append((left, top, right, bottom))
            classes.append(int(kind))
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(classes, dtype=torch.int64)


def read_mask(path: Path) -> Tensor:
    """Read a mask's class numbers: uint8 [height, width].

    Raises:
        ValueError: the PNG does not have 8 bits per pixel, grey or with a palette.
        OSError: it cannot be read.
    """
    with _open_mask(path) as image:
        try:
            return torch.from_numpy(np.array(image))
        except (OSError, SyntaxError) as error:  # Pillow reports a broken chunk as a SyntaxError
            raise OSError(f"{path}: {error}") from error


def mask_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of a mask, from its header.

    Raises:
        ValueError, OSError: as `read_mask`.
    """
    with _open_mask(path) as image:
        return image.height, image.width


def _open_mask(path: Path) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error
    if image.mode not in ("L", "P"):
        image.close()
        raise ValueError(f"{path} holds {image.mode} pixels, but a mask has one class number per pixel")
    return image


def frame_of(height: int, width: int, *, shorter_side: int, longer_side: int) -> tuple[int, int]:
    """Return the (height, width) to which torchvision's detectors resize an image, as multiples of 4 (Note [Frame]).

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        shorter_side: what the shorter side becomes, pixels, unless the longer side would exceed `longer_side`.
        longer_side: the largest longer side, pixels.

    >>> frame_of(480, 640, shorter_side=300, longer_side=800)
    (300, 400)
    """
    scale = min(shorter_side / min(height, width), longer_side / max(height, width))
    return (max(round(height * scale / CELL), 1) * CELL, max(round(width * scale / CELL), 1) * CELL)


def read_frequencies(
    image: str | os.PathLike[str] | bytes,
    format: TensorFormat,
    *,
    shorter_side: int,
    longer_side: int,
    flip: bool = False,
) -> FrequencyImage:
    """Read a whole JPEG as a detector takes it, resized from its coefficients without decoding pixels.

    Args:
        image: a JPEG file.
        format: channels and statistics.
        shorter_side: of the frame, as for `frame_of`.
        longer_side: of the frame, as for `frame_of`.
        flip: mirror the image left to right.
    """
    coefficients = read_coefficients(image)
    height, width = coefficients.header.height, coefficients.header.width
    frame = frame_of(height, width, shorter_side=shorter_side, longer_side=longer_side)
    return FrequencyImage(_tensor(coefficients, (0, 0, height, width), frame, flip, format), (height, width))


def _tensor(coefficients: Any, box: Box, frame: tuple[int, int], flip: bool, format: TensorFormat) -> Tensor:
    """Return a box resized to a frame: float32 [C, frame height / 4, frame width / 4]."""
    array = resample(coefficients, box, (2 * frame[0], 2 * frame[1]), flip=flip, format=format)
    tensor = torch.from_numpy(array).to(torch.float32)
    return tensor.permute(2, 0, 1) if format.layout == "HWC" else tensor


class DetectionDataset(Dataset[tuple[FrequencyImage, dict[str, Tensor]]]):
    """Images with boxes: (FrequencyImage, target), the target as torchvision's detectors take it.

    A target holds boxes float32 [M, 4] and labels int64 [M] (class + 1; 0 is background), and with `instances` masks
    uint8 [M, height, width], all in pixels of the image.

    The instance masks are approximated from a semantic mask: the pixels inside the box that have the box's class. So
    two overlapping boxes of one class share the pixels of the overlap. Boxes whose class has no pixel there are left
    out.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        *,
        format: TensorFormat,
        shorter_side: int = 800,
        longer_side: int = 1333,
        flip: bool = False,
        instances: bool = False,
        mask_numbers: Sequence[int] = COCO_THINGS,
    ) -> None:
        """Take the images as they are, or mirror half of them.

        Args:
            scenes: the images.
            format: of the tensors.
            shorter_side: as for `frame_of`.
            longer_side: as for `frame_of`.
            flip: mirror each image with probability 1/2, drawn with torch's generator.
            instances: return instance masks too.
            mask_numbers: for each class of the boxes, its number in a semantic mask.
        """
        if instances and (without := [scene.image.name for scene in scenes if scene.mask is None]):
            raise ValueError(f"instances need a mask for every image, but {without[0]} has none")
        self.scenes = tuple(scenes)
        self.format = format
        self.shorter_side = shorter_side
        self.longer_side = longer_side
        self.flip = flip
        self.instances = instances
        self.mask_numbers = tuple(mask_numbers)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[FrequencyImage, dict[str, Tensor]]:
        """Return an image and its target."""
        scene = self.scenes[index]
        flip = self.flip and bool(torch.rand(()) < 0.5)
        image = read_frequencies(
            scene.image, self.format, shorter_side=self.shorter_side, longer_side=self.longer_side, flip=flip
        )
        height, width = image.size
        boxes, classes = read_boxes(scene.boxes, height, width)
        target = {"boxes": boxes, "labels": classes + 1}
        if self.instances:
            assert scene.mask is not None
            masks = instance_masks(read_mask(scene.mask), boxes, classes, self.mask_numbers)
            seen = masks.flatten(1).any(1).bool()
            target = {"boxes": boxes[seen], "labels": classes[seen] + 1, "masks": masks[seen]}
        if flip:
            left, top, right, bottom = target["boxes"].unbind(1)
            target["boxes"] = torch.stack([width - right, top, width - left, bottom], 1)
            if self.instances:
                target["masks"] = target["masks"].flip(-1)
        return image, target


def instance_masks(mask: Tensor, boxes: Tensor, classes: Tensor, mask_numbers: Sequence[int]) -> Tensor:
    """Return the pixels inside each box that have its class: uint8 [M, height, width]."""
    height, width = mask.shape
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    for out, box, kind in zip(masks, boxes.tolist(), classes.tolist(), strict=True):
        rows, columns = slice(int(box[1]), int(np.ceil(box[3]))), slice(int(box[0]), int(np.ceil(box[2])))
        if kind < len(mask_numbers):
            out[rows, columns] = mask[rows, columns] == mask_numbers[kind]
    return masks


class SegmentationDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images with semantic masks: (float32 [C, h, w], int64 mask), classes counted from 0, IGNORE for unlabelled.

    With `crop`: random-resized crops, half of them mirrored, and the same part of the mask in the frame, [4 h, 4 w]
    (nearest pixel). Without it: the whole image, and the mask in the image's own pixels.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        classes: Sequence[int],
        *,
        format: TensorFormat,
        shorter_side: int = 520,
        longer_side: int = 1333,
        crop: tuple[int, int] | None = None,
        scale: tuple[float, float] = (0.25, 1.0),
    ) -> None:
        """Take the images that have a mask.

        Args:
            scenes: the images.
            classes: the mask's number of each class; pixels with any other number become IGNORE.
            format: of the tensors.
            shorter_side: as for `frame_of`, without `crop`.
            longer_side: as for `frame_of`, without `crop`.
            crop: (height, width) in pixels of the frame to which crops are resized, multiples of 4.
            scale: smallest and largest share of the image's area that a crop has.
        """
        if crop is not None and any(side % CELL for side in crop):
            raise ValueError(f"the height and width of a crop must be multiples of {CELL} pixels, not {crop}")
        self.scenes = tuple(scene for scene in scenes if scene.mask is not None)
        if not self.scenes:
            raise ValueError("no image has a mask")
        self.format = format
        self.shorter_side = shorter_side
        self.longer_side = longer_side
        self.crop = crop
        self.scale = scale
        self.class_of = torch.full((256,), IGNORE, dtype=torch.int64)
        self.class_of[torch.tensor(tuple(classes))] = torch.arange(len(classes))

    def __len__(self) -> int:
        """Count the images."""
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return an image's tensor and its mask."""
        scene = self.scenes[index]
        assert scene.mask is not None
        mask = read_mask(scene.mask)
        coefficients = read_coefficients(scene.image)
        height, width = coefficients.header.height, coefficients.header.width
        if mask.shape != (height, width):
            raise ValueError(
                f"{scene.mask} has (height, width) {tuple(mask.shape)}, but its image has {(height, width)}"
            )
        if self.crop is None:
            frame = frame_of(height, width, shorter_side=self.shorter_side, longer_side=self.longer_side)
            whole = _tensor(coefficients, (0, 0, height, width), frame, False, self.format)
            return whole, self.class_of[mask.long()]
        box = random_resized_crop_box(height, width, lambda: float(torch.rand(())), scale=self.scale)
        flip = bool(torch.rand(()) < 0.5)
        part = _crop_mask(mask, box, self.crop, flip)
        return _tensor(coefficients, box, self.crop, flip, self.format), self.class_of[part.long()]


def _crop_mask(mask: Tensor, box: Box, size: tuple[int, int], flip: bool) -> Tensor:
    """Crop a mask, resize it by taking the pixel under each new pixel's centre, and mirror it."""
    top, left, height, width = box
    rows = top + ((torch.arange(size[0]) + 0.5) * height / size[0]).long()
    columns = left + ((torch.arange(size[1]) + 0.5) * width / size[1]).long()
    part = mask[rows[:, None], columns[None, :]]
    return part.flip(1) if flip else part


def mask_classes(scenes: Sequence[Scene]) -> tuple[int, ...]:
    """Return every class number in the scenes' masks, ascending, without 0; unreadable masks are left out."""
    found: set[int] = set()
    for scene in scenes:
        if scene.mask is not None:
            with suppress(*READ_ERRORS):
                found |= set(np.unique(read_mask(scene.mask).numpy()).tolist())
    return tuple(sorted(found - {0}))


def box_class_count(scenes: Sequence[Scene]) -> int:
    """Return how many classes a detector of these boxes has, background included: the largest class number + 2."""
    return 2 + max((kind for scene in scenes for kind in read_boxes(scene.boxes, 1, 1)[1].tolist()), default=-1)


def measure_statistics(
    scenes: Sequence[Scene], *, shorter_side: int, longer_side: int, chroma: Any = "fancy", most: int = 200
) -> ChannelStatistics:
    """Measure the mean and standard deviation of all 192 channels, over images as `read_frequencies` returns them.

    Args:
        scenes: the images; if there are more than `most`, every n-th is taken. Unreadable ones are left out.
        shorter_side: as for `frame_of`.
        longer_side: as for `frame_of`.
        chroma: the chroma mode of the format that is normalized.
        most: the largest number of images that are read.
    """
    accumulator = StatisticsAccumulator()
    for scene in scenes[:: -(-len(scenes) // most)]:
        try:
            image = read_frequencies(
                scene.image, TensorFormat(chroma=chroma), shorter_side=shorter_side, longer_side=longer_side
            )
        except READ_ERRORS:
            continue
        accumulator.update(image.tensor.numpy(), grey=read_header(scene.image).color == "grey")
    return accumulator.statistics("the training images")
