"""The whole training loop, input and network together: RGB at 112 px against frequencies at 224 px.

ResNet-18 and MobileNetV2, the experiment's. Both kinds of network reach the first stage that they share at 28 x 28, for
nearly equal multiply-adds. `train` of jpegfreq.models runs three of
the methods; the fourth is what people have now: torchvision's ImageFolder, transforms and RGB network behind PyTorch's
DataLoader, in the loop that PyTorch's examples show, with the same memory format, optimizer and batches as `train`.

Every method is a process of its own that trains an epoch of 64 images when its turn comes; the others sleep. The first
epoch warms up. Timed is an epoch from its first request for input to the end of its last step: no validation, no
checkpoint, and no read-ahead from before. The network has one thread, and so has the input.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

import jpegfreq
from bench import sets
from bench.results import Options, Result, Table, Value
from bench.timing import OTHERS_LIMIT, Clock, Samples, compare, others_busy_seconds

ARCHITECTURES = {"resnet18": "ResNet-18", "mobilenet_v2": "MobileNetV2"}
WALL = "the whole training loop, {}"
CPU = "the whole training loop, CPU time of all its processes, {}"
TODAY = "ImageFolder and DataLoader, RGB 112"
RGB, DCT_24, DCT_192 = "train, RGB 112", "train, 24 channels, 224", "train, 192 channels, 224"
METHODS = (TODAY, RGB, DCT_24, DCT_192)
BATCH, STEPS, ROUNDS = 16, 4, 5
CLASSES = ("even", "odd")
WAITING = "{}, set {}, {}: share of the time spent waiting for input"


@dataclass(frozen=True)
class Epoch:
    """The times of one epoch."""

    wall: float  # seconds
    cpu: float  # seconds, of its process and the workers of that
    waiting: float  # share of the wall time


class _Turns:
    """A method's side of the turns: wait for one, and report the times of an epoch."""

    def __init__(self, connection: Connection, epochs: int) -> None:
        self.connection = connection
        self.left = epochs
        self.process = psutil.Process()

    def wait(self) -> None:
        """Wait for the turn; the epoch begins when this returns."""
        self.connection.recv()
        self.cpu, self.wall = _cpu_seconds(self.process), time.perf_counter()

    def stop(self) -> None:
        """Stop the clocks after the last step."""
        self.seconds, self.cpu = time.perf_counter() - self.wall, _cpu_seconds(self.process) - self.cpu

    def report(self, seconds_waiting: float) -> None:
        """Let the others continue, and wait for the next turn if there is one."""
        self.connection.send(Epoch(self.seconds, self.cpu, seconds_waiting / self.seconds))
        self.left -= 1
        if self.left:
            self.wait()

    # As an observer of `train`:

    def note(self, text: str) -> None:
        pass

    def begin(self, steps: int, epochs: int, done: int) -> None:
        self.steps = steps
        self.wait()

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        if step == self.steps:
            self.stop()

    def end_epoch(self, epoch: Any) -> None:
        self.report(epoch.seconds_waiting)


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds that a process and its children have used."""
    return sum(sum(each.cpu_times()[:4]) for each in (process, *process.children(recursive=True)))


def _others_seconds() -> float:
    """Return the CPU seconds since boot that went to anything but the benchmark's processes."""
    return others_busy_seconds() + time.process_time() - _cpu_seconds(psutil.Process())


def _train(connection: Connection, folder: str, architecture: str, method: str, epochs: int) -> None:
    """Train with `jpegfreq.models.training`."""
    from jpegfreq.models.training.recipe import TrainConfig
    from jpegfreq.models.training.train import train

    statistics = jpegfreq.ChannelStatistics((1.0,) * 192, (50.0,) * 192, "made up: any normalization costs the same")
    channels = {RGB: None, DCT_24: 24, DCT_192: "all"}[method]
    config = TrainConfig(
        f"{folder}/train",
        f"{folder}/validation",
        f"{folder}/{architecture} {method}",
        architecture=architecture,
        format=None if channels is None else jpegfreq.TensorFormat(channels, layout="HWC", statistics=statistics),
        size=112 if channels is None else 224,
        epochs=epochs,
        batch_size=BATCH,
    )
    train(config, observer=_Turns(connection, epochs))


