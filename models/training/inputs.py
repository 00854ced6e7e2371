"""The images of a training run, checked before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from jpegfreq._words import counted, verb
from jpegfreq.channels import CHANNEL_COUNT
from jpegfreq.format import TensorFormat
from jpegfreq.models.gate import GatedOutput
from jpegfreq.models.training.recipe import TrainConfig
from jpegfreq.models.training.state import DataSummary
from jpegfreq.sources import open_images
from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator
from jpegfreq.store import StoredDataset
from jpegfreq.torch import (
    Batch,
    EvaluationView,
    FrequencyDataset,
    FrequencyLoader,
    Images,
    RgbDataset,
    TrainingView,
)
from jpegfreq.torch.dataset import CropDataset

__all__ = ["Inputs", "measure_statistics", "open_inputs"]

_MEASURED = 2000  # at most so many images are read for the statistics of a run
_TRIED = 8  # images of each source that are read before anything else


@dataclass(frozen=True)
class Inputs:
    """What the training loop reads.

    Attributes:
        training: the training images, in another order in each epoch.
        validation: the validation images, in their own order.
        classes: the name of each class; its number if nothing names it.
        format: the format of the tensors, with statistics; None for RGB.
        view: the part of each validation image that is read.
        data: summaries of the training and the validation images.
        fewest: how many images the network needs in a training step: batch norms over a single cell need two.
        seconds_measuring: how long measuring the statistics took; 0 if they were given.
    """

    training: FrequencyLoader
    validation: FrequencyLoader
    classes: tuple[str, ...]
    format: TensorFormat | None
    view: EvaluationView
    data: tuple[DataSummary, DataSummary]
    fewest: int = 1
    seconds_measuring: float = 0.0


def measure_statistics(images: Images, view: TrainingView, threads: int | None) -> ChannelStatistics:
    """Measure all 192 channels over a random crop of each of up to 2000 images, with seed 0.

    Args:
        images: the training images.
        view: how they are cropped.
        threads: native threads; None for one per usable core.

    Raises:
        ValueError: too few images can be read, or all of them are grey.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:_MEASURED])
    dataset = FrequencyDataset(images, view, format=TensorFormat(), errors="skip", threads=threads)
    total = StatisticsAccumulator()
    for first in range(0, len(chosen), 32):
        for tensor in dataset.fill(dataset.prepare(chosen[first : first + 32].tolist())).tensors.numpy():
            total.update(tensor, grey=not tensor[64:].any())
    return total.statistics(f"{counted(len(chosen), 'training crop')} at {view.size[0]} px")


class _Stored:
    """A store as FrequencyLoader reads it, with training images mirrored at random.

    A left-to-right flip reverses the columns and changes the sign of odd horizontal frequencies.
    """

    def __init__(self, store: StoredDataset, *, seed: int, flip: bool) -> None:
        self.store = store
        self.seed = seed
        self.flip = flip
        channels = np.array(store.format.selection.channels)
        odd = channels % 2 == 1
        statistics = store.format.statistics
        shift = np.zeros(len(channels))
        if statistics is not None:  # (-x - mean) / std in terms of z = (x - mean) / std
            shift = np.where(odd, -2 * np.array(statistics.mean)[channels] / np.array(statistics.std)[channels], 0)
        shape = (-1, 1, 1) if store.format.layout == "CHW" else (1, 1, -1)
        steps = store.format.steps
        self._steps = None if steps is None else np.array(steps, np.float32)[channels].reshape(shape)
        self._sign = np.where(odd, -1, 1).astype(np.float32).reshape(shape)
        self._shift = shift.astype(np.float32).reshape(shape)
        self._columns = 2 if store.format.layout == "CHW" else 1

    def __len__(self) -> int:
        return len(self.store)

    def prepare(self, indices: Sequence[int], *, epoch: int | None = None) -> list[int]:
        return list(indices)

    @property
    def thread_count(self) -> int:
        return 1

    def fill(
        self,
        requests: Sequence[int],
        *,
        epoch: int | None = None,
        out: npt.NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> Batch:
        assert out is not None
        for slot, index in enumerate(requests):
            tensor = self.store[index][0]
            if self._steps is not None:
                tensor = tensor * self._steps
            if self.flip and np.random.default_rng((self.seed, epoch or 0, index)).random() < 0.5:
                tensor = np.flip(tensor, self._columns) * self._sign + self._shift
            out[slot] = tensor
        indices = torch.tensor(list(requests), dtype=torch.int64)
        tensors = torch.from_numpy(out)
        tensors = tensors.permute(0, 3, 1, 2) if self.store.format.layout == "HWC" else tensors
        return Batch(tensors, torch.from_numpy(self.store.labels)[indices], indices, ())

    def batch_shape(self, count: int) -> tuple[int, ...]:
        return (count, *self.store[0][0].shape)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)


