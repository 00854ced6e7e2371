"""`jpegfreq dense`: train a network for boxes, instance masks or semantic masks."""

from __future__ import annotations

import argparse

SUMMARY = "train a network for boxes or masks (Faster R-CNN, Mask R-CNN, FCN, DeepLabV3)"
DESCRIPTION = """\
Train a frequency network on a folder of images/NAME.jpg with masks/NAME.png (a class number
a pixel, 0 for unlabelled) or boxes/NAME.txt (YOLO). Boxes and masks are in pixels of the
images. OUT/last is the checkpoint, OUT/log.csv the losses, OUT/scores.json how well the
validation pictures are met, and with --gate OUT/heatmap.json how often each channel is on.
Too large a weight for --gate turns every channel off (0.02 did, on 80 pictures): look at
OUT/heatmap.json, and lower it.

  segmentation   FCN or DeepLabV3 on masks/
  detection      Faster R-CNN with FPN on boxes/
  instances      Mask R-CNN with FPN on both; an instance's mask is approximated by the
                 pixels of the box's COCO class inside the box

examples:
  jpegfreq dense segmentation train/ --validation val/ --out run/ --channels 24
  jpegfreq dense detection train/ --validation val/ --out run/ --architecture resnet50
  jpegfreq dense segmentation train/ --validation val/ --out run/ --gate 0.01
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
    parser.add_argument(
        "--gate", type=float, metavar="WEIGHT", help="learn which channels matter; the loss of each channel that is on"
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
    from rich.console import Console
    from rich.progress import Progress

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import _selection
    from jpegfreq.format import TensorFormat
    from jpegfreq.models.dense import DenseTraining, train_dense
    from jpegfreq.models.scenes import read_scenes

    console = Console(stderr=True)
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
            gated=arguments.gate is not None,
            gate_weight=arguments.gate or 0.0,
            seed=arguments.seed,
            workers=arguments.workers,
            device=arguments.device,
        )
        with Progress(console=console) as progress:
            task = progress.add_task("training", total=training.epochs * len(read_scenes(training.data)))

            def step(images: int) -> None:
                progress.advance(task, images)

            def report(epoch: int, means: dict[str, float]) -> None:
                losses = ", ".join(f"{name} {value:.3f}" for name, value in means.items() if name.startswith("loss"))
                console.print(f"epoch {epoch + 1}: {losses}")

            _, scores = train_dense(training, step=step, report=report)
    except (OSError, ValueError, FloatingPointError) as error:
        raise CommandError(str(error)) from error
    console.print(", ".join(f"{name} {value:.4f}" for name, value in vars(scores).items() if value is not None))
    return 0
