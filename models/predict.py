"""From JPEG bytes to labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, overload

import torch
from torch import nn

from jpegfreq.sources.file_memory import BatchFiles
from jpegfreq.sources.images import Images
from jpegfreq.torch.dataset import CropDataset, FrequencyDataset
from jpegfreq.torch.rgb import RgbDataset
from jpegfreq.torch.views import EvaluationView

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import ModelConfig

__all__ = ["Classifier", "Prediction"]

Picture: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
ReadError: TypeAlias = ValueError | OSError | MemoryError


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of an image, the likeliest first.

    Attributes:
        labels: their names; their numbers as text where the network has no names.
        probabilities: how likely each is, of all classes.
        indices: their numbers.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    indices: tuple[int, ...]

    @property
    def label(self) -> str:
        """The likeliest."""
        return self.labels[0]


class Classifier:
    """A network, and how it is fed.

    Attributes:
        config: what built it.
        network: in evaluation mode.
    """

    def __init__(self, config: ModelConfig, network: nn.Module) -> None:
        """As `load_model` makes it, or from a network just trained."""
        self.config = config
        self.network = network.eval()

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is a sequence of str, but here a path
        self, images: Picture, *, top: int = 5, batch_size: int = 64
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: Sequence[Picture], *, top: int = 5, batch_size: int = 64, errors: Literal["raise"] = "raise"
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, images: Sequence[Picture], *, top: int = 5, batch_size: int = 64, errors: Literal["return"]
    ) -> list[Prediction | ReadError]: ...
    def predict(
        self,
        images: Picture | Sequence[Picture],
        *,
        top: int = 5,
        batch_size: int = 64,
        errors: Literal["raise", "return"] = "raise",
    ) -> Prediction | list[Prediction] | list[Prediction | ReadError]:
        """Classify pictures, each seen as in validation: shorter side resized, centre cut out, normalized.

        What is no YCbCr JPEG (PNG, WebP, CMYK ...) is decoded by Pillow, as in training.

        Args:
            images: a path or a file's bytes, or a list of them.
            top: how many classes to name.
            batch_size: how many images the network takes at once.
            errors: "raise" raises the first error; "return" puts each in its image's place.

        Returns:
            A Prediction, or one for each of a list.

        Raises:
            JpegError, OSError, ValueError, MemoryError: a file cannot be read; a note on it says which.
        """
        if isinstance(images, str | os.PathLike | bytes | bytearray | memoryview):
            return self.predict([images], top=top, batch_size=batch_size)[0]
        if errors not in ("raise", "return"):
            raise ValueError(f'errors must be "raise" or "return", not {errors!r}')
        if top < 1 or batch_size < 1:
            raise ValueError(f"top and batch_size must be at least 1, not {top} and {batch_size}")
        dataset = self._dataset(images, errors)
        found: dict[int, Prediction | ReadError] = {}
        for start in range(0, len(dataset), batch_size):
            batch = dataset.fill(dataset.prepare(range(start, min(start + batch_size, len(dataset)))))
            for stray in batch.strays:
                if not stray.read:
                    found[stray.image_index] = _error_of(dataset, stray.image_index)
            if len(batch.indices):
                predictions = self._classify(batch.tensors, top)
                found.update(zip(batch.indices.tolist(), predictions, strict=True))
        return [found[index] for index in range(len(dataset))]

    def _dataset(self, images: Sequence[Picture], errors: Literal["raise", "return"]) -> CropDataset:
        given = _Given(tuple(images))
        view = EvaluationView(self.config.size, self.config.shorter_side)
        skip: Literal["raise", "skip"] = "raise" if errors == "raise" else "skip"
        if self.config.format is None:
            return RgbDataset(given, view, errors=skip, fallback="pixels")
        return FrequencyDataset(given, view, format=self.config.format, errors=skip, fallback="pixels")

    @torch.inference_mode()
    def _classify(self, tensors: torch.Tensor, top: int) -> list[Prediction]:
        parameter = next(self.network.parameters())
        logits = self.network(tensors.to(parameter.device, parameter.dtype))  # [N, C, H, W] -> [N, num_classes]
        likeliest = logits.float().softmax(1).topk(min(top, logits.shape[1]))
        labels = self.config.labels or tuple(map(str, range(self.config.num_classes)))
        return [
            Prediction(tuple(labels[index] for index in indices), tuple(probabilities), tuple(indices))
            for probabilities, indices in zip(likeliest.values.tolist(), likeliest.indices.tolist(), strict=True)
        ]


class _Given(Images):
    """Paths and bytes as they are given; their labels are what is asked for."""

    def __init__(self, pictures: tuple[Picture, ...]) -> None:
        names = tuple(
            os.fspath(picture) if isinstance(picture, str | os.PathLike) else f"{len(picture)} bytes"
            for picture in pictures
        )
        super().__init__(paths=names, labels=(0,) * len(pictures))
        object.__setattr__(self, "pictures", pictures)

    pictures: tuple[Picture, ...]

    def read_into(self, index: int, files: BatchFiles) -> memoryview:
        """The bytes of one image."""
        picture = self.pictures[index]
        return super().read_into(index, files) if isinstance(picture, str | os.PathLike) else memoryview(picture)


def _error_of(dataset: CropDataset, index: int) -> ReadError:
    """Why an image cannot be read."""
    try:
        dataset[index]
    except (ValueError, OSError, MemoryError) as error:
        return error
    raise AssertionError("the file could not be read before")
