"""Map-style data sets: what the frequency data set and its RGB twin have in common, and the frequency data set."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, get_worker_info

from jpegfreq._arguments import check_choice, check_flag, given, whole_number
from jpegfreq._memory import empty
from jpegfreq._words import counted
from jpegfreq.batch import read_batch, usable_cores
from jpegfreq.errors import JpegError, UnsupportedJpegError
from jpegfreq.failures import message_of, reason_for
from jpegfreq.format import TensorFormat
from jpegfreq.header import read_header
from jpegfreq.sources.file_memory import FileMemory
from jpegfreq.sources.images import Images
from jpegfreq.sources.samples import IndexedImages, Samples
from jpegfreq.torch.pixels import crop_pixels, read_pixels, to_frequency
from jpegfreq.views import Crop, EvaluationView, TrainingView, View, draw_crop, read_size

__all__ = ["Batch", "CropDataset", "FrequencyDataset", "Request", "Stray", "collate"]

ReadError: TypeAlias = ValueError | OSError | MemoryError
Sample: TypeAlias = tuple[torch.Tensor, int]

_NO_JPEG = ((b"\x89PNG", "PNG"), (b"RIFF", "WebP"), (b"GIF8", "GIF"), (b"BM", "BMP"), (b"II*\0", "TIFF"))


class Stray(NamedTuple):
    """An image that could not be read as a JPEG with YCbCr coefficients.

    Attributes:
        image_index: its position in the data set.
        reason: the kind of fault, to count strays by: "PNG", "CMYK", "truncated", "unreadable" ...
        message: the error, with the image's name.
        read: whether it was read from its pixels instead; otherwise it was left out.
    """

    image_index: int
    reason: str
    message: str
    read: bool


class Batch(NamedTuple):
    """A batch of images, with one row per image that could be read; it may have no rows.

    Attributes:
        tensors: [N, C, H, W]; in channels_last memory order for layout "HWC".
        labels: int64 [N].
        indices: int64 [N], each image's position in the data set.
        strays: the images that were left out, or were read from their pixels.
    """

    tensors: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    strays: tuple[Stray, ...]

    def __repr__(self) -> str:
        """Give shape and dtype instead of the values."""
        shape = " x ".join(map(str, self.tensors.shape))
        dtype = str(self.tensors.dtype).removeprefix("torch.")
        tensors = f"tensors {shape} (N x C x height x width) {dtype}"
        return f"Batch({counted(len(self.labels), 'image')}, {tensors}, {counted(len(self.strays), 'stray')})"


class _Samples(list[Sample]):
    """The images of a batch one by one, and the batch that they are views of."""

    batch: Batch


class _Sample(tuple[torch.Tensor, int]):
    """An image that was read alone, and the batch of one that it is a view of."""

    batch: Batch


def collate(samples: Sequence[Sample]) -> Batch:
    """Return the batch that a data set of this module has read: the `collate_fn` for a DataLoader.

    A batch that was read in one call, also through torch's Subset, is taken without a copy. Images that were read one
    by one, as through ConcatDataset, are put together; their `indices` are positions in their own parts.

    Raises:
        TypeError: the samples are not those of a FrequencyDataset or RgbDataset.
    """
    if isinstance(samples, _Samples):
        return samples.batch
    batches = [sample.batch for sample in samples if isinstance(sample, _Sample)]
    if not batches or len(batches) < len(samples):
        raise TypeError(
            "collate takes samples of a FrequencyDataset or RgbDataset, also through Subset and ConcatDataset, not "
            f"{type(samples[0]).__name__ if samples else 'an empty list'}"
        )
    return Batch(
        torch.cat([batch.tensors for batch in batches]),
        torch.cat([batch.labels for batch in batches]),
        torch.cat([batch.indices for batch in batches]),
        tuple(stray for batch in batches for stray in batch.strays),
    )


class Request(NamedTuple):
    """One image of a batch that is about to be read: its bytes and crop, or the error in their place."""

    image_index: int
    data: bytes | memoryview
    crop: Crop
    error: ReadError | None


_NO_CROP = Crop((0, 0, 1, 1), False)


class CropDataset(Dataset[Sample], ABC):
    """Images seen through a view: crop, resize and flip depend on (seed, epoch, index) alone.

    Two data sets with the same images, seed and view (except for its size) see the same boxes and flips, whatever
    tensors they make and however many workers read them.

    With torch's DataLoader, call `set_epoch` before each pass: otherwise a TrainingView cuts the same crops in every
    epoch, and a warning says so. FrequencyLoader sets the epoch by itself.

    Attributes:
        images: where the images lie: Images, or IndexedImages of anything that can be indexed.
        view: what is cut out of each.
        seed: the seed of everything that is drawn.
        errors: "raise" ends the epoch at an image that cannot be read; "skip" leaves it out.
        fallback: "pixels" lets Pillow decode what is not a YCbCr JPEG before `errors` is applied. It does not decode
            damaged JPEGs, because Pillow would make up what is missing.
        antialias: widen the filter where a crop shrinks.
    """

    has_box_filter = True

    def __init__(
        self,
        images: Images | Samples,
        view: View,
        *,
        seed: int = 0,
        errors: Literal["raise", "skip"] = "raise",
        fallback: Literal["pixels"] | None = None,
        antialias: bool = True,
    ) -> None:
        """Check the options; the class describes them."""
        if not isinstance(view, TrainingView | EvaluationView):
            raise TypeError(f"view must be a TrainingView or an EvaluationView, not {given(view)}")
        check_choice("errors", errors, ("raise", "skip"))
        antialias = check_flag("antialias", antialias)
        whole_number("seed", seed)
        if fallback not in (None, "pixels"):
            raise ValueError(f'fallback must be "pixels" or None, not {fallback!r}')
        if view.filter == "box" and (fallback is not None or not self.has_box_filter):
            raise ValueError('pixels are resized by "bilinear" or "bicubic", not "box"')
        self.images: Any = images if isinstance(images, Images) else IndexedImages(images)
        self.view = view
        self.seed = seed
        self.errors = errors
        self.fallback = fallback
        self.antialias = antialias
        # For each stray, the epoch that met it last and the reason; several threads may write.
        self._strays_met: dict[int, tuple[int, str]] = {}
        self._epoch_read = 0
        self._files = FileMemory()
        # In shared memory, so that workers that outlive an epoch see the next one's number.
        self._epoch = _shared(torch.zeros((), dtype=torch.int64))
        self._read_before = _ReadBefore(len(self.images)) if isinstance(view, TrainingView) else None

    def __repr__(self) -> str:
        """Name the images, the view and the seed."""
        return f"{type(self).__name__}({self.images!r}, {self.view!r}, seed {self.seed}{self._described()})"

    def _described(self) -> str:
        """Describe what only this kind of data set has, for `repr`."""
        return ""

    @property
    def stray_counts(self) -> Counter[str]:
        """Count the strays of the epoch that this process read last, by reason.

        An image counts once, however often the epoch was begun. Each DataLoader worker counts its own: use
        `Batch.strays` there.
        """
        return Counter(reason for epoch, reason in self._strays_met.copy().values() if epoch == self._epoch_read)

    def set_epoch(self, epoch: int) -> None:
        """Draw the boxes and flips of this epoch from now on; call it before each pass over a DataLoader."""
        if self._read_before is not None and epoch != int(self._epoch):
            self._read_before.clear()
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Return how many images there are, strays included."""
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its label; an image read alone cannot be left out, so an error is always raised."""
        if get_worker_info() is not None:
            self._note_read([index])
        batch = self.fill(self.prepare([range(len(self))[index]]), errors="raise")
        sample = _Sample((batch.tensors[0], int(batch.labels[0])))
        sample.batch = batch
        return sample

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Read a batch in one call: (tensor, label) of each image that is not left out, views of one tensor."""
        self._note_read(indices)
        batch = self.fill(self.prepare(indices))
        samples = _Samples(zip(batch.tensors, batch.labels.tolist(), strict=True))
        samples.batch = batch
        return samples

    def _note_read(self, indices: Sequence[int]) -> None:
        """Warn, once, when a second pass over a DataLoader is under way without `set_epoch`."""
        if self._read_before is not None and self._read_before.repeats(indices):
            warnings.warn(
                f"more than half of the images are being read again in epoch {int(self._epoch)}, with the same random "
                "crops and flips: call the data set's set_epoch(epoch) before each pass over its DataLoader",
                stacklevel=3,
            )

    def prepare(self, indices: Sequence[int], *, epoch: int | None = None) -> list[Request]:
        """Read the bytes of images and draw their crops, for `fill`.

        Args:
            indices: positions of the images in the data set.
            epoch: the epoch whose boxes and flips to draw; None for that of `set_epoch`.
        """
        epoch = int(self._epoch) if epoch is None else epoch
        requests = []
        files = self._files.batch()
        for index in map(int, indices):
            data: bytes | memoryview = b""
            try:
                data = self.images.read_into(index, files)
                height, width = read_size(self.view, read_header(data))
                requests.append(Request(index, data, self.crop(index, height, width, epoch), None))
            except (ValueError, OSError, MemoryError) as error:
                requests.append(Request(index, data, _NO_CROP, error))
        return requests

    def crop(self, index: int, height: int, width: int, epoch: int) -> Crop:
        """Draw the crop of one image in one epoch, from the height and width, in pixels, that it is read with."""
        return draw_crop(self.view, height, width, seed=self.seed, epoch=epoch, index=index)

    def fill(
        self,
        requests: Sequence[Request],
        *,
        epoch: int | None = None,
        out: npt.NDArray[Any] | None = None,
        threads: int | None = None,
        errors: Literal["raise", "skip"] | None = None,
    ) -> Batch:
        """Read what was prepared into one tensor.

        Args:
            requests: what `prepare` returned.
            epoch: as for `prepare`.
            out: where to write: `batch_shape(len(requests))` of `numpy_dtype`, C-contiguous.
            threads: native threads; None for `thread_count`.
            errors: "raise" or "skip"; None for the data set's.

        Raises:
            JpegError, ValueError, OSError, MemoryError: an image cannot be read, with errors "raise".
        """
        epoch = int(self._epoch) if epoch is None else epoch
        out = empty(self.batch_shape(len(requests)), self.numpy_dtype) if out is None else out
        kept: list[int] = []
        strays: list[Stray] = []
        for slot, (request, found) in enumerate(zip(requests, self._read(requests, out, threads), strict=True)):
            error = request.error or found
            if error is not None:
                read = False
                if self.fallback == "pixels" and not _is_damaged(request.data, error):
                    try:
                        pixels = read_pixels(request.data, apply_orientation=self.view.apply_orientation)
                        crop = self.crop(request.image_index, pixels.shape[1], pixels.shape[2], epoch)
                        out[slot] = self._from_pixels(pixels, crop)
                        read = True
                    except ImportError:
                        error.add_note("Pillow, which reads other kinds of images, is not installed")
                    except (ValueError, OSError, MemoryError, SyntaxError):
                        pass  # the first error tells more
                name = self.images.name(request.image_index)
                if not read and (errors or self.errors) == "raise":
                    error.add_note(f"image {request.image_index} of the data set: {name}")
                    raise error
                reason = stray_reason(request.data, error)
                strays.append(Stray(request.image_index, reason, f"{name}: {message_of(error)}", read))
                if not read:
                    continue
            if len(kept) != slot:
                out[len(kept)] = out[slot]
            kept.append(request.image_index)
        self._epoch_read = epoch
        self._strays_met.update((stray.image_index, (epoch, stray.reason)) for stray in strays)
        tensors = torch.from_numpy(out)[: len(kept)]
        labels = torch.tensor([self.images.labels[index] for index in kept], dtype=torch.int64)
        return Batch(self._channels_first(tensors), labels, torch.tensor(kept, dtype=torch.int64), tuple(strays))

    def _resized(
        self, pixels: torch.Tensor, crop: Crop, *, whole_blocks: bool = False, rounded: bool = False
    ) -> torch.Tensor:
        """Cut a crop out of pixels and resize it: float32 [3, height, width] of the view, as `crop_pixels` says."""
        return crop_pixels(
            pixels,
            crop,
            self.view.size,
            filter=self.view.filter,
            antialias=self.antialias,
            whole_blocks=whole_blocks,
            rounded=rounded,
        )

    @abstractmethod
    def batch_shape(self, count: int) -> tuple[int, ...]:
        """Return the shape of the array that `fill` writes."""

    @property
    @abstractmethod
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of the array that `fill` writes."""

    @property
    @abstractmethod
    def thread_count(self) -> int:
        """How many threads read images."""

    @abstractmethod
    def _read(
        self, requests: Sequence[Request], out: npt.NDArray[Any], threads: int | None
    ) -> Sequence[ReadError | None]:
        """Fill each request's slot, and return its error, or None where it could be read."""

    @abstractmethod
    def _from_pixels(self, pixels: torch.Tensor, crop: Crop) -> npt.NDArray[Any]:
        """Make a slot's content from decoded RGB pixels, uint8 [3, height, width]."""

    @abstractmethod
    def _channels_first(self, tensors: torch.Tensor) -> torch.Tensor:
        """Return a view [N, C, H, W]."""


