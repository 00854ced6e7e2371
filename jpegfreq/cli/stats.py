"""`jpegfreq stats`: mean and standard deviation of each frequency channel over a folder."""

from __future__ import annotations

import argparse
import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jpegfreq.failures import Failure
    from jpegfreq.statistics import StatisticsAccumulator

SUMMARY = "measure mean and standard deviation of each channel over a folder"
DESCRIPTION = """\
Measure the mean and standard deviation of all 192 channels over the JPEG files of a folder,
each resized and cropped as for evaluation. Every coefficient counts (the result is that of all
of them together, not of per-image means); grey pictures count for luma alone. A deviation below
1, JPEG's finest step, is given as 1: such a channel holds only what resampling leaves. The file
serves as --statistics of decode, convert and train, and says what it was measured on.

examples:
  jpegfreq stats photos/ --size 448 --out stats.json
  jpegfreq stats photos/ --sample 5000 --out stats.json     a random sample, the same every time
  jpegfreq stats photos/ --engine ray --out stats.json      by Ray Data: the same numbers
  jpegfreq stats photos/ --std component --out stats.json   Y, Cb and Cr each divided by one number
  jpegfreq stats --merge a.json b.json --out all.json       of all that several runs measured
"""


_SIZE = 448  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_engine_arguments, add_view_arguments

    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="folder of JPEG files")
    parser.add_argument(
        "--merge", type=Path, nargs="+", metavar="FILE",
        help="measure nothing: put together what runs over different files, of the same size, have written; a run that "
        "was merged already is refused, but files that two runs have measured count twice",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument("--sample", type=int, metavar="N", help="measure N files, drawn at random (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (default: 0)")
    parser.add_argument(
        "--std", choices=("channel", "component"), default="channel",
        help="what normalization divides by: each channel's own deviation (default), or one of each component's 64 "
        "together, so that high frequencies stay as small as they are: for short trainings on all 192 channels",
    )  # fmt: skip
    add_engine_arguments(parser)
    add_view_arguments(parser, size=_SIZE)


def run(arguments: argparse.Namespace) -> int:
    """Measure; 1 where some files failed."""
    import numpy as np
    from rich.console import Console

    from jpegfreq import __version__
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import (
        VIEW_OPTIONS,
        check_engine,
        images_below,
        refuse_unused,
        threads_from,
        view_from,
    )
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.statistics import StatisticsAccumulator
    from jpegfreq.store.measure import measure_files
    from jpegfreq.store.ray_engine import EngineError, measure_files_on_ray, ray_session

    check_engine(arguments)
    if arguments.out.suffix != ".json":
        raise CommandError("--out must end in .json: so it is known again as --statistics")
    if not arguments.out.absolute().parent.is_dir():
        raise CommandError(f"{arguments.out.parent}: no such folder")
    if (arguments.folder is None) == (arguments.merge is None):
        raise CommandError("name either a folder, or files to --merge")
    console = Console(stderr=True)
    if arguments.merge is not None:
        refuse_unused(arguments, (*VIEW_OPTIONS, "sample"), "--merge measures nothing")
        console.print(f"{arguments.out}: {_merge(arguments.merge, arguments.std, arguments.out)}")
        return 0
    view, threads = view_from(arguments, size=_SIZE), threads_from(arguments)
    images = found = images_below(arguments.folder, console)
    if arguments.sample is not None:
        if arguments.sample < 1:
            raise CommandError("--sample must be 1 or more")
        if arguments.seed < 0:
            raise CommandError("--seed must be 0 or more")
        chosen = np.random.default_rng(arguments.seed).permutation(len(found))[: arguments.sample]
        images = [found[index] for index in sorted(chosen)]

    total = StatisticsAccumulator()
    failures: list[Failure] = []
    grey = 0
    paths = [(image.name, str(image.path)) for image in images]
    try:
        with ExitStack() as stack:
            if arguments.engine == "ray":
                stack.enter_context(ray_session(address=arguments.address, cores=threads))
                batches = measure_files_on_ray(paths, view)
            else:
                batches = measure_files(paths, view, threads=threads)
            advance = stack.enter_context(speed_bar(console, "measuring", len(images)))
            for batch in batches:
                for measured in batch:  # merged in the files' order: the same numbers, whoever measures
                    total.merge(measured.accumulator)
                    grey += measured.grey
                    failures += [measured.failure] if measured.failure else []
                advance(len(batch), sum(measured.size_bytes for measured in batch))
    except EngineError as error:
        raise CommandError(str(error)) from error
    list_failures(console, failures)
    measured_images = len(images) - len(failures)
    folder = arguments.folder.resolve().name
    sample = "" if len(images) == len(found) else f" of {len(found)}, a sample drawn with seed {arguments.seed}"
    source = f"{folder}: {measured_images} images{sample}; {view}"
    measured_on: dict[str, Any] = {
        "folder": folder,
        "files": len(found),
        "images": measured_images,
        "grey_images": grey,
        "failed": len(failures),
        "sample_seed": arguments.seed if sample else None,
        "size": view.size,
        "shorter_side": view.shorter_side,
        "apply_orientation": view.apply_orientation,
        "jpegfreq": __version__,
    }
    console.print(f"{arguments.out}: {_save(total, source, measured_on, arguments.std, arguments.out)}")
    return 1 if failures else 0


def _save(total: StatisticsAccumulator, source: str, measured_on: dict[str, Any], std: str, out: Path) -> str:
    """Write what was measured, and what normalizes by it; what the latter was measured on."""
    from jpegfreq.cli import CommandError

    try:
        statistics = total.statistics(source)
    except ValueError as error:
        raise CommandError(f"{source}: no statistics of all channels: {error}") from error
    if std == "component":
        statistics = statistics.per_component()
    state = total.to_dict(statistics.source)
    write_whole(out, json.dumps({**state, "std": statistics.std, "measured_on": measured_on}) + "\n")
    return statistics.source


# What must agree for statistics to be of one kind.
_SAME = ("size", "shorter_side", "apply_orientation", "jpegfreq")
_COUNTS = ("files", "images", "grey_images", "failed")


def _merge(files: Sequence[Path], std: str, out: Path) -> str:
    """Merge the states that earlier runs left; what the result was measured on."""
    from jpegfreq.cli import CommandError
    from jpegfreq.statistics import ONE_STD, StatisticsAccumulator

    total = StatisticsAccumulator()
    sources: list[str] = []
    merged: dict[str, Any] = {}
    runs: dict[str, Path] = {}  # by a hash of what each measured: the file that holds it
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            facts = json.loads(text)
            total.merge(StatisticsAccumulator.from_json(text))
            measured_on = {key: facts["measured_on"][key] for key in ("folder", *_COUNTS, *_SAME)}
            state = json.dumps([facts[key] for key in ("count", "mean", "second_moment")])
            own = facts["measured_on"].get("runs", [hashlib.sha256(state.encode()).hexdigest()])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CommandError(f"{file} is not what `jpegfreq stats` writes: {error!r}") from error
        merged = merged or {"folder": [], **dict.fromkeys(_COUNTS, 0), **{key: measured_on[key] for key in _SAME}}
        different = ", ".join(key for key in _SAME if merged[key] != measured_on[key])
        if different:
            raise CommandError(f"{file} was measured otherwise than {files[0]} (different: {different})")
        for run in own:
            if run in runs:
                raise CommandError(f"{file} holds a run that {runs[run]} holds, too: it would count twice")
            runs[run] = file
        for key in _COUNTS:
            merged[key] += measured_on[key]
        folder = measured_on["folder"]
        merged["folder"] += folder if isinstance(folder, list) else [folder]
        sources.append(facts["source"].removesuffix(ONE_STD))
    source = " + ".join(sources)
    return _save(total, source, {**merged, "runs": list(runs)}, std, out)
