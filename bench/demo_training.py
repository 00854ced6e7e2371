"""The demo's training: a small network with a gate, its heat map, the channels that it chose."""

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
SECONDS = 60  # to train, about
FEWEST, MOST = 4, 24  # epochs
# Of the paper's preset; what the gate is steered to, and what is selected.
CHANNELS, KEPT = 64, 24
GATE_RATE = 20.0  # fifty times the network's: a minute has some hundreds of steps


def run(folder: Path, names: Sequence[str], command: Callable[..., int]) -> list[Section]:
    """Train, draw the heat map, select, predict; the page's sections about it.

    Args:
        folder: holds crops/train and crops/validation; run/, heat.json, heat.png and learned24.json are written.
        names: of the photographs.
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
        f"after {config.epochs} epochs: {last.top1:.0%} of {VALIDATION * len(names)} unseen crops are told right "
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
    """How many epochs fit in a minute here: a few steps are timed."""
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
    """Shows how far the training is."""

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
        self.done = f"; {epoch.top1:.0%} right, {epoch.channels_on:.0f} channels on"
        if not self.bar.console.is_terminal:
            self.bar.console.print(f"epoch {epoch.epoch}: loss on unseen {epoch.validation_loss:.2f}{self.done}")


def _training_section(result: TrainResult, names: Sequence[str]) -> Section:
    epochs = result.epochs
    waiting = sum(epoch.seconds_waiting for epoch in epochs)
    seconds = waiting + sum(epoch.seconds_computing for epoch in epochs)
    last = epochs[-1]
    curves = curves_figure(
        {
            "crops told right, %": {
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
        f"The task: from which of {len(names)} photographs does a small crop come? {TRAINING} crops of each are taken "
        f"from its left part to train on, {VALIDATION} from its right part to test on, so that no pixel is seen in "
        "both: what is learned is how a thing looks, not a place in the picture.",
        f"The network, a ResNet-18 without its stem, takes the {CHANNELS} channels of the paper's preset, with a gate "
        "before it that decides for each picture which of them to let through. The loss charges for every open "
        f"channel, and the charge is steered so that about {KEPT} stay open. It learns from JPEG bytes: no pixel is "
        "decoded.",
        f"It took {seconds:.0f} s on this machine, {waiting / seconds:.1%} of them waiting for input. In the end "
        f"{last.top1:.0%} of the unseen crops are told right (chance: {1 / len(names):.0%}). "
        f"{last.channels_expected:.1f} channels are expected to be open while the gate draws lots, as in training, and "
        f"{last.channels_on:.1f} are open where it decides without chance, because they are "
        "likelier on than off. A longer training parts the two groups, "
        "until both numbers agree. A minute on a few hundred crops shows how it works, not how good it gets.",
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
        "Crops that it never saw, what it takes them for, and how sure it is. `jpegfreq predict demo/run/last FILE` "
        "asks it about any other file."
    )
    return Section("What it makes of crops it never saw", text + tiles_html(tiles))
