"""`jpegfreq dense`: train a network for boxes, instance masks or semantic masks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from jpegfreq.models.dense.training import DenseTraining

SUMMARY = "train a network for boxes or masks (Faster R-CNN, Mask R-CNN, FCN, DeepLabV3)"
DESCRIPTION = """\
Train a frequency network on a folder of images/NAME.jpg with masks/NAME.png (a class number
a pixel, 0 for unlabelled) or boxes/NAME.txt (YOLO). Boxes and masks are in pixels of the
images. OUT/last is the checkpoint, OUT/log.csv the losses, OUT/scores.json how well the
validation pictures are met, and with a gate OUT/heatmap.json how often each channel is on.
Pictures that cannot be read are named, left out, and counted in OUT/log.csv.
The same command again goes on with a run that was stopped, to the same weights (on a CPU).

  segmentation   FCN or DeepLabV3 on masks/
  detection      Faster R-CNN with FPN on boxes/
  instances      Mask R-CNN with FPN on both; an instance's mask is approximated by the
                 pixels of the box's COCO class inside the box

--weights starts the backbone from a classifier: a run or checkpoint of `jpegfreq train`, or
a file of torchvision's weights for RGB. Of a checkpoint with the same channels everything is
taken, its statistics and its gate too; else all but the layers that see the input. Try a
tenth of the learning rate then.

A gate learns which channels an image needs. Each channel that is on costs a weight in the
loss. --target-channels N finds that weight: it is steered, step by step, until N channels
are on, on average; columns channels_on and gate_weight of OUT/log.csv show how. --gate-weight LAMBDA
keeps it as you give it: the right one depends on the data and on how long you train (0.02
turned every channel off, on 80 pictures). A gate wants some hundreds of steps.

examples:
  jpegfreq dense segmentation train/ --validation val/ --out run/ --channels 24
  jpegfreq dense detection train/ --validation val/ --out run/ --architecture resnet50
  jpegfreq dense segmentation train/ --validation val/ --out run/ --target-channels 24
  jpegfreq dense detection train/ --validation val/ --out run/ --weights runs/dct192/best
  jpegfreq heatmap run/ val/images/ --out heat.json --figure heat.png
  jpegfreq select run/heatmap.json -k 24 --out best.json
  jpegfreq dense segmentation train/ --validation val/ --out run24/ --channels best.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("task", choices=("segmentation", "detection", "instances"))
    parser.add_argument("data", metavar="DIR", help="training pictures")
    parser.add_argument("--validation", required=True, metavar="DIR", help="pictures to score on")
    parser.add_argument("--out", required=True, metavar="OUT", help="folder for the run")
    parser.add_argument("--architecture", default="resnet18", help="a ResNet (default: resnet18)")
    parser.add_argument("--head", choices=("fcn", "deeplabv3"), default="fcn", help="for segmentation (default: fcn)")
    parser.add_argument(
        "--channels", default="all", help='"all" (192), a preset such as 24, or a JSON file of a ChannelSelection'
    )
    parser.add_argument("--weights", metavar="PATH", help="of a classifier that the backbone starts from")
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument(
        "--target-channels", type=float, metavar="N",
        help="learn which channels matter, N of them on, on average of the pictures",
    )  # fmt: skip
    gate.add_argument(
        "--gate-weight", type=float, metavar="LAMBDA", help="the same at a fixed cost of a channel that is on"
    )
    parser.add_argument(
        "--shorter-side", type=int, default=400, metavar="PIXELS",
        help="what an RGB network would see; the frequencies are of twice as much (default: 400)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="default: 20")
    parser.add_argument("--batch-size", type=int, default=4, metavar="N", help="default: 4")
    parser.add_argument("--learning-rate", type=float, default=1e-3, metavar="RATE", help="default: 0.001")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read (default: 0)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument("--device", default="cpu", help="default: cpu")


def run(arguments: argparse.Namespace) -> int:
    """Train; the last line is the scores."""
    from rich.progress import Progress

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import _selection
    from jpegfreq.cli._progress import lines_console
    from jpegfreq.format import TensorFormat
    from jpegfreq.models.dense.training import DenseTraining, train_dense

    console = lines_console()
    try:
        training = DenseTraining(
            arguments.task,
            arguments.data,
            arguments.validation,
            arguments.out,
            architecture=arguments.architecture,
            format=TensorFormat(_selection(arguments.channels)),
            shorter_side=arguments.shorter_side,
            longer_side=arguments.shorter_side * 5 // 3,
            head=arguments.head,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            gated=arguments.gate_weight is not None or arguments.target_channels is not None,
            gate_weight=arguments.gate_weight or 0.0,
            target_channels=arguments.target_channels,
            weights=arguments.weights,
            seed=arguments.seed,
            workers=arguments.workers,
            device=arguments.device,
        )
        with Progress(console=console) as progress:
            _, scores = train_dense(training, observer=_Shown(console, progress))
    except (OSError, ValueError, FloatingPointError) as error:
        raise CommandError(str(error)) from error
    heat = Path(arguments.out) / "heatmap.json"
    if arguments.target_channels is not None:
        from jpegfreq.models.analysis.heatmap import HeatMap
        from jpegfreq.models.training.target import missed_by

        on = HeatMap.load(heat).mean_channels_on
        console.print(f"{on:.1f} channels on, of the validation pictures; {heat}")
        if missed_by(on, arguments.target_channels):
            console.print(
                f"warning: the gate was to keep {arguments.target_channels:g} channels on, and keeps {on:.1f}: "
                "train longer",
                style="yellow",
            )
    values = ((name, value) for name, value in vars(scores).items() if value is not None and name != "left_out")
    console.print(", ".join(f"{name} {value:.4f}" for name, value in values))
    return 0


class _Shown:
    """The run as a bar, and a line an epoch."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console = console
        self.progress = progress
        self.task: TaskID | None = None

    def note(self, text: str) -> None:
        """A line above the bar."""
        self.console.print(text)

    def begin(self, training: DenseTraining, steps: int, first_epoch: int) -> None:
        """The bar's length."""
        if first_epoch:
            self.console.print(f"{training.out}: going on after epoch {first_epoch}")
        self.task = self.progress.add_task("training", total=steps * training.epochs, completed=steps * first_epoch)

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """One step on."""
        assert self.task is not None
        self.progress.update(self.task, advance=1, description=f"epoch {epoch + 1}, loss {loss:.3f}")

    def end_epoch(self, line: dict[str, float]) -> None:
        """A line above the bar."""
        losses = ", ".join(f"{name} {value:.3f}" for name, value in line.items() if name.startswith("loss"))
        on = f", {line['channels_on']:.1f} channels on" if "channels_on" in line else ""
        out = f", {line['left_out']} pictures left out" if line["left_out"] else ""
        self.console.print(f"epoch {line['epoch'] + 1}: {losses}{on}{out}")