def _is_store(source: str) -> bool:
    return (Path(source) / "manifest.json").exists()


def open_inputs(
    config: TrainConfig,
    *,
    rank: int,
    world_size: int,
    device: torch.device,
    statistics: ChannelStatistics | None = None,
) -> Inputs:
    """Open both sources and check that they belong together.

    Training images are cropped at random and mirrored at random. Those of a store are only mirrored: it holds one crop
    of each, and `config.scale` has no effect.

    Args:
        config: the run.
        rank: this process's number.
        world_size: how many processes share each batch.
        device: where the network is trained.
        statistics: for JPEG files if the format has none; None measures them.

    Raises:
        FileNotFoundError, ValueError: something is missing or does not fit; the text says what.
    """
    if config.batch_size % world_size:
        raise ValueError(f"batch_size {config.batch_size} is not a multiple of {world_size} processes")
    each = config.batch_size // world_size
    options: dict[str, Any] = {"rank": rank, "world_size": world_size, "prefetch": 3}
    if _is_store(config.data) or _is_store(config.validation):
        return _open_stores(config, each, options, device)
    centre = config.validation_view
    crops = TrainingView(centre.size, scale=(config.scale, 1.0), filter=config.filter)
    fewest = _fewest_images(config, config.format, centre, each, device)
    training, validation = open_images(config.data), open_images(config.validation)
    classes = _classes(config, training.classes, validation.classes, training.labels, validation.labels)
    if len(training) < config.batch_size:
        raise ValueError(
            f"{config.data} has {counted(len(training), 'image')}, fewer than batch_size {config.batch_size}"
        )
    form = config.format
    datasets: list[CropDataset]
    common: dict[str, Any] = {"seed": config.seed, "errors": "skip", "fallback": "pixels"}
    if form is None:
        if config.source is not None:
            common.update(mean=config.source.mean, std=config.source.std)
        datasets = [RgbDataset(training, crops, **common), RgbDataset(validation, centre, **common)]
    else:
        common.update(format=form, threads=config.threads)
        datasets = [FrequencyDataset(training, crops, **common), FrequencyDataset(validation, centre, **common)]
    for source, dataset in zip((config.data, config.validation), datasets, strict=True):
        _try_reading(source, dataset)
    seconds_measuring = 0.0
    if form is not None and form.statistics is None and config.needs_statistics:
        if statistics is None:
            start = time.perf_counter()
            statistics = measure_statistics(training, crops, config.threads)
            seconds_measuring = time.perf_counter() - start
        form = replace(form, statistics=statistics)
        common.update(format=form)
        datasets = [FrequencyDataset(training, crops, **common), FrequencyDataset(validation, centre, **common)]
    return Inputs(
        FrequencyLoader(datasets[0], each, seed=config.seed, drop_last=True, **options),
        FrequencyLoader(datasets[1], each, shuffle=False, **options),
        classes,
        form,
        centre,
        (
            DataSummary.of(config.data, map(training.name, range(len(training))), training.labels, classes),
            DataSummary.of(config.validation, map(validation.name, range(len(validation))), validation.labels, classes),
        ),
        fewest,
        seconds_measuring,
    )


