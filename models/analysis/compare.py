"""Compare trained models: accuracy, multiply-adds, and what their input costs to read and to copy."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from jpegfreq.models.analysis.evaluation import (
    OnUnread,
    Progress,
    device_of,
    evaluation_batches,
    evaluation_dataset,
    labelled_for,
)
from jpegfreq.models.analysis.probes import sample_images
from jpegfreq.models.networks.summary import model_summary
from jpegfreq.torch import Images

if TYPE_CHECKING:
    from jpegfreq.models.predict import Classifier

__all__ = ["ComparedModel", "compare_models", "to_csv", "to_json"]

_ROUNDS = 5
_BATCH = 32


@dataclass(frozen=True)
class ComparedModel:
    """One model's figures.

    Attributes:
        name: the caller's name for the model.
        architecture: the network's architecture.
        input_shape: (C, H, W): channels, height and width; height and width are in blocks for frequencies and in pixels
            for RGB.
        top1: the share of images whose most likely class is right.
        top5: the share of images whose class is among the five most likely.
        images: the number of images that were read.
        macs: multiply-adds per image.
        parameters: trainable numbers.
        input_bytes: the size of one image's input as it is stored and sent: float16 for frequencies, 8 bits for pixels.
        read_milliseconds: CPU time per image on one thread, from the file to the normalized float tensor.
        transfer_milliseconds: time per image to copy `input_bytes` within the host's memory or to the model's device.
    """

    name: str
    architecture: str
    input_shape: tuple[int, int, int]
    top1: float
    top5: float
    images: int
    macs: int
    parameters: int
    input_bytes: int
    read_milliseconds: float
    transfer_milliseconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self) | {"input_shape": list(self.input_shape)}


def compare_models(
    models: Sequence[tuple[str, Classifier]],
    images: Images,
    *,
    batch_size: int = 64,
    timed_images: int = 128,
    progress: Progress | None = None,
    on_unread: OnUnread | None = None,
) -> list[ComparedModel]:
    """Measure models on the same labelled images.

    Accuracy is measured on all images. Reading is timed on a sample of them, for every model in turn, as the median of
    several rounds.

    Args:
        models: pairs of a name and a model, at least one.
        images: labelled by the names of the models' classes or by their numbers.
        batch_size: images per batch.
        timed_images: how many images to time reading on.
        progress: called after each batch of each model with its number of images.
        on_unread: called for each image that the first model cannot read.

    Raises:
        ValueError: a model lacks one of the images' classes, or no image could be read.
    """
    labelled = []
    for name, classifier in models:
        try:
            labelled.append(labelled_for(classifier, images))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    reading = _reading_milliseconds([classifier for _, classifier in models], sample_images(images, timed_images))
    rows: list[ComparedModel] = []
    for (name, classifier), own, read_milliseconds in zip(models, labelled, reading, strict=True):
        config = classifier.config
        top1, top5, count = _accuracy(classifier, own, batch_size, progress, None if rows else on_unread)
        height, width = config.size
        shape = (3, height, width) if config.format is None else (len(config.format.selection), height // 8, width // 8)
        summary = model_summary(classifier.network, shape)
        bytes_per_value = 1 if config.format is None else 2
        values = shape[0] * shape[1] * shape[2]
        rows.append(
            ComparedModel(
                name,
                config.architecture,
                shape,
                top1,
                top5,
                count,
                summary.macs,
                summary.parameters,
                bytes_per_value * values,
                read_milliseconds,
                _transfer_milliseconds(bytes_per_value * values, device_of(classifier.network)),
            )
        )
    return rows


@torch.inference_mode()
def _accuracy(
    classifier: Classifier, images: Images, batch_size: int, progress: Progress | None, on_unread: OnUnread | None
) -> tuple[float, float, int]:
    """Measure top-1, top-5, and how many images were read."""
    network = classifier.network.eval()
    first = among = count = 0
    batches = evaluation_batches(classifier, images, batch_size=batch_size, progress=progress, on_unread=on_unread)
    for x, batch in batches:
        logits = network(x)  # [N, classes]
        likely = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu() == batch.labels[:, None]  # [N, 5]
        first += int(likely[:, 0].sum())
        among += int(likely.sum())
        count += len(batch.labels)
    if not count:
        raise ValueError("no image could be read")
    return first / count, among / count, count


def _reading_milliseconds(models: Sequence[Classifier], images: Images) -> list[float]:
    """Measure each model's CPU time per image, from the file to its place in a batch."""
    datasets = [evaluation_dataset(classifier, images, threads=1) for classifier in models]
    batches = [range(start, min(start + _BATCH, len(images))) for start in range(0, len(images), _BATCH)]
    seconds = [[0.0] * _ROUNDS for _ in models]
    for dataset in datasets:  # warm up: compile, import, and bring the files into memory
        for batch in batches[:1]:
            dataset.fill(dataset.prepare(batch))
    for turn in range(_ROUNDS):
        for batch in batches:
            for n, dataset in enumerate(datasets):
                start = time.process_time()
                dataset.fill(dataset.prepare(batch))
                seconds[n][turn] += time.process_time() - start
    return [1e3 * statistics.median(times) / max(1, len(images)) for times in seconds]


def _transfer_milliseconds(size_bytes: int, device: torch.device) -> float:
    """Measure the time to copy one image as part of a batch."""
    source = torch.zeros(_BATCH, size_bytes, dtype=torch.uint8)
    target = torch.zeros_like(source, device=device)
    times = []
    for _ in range(21):
        start = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times) / _BATCH


def to_json(rows: Sequence[ComparedModel]) -> str:
    """Return all rows as JSON text."""
    return json.dumps([row.to_dict() for row in rows], indent=1)


def to_csv(rows: Sequence[ComparedModel]) -> str:
    """Return all rows as CSV text with a heading; a shape is written as 24x28x28, channels x height x width."""
    text = io.StringIO()
    names = [field.name for field in fields(ComparedModel)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"input_shape": "x".join(map(str, row.input_shape))})
    return text.getvalue()
