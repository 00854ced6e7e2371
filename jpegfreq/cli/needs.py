"""`jpegfreq needs`: which channels a trained network needs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import read_text, reason_of
from jpegfreq._json import parse_json
from jpegfreq._words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.cli._models import Unread
    from jpegfreq.models.analysis.needs import Needs
    from jpegfreq.models.predict import Classifier

SUMMARY = "find which channels a trained network needs, in minutes and without labels"
DESCRIPTION = """\
Find which frequency channels a trained network needs. A gate in front of the
network learns it from photographs, which need no labels: what it must keep is
what the network answers on all channels. Then the channels near the cut are
compared one by one. The network's weights do not change.

Every fourth image is held out, and everything is measured on these: how many
answers stay the same on the channels that the gate chose, on the presets, and
on the channels with the most energy. Channels that are left out stand at their
mean. FOLDER then holds
  learned24.json    for each number of channels, the gate's choice; --channels
                    takes it wherever it takes a preset
  needs.html        a page with the table, the curve and the heat map
  curve.png         the share of equal answers against the number of channels
  heatmap.png       how likely the gate is to open each channel
  needs.json        all of this as numbers

160 steps of 20 images and three numbers of channels take some minutes on two
cores for a network of 0.4 GMAC, such as EfficientNet-Lite0.