def _fewest_images(
    config: TrainConfig, form: TensorFormat | None, view: EvaluationView, batch_size: int, device: torch.device
) -> int:
    """Return how many images the network needs in a training step.

    The network is built without memory and shown a batch, so that whatever it refuses is reported before any image is
    read.

    Raises:
        ValueError, ImportError: there is no such network, or it cannot be trained on such batches.
    """
    shape = (3, *view.size) if form is None else replace(form, layout="CHW").shape(*view.size)
    if config.target_channels is not None and config.target_channels > shape[0]:
        raise ValueError(
            f"target_channels is {config.target_channels:g}, but the input has only {counted(shape[0], 'channel')}"
        )
    model = config.model(format=form, view=view, classes=("", ""))
    with torch.device("meta" if config.source is None else "cpu"):  # timm's builders need real numbers
        network = model.create().to("meta")
    with torch.device("meta"):
        if config.amp and device.type == "cpu":
            _refuse_wrong_gradients(config, network, shape)
        for count in (1, 2)[:batch_size]:
            try:
                output = network(torch.zeros(count, *shape))
            except (ValueError, RuntimeError) as error:
                if count == min(batch_size, 2):
                    batch = " x ".join(map(str, (batch_size, *shape)))
                    raise ValueError(
                        f"{config.architecture} cannot be trained on batches of {batch}: {error}"
                    ) from error
            else:
                if not isinstance(output, torch.Tensor | GatedOutput):
                    raise ValueError(
                        f"{config.architecture} gives {type(output).__name__} in training, but only networks that give "
                        "[N, classes] can be trained"
                    )
                return count
    raise AssertionError("the last count returns or raises")