def _today(connection: Connection, folder: str, architecture: str, method: str, epochs: int) -> None:
    """Train as PyTorch's examples do, with torchvision's input."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import datasets, models, transforms

    crops = transforms.Compose(
        [
            transforms.RandomResizedCrop(112),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    images = datasets.ImageFolder(f"{folder}/train", crops)
    loader = DataLoader(images, BATCH, shuffle=True, drop_last=True, num_workers=1, persistent_workers=True)
    network = models.get_model(architecture, num_classes=len(CLASSES)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.1 * BATCH / 256, 0.9, weight_decay=4e-5, nesterov=True)
    criterion = torch.nn.CrossEntropyLoss()
    turns = _Turns(connection, epochs)
    turns.wait()
    for _ in range(epochs):
        seconds_waiting = 0.0
        before = time.perf_counter()
        for x, labels in loader:
            seconds_waiting += time.perf_counter() - before
            loss = criterion(network(x.to(memory_format=torch.channels_last)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            before = time.perf_counter()
        turns.stop()
        turns.report(seconds_waiting)


def run(result: Result, options: Options) -> None:
    for name, files in _files(options).items():
        if files:
            _measure(result, name, files, 2 if options.quick else ROUNDS)


def _files(options: Options) -> dict[str, list[Path]]:
    """List the JPEG files of each set: photographs, imagenette's, and photographs of 8 to 16 megapixels."""
    wanted = {"A": "photos", "imagenette": "imagenette/train", "L": "large"}
    kept = [name for name in wanted if name in options.sets or (name == "imagenette" and "A" in options.sets)]
    return {
        name: sorted(path for path in (sets.DATA / wanted[name]).rglob("*") if path.suffix.lower() in sets.SUFFIXES)
        for name in kept
    }


def _measure(result: Result, set_name: str, files: list[Path], rounds: int) -> None:
    memory = Path("/dev/shm")  # checkpoints are not what is measured
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        count = BATCH * STEPS
        _link([files[i * len(files) // count] for i in range(count)], Path(folder) / "train")
        _link(files[:2], Path(folder) / "validation")
        for architecture, known_as in ARCHITECTURES.items():
            epochs, disturbed = _epochs(folder, architecture, rounds)
            images = np.array([count])
            result.add(
                Table(WALL.format(known_as), set_name, compare(_samples(epochs, disturbed, "wall", images), RGB))
            )
            result.add(Table(CPU.format(known_as), set_name, compare(_samples(epochs, disturbed, "cpu", images), RGB)))
            for method in METHODS:
                low, median, high = np.percentile([100 * turn[method].waiting for turn in epochs], [10, 50, 90])
                name = WAITING.format(method, set_name, known_as)
                result.value(Value(name, float(median), float(low), float(high), "%"))


def _link(files: list[Path], folder: Path) -> None:
    """Link the files into two class folders, in turn; a file may appear more than once."""
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for index, file in enumerate(files):
        (folder / CLASSES[index % len(CLASSES)] / f"{index}.jpg").symlink_to(file.resolve())


def _epochs(folder: str, architecture: str, rounds: int) -> tuple[list[dict[str, Epoch]], list[bool]]:
    """Return the times of each method's epoch per round, and whether other processes disturbed the round."""
    context = multiprocessing.get_context("spawn")
    work: dict[str, Callable[[Connection, str, str, str, int], None]] = dict.fromkeys(METHODS, _train) | {TODAY: _today}
    connections, processes = {}, []
    for method in METHODS:
        connections[method], other = context.Pipe()
        processes.append(context.Process(target=work[method], args=(other, folder, architecture, method, rounds + 1)))
        processes[-1].start()
        other.close()  # so that a method that fails is noticed
    epochs: list[dict[str, Epoch]] = []
    disturbed: list[bool] = []
    try:
        for number in range(rounds + 1):
            turn = {}
            start, others = time.perf_counter(), _others_seconds()
            for m in range(len(METHODS)):
                method = METHODS[(m + number) % len(METHODS)]
                connections[method].send(None)
                turn[method] = connections[method].recv()
            seconds = time.perf_counter() - start
            others = _others_seconds() - others
            epochs.append(turn)
            disturbed.append(others > OTHERS_LIMIT * seconds * (psutil.cpu_count() or 1))
    finally:
        for process in processes:
            process.join(60)
            process.kill()
    return epochs[1:], disturbed[1:]


def _samples(
    epochs: list[dict[str, Epoch]], disturbed: list[bool], clock: Clock, images: npt.NDArray[np.int64]
) -> Samples:
    seconds = [[[getattr(turn[method], clock)] for method in METHODS] for turn in epochs]
    return Samples(
        list(METHODS),
        np.ones((len(METHODS), 1), np.bool_),
        [""] * len(METHODS),
        images,
        clock,
        [np.array(1e9 * np.array(turn), np.int64) for turn in seconds],
        disturbed if clock == "wall" else [False] * len(epochs),
    )
