"""From JPEG bytes to labels."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import torch
from torch import Tensor, nn

from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.sources.file_memory import BatchFiles
from jpegfreq.sources.images import Images
from jpegfreq.torch.dataset import CropDataset, FrequencyDataset
from jpegfreq.torch.rgb import RgbDataset

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import ModelConfig

__all__ = ["Classifier", "InputCheck", "Prediction", "evaluation_data"]

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview
ReadError: TypeAlias = ValueError | OSError | MemoryError

_LARGE = 8.0  # the root mean square above which an input can hardly be normalized
_NAMED = 3  # classes that the repr of a Prediction names


@dataclass(frozen=True)
class Prediction:
    """The most likely classes of an image, the most likely first.

    Attributes:
        labels: the classes' names, or their numbers as text if the classes have no names.
        probabilities: each class's probability among all classes.
        indices: the classes' numbers.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    indices: tuple[int, ...]

    @property
    def label(self) -> str:
        """The most likely class."""
        return self.labels[0]

    def __repr__(self) -> str:
        """Name the first classes with their probabilities in percent."""
        first = [f"{label} {p:.1%}" for label, p in zip(self.labels[:_NAMED], self.probabilities, strict=False)]
        more = [f"and {len(self.labels) - _NAMED} more"] if len(self.labels) > _NAMED else []
        return f"Prediction({', '.join(first + more)})"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return {name: list(values) for name, values in asdict(self).items()}


class Classifier:
    """A network together with the way its input is prepared.

    Attributes:
        config: how the network was built and how images are prepared for it.
        network: the network, in evaluation mode.
        input_check: warns once if the network's input is not normalized.
    """

    def __init__(self, config: ModelConfig, network: nn.Module) -> None:
        """Wrap a network; `load_model` does this for a checkpoint."""
        self.config = config
        self.network = network.eval()
        self.input_check = InputCheck(None if config.source is not None else config.format)  # its layer normalizes

    def __repr__(self) -> str:
        """Give the config alone: the network has hundreds of layers."""
        return f"Classifier({self.config!r})"

    @overload
    def predict(  # type: ignore[overload-overlap]  # a str is a sequence of str, but here a path
        self, images: Source, *, top: int = 5, batch_size: int = 64
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: Sequence[Source], *, top: int = 5, batch_size: int = 64, errors: Literal["raise"] = "raise"
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, images: Sequence[Source], *, top: int = 5, batch_size: int = 64, errors: Literal["return"]
    ) -> list[Prediction | ReadError]: ...
    def predict(
        self,
        images: Source | Sequence[Source],
        *,
        top: int = 5,
        batch_size: int = 64,
        errors: Literal["raise", "return"] = "raise",
    ) -> Prediction | list[Prediction] | list[Prediction | ReadError]:
        """Classify images, each prepared as in validation: the shorter side resized, the centre cropped, normalized.

        Files that are not YCbCr JPEGs (PNG, WebP, CMYK and others) are decoded by Pillow, as in training.

        Args:
            images: a path or a file's bytes, or a list of these.
            top: how many classes to name.
            batch_size: how many images to give the network at once.
            errors: "raise" raises the first error; "return" puts each error in the place of its image's prediction.

        Returns:
            A Prediction, or a list of one per image for a list.

        Raises:
            JpegError, OSError, ValueError, MemoryError: a file cannot be read; a note on the error says which.
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

    def _dataset(self, images: Sequence[Source], errors: Literal["raise", "return"]) -> CropDataset:
        return evaluation_data(self.config, _Given(tuple(images)), errors="raise" if errors == "raise" else "skip")

    @torch.inference_mode()
    def _classify(self, tensors: Tensor, top: int) -> list[Prediction]:
        parameter = next(self.network.parameters())
        self.input_check(self.network, (tensors,))
        logits = self.network(tensors.to(parameter.device, parameter.dtype))  # [N, C, H, W] -> [N, num_classes]
        if logits.ndim != 2 or logits.shape[1] != self.config.num_classes:
            raise ValueError(
                f"the network gives {' x '.join(map(str, logits.shape))} numbers for {len(tensors)} x "
                f"{counted(self.config.num_classes, 'class')}: its config and its network do not fit"
            )
        likely = logits.float().softmax(1).topk(min(top, logits.shape[1]))
        labels = self.config.labels
        return [
            Prediction(
                tuple(labels[index] if labels else str(index) for index in indices),
                tuple(probabilities),
                tuple(indices),
            )
            for probabilities, indices in zip(likely.values.tolist(), likely.indices.tolist(), strict=True)
        ]


def evaluation_data(
    config: ModelConfig, images: Images, *, errors: Literal["raise", "skip"], threads: int | None = None
) -> FrequencyDataset | RgbDataset:
    """Open images as a model takes them in validation: in its format, size, crop and normalization.

    An RGB network that came from elsewhere gets 8-bit pixels, as it does where it came from.

    Args:
        config: of the model.
        images: the images to read; Pillow decodes those that are not YCbCr JPEGs.
        errors: "raise" or "skip" unreadable images.
        threads: native threads that read; None for one per core.
    """
    view, source = config.view, config.source
    if config.format is not None:
        return FrequencyDataset(images, view, format=config.format, errors=errors, fallback="pixels", threads=threads)
    if source is None:
        return RgbDataset(images, view, errors=errors, fallback="pixels")
    return RgbDataset(images, view, errors=errors, fallback="pixels", mean=source.mean, std=source.std, rounded=True)


class _Given(Images):
    """Paths and files' bytes as a set of images without labels."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        names = tuple(
            os.fspath(source) if isinstance(source, str | os.PathLike) else f"{len(source)} bytes" for source in sources
        )
        super().__init__(paths=names, labels=(0,) * len(sources))
        object.__setattr__(self, "sources", sources)

    sources: tuple[Source, ...]

    def read_into(self, index: int, files: BatchFiles) -> memoryview:
        """Return one image's bytes."""
        source = self.sources[index]
        return super().read_into(index, files) if isinstance(source, str | os.PathLike) else memoryview(source)


