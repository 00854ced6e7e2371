"""Frequency tensors in pipelines of other libraries: a transform of one sample, and a collate function for many."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Literal

import torch
from torch.utils.data import default_collate

from jpegfreq._arguments import given
from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.sources.file_memory import BatchFiles
from jpegfreq.sources.images import Images
from jpegfreq.sources.samples import image_bytes, image_key, is_image_value, name_of
from jpegfreq.torch.dataset import Batch, FrequencyDataset
from jpegfreq.views import View

__all__ = ["BatchCollate", "FrequencyTransform"]


class _InMemory:
    """The images of one call, in the form that data sets read."""

    def __init__(self, values: Sequence[Any], samples: Sequence[Any]) -> None:
        self._values, self._samples = values, samples
        self.labels = [-1] * len(values)

    def __len__(self) -> int:
        return len(self._values)

    def name(self, index: int) -> str:
        return name_of(self._samples[index], f"image {index} of the batch")

    def read_into(self, index: int, files: BatchFiles) -> bytes | memoryview:
        try:
            return image_bytes(self._values[index])
        except TypeError as error:
            raise TypeError(f"{self.name(index)}: {error}") from None


class _Reader:
    """Reads images that are handed in; everything but the options is made at its first use, in each process."""

    def __init__(
        self,
        view: View,
        *,
        format: TensorFormat | None = None,
        key: str | None = None,
        antialias: bool = True,
        fallback: Literal["pixels"] | None = None,
        errors: Literal["raise", "skip"] = "raise",
        threads: int | None = None,
    ) -> None:
        self.view = view
        self.format = TensorFormat.of(format)
        self.key = key
        self._options: dict[str, Any] = {
            "format": self.format, "antialias": antialias, "fallback": fallback, "errors": errors,
            "threads": threads,
        }  # fmt: skip
        self._dataset: FrequencyDataset | None = None
        self._made()  # wrong options are errors here, not at the first sample

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the options alone."""
        return {**self.__dict__, "_dataset": None}

    def __repr__(self) -> str:
        """Name the view and the format."""
        return f"{type(self).__name__}({self.view!r}, {self.format!r})"

    def _made(self) -> FrequencyDataset:
        if self._dataset is None:
            self._dataset = FrequencyDataset(Images((), ()), self.view, **self._options)
        return self._dataset

    def _read(self, values: Sequence[Any], samples: Sequence[Any]) -> Batch:
        """Read images in one native call; crops and flips are drawn from PyTorch's generator of this process."""
        dataset = copy(self._made())  # of this call alone, so that threads do not disturb each other
        dataset.images = _InMemory(values, samples)
        dataset.seed = int(torch.randint(1 << 62, ()))
        return dataset.fill(dataset.prepare(range(len(values))))


class FrequencyTransform(_Reader):
    """Turn the encoded image of a sample into a frequency tensor.

    Use it wherever a library takes a callable: `set_transform` and `with_transform` of Hugging Face's datasets with
    `Image(decode=False)`, `map` and `map_tuple` of WebDataset without `decode`, or the `transform` of a data set of
    your own. It can be pickled. Random crops come from PyTorch's generator, as torchvision's do: a DataLoader gives
    each worker its own, and `torch.manual_seed` repeats them.

    >>> transform = FrequencyTransform(TrainingView((224, 224)), format=TensorFormat(48, dtype="float16"))
    >>> transform(open("photo.jpg", "rb").read()).shape
    torch.Size([48, 28, 28])
    """

    def __init__(
        self,
        view: View,
        *,
        format: TensorFormat | None = None,
        key: str | None = None,
        antialias: bool = True,
        fallback: Literal["pixels"] | None = None,
    ) -> None:
        """Check the options.

        Args:
            view: what is cut out of each image.
            format: channels, chroma, layout ("HWC" gives channels_last), dtype and statistics.
            key: where a sample that is a mapping holds its image; None to look for "jpg", "jpeg", "image", "img", "png"
                or "webp".
            antialias: widen the filter where a crop shrinks.
            fallback: "pixels" lets Pillow decode what is not a YCbCr JPEG; None makes it an error.
        """
        super().__init__(view, format=format, key=key, antialias=antialias, fallback=fallback, threads=1)

    def __call__(self, sample: Any) -> Any:
        """Transform one sample, or a batch of them.

        Args:
            sample: the bytes of an image (also an LMDB value, an array or the path of a file), or an image of Hugging
                Face's `Image(decode=False)`; or a mapping that holds one of these under its key. In a batch, as
                `set_transform` hands it over, every value of the mapping is a list.

        Returns:
            The tensor [C, height / 8, width / 8]; for a mapping, a copy with the tensor in the image's place, or a list
            of tensors for a batch, which is read in one native call.

        Raises:
            JpegError, OSError: an image cannot be read.
            TypeError: an image is decoded already.
            ValueError: the mapping's image cannot be told.
        """
        if not isinstance(sample, Mapping) or is_image_value(sample):
            return self._read([sample], [sample]).tensors[0]
        key = image_key(sample, self.key)
        value = sample[key]
        if isinstance(value, list):
            return {**sample, key: list(self._read(value, value).tensors)}
        return {**sample, key: self._read([value], [sample]).tensors[0]}


