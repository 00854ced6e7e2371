"""The paper's comparison at half scale: RGB at 112 px against frequency channels at 224 px, both a 28 x 28 grid.

    python -m bench.accuracy --data ../shared/data/imagenette            # hours; resumes where it was stopped
    python -m bench.accuracy --data ../shared/data/flowers --epochs 30
    python -m bench.accuracy --report                                    # rewrite tables and heat maps from the log

Every row is one training of `jpegfreq.models.training.train` under the same recipe: the same images, boxes and flips
(by seed), the same steps, and about the same multiply-adds. A finished run is one line of
bench/results/accuracy.jsonl, with its configuration, its curve and its times; a run that was killed resumes from
its last state. Learned selections come from the gated run of the same seed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench import accuracy_report, machine
from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat
from jpegfreq.models import load_model, model_summary
from jpegfreq.models.analysis.heatmap import HeatMap, heat_map
from jpegfreq.models.analysis.ranking import select
from jpegfreq.models.training.inputs import measure_statistics
from jpegfreq.models.training.recipe import TrainConfig, preset
from jpegfreq.models.training.train import Epoch, TrainResult, train
from jpegfreq.report.figures import heat_figure, png_bytes
from jpegfreq.sources import open_images
from jpegfreq.torch import TrainingView

LOG = Path(__file__).resolve().parent / "results" / "accuracy.jsonl"
RGB_SIZE, FREQUENCY_SIZE = 112, 224
LEARNED = 24


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: the row's name in the table.
        architecture: of `create_model`.
        channels: None for RGB, a preset's count, or the gated row whose most used channels are taken.
        gated: whether a ChannelGate chooses among the channels, image by image.
        stride: the mode whose multiply-adds are those of RGB at 112 px.
        one_std: divide each component by one number instead of each channel by its own.
    """

    name: str
    architecture: str
    channels: int | str | None
    gated: bool = False
    stride: str = "paper"
    one_std: bool = False

    @property
    def size(self) -> int:
        """The side of the input in pixels."""
        return RGB_SIZE if self.channels is None else FREQUENCY_SIZE


# The most informative rows first; each seed runs from the top.
ROWS = (
    Row("ResNet-18, RGB", "resnet18", None),
    Row("ResNet-18, DCT-24", "resnet18", 24),
    Row("ResNet-18, DCT-192", "resnet18", 192),
    Row("ResNet-18, DCT-192, gated", "resnet18", 192, gated=True),
    Row("ResNet-18, DCT-24, learned", "resnet18", "ResNet-18, DCT-192, gated"),
    Row("ResNet-18, DCT-64", "resnet18", 64),
    Row("ResNet-18, DCT-48", "resnet18", 48),
    Row("MobileNetV2, RGB", "mobilenet_v2", None),
    Row("MobileNetV2, DCT-24", "mobilenet_v2", 24, stride="full"),
    Row("ResNet-18, DCT-192, one std", "resnet18", 192, one_std=True),
    Row("ResNet-18, DCT-192, one std, gated", "resnet18", 192, gated=True, one_std=True),
    Row("ResNet-18, DCT-24, learned with one std", "resnet18", "ResNet-18, DCT-192, one std, gated"),
)

ROW_OF = {row.name: row for row in ROWS}
console = Console(stderr=True)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not options.report:
        _train_all(options)
    accuracy_report.write(LOG)
    console.print(f"tables: {accuracy_report.README}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.accuracy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/imagenette"), help="folder of train/, val/")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--seeds", type=int, default=3, help="number of seeds, from 0; all rows of one seed run before the next"
    )
    parser.add_argument("--rows", help="comma-separated numbers of rows: " + _numbered(), metavar="N,N")
    parser.add_argument("--runs", type=Path, default=Path("build/accuracy"), help="where unfinished runs are kept")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of the network")
    parser.add_argument("--report", action="store_true", help="train nothing; write the tables from the log")
    return parser


def _numbered() -> str:
    return "; ".join(f"{number} {row.name}" for number, row in enumerate(ROWS))


