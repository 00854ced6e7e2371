"""The demo's training: a small network with a gate, its heat map, and the channels that it selected."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.demo_images import TRAINING, VALIDATION
from jpegfreq import ChannelSelection, TensorFormat
from jpegfreq.models import create_model, load_model
from jpegfreq.models.analysis.heatmap import HeatMap
from jpegfreq.models.training.recipe import TrainConfig
from jpegfreq.models.training.train import Epoch, TrainResult, train
from jpegfreq.report.figures import curves_figure, png_bytes
from jpegfreq.report.page import Section, image_html, text_html, tiles_html
from jpegfreq.report.sections import heat_section, prediction_tile
from jpegfreq.torch import image_folder

SIZE = 64  # pixels: a grid of 8 x 8 blocks
BATCH = 16
SECONDS = 60  # of training, roughly
FEWEST, MOST = 4, 24  # epochs
# The size of the paper's preset; the number of channels that the gate is steered to, and that is selected.
CHANNELS, KEPT = 64, 24
GATE_RATE = 20.0  # fifty times the network's, because a minute has only a few hundred steps


def run(folder: Path, names: Sequence[str], command: Callable[..., int]) -> list[Section]:
    """Train, draw the heat map, select and predict; return the page's sections about it.

    Args:
        folder: has crops/train and crops/validation; run/, heat.json, heat.png and learned24.json are written here.
        names: the photographs' names.
        command: runs a jpegfreq command.
    """
    crops, out = folder / "crops", folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    config = TrainConfig(
        data=str(crops / "train"),
        validation=str(crops / "validation"),
        out=str(out),
        architecture="resnet18",
        format=TensorFormat(CHANNELS, layout="HWC"),
        size=SIZE,
        epochs=_epochs(len(names)),
        batch_size=BATCH,
        learning_rate=0.4,
        schedule="cosine",
        warmup_epochs=1,
        label_smoothing=0.1,
        scale=0.25,
        gated=True,
        gate_learning_rate=GATE_RATE,
        target_channels=KEPT,
    )
    with Progress(
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(),
    ) as bar:
        result = train(config, observer=_Bar(bar))
    last = result.epochs[-1]
    Console().print(
        f"after {config.epochs} epochs: {last.top1:.0%} of {VALIDATION * len(names)} unseen crops are recognized "
        f"(chance: {1 / len(names):.0%}), with {last.channels_on:.1f} of {CHANNELS} channels on",
        highlight=False,
    )
    heat_file, learned = folder / "heat.json", folder / f"learned{KEPT}.json"
    validation = str(crops / "validation")
    command("heatmap", str(out / "last"), validation, "--out", str(heat_file), "--figure", str(folder / "heat.png"))
    command("select", str(heat_file), "-k", str(KEPT), "--out", str(learned))
    heat = HeatMap.load(heat_file)
    selection = ChannelSelection.from_json(learned.read_text(encoding="utf-8"))
    return [
        _training_section(result, names),
        heat_section(heat, selection),
        _prediction_section(out / "last", Path(validation)),
    ]


def _epochs(classes: int) -> int:
    """Estimate how many epochs fit in a minute, by timing a few steps."""
    network = create_model("resnet18", format=TensorFormat(CHANNELS), num_classes=classes, gated=True).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.0, momentum=0.9)
    x = torch.randn(BATCH, CHANNELS, SIZE // 8, SIZE // 8).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        optimizer.zero_grad()
        network(x).logits.square().mean().backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    steps = SECONDS / min(seconds[1:])
    return min(max(round(steps / (classes * TRAINING / BATCH)), FEWEST), MOST)


class _Bar:
    """An observer that shows the progress of the training."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=None)
        self.done = ""

    def note(self, text: str) -> None:
        self.bar.console.print(text)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        self.bar.update(self.task, total=epochs * steps)

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        self.bar.update(self.task, advance=1, description=f"epoch {epoch}, loss {loss:.2f}{self.done}")

    def end_epoch(self, epoch: Epoch) -> None:
        self.done = f"; {epoch.top1:.0%} recognized, {epoch.channels_on:.0f} channels on"
        if not self.bar.console.is_terminal:
            self.bar.console.print(f"epoch {epoch.epoch}: loss on unseen crops {epoch.validation_loss:.2f}{self.done}")


def _training_section(result: TrainResult, names: Sequence[str]) -> Section:
    epochs = result.epochs
    waiting = sum(epoch.seconds_waiting for epoch in epochs)
    seconds = waiting + sum(epoch.seconds_computing for epoch in epochs)
    last = epochs[-1]
    curves = curves_figure(
        {
            "crops recognized (%)": {
                "trained on": [100 * epoch.accuracy for epoch in epochs],
                "unseen": [100 * epoch.top1 for epoch in epochs],
            },
            "loss on unseen crops": {"": [epoch.validation_loss for epoch in epochs]},
            "channels on": {
                "by probability": [epoch.channels_expected for epoch in epochs],
                "by the gate's decision": [epoch.channels_on for epoch in epochs],
            },
        }
    )
    text = text_html(
        f"The task: from which of {len(names)} photographs does a small crop come? {TRAINING} training crops "
        f"come from the left part of each photograph and {VALIDATION} test crops from its right part. They share no "
        "pixel, so the network must learn what things look like and cannot memorize places.",
        f"The network is a ResNet-18 without its stem. It takes the {CHANNELS} channels of the paper's preset. A gate "
        "in front of it decides for each image which channels it lets through. The loss charges for every open "
        f"channel, and the charge is adjusted so that about {KEPT} stay open. The network learns from JPEG bytes, and "
        "no pixel is decoded.",
        f"Training took {seconds:.0f} s here, and {waiting / seconds:.1%} of it was spent waiting for input. "
        f"{last.top1:.0%} of the unseen crops are recognized (chance: {1 / len(names):.0%}). "
        f"In training the gate opens channels at random, {last.channels_expected:.1f} on average. In use it opens the "
        f"{last.channels_on:.1f} channels that are more likely open than closed. In a longer training the two numbers "
        "become equal. A minute on a few hundred crops shows how it works, not how good it can become.",
    )
    return Section("A network that learns which channels matter", text + image_html(png_bytes(curves), alt="training"))


def _prediction_section(checkpoint: Path, validation: Path) -> Section:
    images = image_folder(validation)
    paths = [path for n, path in enumerate(images.paths) if n % VALIDATION in (0, VALIDATION // 2)]
    truths = [images.classes[images.labels[n]] for n in range(len(images)) if n % VALIDATION in (0, VALIDATION // 2)]
    predictions = load_model(checkpoint).predict(paths)
    tiles = [
        prediction_tile(Path(path).read_bytes(), truth, prediction.label, prediction.probabilities[0])
        for path, truth, prediction in zip(paths, truths, predictions, strict=True)
    ]
    text = text_html(
        "These are crops that the network never saw, with its answers and how certain it is. "
        "`jpegfreq predict demo/run/last FILE` asks it about any other file."
    )
    return Section("What the network says about crops it never saw", text + tiles_html(tiles))
