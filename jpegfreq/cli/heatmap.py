"""`jpegfreq heatmap`: how often a trained gate turns each channel on."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._words import as_often, counted

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.models.analysis.heatmap import HeatMap

SUMMARY = "measure how often a gated model uses each channel"
DESCRIPTION = """\
Measure how often a model that was trained with a gate turns each of the 192
channels on. The model may be a classifier (jpegfreq train) or a network for
boxes or masks (jpegfreq dense). Images are prepared as in validation, and a
channel counts as on if its probability exceeds 1/2.

The JSON file holds the rates and is an input of `jpegfreq select`. The figure
shows them as three 8 x 8 maps, one per component. For a training run, best/ is
measured, or last/ if there is no best/; name the folder to choose.

A model without a gate has no heat map. `jpegfreq select CHECKPOINT --by weights`
(or energy, or loss) ranks its channels instead.

examples:
  jpegfreq heatmap runs/gated photos/val --out heat.json --figure heat.png
  jpegfreq heatmap runs/gated/last photos/ --out heat.json --images 500
  jpegfreq heatmap runs/masks photos/ --out masks.json --figure masks.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument, add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="the folder of a checkpoint or of a training run"
    )
    parser.add_argument("data", metavar="DATA", help="images: a folder of JPEG files, a .txt list, or .tar shards")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the heat map: .png, .pdf or .svg")
    parser.add_argument(
        "--images", type=positive, metavar="N", help="measure on N images drawn at random (default: all)"
    )
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="images per batch (default: 64)")
    add_device_argument(parser)
    add_code_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure the heat map and write it; return 1 if some images could not be read."""
    from rich.console import Console

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import Unread, any_images, checkpoint_folder, image_bar, load_gated
    from jpegfreq.cli._outputs import check_figure, check_outputs, write_figure

    check_figure(arguments.figure)
    check_outputs(arguments.out, arguments.figure, inputs=(arguments.checkpoint, arguments.data))
    folder = checkpoint_folder(arguments.checkpoint)
    model = load_gated(folder, arguments)

    from jpegfreq.models.analysis.heatmap import heat_map
    from jpegfreq.models.analysis.probes import sample_images
    from jpegfreq.models.dense.config import DenseModel, dense_heat_map

    if not model.config.gated:
        raise CommandError(
            f"{folder}: the model has no gate, so every channel is always on; `jpegfreq needs` finds which ones it "
            "needs, and `jpegfreq select --by` energy, loss or weights ranks them"
        )
    images = any_images(arguments.data)
    if arguments.images is not None:
        images = sample_images(images, arguments.images)
    source = f"{arguments.checkpoint.resolve().name} on {Path(arguments.data).resolve().name}"
    unread = Unread()
    try:
        with image_bar("measuring", len(images)) as advance:
            if isinstance(model, DenseModel):
                heat = dense_heat_map(model, images, progress=advance, on_unread=unread, source=source)
            else:
                heat = heat_map(
                    model, images, batch_size=arguments.batch_size, progress=advance, on_unread=unread, source=source
                )
    except ValueError as error:
        raise CommandError(f"{folder}: {error}") from error
    heat.save(arguments.out)
    if arguments.figure is not None:
        from jpegfreq.report.figures import heat_figure

        write_figure(heat_figure(heat), arguments.figure)
    _print(Console(), folder, heat)
    return unread.report()


def _print(console: Console, folder: Path, heat: HeatMap) -> None:
    """Print the heat map's figures."""
    from rich.text import Text

    from jpegfreq.channels import ChannelSelection

    usable = heat.ranking().usable
    names = ChannelSelection(heat.ranking().channels[:12]).channel_names
    ratios = (
        ("luma is on {} chroma", heat.luma_over_chroma),
        ("the 16 lowest frequencies are on {} the 32 highest", heat.low_over_high),
    )
    for line in (
        f"{folder}, {counted(heat.images, 'image')}:",
        f"  channels on per image      {heat.mean_channels_on:.1f} of {len(heat.channels)}",
        f"  channels that are ever on  {usable}",
        *(f"  {text.format(as_often(ratio))}" for text, ratio in ratios if not math.isnan(ratio)),  # it may lack either
        f"  most used: {' '.join(names)}",
    ):
        console.print(Text(line), soft_wrap=True)
    if not heat.chooses:
        text = "warning: every channel is on equally often, so the gate prefers none; train it longer or for fewer"
        console.print(Text(f"{text} channels", "yellow"), soft_wrap=True)
