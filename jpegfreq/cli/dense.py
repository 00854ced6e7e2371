"""`jpegfreq dense`: train a network for boxes, instance masks or semantic masks."""

from __future__ import annotations

import argparse
from pathlib import Path

from jpegfreq._words import counted
from jpegfreq.cli._training import CHANNELS_HELP, WEIGHTS_HELP, RunBars, add_run_arguments

SUMMARY = "train a network for boxes or masks (Faster R-CNN, Mask R-CNN, FCN, DeepLabV3)"
DESCRIPTION = """\
Train a network for boxes or masks on frequency tensors. DIR holds images/NAME.jpg with
masks/NAME.png (one class number per pixel, 0 for unlabelled) or boxes/NAME.txt (YOLO). Boxes
and masks are in pixels of the images.

  segmentation   FCN or DeepLabV3 on masks/
  detection      Faster R-CNN with FPN on boxes/
  instances      Mask R-CNN with FPN on both; an instance's mask is approximated by the
                 pixels inside the box that have the box's COCO class

OUT then holds last/ (the checkpoint), log.csv (the losses of each epoch, counted from 1),
scores.json (the scores on the validation images), and with a gate heatmap.json (how often
each channel is on). Unreadable images are named, left out, and counted in log.csv. The same
command resumes a run that was stopped, and on a CPU it reaches the same weights as without
the stop. If the images have changed since, it refuses and says what has changed.

--weights starts the backbone from a classifier: a run or checkpoint of `jpegfreq train`, or a
file of torchvision's RGB weights. With the same channels, everything is loaded, including the
statistics and the gate. Otherwise every layer except the input layers is loaded. Try a tenth
of the learning rate then.

A gate learns which channels an image needs: each channel that is on adds its price to the
loss. --target-channels N steers that price, step by step, until N channels are on, on
average; the columns channels_on and gate_weight of log.csv show the progress. --gate-weight
fixes the price instead. The right price depends on the data and on the length of the
training: with 80 images, 0.02 turned every channel off. A gate needs some hundreds of steps.

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
    parser.add_argument("data", metavar="DIR", help="training images, with their masks or boxes")
    parser.add_argument("--validation", required=True, metavar="DIR", help="validation images, likewise")
    parser.add_argument("--out", required=True, metavar="OUT", help="the run's folder")
    parser.add_argument(
        "--architecture", default="resnet18", metavar="NAME", help="a ResNet or SE-ResNet (default: resnet18)"
    )
    parser.add_argument("--head", choices=("fcn", "deeplabv3"), default="fcn", help="for segmentation (default: fcn)")
    parser.add_argument("--channels", default="all", metavar="CHANNELS", help=CHANNELS_HELP)
    parser.add_argument("--weights", metavar="PATH", help=WEIGHTS_HELP)
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument(
        "--target-channels", type=float, metavar="N",
        help="add a gate, and steer the price of a channel until N are on, on average (default: no gate)",
    )  # fmt: skip
    gate.add_argument(
        "--gate-weight", type=float, metavar="LAMBDA",
        help="add a gate, with this fixed price of a channel that is on (default: no gate)",
    )  # fmt: skip
    parser.add_argument(
        "--shorter-side", type=int, default=400, metavar="PIXELS",
        help="what an image's shorter side is resized to for an RGB network; the frequencies are those of the image "
        "at twice that size (default: 400)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=int, default=20, metavar="N", help="passes over DIR (default: 20)")
    parser.add_argument("--batch-size", type=int, default=4, metavar="N", help="images per step (default: 4)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="RATE", help="of AdamW at the start (default: 0.001)"
    )
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N",
        help="processes that read images; 0 reads in this one (default: 0)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train; the last line printed is the scores."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import _selection
    from jpegfreq.cli._progress import message_console
    from jpegfreq.format import TensorFormat
    from jpegfreq.models.dense.recipe import DenseTraining
    from jpegfreq.models.dense.training import train_dense

    console = message_console()
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
            compute_threads=arguments.compute_threads,
            device=arguments.device,
            checkpoint_every=arguments.checkpoint_every,
        )
        with RunBars(console, _line) as bars:
            _, scores = train_dense(training, observer=bars, extend=arguments.extend)
    except (ValueError, ImportError) as error:
        raise CommandError(str(error)) from error
    if arguments.target_channels is not None:
        from jpegfreq.models.analysis.heatmap import HeatMap
        from jpegfreq.models.training.steering import missed_by

        heat = Path(arguments.out) / "heatmap.json"
        on = HeatMap.load(heat).mean_channels_on
        console.print(f"{on:.1f} channels are on, on average over the validation images: see {heat}")
        if missed_by(on, arguments.target_channels):
            console.print(
                f"warning: --target-channels is {arguments.target_channels:g}, but {on:.1f} channels are on: train "
                "longer",
                style="yellow",
            )
    values = ((name, value) for name, value in vars(scores).items() if value is not None and name != "left_out")
    console.print(", ".join(f"{name} {value:.4f}" for name, value in values))
    return 0


def _line(line: dict[str, float]) -> str:
    """Return the text of an epoch."""
    losses = ", ".join(f"{name} {value:.3f}" for name, value in line.items() if name.startswith("loss"))
    on = f", {line['channels_on']:.1f} channels on" if "channels_on" in line else ""
    out = f", {counted(int(line['left_out']), 'image')} left out" if line["left_out"] else ""
    return f"epoch {line['epoch']:g}: {losses}{on}{out}"
