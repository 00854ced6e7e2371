"""Whole pictures with what is in them: frequencies as the networks take them, boxes and masks in the image's pixels."""

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
# An RGB network sees the image resized to its frame, and its first stage works on a grid of 4 pixels a cell. The
# frequencies are those of the image at twice that size, as in the paper: a block of 8 pixels there is 4 of the frame.
# So every stride, anchor and box inside the network is that of the RGB network.
CELL = 4

# What a mask holds where no class is to be learned, as torch.nn.functional.cross_entropy is told.
IGNORE = 255

# What a picture or a mask that cannot be read raises; any other error is a mistake in the data set.
READ_ERRORS = (JpegError, OSError, MemoryError)

# COCO's category numbers of its 80 things, in order: class k of a YOLO label file is COCO_THINGS[k] in a COCO mask.
COCO_THINGS = tuple(k for k in range(1, 91) if k not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83))


@dataclass(frozen=True)
class Scene:
    """A picture's files.

    Attributes:
        image: the JPEG file.
        mask: PNG of its size, a class number a pixel, 0 for unlabelled; None where there is none.
        boxes: YOLO label file: a line "class centre_x centre_y width height" a box, in shares of the image's size;
            None where there is none, which means that it holds no box.
    """

    image: Path
    mask: Path | None
    boxes: Path | None


@dataclass(frozen=True)
class FrequencyImage:
    """A picture as a detector takes it.

    Attributes:
        tensor: [C, h, w], of the image resized to its frame of 4 h x 4 w pixels (Note [Frame]).
        size: (height, width) of the image itself in pixels: boxes and masks are in these.
    """

    tensor: Tensor
    size: tuple[int, int]

    @property
    def frame(self) -> tuple[int, int]:
        """(height, width) of the picture that an RGB network would see."""
        return (CELL * self.tensor.shape[-2], CELL * self.tensor.shape[-1])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, height, width) in pixels: torchvision's detectors ask their images for this, to give boxes back in it."""
        return (self.tensor.shape[0], *self.size)

    def to(self, device: str | torch.device) -> FrequencyImage:
        """The same on a device."""
        return FrequencyImage(self.tensor.to(device), self.size)


def read_scenes(folder: str | os.PathLike[str]) -> tuple[Scene, ...]:
    """The pictures of FOLDER/images with their FOLDER/masks/NAME.png and FOLDER/boxes/NAME.txt, by name.

    Raises:
        FileNotFoundError: there is no picture.
    """
    folder = Path(folder)
    found = find_files(folder / "images", (".jpg", ".jpeg"))
    images = [Path(path) for path in found.files if os.path.dirname(path) == found.root]
    if not images:
        raise FileNotFoundError(f"{folder / 'images'} has no JPEG files")

    def beside(image: Path, kind: str, suffix: str) -> Path | None:
        path = folder / kind / (image.stem + suffix)
        return path if path.is_file() else None

    return tuple(Scene(image, beside(image, "masks", ".png"), beside(image, "boxes", ".txt")) for image in images)