examples:
  jpegfreq needs model/ photos/ --channels 24,48,64 --out needs/
  # the right answers instead of the network's own; one folder per class
  jpegfreq needs runs/dct192 photos/train --labels --channels 24 --out needs/
  # then train the network further on these channels alone
  jpegfreq train photos/train photos/val --weights model/ --channels needs/learned24.json --out runs/fine
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument, add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="the folder of a checkpoint or of a training run"
    )
    parser.add_argument("data", metavar="DATA", help="images: a folder of JPEG files, a .txt list, or .tar shards")
    parser.add_argument(
        "--channels", type=_counts, default=(24, 48, 64), metavar="N,N",
        help="the numbers of channels to choose (default: 24,48,64)",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the folder to write to")
    parser.add_argument(
        "--labels", action="store_true",
        help="learn the images' classes, which DATA names, instead of the network's own answers",
    )  # fmt: skip
    parser.add_argument(
        "--per-image", action="store_true", help="let the gate choose channels for each image, not once for all"
    )
    parser.add_argument(
        "--images", type=positive, default=400, metavar="N",
        help="use N images drawn at random, the same ones every time (default: 400)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=positive, default=160, metavar="N", help="of the gate, at least 40 (default: 160)"
    )
    parser.add_argument("--batch-size", type=positive, default=20, metavar="N", help="images per step (default: 20)")
    parser.add_argument(
        "--amp",
        action="store_true",
        help="run the network in bfloat16 until the choice is made; twice as fast on some CPUs",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    add_code_argument(parser)
    add_device_argument(parser)


def _counts(text: str) -> tuple[int, ...]:
    """Parse numbers of channels, separated by commas.

    Raises:
        argparse.ArgumentTypeError: they are something else.
    """
    words = text.split(",")
    if not all(word.isdecimal() and int(word) for word in words):
        raise argparse.ArgumentTypeError(f"must be whole numbers of at least 1, such as 24,48, not {text!r}")
    return tuple(map(int, words))


def run(arguments: argparse.Namespace) -> int:
    """Learn, measure and write; return 1 if some images could not be read."""
    from rich.console import Console

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import Unread, load_classifier
    from jpegfreq.cli._outputs import check_matplotlib, check_outputs, write_figure
    from jpegfreq.models.analysis.needs import LEAST_STEPS, check_plan

    check_matplotlib()
    options = _options(arguments)
    _check_folder(arguments.out, options)
    arguments.out.mkdir(parents=True, exist_ok=True)
    learned = [f"learned{count}.json" for count in arguments.channels]
    names = sorted({*learned, "needs.json", "needs.html", "curve.png", "heatmap.png"})
    check_outputs(*(arguments.out / name for name in names), inputs=(arguments.checkpoint, arguments.data))
    classifier = load_classifier(arguments.checkpoint, arguments)
    if classifier.config.format is None:
        raise CommandError(f"{arguments.checkpoint}: the model takes RGB pixels, so it has no frequency channels")
    if classifier.config.gated:
        raise CommandError(
            f"{arguments.checkpoint}: the model has a gate already; `jpegfreq heatmap` shows which channels it uses"
        )
    if arguments.steps < LEAST_STEPS:
        raise CommandError(f"--steps must be at least {LEAST_STEPS}, not {arguments.steps}")
    selection, unread = classifier.config.format.selection, Unread()
    try:
        check_plan(arguments.channels, selection, steps=arguments.steps, batch=arguments.batch_size)
    except ValueError as error:
        takes = f"{arguments.checkpoint} takes {counted(len(selection), 'channel')}"
        raise CommandError(f"{takes}, and --channels asks for {_words(arguments.channels)}: {error}") from error
    try:
        needs = _find(classifier, arguments, unread)
    except ValueError as error:
        unread.report()
        raise CommandError(f"{arguments.checkpoint} on {arguments.data}: {reason_of(error)}") from error

    from jpegfreq.report.figures import heat_figure, needs_figure
    from jpegfreq.report.needs import needs_page
    from jpegfreq.report.page import write_page

    needs.save(arguments.out, options)
    smallest = needs.counts[0]
    heat = heat_figure(needs.heat[smallest], needs.of("gate", smallest).selection, values="on_probability")
    write_figure(heat, arguments.out / "heatmap.png")
    write_figure(needs_figure(needs), arguments.out / "curve.png")
    write_page(arguments.out / "needs.html", needs_page(needs))
    _print(Console(), needs, arguments.out, f"{arguments.checkpoint}{' --run-code' if arguments.run_code else ''}")
    return unread.report()


def _words(counts: tuple[int, ...]) -> str:
    return ",".join(map(str, counts))


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what decides the results, as needs.json keeps it."""
    names = ("labels", "per_image", "images", "steps", "batch_size", "amp", "seed")
    return {
        "CHECKPOINT": str(arguments.checkpoint.resolve()),
        "DATA": str(Path(arguments.data).resolve()),
        "--channels": _words(arguments.channels),
        **{f"--{name.replace('_', '-')}": getattr(arguments, name) for name in names},
    }


def _check_folder(out: Path, options: dict[str, Any]) -> None:
    """Refuse a folder with the results of other options, which would be overwritten, or mixed with the new ones.

    Raises:
        CommandError: it holds such results, or other files.
    """
    from jpegfreq.cli import CommandError

    if out.exists() and not out.is_dir():
        raise CommandError(f"--out {out} is a file, but the results go into a folder")
    file = out / "needs.json"
    if not file.exists():
        if out.exists() and any(out.iterdir()):
            raise CommandError(f"--out {out} holds other files: name a new folder")
        return
    try:
        before = parse_json(read_text(file))["options"]
        changed = [
            f"{name} {before.get(name)} (now {value})" for name, value in options.items() if before.get(name) != value
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(f"{file} was not written by this command: name a new folder") from error
    if changed:
        raise CommandError(f"--out {out} holds results that were made with {', '.join(changed)}: name a new folder")


def _find(classifier: Classifier, arguments: argparse.Namespace, unread: Unread) -> Needs:
    """Read the images and find the channels, with a progress bar for each.

    Raises:
        ValueError: the labels, the number of images or the numbers of channels do not fit.
    """
    from jpegfreq.cli._models import any_images, image_bar, labelled_images
    from jpegfreq.models.analysis.evaluation import evaluation_tensor, labelled_for
    from jpegfreq.models.analysis.needs import find_needs, needs_work
    from jpegfreq.models.analysis.probes import sample_images

    format = classifier.config.format
    assert format is not None
    images = labelled_images(arguments.data) if arguments.labels else any_images(arguments.data)
    images = sample_images(images, arguments.images)
    if arguments.labels:
        images = labelled_for(classifier, images)
    with image_bar("reading", len(images)) as advance:
        inputs, labels = evaluation_tensor(classifier, images, progress=advance, on_unread=unread)
    options = {"steps": arguments.steps, "batch": arguments.batch_size, "per_image": arguments.per_image}
    work = needs_work(len(inputs), arguments.channels, format.selection, **options)
    with image_bar("learning and measuring", work) as advance:
        return find_needs(
            classifier.network,
            inputs,
            arguments.channels,
            labels if arguments.labels else None,
            format=format,
            amp=arguments.amp,
            seed=arguments.seed,
            progress=advance,
            source=f"{arguments.checkpoint.resolve().name} on {Path(arguments.data).resolve().name}",
            **options,
        )


def _print(console: Console, needs: Needs, folder: Path, checkpoint: str) -> None:
    """Print the table, where the files are, and what to do next."""
    from rich.table import Table
    from rich.text import Text

    from jpegfreq.report.needs import needs_cells, needs_headings

    split = (
        f"measured on {counted(needs.held_out, 'held-out image')} (every fourth); the gate learned from "
        f"{counted(needs.images, 'other')}. Same answers: the share of held-out images whose likeliest class is that "
        f"on all channels; one image is {1 / needs.held_out:.1%}"
    )
    console.print(Text(split), soft_wrap=True)
    table = Table()
    for heading in needs_headings(needs):
        table.add_column(heading)
    for cells in needs_cells(needs):
        table.add_row(*cells, style="bold green" if cells[1] == "the gate" else None)
    console.print(table)
    if needs.gated_agreement is not None:
        on = needs.heat[needs.counts[0]].mean_channels_on
        text = f"image by image: {on:.1f} channels on average, {needs.gated_agreement:.1%} of the answers stay the same"
        console.print(Text(text), soft_wrap=True)
    first = folder / f"learned{needs.counts[0]}.json"
    text = (
        f"wrote {folder}. Next: open {folder / 'needs.html'} for the curve and the heat map; `jpegfreq train DATA "
        f"VALIDATION --weights {checkpoint} --channels {first} --out RUN` trains the network further on these channels"
    )
    console.print(Text(text), soft_wrap=True)
