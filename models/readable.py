"""Unreadable images and masks: found before a run if their header is damaged, else skipped and counted in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from jpegfreq.header import read_header
from jpegfreq.models.dense.scenes import READ_ERRORS, DetectionDataset, Scene, SegmentationDataset, mask_size

__all__ = ["Readable", "Unread", "check_readable", "read_all", "sound_scenes"]


@dataclass(frozen=True)
class Unread:
    """Takes the place of a sample that could not be read; the message names the file and the reason."""

    message: str


class Readable(Dataset[Any]):
    """A data set that returns an Unread for an unreadable image or mask, where the wrapped one raises."""

    def __init__(self, dataset: DetectionDataset | SegmentationDataset) -> None:
        """Wrap a data set."""
        self.dataset = dataset

    def __len__(self) -> int:
        """Count the samples, readable or not."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """Return a sample of the data set, or an Unread."""
        try:
            return self.dataset[index]
        except READ_ERRORS as error:
            return Unread(str(error))


def read_all(dataset: DetectionDataset | SegmentationDataset, unread: list[str]) -> Iterator[Any]:
    """Yield the readable samples in order, and append a message to `unread` for each of the others.

    Raises:
        ValueError: at the end, if no sample was readable.
    """
    samples = Readable(dataset)
    for index in range(len(samples)):
        sample = samples[index]
        if isinstance(sample, Unread):
            unread.append(sample.message)
        else:
            yield sample
    if len(unread) == len(samples):
        raise ValueError(f"no image can be read: {unread[0]}")


def check_readable(dataset: DetectionDataset | SegmentationDataset, source: str) -> None:
    """Read samples until one is readable.

    Raises:
        ValueError: none is; the message names the source and the first reason.
    """
    unread: list[str] = []
    try:
        next(read_all(dataset, unread))
    except ValueError as error:
        raise ValueError(f"no image of {source} can be read: {unread[0]}") from error


def sound_scenes(scenes: Sequence[Scene], *, masks: bool) -> tuple[tuple[Scene, ...], tuple[str, ...]]:
    """Return the scenes whose files have readable headers, and a message for each of the others.

    Args:
        scenes: the scenes to check; no image is decoded.
        masks: whether to check the masks too.

    Raises:
        ValueError: a mask has another size than its image, or does not hold class numbers.
    """
    sound, problems = [], []
    for scene in scenes:
        try:
            header = read_header(scene.image)
            if masks and scene.mask is not None:
                size = mask_size(scene.mask)
                if size != (header.height, header.width):
                    raise ValueError(
                        f"{scene.mask}: the mask has height {size[0]} x width {size[1]}, but its image has height "
                        f"{header.height} x width {header.width}"
                    )
        except READ_ERRORS as error:
            problems.append(str(error))
        else:
            sound.append(scene)
    return tuple(sound), tuple(problems)
