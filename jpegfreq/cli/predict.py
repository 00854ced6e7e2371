"""`jpegfreq predict`: classify images with a trained network."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._files import printable, reason_of
from jpegfreq._words import counted

if TYPE_CHECKING:
    from jpegfreq.models.predict import Prediction

SUMMARY = "classify images with a trained network"
DESCRIPTION = """\
Classify images with a network that `jpegfreq train` or `jpegfreq from-rgb` wrote,
directly from the files' bytes. Every image is prepared as in validation. Files that are not JPEGs
with Y, Cb and Cr (PNG, WebP, CMYK and others) are decoded by Pillow, if they are
named one by one. An unreadable file is reported, and the others are classified.

examples:
  jpegfreq predict runs/dct24 photo.jpg
  jpegfreq predict runs/dct24/best photos/ --top 1 --json
"""
_BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument, add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="the folder of a checkpoint or of a training run"
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="images, or folders of JPEG files")
    parser.add_argument(
        "--top", type=positive, default=5, metavar="K", help="how many classes to name per image (default: 5)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per image, each on its own line")
    add_device_argument(parser)
    add_code_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print each image's most likely classes; return 1 if some images could not be read."""
    from rich.text import Text

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import load_classifier
    from jpegfreq.cli._options import find_inputs
    from jpegfreq.cli._progress import message_console

    paths = [item.path for item in find_inputs(arguments.inputs)]
    classifier = load_classifier(arguments.checkpoint, arguments)
    errors = message_console()
    failures = 0
    for start in range(0, len(paths), _BATCH):
        chunk = paths[start : start + _BATCH]
        try:
            found = classifier.predict(chunk, top=arguments.top, batch_size=_BATCH, errors="return")
        except (ValueError, MemoryError) as error:
            raise CommandError(f"{arguments.checkpoint}: {error}") from error
        for path, prediction in zip(chunk, found, strict=True):
            if isinstance(prediction, Exception):
                failures += 1
                reason = reason_of(prediction)
                message = reason if str(path) in reason else f"{path}: {reason}"
                errors.print(Text(printable(message), "red"), soft_wrap=True)
            else:
                sys.stdout.write((_json if arguments.json else _line)(path, prediction) + "\n")
        sys.stdout.flush()
    if failures:
        errors.print(Text(f"{failures} of {counted(len(paths), 'image')} could not be read", "bold red"))
    return 1 if failures else 0


def _json(path: Path, prediction: Prediction) -> str:
    ranked = zip(prediction.labels, prediction.indices, prediction.probabilities, strict=True)
    classes = [{"label": label, "index": index, "probability": p} for label, index, p in ranked]
    return json.dumps({"file": str(path), "predictions": classes})


def _line(path: Path, prediction: Prediction) -> str:
    """One line per image; on a terminal it is wrapped between words."""
    ranked = zip(prediction.labels, prediction.probabilities, strict=True)
    line = f"{printable(str(path))}: " + ", ".join(f"{printable(label)} {p:.1%}" for label, p in ranked)
    if not sys.stdout.isatty():
        return line
    return textwrap.fill(
        line,
        shutil.get_terminal_size().columns,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
