"""`jpegfreq predict`: what a trained network sees in pictures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

SUMMARY = "classify pictures with a trained network"
DESCRIPTION = """\
Classify JPEG files with a network that `jpegfreq train` wrote: from the file's bytes to
labels, each picture seen as in validation. Pictures of other kinds (PNG, WebP, CMYK ...) that are
named go through Pillow. A file that cannot be read is named, and the others go on.

examples:
  jpegfreq predict runs/dct24 photo.jpg
  jpegfreq predict runs/dct24/best photos/ --top 1 --json | jq '{file, label: .predictions[0].label}'
"""
_BATCH = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a checkpoint's folder, or a run's")
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="pictures, or folders of JPEG files")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="how many classes to name (default: 5)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line for each file")
    parser.add_argument("--device", default="cpu", help="where the network works: cpu, cuda, mps (default: cpu)")


def run(arguments: argparse.Namespace) -> int:
    """Print each file's likeliest classes; 1 where a file cannot be read."""
    from rich.console import Console
    from rich.text import Text

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import load_classifier
    from jpegfreq.cli._options import find_inputs

    if arguments.top < 1:
        raise CommandError("--top must be 1 or more")
    paths = [item.path for item in find_inputs(arguments.inputs)]
    classifier = load_classifier(arguments.checkpoint, device=arguments.device)
    errors = Console(stderr=True)
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
                message = f"{prediction}" if str(path) in str(prediction) else f"{path}: {prediction}"
                errors.print(Text(message, "red"), soft_wrap=True)
                continue
            ranked = list(zip(prediction.labels, prediction.indices, prediction.probabilities, strict=True))
            if arguments.json:
                classes = [{"label": label, "index": index, "probability": p} for label, index, p in ranked]
                sys.stdout.write(json.dumps({"file": str(path), "predictions": classes}) + "\n")
            else:
                sys.stdout.write(f"{path}: " + ", ".join(f"{label} {p:.1%}" for label, _, p in ranked) + "\n")
        sys.stdout.flush()
    if failures:
        errors.print(Text(f"{failures} of {len(paths)} files could not be read", "bold red"))
    return 1 if failures else 0
