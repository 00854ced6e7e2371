"""Compare trained models: accuracy, agreement, multiply-adds, and what their input costs to read and to copy."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
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
from jpegfreq.models.checkpoint import rgb_original
from jpegfreq.models.networks.summary import model_summary
from jpegfreq.models.training.validation import FEWEST_FOR_TOP5
from jpegfreq.torch import Images

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import ModelConfig
    from jpegfreq.models.predict import Classifier

__all__ = ["ComparedModel", "compare_models", "reading_milliseconds", "to_csv", "to_json", "with_originals"]

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
        size: (height, width) in pixels of the image that the network sees.
        top1: the share of images whose most likely class is right.
        top5: the share of images whose class is among the five most likely; None for fewer than ten classes.
        agreement: the share of images for which the most likely class is also the first model's; None for the first
            model, and for models with other classes.
        images: the number of images that were read.
        macs: multiply-adds per image.
        parameters: trainable numbers.
        input_bytes: the size of one image's input as it is stored and sent: float16 or int8 for frequencies, 8 bits for
            pixels.
        read_milliseconds: CPU time per image on one thread, from the file to the normalized float tensor.
        transfer_milliseconds: time per image to copy `input_bytes` to the model's device; None if that is the CPU.
    """

    name: str
    architecture: str
    input_shape: tuple[int, int, int]
    size: tuple[int, int]
    top1: float
    top5: float | None
    agreement: float | None
    images: int
    macs: int
    parameters: int
    input_bytes: int
    read_milliseconds: float
    transfer_milliseconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return asdict(self) | {"input_shape": list(self.input_shape), "size": list(self.size)}


def with_originals(models: Sequence[tuple[str, Classifier]]) -> list[tuple[str, Classifier]]:
    """Put the RGB network before each model that `jpegfreq from-rgb` made of it, once for all models of one network.

    Models that were trained further have none.
    """
    found: list[tuple[str, Classifier]] = []
    originals: list[Classifier] = []
    for name, classifier in models:
        original = rgb_original(classifier)
        if original is not None and not any(_is_same(original, known) for known in originals):
            originals.append(original)
            found.append((f"{name}, RGB", original))
        found.append((name, classifier))
    return found


def _is_same(one: Classifier, other: Classifier) -> bool:
    """Whether two RGB classifiers have the same weights and see the same images."""
    if replace(one.config, labels=()) != replace(other.config, labels=()):
        return False
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


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
        models: pairs of a name and a model, at least one; `with_originals` adds RGB networks to them.
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
    reading = reading_milliseconds([classifier for _, classifier in models], sample_images(images, timed_images))
    rows: list[ComparedModel] = []
    first: dict[int, int] = {}
    for (name, classifier), own, read_milliseconds in zip(models, labelled, reading, strict=True):
        config = classifier.config
        found = _answers(classifier, own, batch_size, progress, None if rows else on_unread)
        comparable = rows and _classes(config) == _classes(models[0][1].config)
        first = first or found.answers
        shape = (3, *config.size)
        if config.format is not None:
            shape = (len(config.format.selection), -(-config.size[0] // 8), -(-config.size[1] // 8))
        summary = model_summary(classifier.network, shape)
        bytes_per_value = 1 if config.format is None or config.format.dtype == "int8" else 2
        values = shape[0] * shape[1] * shape[2]
        rows.append(
            ComparedModel(
                name,
                config.architecture,
                shape,
                config.size,
                found.top1,
                found.top5 if config.num_classes >= FEWEST_FOR_TOP5 else None,
                _agreement(found.answers, first) if comparable else None,
                len(found.answers),
                summary.macs,
                summary.parameters,
                bytes_per_value * values,
                read_milliseconds,
                _transfer_milliseconds(bytes_per_value * values, device_of(classifier.network)),
            )
        )
    return rows


def _classes(config: ModelConfig) -> tuple[int, tuple[str, ...]]:
    return config.num_classes, config.labels


def _agreement(one: Mapping[int, int], other: Mapping[int, int]) -> float | None:
    """Return the share of images with the same answer, of those that both models could read."""
    both = one.keys() & other.keys()
    return sum(one[index] == other[index] for index in both) / len(both) if both else None


@dataclass(frozen=True)
class _Answers:
    """A model's accuracy, and the most likely class of each image that was read, by its index."""

    top1: float
    top5: float
    answers: dict[int, int]


@torch.inference_mode()
def _answers(
    classifier: Classifier, images: Images, batch_size: int, progress: Progress | None, on_unread: OnUnread | None
) -> _Answers:
    """Let a model answer for all images.

    Raises:
        ValueError: no image could be read.
    """
    network = classifier.network.eval()
    right = among = 0
    answers: dict[int, int] = {}
    batches = evaluation_batches(classifier, images, batch_size=batch_size, progress=progress, on_unread=on_unread)
    for x, batch in batches:
        logits = network(x)  # [N, classes]
        likely = logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu()  # [N, 5]
        answers.update(zip(batch.indices.tolist(), likely[:, 0].tolist(), strict=True))
        hits = likely == batch.labels[:, None]
        right += int(hits[:, 0].sum())
        among += int(hits.sum())
    if not answers:
        raise ValueError("no image could be read")
    return _Answers(right / len(answers), among / len(answers), answers)


def reading_milliseconds(models: Sequence[Classifier], images: Images) -> list[float]:
    """Measure each model's CPU time per image in milliseconds, on one thread, from the file to its place in a batch.

    Args:
        models: which are measured in turn; the median of several rounds counts.
        images: to read.
    """
    datasets = [evaluation_dataset(classifier, images, threads=1) for classifier in models]
    batches = [range(start, min(start + _BATCH, len(images))) for start in range(0, len(images), _BATCH)]
    seconds = [[0.0] * _ROUNDS for _ in models]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # torchvision resizes with as many; idle ones would count as CPU time
    try:
        for dataset in datasets:  # warm up: compile, import, and bring the files into memory
            for batch in batches[:1]:
                dataset.fill(dataset.prepare(batch))
        for turn in range(_ROUNDS):
            for batch in batches:
                for n, dataset in enumerate(datasets):
                    start = time.process_time()
                    dataset.fill(dataset.prepare(batch))
                    seconds[n][turn] += time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    return [1e3 * statistics.median(times) / max(1, len(images)) for times in seconds]


def _transfer_milliseconds(size_bytes: int, device: torch.device) -> float | None:
    """Measure the time to copy one image, as part of a batch, to a device that is not the CPU."""
    if device.type == "cpu":
        return None
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
        shapes = {name: "x".join(map(str, getattr(row, name))) for name in ("input_shape", "size")}
        writer.writerow(asdict(row) | shapes)
    return text.getvalue()
