"""Pictures that cannot be read: named before a run where their headers tell, skipped and counted in it."""

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
    """In the place of a sample: what was wrong, with the file's name."""

    message: str


class Readable(Dataset[Any]):
    """A data set that gives an Unread for a picture or mask that cannot be read, where the plain one raises."""

    def __init__(self, dataset: DetectionDataset | SegmentationDataset) -> None:
        """Over a data set."""
        self.dataset = dataset

    def __len__(self) -> int:
        """How many samples, read or not."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        """A sample of the data set, or an Unread."""
        try:
            return self.dataset[index]
        except READ_ERRORS as error:
            return Unread(str(error))


def read_all(dataset: DetectionDataset | SegmentationDataset, unread: list[str]) -> Iterator[Any]:
    """The samples that can be read, in order; what is wrong with the others is added to `unread`.

    Raises:
        ValueError: at the end, when none could be read.
    """
    samples = Readable(dataset)
    for index in range(len(samples)):
        sample = samples[index]
        if isinstance(sample, Unread):
            unread.append(sample.message)
        else:
            yield sample
    if len(unread) == len(samples):
        raise ValueError(f"no picture can be read: {unread[0]}")


def check_readable(dataset: DetectionDataset | SegmentationDataset, source: str) -> None:
    """Read until one sample is read.

    Raises:
        ValueError: none is.
    """
    unread: list[str] = []
    try:
        next(read_all(dataset, unread))
    except ValueError as error:
        raise ValueError(f"no picture of {source} can be read: {unread[0]}") from error


def sound_scenes(scenes: Sequence[Scene], *, masks: bool) -> tuple[tuple[Scene, ...], tuple[str, ...]]:
    """The scenes whose files' headers can be read, and what is wrong with the others.

    Args:
        scenes: to look at; no picture is decoded.
        masks: look at the masks too.

    Raises:
        ValueError: a mask is not of its picture's size, or of no class numbers.
    """
    sound, problems = [], []
    for scene in scenes:
        try:
            header = read_header(scene.image)
            if masks and scene.mask is not None:
                size = mask_size(scene.mask)
                if size != (header.height, header.width):
                    raise ValueError(f"{scene.mask} is {size}, its picture {(header.height, header.width)}")
        except READ_ERRORS as error:
            problems.append(str(error))
        else:
            sound.append(scene)
    return tuple(sound), tuple(problems)