class _ReadBefore:
    """Which images were read in this epoch, in memory that all DataLoader workers share."""

    def __init__(self, count: int) -> None:
        self._read = _shared(torch.zeros(count, dtype=torch.bool))
        self._repeated = _shared(torch.zeros((), dtype=torch.int64))
        self._warned = _shared(torch.zeros((), dtype=torch.bool))

    def clear(self) -> None:
        """Begin another epoch."""
        self._read.zero_()
        self._repeated.zero_()

    def repeats(self, indices: Sequence[int]) -> bool:
        """Note that images are read; True, once, when more than half of all were read again in one epoch.

        Fewer may be a look at the first batches, or a sampler that draws with replacement.
        """
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        self._repeated += self._read[chosen].sum()
        self._read[chosen] = True
        if self._warned or 2 * self._repeated <= len(self._read):
            return False
        self._warned.fill_(True)
        return True


def _shared(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.share_memory_()  # type: ignore[no-untyped-call,no-any-return]


class FrequencyDataset(CropDataset):
    """JPEG files as frequency tensors: cropped, resized, flipped and normalized without decoding pixels.

    A sequential file with one scan is decoded no further than its crop reaches. Damage below the crop is not noticed,
    so that a damaged file may be left out in one epoch and seen in another. RgbDataset describes where the two agree.

    >>> dataset = FrequencyDataset(image_folder("train"), TrainingView((448, 448)), format=TensorFormat(24))
    >>> loader = DataLoader(dataset, batch_size=64, shuffle=True, num_workers=2, collate_fn=collate)
    """

    def __init__(
        self,
        images: Images | Samples,
        view: View,
        *,
        format: TensorFormat | None = None,
        seed: int = 0,
        errors: Literal["raise", "skip"] = "raise",
        fallback: Literal["pixels"] | None = None,
        antialias: bool = True,
        threads: int | None = None,
    ) -> None:
        """Check the options, which are those of CropDataset and three more.

        Args:
            images: where the images lie: what `image_folder` and its siblings return; or anything with a length whose
                items are (image, label), such as a list of (bytes, label) or a data set of your own, or mappings as
                those of Hugging Face's datasets with `Image(decode=False)`.
            view: what is cut out of each. Tensors have whole blocks, also if its size is not a multiple of 8.
            format: channels, chroma, layout ("HWC" gives channels_last), dtype and statistics.
            seed: the seed of boxes and flips.
            errors: "raise" or "skip".
            fallback: "pixels", or None.
            antialias: widen the filter where a crop shrinks.
            threads: native threads; None for one per usable core, and for one in a DataLoader worker.
        """
        super().__init__(
            images,
            view,
            seed=seed,
            errors=errors,
            fallback=fallback,
            antialias=antialias,
        )
        self.format = TensorFormat.of(format)
        self.threads = threads

    def _described(self) -> str:
        return f", {self.format!r}"

    def batch_shape(self, count: int) -> tuple[int, ...]:
        """Return [N, C, height / 8, width / 8], rounded up, or [N, height / 8, width / 8, C] for layout "HWC"."""
        return (count, *self.format.shape(*self.view.size))

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The format's dtype."""
        return self.format.numpy_dtype

    @property
    def thread_count(self) -> int:
        """How many threads read images: `threads`, or what None stands for."""
        if self.threads is not None:
            return self.threads
        return 1 if get_worker_info() is not None else usable_cores()

    def _read(
        self, requests: Sequence[Request], out: npt.NDArray[Any], threads: int | None
    ) -> Sequence[ReadError | None]:
        # A request that has failed fails again, its bytes empty.
        return read_batch(
            [b"" if request.error else request.data for request in requests],
            size=self.view.size,
            boxes=[request.crop.box for request in requests],
            flips=[request.crop.flip for request in requests],
            filter=self.view.filter,
            antialias=self.antialias,
            apply_orientation=self.view.apply_orientation,
            format=self.format,
            out=out,
            threads=threads or self.thread_count,
            errors="return",
        )[1]

    def _from_pixels(self, pixels: torch.Tensor, crop: Crop) -> npt.NDArray[Any]:
        return to_frequency(self._resized(pixels, crop, whole_blocks=True), self.format)

    def _channels_first(self, tensors: torch.Tensor) -> torch.Tensor:
        return tensors.permute(0, 3, 1, 2) if self.format.layout == "HWC" else tensors


def stray_reason(data: bytes | memoryview, error: ReadError) -> str:
    """Name the kind of fault of a file that could not be read, to count strays by."""
    for magic, name in _NO_JPEG:
        if data[: len(magic)] == magic:
            return name
    if isinstance(error, UnsupportedJpegError):
        color = read_header(data).color if data[:2] == b"\xff\xd8" and _has_header(data) else ""
        return color if color in ("CMYK", "YCCK", "RGB") else "unsupported"
    return reason_for(error, data)


def _is_damaged(data: bytes | memoryview, error: ReadError) -> bool:
    """Tell a JPEG whose own bytes are wrong from a file of a kind that has no YCbCr coefficients."""
    return data[:2] == b"\xff\xd8" and isinstance(error, JpegError) and not isinstance(error, UnsupportedJpegError)


def _has_header(data: bytes | memoryview) -> bool:
    try:
        read_header(data)
    except (ValueError, MemoryError):
        return False
    return True