class BatchCollate(_Reader):
    """Put samples together to a batch, all images in one native call: the `collate_fn` of a DataLoader.

    One call for many images is faster than many calls: several images are decoded side by side on each core. The data
    set hands out encoded images, and BatchCollate does what a transform would do.

    Attributes:
        left_out: how many samples this process has left out so far, by reason, with errors "skip".

    >>> loader = DataLoader(pairs_of_bytes_and_label, batch_size=64, collate_fn=BatchCollate(TrainingView((224, 224))))
    """

    def __init__(
        self,
        view: View,
        *,
        format: TensorFormat | None = None,
        key: str | None = None,
        antialias: bool = True,
        fallback: Literal["pixels"] | None = None,
        errors: Literal["raise", "skip"] = "raise",
        threads: int | None = None,
        collate: Callable[[list[Any]], Any] = default_collate,
    ) -> None:
        """Check the options, which are those of FrequencyTransform and three more.

        Args:
            view: what is cut out of each image.
            format: what the tensors hold.
            key: where samples that are mappings hold their image; None to look for it.
            antialias: widen the filter where a crop shrinks.
            fallback: "pixels", or None.
            errors: "raise", or "skip" to leave out samples whose images cannot be read, with a warning that counts
                them.
            threads: native threads; None for one per usable core, and for one in a DataLoader worker.
            collate: puts the rest of the samples together, labels for example.
        """
        super().__init__(
            view,
            format=format,
            key=key,
            antialias=antialias,
            fallback=fallback,
            errors=errors,
            threads=threads,
        )
        if not callable(collate):
            raise TypeError(f"collate must be a function that puts samples together, not {given(collate)}")
        self._collate = collate
        self.left_out: Counter[str] = Counter()

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Read the images of a batch, and put the rest of its samples together.

        Args:
            samples: images; or tuples that begin with an image, such as (image, label); or mappings that hold one.

        Returns:
            The tensor [N, C, height / 8, width / 8]; a tuple of the tensor and the others, each put together; or a
            mapping with the tensor in the images' place.

        Raises:
            JpegError, OSError: an image cannot be read, with errors "raise".
            TypeError: the batch is not a list, or an image is decoded already.
            ValueError: there is no sample, none can be read, the samples are of several kinds, or a mapping's image
                cannot be told.
        """
        if isinstance(samples, Mapping | str | bytes) or not isinstance(samples, Sequence):
            raise TypeError(f"a batch must be a list of samples, not {given(samples)}")
        if not samples:
            raise ValueError("a batch needs at least one sample")
        first = samples[0]
        key = image_key(first, self.key) if isinstance(first, Mapping) and not is_image_value(first) else None
        if key is not None:
            self._check_alike(samples, f"hold {key!r}", lambda sample: isinstance(sample, Mapping) and key in sample)
            values = [sample[key] for sample in samples]
        elif isinstance(first, tuple | list):
            what = f"be tuples of {counted(len(first), 'value')}"
            self._check_alike(
                samples, what, lambda sample: isinstance(sample, tuple | list) and len(sample) == len(first) > 0
            )
            values = [sample[0] for sample in samples]
        else:
            values = list(samples)
        batch = self._read(values, samples)
        self._count([stray.message for stray in batch.strays if not stray.read], batch, len(samples))
        kept = [samples[index] for index in batch.indices.tolist()]
        if key is not None:
            rest = self._collate([{k: v for k, v in sample.items() if k != key} for sample in kept])
            return {**rest, key: batch.tensors}
        if isinstance(first, tuple | list):
            return (batch.tensors, *self._collate([tuple(sample[1:]) for sample in kept]))
        return batch.tensors

    @staticmethod
    def _check_alike(samples: Sequence[Any], what: str, is_alike: Callable[[Any], bool]) -> None:
        """Require samples of one kind.

        Raises:
            ValueError: a sample is of another kind than the first.
        """
        for index, sample in enumerate(samples):
            if not is_alike(sample):
                found = (
                    f"one with the keys {', '.join(map(repr, sample))}"
                    if isinstance(sample, Mapping)
                    else given(sample)
                )
                raise ValueError(f"the samples of this batch must {what} like the first, but sample {index} is {found}")

    def _count(self, messages: Sequence[str], batch: Batch, samples: int) -> None:
        """Count what was left out, and warn of it."""
        if not messages:
            return
        if len(messages) == samples:
            raise ValueError(f"no image of the batch can be read, such as {messages[0]}")
        self.left_out.update(stray.reason for stray in batch.strays if not stray.read)
        warnings.warn(
            f"left out: {len(messages):,} of {counted(samples, 'sample')}, such as {messages[0]}", stacklevel=3
        )