def read_boxes(path: Path | None, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The boxes of a YOLO label file, cut to the image; those without area are left out.

    Args:
        path: the file; None for no box.
        height: of the image, pixels.
        width: of the image, pixels.

    Returns:
        float32 [M, 4], (left, top, right, bottom) in pixels; int64 [M], their classes from 0.

    Raises:
        ValueError: a line is none of five numbers.
    """
    boxes, classes = [], []
    for number, line in enumerate([] if path is None else path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, x, y, box_width, box_height = (float(word) for word in line.split())
            if not (kind.is_integer() and kind >= 0 and np.isfinite([x, y, box_width, box_height]).all()):
                raise ValueError
        except ValueError:
            raise ValueError(f'{path}, line {number}: {line!r} is no "class x y width height"') from None
        left, right = (np.clip(x + sign * box_width / 2, 0, 1) * width for sign in (-1, 1))
        top, bottom = (np.clip(y + sign * box_height / 2, 0, 1) * height for sign in (-1, 1))
        if right > left and bottom > top:
            boxes.append((left, top, right, bottom))
            classes.append(int(kind))
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.tensor(classes, dtype=torch.int64)


def read_mask(path: Path) -> Tensor:
    """A mask's class numbers: uint8 [height, width].

    Raises:
        ValueError: the PNG is not one of 8 bits a pixel, grey or with a palette.
        OSError: it cannot be read.
    """
    with _open_mask(path) as image:
        try:
            return torch.from_numpy(np.array(image))
        except (OSError, SyntaxError) as error:  # of a broken chunk Pillow says that it is bad syntax
            raise OSError(f"{path}: {error}") from error


def mask_size(path: Path) -> tuple[int, int]:
    """(height, width) of a mask, from its header.

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
        raise ValueError(f"{path} holds {image.mode} pixels, not a class number each")
    return image


def frame_of(height: int, width: int, *, shorter_side: int, longer_side: int) -> tuple[int, int]:
    """The size to which torchvision's detectors resize an image, to the nearest multiples of 4 (Note [Frame]).

    Args:
        height: of the image, pixels.
        width: of the image, pixels.
        shorter_side: what its shorter side becomes, unless
        longer_side: the longer one would become longer than this.

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
    """A whole JPEG as a detector takes it, resized from its coefficients; no pixel is decoded.

    Args:
        image: a JPEG file.
        format: channels and statistics.
        shorter_side: of the frame, as for `frame_of`.
        longer_side: of the frame, as for `frame_of`.
        flip: mirror it left to right.
    """
    coefficients = read_coefficients(image)
    height, width = coefficients.header.height, coefficients.header.width
    frame = frame_of(height, width, shorter_side=shorter_side, longer_side=longer_side)
    return FrequencyImage(_tensor(coefficients, (0, 0, height, width), frame, flip, format), (height, width))


def _tensor(coefficients: Any, box: Box, frame: tuple[int, int], flip: bool, format: TensorFormat) -> Tensor:
    """A box resized to a frame: float32 [C, frame / 4]."""
    array = resample(coefficients, box, (2 * frame[0], 2 * frame[1]), flip=flip, format=format)
    tensor = torch.from_numpy(array).to(torch.float32)
    return tensor.permute(2, 0, 1) if format.layout == "HWC" else tensor


class DetectionDataset(Dataset[tuple[FrequencyImage, dict[str, Tensor]]]):
    """Pictures with boxes: (FrequencyImage, target), the target as torchvision's detectors want it.

    A target holds boxes float32 [M, 4] and labels int64 [M] (class + 1; 0 is background), and with `instances` masks
    uint8 [M, height, width], all in pixels of the image.

    The masks are an approximation where the data have no instances but a semantic mask: the pixels of the box's class
    inside the box. Two things of a class whose boxes overlap so share the pixels of the overlap. Boxes whose class has
    no pixel there are left out.
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
        """The pictures as they are, or half of them mirrored.

        Args:
            scenes: the pictures.
            format: of the tensors.
            shorter_side: as for `frame_of`.
            longer_side: as for `frame_of`.
            flip: mirror each picture with probability 1/2, drawn with torch's generator.
            instances: make instance masks too.
            mask_numbers: the number in a semantic mask of each class of the boxes.
        """
        if instances and (without := [scene.image.name for scene in scenes if scene.mask is None]):
            raise ValueError(f"instances need a mask of every picture; {without[0]} has none")
        self.scenes = tuple(scenes)
        self.format = format
        self.shorter_side = shorter_side
        self.longer_side = longer_side
        self.flip = flip
        self.instances = instances
        self.mask_numbers = tuple(mask_numbers)

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[FrequencyImage, dict[str, Tensor]]:
        """A picture and its target."""
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
    """The pixels of each box's class inside the box: uint8 [M, height, width]."""
    height, width = mask.shape
    masks = torch.zeros(len(boxes), height, width, dtype=torch.uint8)
    for out, box, kind in zip(masks, boxes.tolist(), classes.tolist(), strict=True):
        rows, columns = slice(int(box[1]), int(np.ceil(box[3]))), slice(int(box[0]), int(np.ceil(box[2])))
        if kind < len(mask_numbers):
            out[rows, columns] = mask[rows, columns] == mask_numbers[kind]
    return masks


class SegmentationDataset(Dataset[tuple[Tensor, Tensor]]):
    """Pictures with semantic masks: (float32 [C, h, w], int64 mask), classes counted from 0, IGNORE for unlabelled.

    With `crop`: random-resized crops, half of them mirrored, and the same part of the mask in the frame, [4 h, 4 w]
    (nearest pixel). Without: the whole picture, and the mask in the image's own pixels.
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
        """Pictures without a mask are left out.

        Args:
            scenes: the pictures.
            classes: the mask's number of each class; pixels of any other number are IGNOREd.
            format: of the tensors.
            shorter_side: as for `frame_of`, without `crop`.
            longer_side: as for `frame_of`, without `crop`.
            crop: (height, width) of the frame that crops are resized to, multiples of 4.
            scale: share of the image's area that a crop has.
        """
        if crop is not None and any(side % CELL for side in crop):
            raise ValueError(f"a crop must be in multiples of {CELL} pixels, not {crop}")
        self.scenes = tuple(scene for scene in scenes if scene.mask is not None)
        if not self.scenes:
            raise ValueError("no picture has a mask")
        self.format = format
        self.shorter_side = shorter_side
        self.longer_side = longer_side
        self.crop = crop
        self.scale = scale
        self.class_of = torch.full((256,), IGNORE, dtype=torch.int64)
        self.class_of[torch.tensor(tuple(classes))] = torch.arange(len(classes))

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """A picture's tensor and its mask."""
        scene = self.scenes[index]
        assert scene.mask is not None
        mask = read_mask(scene.mask)
        coefficients = read_coefficients(scene.image)
        height, width = coefficients.header.height, coefficients.header.width
        if mask.shape != (height, width):
            raise ValueError(f"{scene.mask} is {tuple(mask.shape)}, its picture {(height, width)}")
        if self.crop is None:
            frame = frame_of(height, width, shorter_side=self.shorter_side, longer_side=self.longer_side)
            whole = _tensor(coefficients, (0, 0, height, width), frame, False, self.format)
            return whole, self.class_of[mask.long()]
        box = random_resized_crop_box(height, width, lambda: float(torch.rand(())), scale=self.scale)
        flip = bool(torch.rand(()) < 0.5)
        part = _crop_mask(mask, box, self.crop, flip)
        return _tensor(coefficients, box, self.crop, flip, self.format), self.class_of[part.long()]


def _crop_mask(mask: Tensor, box: Box, size: tuple[int, int], flip: bool) -> Tensor:
    """A box of a mask, resized to the pixel that each new pixel's centre falls on, and mirrored."""
    top, left, height, width = box
    rows = top + ((torch.arange(size[0]) + 0.5) * height / size[0]).long()
    columns = left + ((torch.arange(size[1]) + 0.5) * width / size[1]).long()
    part = mask[rows[:, None], columns[None, :]]
    return part.flip(1) if flip else part


def mask_classes(scenes: Sequence[Scene]) -> tuple[int, ...]:
    """Every class number in the scenes' masks, ascending, without 0; masks that cannot be read are left out."""
    found: set[int] = set()
    for scene in scenes:
        if scene.mask is not None:
            with suppress(*READ_ERRORS):
                found |= set(np.unique(read_mask(scene.mask).numpy()).tolist())
    return tuple(sorted(found - {0}))


def box_class_count(scenes: Sequence[Scene]) -> int:
    """How many classes a detector of these boxes has, counting background: the largest class number + 2."""
    return 2 + max((kind for scene in scenes for kind in read_boxes(scene.boxes, 1, 1)[1].tolist()), default=-1)


def measure_statistics(
    scenes: Sequence[Scene], *, shorter_side: int, longer_side: int, chroma: Any = "fancy", most: int = 200
) -> ChannelStatistics:
    """Mean and deviation of the 192 channels of the pictures as `read_frequencies` gives them.

    Args:
        scenes: the pictures; of more than `most`, every n-th is taken. Those that cannot be read are left out.
        shorter_side: as for `frame_of`.
        longer_side: as for `frame_of`.
        chroma: of the format that is to be normalized.
        most: how many pictures at most.
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
    return accumulator.statistics("the training pictures")