def _error_of(dataset: CropDataset, index: int) -> ReadError:
    """Return the error that reading an image raises."""
    try:
        dataset[index]
    except (ValueError, OSError, MemoryError) as error:
        return error
    raise AssertionError("the file could not be read before")


class InputCheck:
    """Warn once if a frequency network is given coefficients that are not normalized.

    Raw coefficients are large. With statistics at hand there is a second sign: the input looks like unit variance
    after another normalization, but not before it.

    It is called as a forward pre-hook of the network, or by hand; it looks at one input only.
    """

    def __init__(self, format: TensorFormat | None) -> None:
        """Check inputs of this format; None, for RGB, checks nothing."""
        self.format = format

    def __call__(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Look at the first input [N, C, H, W]."""
        format = self.format
        if format is None or torch.compiler.is_compiling():
            return
        x = inputs[0]
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != len(format.selection) or x.is_meta:
            return
        self.format = None
        x = x.detach().double()
        if format.steps is not None:
            x = x * x.new_tensor(format.steps)[list(format.selection), None, None]
        size = float(x.square().mean().sqrt())
        if size < _LARGE:
            return
        if format.statistics is None:
            cause = "the model's format holds no statistics"
        else:
            channels = list(format.selection)
            mean, std = (
                x.new_tensor(values)[channels, None, None] for values in (format.statistics.mean, format.statistics.std)
            )
            if _distance_from_unit(x) < _distance_from_unit((x - mean) / std) + 0.5:
                return
            cause = "normalize it with the statistics of the model's format (`classifier.config.format`)"
        warnings.warn(
            f"the network's input does not look normalized: its root mean square is {size:.0f}, where about 1 is "
            f"expected; {cause}",
            stacklevel=2,
        )


def _distance_from_unit(x: Tensor) -> float:
    """How far the channels' root mean squares lie from 1, as the mean of their absolute logarithms."""
    return float((x.square().mean((0, 2, 3)).sqrt() + 1e-6).log().abs().mean())
