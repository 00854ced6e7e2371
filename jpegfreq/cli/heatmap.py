"""`jpegfreq heatmap`: how often a trained gate turns each channel on."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "measure how often a gated model uses each channel"
DESCRIPTION = """\
Measure how often a model that was trained with a gate, for classes (`jpegfreq train`) or for boxes and
masks (`jpegfreq dense`), turns each of the 192 channels on, over pictures seen as in validation; the
gate decides without chance. The JSON file holds the rates, for `jpegfreq select`; the figure shows
them as three 8 x 8 maps. Of a training run best/ is taken, or else last/; name the one you mean.

A model without a gate has no heat map: `jpegfreq select CHECKPOINT --by weights` (or energy, or
loss) ranks its channels instead.

examples:
  jpegfreq heatmap runs/gated photos/val --out heat.json --figure heat.png
  jpegfreq heatmap runs/gated/last photos/ --out heat.json --images 500
  jpegfreq heatmap runs/masks photos/ --out masks.json --figure masks.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="folder of a model, or of a training run")
    parser.add_argument("data", metavar="DATA", help="a folder of JPEG files, a .txt list, or .tar shards")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--figure", type=Path, metavar="PICTURE", help="draw it: .png, .pdf or .svg")
    parser.add_argument(
        "--images", type=positive, metavar="N", help="measure on N of them, drawn at random (default: all)"
    )
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="default: 64")
    parser.add_argument("--device", default="cpu", help="default: cpu")


def run(arguments: argparse.Namespace) -> int:
    """Measure; 1 where some files could not be read."""
    from rich.console import Console

    from jpegfreq.channels import ChannelSelection
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import any_images, checkpoint_folder, image_bar, load_gated
    from jpegfreq.cli._outputs import check_figure, check_outputs

    check_outputs(arguments.out)
    check_figure(arguments.figure)
    folder = checkpoint_folder(arguments.checkpoint)
    model = load_gated(folder, device=arguments.device)

    from jpegfreq.models.analysis.heatmap import heat_map
    from jpegfreq.models.analysis.probes import sample_images
    from jpegfreq.models.dense.config import DenseModel, dense_heat_map

    if not model.config.gated:
        raise CommandError(
            f"{folder}: the model has no gate, so no channel is ever off; `jpegfreq select` ranks its channels by "
            "energy, loss or weights"
        )
    images = any_images(arguments.data)
    if arguments.images is not None:
        images = sample_images(images, arguments.images)
    source = f"{arguments.checkpoint.resolve().name} on {Path(arguments.data).resolve().name}"
    try:
        with image_bar("measuring", len(images)) as advance:
            if isinstance(model, DenseModel):
                heat = dense_heat_map(model, images, progress=advance, source=source)
            else:
                heat = heat_map(model, images, batch_size=arguments.batch_size, progress=advance, source=source)
    except ValueError as error:
        raise CommandError(f"{folder}: {error}") from error
    heat.save(arguments.out)
    if arguments.figure is not None:
        from jpegfreq.report.figures import heat_figure

        heat_figure(heat).savefig(arguments.figure, dpi=150)

    console = Console()
    console.print(
        f"{folder}: {heat.images} images use {heat.mean_channels_on:.1f} of {len(heat.channels)} channels on average; "
        f"luma over chroma {heat.luma_over_chroma:.2f}, the lowest 16 frequencies over the highest 32 "
        f"{heat.low_over_high:.2f}",
        highlight=False,
        soft_wrap=True,  # a path is not broken
    )
    if not heat.chooses:
        console.print(
            "warning: every channel is on equally often: the gate tells none from another; train it longer, or for "
            "fewer channels",
            style="yellow",
            soft_wrap=True,
        )
    names = ChannelSelection(heat.ranking().channels[:12]).channel_names
    console.print(f"most used: {' '.join(names)}", highlight=False, soft_wrap=True)
    failed = len(images) - heat.images
    if failed:
        console.print(f"{failed} files could not be read and were left out", style="yellow")
    return 1 if failed else 0
