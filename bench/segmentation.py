"""Masks and boxes from frequencies: the paper's second heat map, and how such networks do on a few photographs.

    python -m bench.segmentation --data ../shared/data/coco --weights build/accuracy/imagenette/30-32/ResNet-18-DCT-192-0/last
    python -m bench.segmentation --report        # rewrite the section from the log

Every row is one training of `jpegfreq.models.dense.training` on 192 channels. A finished run is one line of
bench/results/segmentation.jsonl, with its configuration, curve, scores and, if it is gated, its heat map. A run that was
killed resumes from its last state. The section is in bench/README.md.
"""  # noqa: E501

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import accuracy_report, machine, segmentation_report
from jpegfreq import TensorFormat
from jpegfreq.models.analysis.heatmap import HeatMap
from jpegfreq.models.dense.config import Task
from jpegfreq.models.dense.recipe import DenseTraining
from jpegfreq.models.dense.scenes import read_scenes
from jpegfreq.models.dense.training import train_dense
from jpegfreq.report.figures import heat_figure, png_bytes

LOG = Path(__file__).resolve().parent / "results" / "segmentation.jsonl"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: the row's name in the table.
        task: the task of DenseTraining.
        side: the frame's shorter side, pixels.
        gated: whether a gate chooses among the channels.
    """

    name: str
    task: Task
    side: int
    gated: bool = False


ROWS = (
    Row("FCN, ResNet-18, gated", "segmentation", 64, gated=True),
    Row("FCN, ResNet-18", "segmentation", 64),
    Row("Faster R-CNN, ResNet-18", "detection", 128),
)
console = Console(stderr=True)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not options.report:
        torch.set_num_threads(options.threads)
        for number in options.rows.split(","):
            _train_row(ROWS[int(number)], options)
    segmentation_report.write(LOG)
    console.print(f"tables: {accuracy_report.README}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.segmentation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbered = "; ".join(f"{number} {row.name}" for number, row in enumerate(ROWS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/coco"), help="folder of train/, val/")
    parser.add_argument("--rows", default="0,1,2", metavar="N,N", help=f"numbers of rows: {numbered}")
    parser.add_argument("--weights", type=Path, help="a classifier that the backbones start from")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--minutes",
        type=float,
        default=float("inf"),
        help="stop training a row after this time and score it; the log records it",
    )
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--target-channels", type=float, default=32.0, help="channels that a gated row is steered to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("build/segmentation"), help="where unfinished runs are kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the network")
    parser.add_argument("--report", action="store_true", help="train nothing; write the section from the log")
    return parser


def _train_row(row: Row, options: argparse.Namespace) -> None:
    """Run one row, from where it was stopped, and add its line to the log."""
    weights = "" if options.weights is None else "/".join(options.weights.parts[-4:])
    name = f"{row.name} {row.side} {options.epochs}-{options.batch_size} {options.seed} {weights}"
    out = options.runs / name.strip().replace(", ", "-").replace(" ", "-").replace("/", "_")
    training = DenseTraining(
        row.task,
        str(options.data / "train"),
        str(options.data / "val"),
        str(out),
        format=TensorFormat(layout="HWC"),
        shorter_side=row.side,
        longer_side=row.side * 5 // 3,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        gated=row.gated,
        target_channels=options.target_channels if row.gated else None,
        weights=None if options.weights is None else str(options.weights),
        seed=options.seed,
    )
    images = {part: len(read_scenes(options.data / part)) for part in ("train", "val")}
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        end = time.monotonic() + 60 * options.minutes
        model, scores = train_dense(training, observer=Shown(progress, row.name), stop=lambda: time.monotonic() >= end)
    with (out / "log.csv").open(encoding="utf-8") as file:
        curve = [{name: float(value) for name, value in epoch.items()} for epoch in csv.DictReader(file)]
    about = machine.describe()
    line: dict[str, object] = {
        "row": row.name,
        "task": row.task,
        "data": options.data.name,
        "images": images,
        "classes": len(model.config.classes),
        "side": row.side,
        "epochs": len(curve),
        "planned_epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "seed": options.seed,
        "weights": weights or None,
        "target_channels": training.target_channels,
        "scores": vars(scores),
        "seconds": round(sum(epoch["seconds"] for epoch in curve)),
        "machine": {name: about[name] for name in ("processor", "cores", "commit", "python")},
        "torch": torch.__version__,
    }
    if row.gated:
        heat = replace(HeatMap.load(out / "heatmap.json"), source=f"{row.name}, {options.data.name}/val")
        figure = f"{row.task}-heat.png"
        (LOG.parent / figure).write_bytes(png_bytes(heat_figure(heat)))
        line["channels_on"] = heat.mean_channels_on
        line["heat_figure"] = figure
        line["heat_ratios"] = {"luma_over_chroma": heat.luma_over_chroma, "low_over_high": heat.low_over_high}
        line["heat"] = json.loads(heat.to_json())
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**line, "curve": curve}) + "\n")
    console.print(f"{row.name}: {scores}")


class Shown:
    """An observer that shows one bar per run."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress = progress
        self.task = progress.add_task(name, total=None, now="")

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.progress.console.print(text)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        """Set the bar's length."""
        self.progress.update(self.task, total=epochs * steps, completed=done)

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """Advance the bar by one step."""
        self.progress.update(self.task, advance=1, now=f"epoch {epoch}, loss {loss:.3f}")

    def end_epoch(self, line: dict[str, float]) -> None:
        """Print a line above the bar."""
        self.progress.console.print("  " + ", ".join(f"{name} {value:.4g}" for name, value in line.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