def _train_all(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    rows = ROWS if options.rows is None else [ROWS[int(number)] for number in options.rows.split(",")]
    experiment = f"{options.data.name}: {options.epochs} epochs, batches of {options.batch_size}"
    for seed in range(options.seeds):
        for row in rows:
            done = {(run["experiment"], run["row"], run["seed"]) for run in accuracy_report.load(LOG)}
            if (experiment, row.name, seed) not in done:
                _train_row(row, seed, experiment, options)
                accuracy_report.write(LOG)


def _train_row(row: Row, seed: int, experiment: str, options: argparse.Namespace) -> None:
    """Run one row, from where it was stopped, and add its line to the log."""
    folder = options.runs / options.data.name / f"{options.epochs}-{options.batch_size}"
    out = folder / _slug(f"{row.name} {seed}")
    config = preset(
        "modern",
        TrainConfig(
            str(options.data / "train"),
            str(options.data / "val"),
            str(out),
            architecture=row.architecture,
            format=_format(row, seed, folder, options.data),
            size=row.size,
            stride=row.stride,
            batch_size=options.batch_size,
            gated=row.gated,
            target_channels=LEARNED if row.gated else None,
            seed=seed,
        ),
    )
    config = replace(config, epochs=options.epochs)
    with _bar() as progress:
        result = train(config, observer=Shown(progress, f"{row.name}, seed {seed}"))
    line = _line(row, seed, experiment, result)
    if row.gated:
        heat = heat_map(load_model(out / "last"), open_images(config.validation), source=f"{experiment}, seed {seed}")
        heat.save(out / "heat.json")
        figure = f"accuracy-{options.data.name}-{'one-std-' * row.one_std}{seed}.png"
        (LOG.parent / figure).write_bytes(png_bytes(heat_figure(heat)))
        line["heat_figure"] = figure
        line["heat_ratios"] = {"luma_over_chroma": heat.luma_over_chroma, "low_over_high": heat.low_over_high}
        line["heat"] = json.loads(heat.to_json())
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    console.print(f"{row.name}, seed {seed}: top-1 {result.epochs[-1].top1:.3f}")


def _format(row: Row, seed: int, folder: Path, data: Path) -> TensorFormat | None:
    """Make the row's input format; statistics are measured once and shared by all rows."""
    if row.channels is None:
        return None
    path = folder / "statistics.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        view = TrainingView((FREQUENCY_SIZE, FREQUENCY_SIZE))
        measure_statistics(open_images(str(data / "train")), view, None).save(path)
    channels: ChannelSelection | int | str = row.channels
    if isinstance(channels, str):
        heat = folder / _slug(f"{channels} {seed}") / "heat.json"
        if not heat.exists():
            raise SystemExit(f"{row.name} needs {channels} of seed {seed} first")
        channels = select(HeatMap.load(heat).ranking(), LEARNED)
    statistics = ChannelStatistics.load(path)
    if row.one_std:
        statistics = statistics.per_component()
    return TensorFormat(channels, layout="HWC", statistics=statistics)


def _slug(name: str) -> str:
    """A folder's name."""
    return name.replace(", ", "-").replace(" ", "-")


def _line(row: Row, seed: int, experiment: str, result: TrainResult) -> dict[str, object]:
    """Make the log's line about a finished run."""
    last, model = result.epochs[-1], result.model
    height, width = model.size
    shape = (3, height, width)
    if model.format is not None:
        shape = (len(model.format.selection), height // 8, width // 8)
    summary = model_summary(model.create(), shape)
    about = machine.describe()
    computing = sum(epoch.seconds_computing for epoch in result.epochs)
    waiting = sum(epoch.seconds_waiting for epoch in result.epochs)
    speeds = sorted(epoch.images_per_second for epoch in result.epochs)
    return {
        "experiment": experiment,
        "row": row.name,
        "baseline": "ResNet-18, RGB" if row.architecture == "resnet18" else "MobileNetV2, RGB",
        "seed": seed,
        "epochs": len(result.epochs),
        "top1": last.top1,
        "channels_on": last.channels_on if row.gated else None,
        "channels": None if model.format is None else list(model.format.selection.channels),
        "macs": summary.macs,
        "parameters": summary.parameters,
        "seconds_waiting": waiting,
        "seconds_computing": computing,
        "images_per_second": speeds[len(speeds) // 2],
        "curve": [{name: value for name, value in asdict(epoch).items() if value == value} for epoch in result.epochs],
        "machine": {name: about[name] for name in ("processor", "cores", "commit", "python")},
        "torch": torch.__version__,
    }


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip


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

    def end_epoch(self, epoch: Epoch) -> None:
        """Print a line above the bar."""
        on = f", {epoch.channels_on:.1f} channels on" if epoch.channels_on == epoch.channels_on else ""
        self.progress.console.print(
            f"  epoch {epoch.epoch}: loss {epoch.loss:.3f}, top-1 {epoch.top1:.3f}{on}, "
            f"{epoch.images_per_second:.1f} images/s"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
