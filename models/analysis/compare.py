"""Trained models side by side: accuracy, work, and what their input costs to read and to move."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import torch

from jpegfreq.models.analysis.evaluation import (
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
    from jpegfreq.models.checkpoint import Classifier

__all__ = ["ComparedModel", "compare_models", "to_csv", "to_json"]

_ROUNDS = 5
_BATCH = 32


@dataclass(frozen=True)
class ComparedModel:
    """One model's line.

    Attributes:
        name: what the caller calls it.
        architecture: of the network.
        input_shape: (C, H, W): (3, pixels, pixels) for RGB.
        top1: share of the images whose likeliest class is right.
        top5: share of the images whose class is among the five likeliest.
        images: how many were read.
        macs: multiply-adds an image.
        parameters: trainable numbers.
        input_bytes: an image's input as it is stored and sent: float16 for frequencies, 8 bits for pixels.
        read_milliseconds: CPU time, on one thread, from the file to the normalized float tensor.
        transfer_milliseconds: time to copy `input_bytes` within the host's memory, or to the model's device.
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


def compare_models(
    models: Sequence[tuple[str, Classifier]],
    images: Images,
    *,
    batch_size: int = 64,
    timed_images: int = 128,
    progress: Progress | None = None,
) -> list[ComparedModel]:
    """Measure models on the same labelled images.

    Reading is timed in turns on a sample of them, several rounds, medians; accuracy is of all of them.

    Args:
        models: (name, model), at least one.
        images: labelled, by the names of the models' classes or by their numbers.
        batch_size: images at a time.
        timed_images: how many to time reading on.
        progress: called with the number of images after each batch, of each model.

    Raises:
        ValueError: a model lacks a class of the images, or no image could be read.
    """
    labelled = []
    for name, classifier in models:
        try:
            labelled.append(labelled_for(classifier, images))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    reading = _reading_milliseconds([classifier for _, classifier in models], sample_images(images, timed_images))
    rows = []
    for (name, classifier), own, read_milliseconds in zip(models, labelled, reading, strict=True):
        config = classifier.config
        top1, top5, count = _accuracy(classifier, own, batch_size, progress)
        height, width = config.size
        shape = (3, height, width) if config.format is None else (len(config.format.selection), height // 8, width // 8)
        summary = model_summary(classifier.network, shape)
        bytes_a_value = 1 if config.format is None else 2
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
                bytes_a_value * values,
                read_milliseconds,
                _transfer_milliseconds(bytes_a_value * values, device_of(classifier.network)),
            )
        )
    return rows


@torch.inference_mode()
def _accuracy(
    classifier: Classifier, images: Images, batch_size: int, progress: Progress | None
) -> tuple[float, float, int]:
    """Top-1, top-5, and how many images were read."""
    network = classifier.network.eval()
    first = among = count = 0
    for x, batch in evaluation_batches(classifier, images, batch_size=batch_size, progress=progress):
        logits = network(x)  # [N, classes]
        likeliest = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu() == batch.labels[:, None]  # [N, 5]
        first += int(likeliest[:, 0].sum())
        among += int(likeliest.sum())
        count += len(batch.labels)
    if not count:
        raise ValueError("no image could be read")
    return first / count, among / count, count


def _reading_milliseconds(models: Sequence[Classifier], images: Images) -> list[float]:
    """CPU time of an image for each model: from the file to a slot of a batch."""
    datasets = [evaluation_dataset(classifier, images, threads=1) for classifier in models]
    batches = [range(start, min(start + _BATCH, len(images))) for start in range(0, len(images), _BATCH)]
    seconds = [[0.0] * _ROUNDS for _ in models]
    for dataset in datasets:  # compiles and loads what is lazy, and brings the files to memory
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
    """Time of an image's copy, as part of a batch."""
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
    """All rows as JSON text."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def to_csv(rows: Sequence[ComparedModel]) -> str:
    """All rows as CSV text, a heading first; a shape is written 24x28x28."""
    text = io.StringIO()
    names = [field.name for field in fields(ComparedModel)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(asdict(row) | {"input_shape": "x".join(map(str, row.input_shape))})
    return text.getvalue()