def _refuse_wrong_gradients(config: TrainConfig, network: nn.Module, shape: tuple[int, ...]) -> None:
    """Refuse a network for which a CPU computes wrong gradients in bfloat16.

    oneDNN's bfloat16 gradient of a convolution with stride 2, over a grid of a single cell, contains memory that was
    never written (seen with PyTorch 2.14, on a processor with AMX).

    Raises:
        ValueError: the network has such a layer.
    """
    names = {module: name for name, module in network.named_modules()}

    def check(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(module, nn.Conv2d)
        if max(module.kernel_size) > 1 and max(module.stride) > 1 and inputs[0].shape[2:] == (1, 1):
            raise ValueError(
                f"{config.architecture} at size {config.size} cannot be trained with amp on a CPU: the layer "
                f"{names[module]} has stride 2 on a grid of 1 x 1, for which bfloat16 gradients are wrong. Leave out "
                "amp, or choose a larger size"
            )

    hooks = [m.register_forward_pre_hook(check) for m in network.modules() if isinstance(m, nn.Conv2d)]
    network.eval()(torch.zeros(1, *shape))
    network.train()
    for hook in hooks:
        hook.remove()


def _try_reading(source: str, dataset: CropDataset) -> None:
    """Read a few images, spread evenly over a source.

    Raises:
        ValueError: none of them can be read.
    """
    chosen = sorted({round(place) for place in np.linspace(0, len(dataset) - 1, _TRIED)})
    batch = dataset.fill(dataset.prepare(chosen))
    if not len(batch.labels):
        raise ValueError(
            f"none of the {counted(len(chosen), 'image')} of {source} that {verb(len(chosen), 'was', 'were')} tried "
            f"can be read: {batch.strays[0].message}"
        )


def _open_stores(config: TrainConfig, each: int, options: dict[str, Any], device: torch.device) -> Inputs:
    for source in (config.data, config.validation):
        if not _is_store(source):
            raise ValueError(f"{source} is not a store, but the other source is: convert both in the same way")
    training, validation = _store(config.data), _store(config.validation)
    form, wanted = training.format, config.format
    if form != validation.format:
        raise ValueError(
            f"{config.data} and {config.validation} hold different formats: convert both with the same options"
        )
    if wanted is None:
        raise ValueError(f"{config.data} is a store of frequency tensors; an RGB baseline needs images")
    if len(wanted.selection) < CHANNEL_COUNT and wanted.selection != form.selection:
        raise ValueError(
            f"{config.data} holds the channels {form.selection.name}, but {wanted.selection.name} were asked for: "
            "convert the images again, or leave out the channels"
        )
    if form.statistics is None and config.needs_statistics:
        raise ValueError(
            f"{config.data} was converted without --statistics, but a network needs normalized input: convert the "
            "images again with the statistics of `jpegfreq stats`"
        )
    if wanted.statistics not in (None, form.statistics):
        raise ValueError(f"{config.data} was converted with other statistics: leave out the statistics")
    classes = _classes(
        config, training.classes, validation.classes, training.labels.tolist(), validation.labels.tolist()
    )
    if len(training) < config.batch_size:
        raise ValueError(
            f"{config.data} has {counted(len(training), 'tensor')}, fewer than batch_size {config.batch_size}"
        )
    shape, other_shape = (store[0][0].shape for store in (training, validation))
    if shape != other_shape:
        raise ValueError(
            f"the two stores hold tensors of shape {shape} and {other_shape}: convert both to the same size"
        )
    fewest = _fewest_images(config, form, training.view, each, device)
    # Any: they are not CropDatasets, but have everything that the loader uses.
    datasets: list[Any] = [
        _Stored(training, seed=config.seed, flip=True),
        _Stored(validation, seed=config.seed, flip=False),
    ]
    return Inputs(
        FrequencyLoader(datasets[0], each, seed=config.seed, drop_last=True, **options),
        FrequencyLoader(datasets[1], each, shuffle=False, **options),
        classes,
        replace(form, dtype="float32", steps=None),
        training.view,
        (
            DataSummary.of(config.data, training.names, training.labels, classes),
            DataSummary.of(config.validation, validation.names, validation.labels, classes),
        ),
        fewest,
    )


def _store(source: str) -> StoredDataset:
    """Open a store, and read a few tensors spread over it.

    Raises:
        ValueError: its manifest is damaged, or a shard is missing.
    """
    try:
        store = StoredDataset(source)
        for index in range(0, len(store), max(len(store) // _TRIED, 1)):
            store[index]
    except (KeyError, TypeError, OSError) as error:
        raise ValueError(f"{source} is not a complete store: {error}") from error
    return store


def _classes(
    config: TrainConfig,
    training: Sequence[str],
    validation: Sequence[str],
    training_labels: Sequence[int],
    validation_labels: Sequence[int],
) -> tuple[str, ...]:
    """Return the names of the classes, which both sources must share."""
    if tuple(training) != tuple(validation):
        only = sorted(set(training) ^ set(validation))
        raise ValueError(
            f"{config.data} and {config.validation} have different classes: "
            + (f"only one of them has {', '.join(only[:5])}" if only else "they are the same in another order")
        )
    for source, labels in ((config.data, training_labels), (config.validation, validation_labels)):
        if not len(labels):
            raise ValueError(f"{source} has no images")
        if min(labels) < 0:
            raise ValueError(f"{source} has images without a label")
        if training and max(labels) >= len(training):
            raise ValueError(
                f"{source} has the label {max(labels)}, but there {verb(len(training))} only "
                f"{counted(len(training), 'class')}"
            )
    unknown = set(validation_labels) - set(training_labels)
    if unknown:
        raise ValueError(f"{config.validation} has images of class {min(unknown)}, but {config.data} has none")
    count = max(*training_labels, *validation_labels) + 1
    return tuple(training) or tuple(str(label) for label in range(count))
