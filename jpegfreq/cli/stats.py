"""`jpegfreq stats`: mean and standard deviation of each frequency channel over a folder."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.statistics import StatisticsAccumulator
    from jpegfreq.store import LoadedImage

SUMMARY = "measure mean and standard deviation of each channel over a folder"
DESCRIPTION = """\
Measure the mean and standard deviation of all 192 channels over the JPEG files of a folder,
each resized and cropped as for evaluation. Every coefficient counts (the result is that of all
of them together, not of per-image means); grey pictures count for luma alone. The file serves
as --statistics of decode and convert, and says what it was measured on.

examples:
  jpegfreq stats photos/ --size 448 --out stats.json
  jpegfreq stats photos/ --sample 5000 --out stats.json     a random sample, the same every time
"""
_BATCH = 16  # all channels at 448 px: 2.4 MB an image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_view_arguments

    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of JPEG files")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--sample", type=int, metavar="N", help="measure N files, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (default: 0)")
    add_view_arguments(parser, size=448)


def run(arguments: argparse.Namespace) -> int:
    """Measure; 1 where some files failed."""
    import numpy as np
    from rich.console import Console

    from jpegfreq import __version__
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import images_below, threads_from, view_from
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.format import TensorFormat
    from jpegfreq.statistics import StatisticsAccumulator
    from jpegfreq.store import Failure, read_views

    view, threads = view_from(arguments), threads_from(arguments)
    images = found = images_below(arguments.folder)
    if arguments.sample is not None:
        if arguments.sample < 1:
            raise CommandError("--sample must be 1 or more")
        chosen = np.random.default_rng(arguments.seed).permutation(len(found))[: arguments.sample]
        images = [found[index] for index in sorted(chosen)]
    if arguments.out.suffix != ".json":
        raise CommandError("--out must end in .json: so it is known again as --statistics")
    if not arguments.out.absolute().parent.is_dir():
        raise CommandError(f"{arguments.out.parent}: no such folder")

    console = Console(stderr=True)
    total = StatisticsAccumulator()
    failures: list[Failure] = []
    grey = 0
    paths = [(image.name, str(image.path)) for image in images]
    with speed_bar(console, "measuring", len(images)) as advance, ThreadPoolExecutor(threads) as pool:
        for names, loaded, tensors in read_views(paths, view, TensorFormat(), threads, _BATCH):
            # One accumulator an image, merged in the files' order: the same numbers with any number of threads.
            size_bytes = 0
            good = [image for image in loaded if not isinstance(image, Exception)]
            measured = pool.map(_measure, good, tensors)
            for name, image in zip(names, loaded, strict=True):
                if isinstance(image, Exception):
                    failures.append(Failure.of(name, image))
                else:
                    total.merge(next(measured))
                    grey += image.header.color == "grey"
                    size_bytes += len(image.data)
            advance(len(names), size_bytes)
    list_failures(console, failures)
    measured_images = len(images) - len(failures)
    folder = arguments.folder.resolve().name
    sample = "" if len(images) == len(found) else f" of {len(found)}, a sample drawn with seed {arguments.seed}"
    source = f"{folder}: {measured_images} images{sample}; {view}"
    try:
        statistics = total.statistics(source)
    except ValueError as error:
        raise CommandError(f"{arguments.folder} gives no statistics of all channels: {error}") from error
    facts: dict[str, Any] = {
        **json.loads(total.to_json(source)),
        "std": statistics.std,
        "measured_on": {
            "folder": folder,
            "files": len(found),
            "images": measured_images,
            "grey_images": grey,
            "failed": len(failures),
            "sample_seed": arguments.seed if sample else None,
            "size": view.size,
            "shorter_side": view.shorter_side,
            "jpegfreq": __version__,
        },
    }
    temporary = arguments.out.with_name(arguments.out.name + ".part")
    temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")
    temporary.replace(arguments.out)
    console.print(f"{arguments.out}: {source}")
    return 1 if failures else 0


def _measure(image: LoadedImage, tensor: npt.NDArray[Any]) -> StatisticsAccumulator:
    from jpegfreq.statistics import StatisticsAccumulator

    accumulator = StatisticsAccumulator()
    accumulator.update(tensor, grey=image.header.color == "grey")
    return accumulator
