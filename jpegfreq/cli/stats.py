"""`jpegfreq stats`: measure the mean and standard deviation of each frequency channel over a folder."""

from __future__ import annotations

import argparse
import hashlib
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import printable, read_text, reason_of, write_whole
from jpegfreq._json import parse_json
from jpegfreq._words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from jpegfreq.cli._options import Input
    from jpegfreq.failures import Failure
    from jpegfreq.statistics import StatisticsAccumulator

SUMMARY = "measure the mean and standard deviation of each channel over a folder"
DESCRIPTION = """\
Measure the mean and standard deviation of all 192 channels over the JPEG files of a
folder, each resized and cropped as for validation. They are those of all coefficients
together, not averages of per-image values. Grey images count for luma only. A standard
deviation below 1, JPEG's finest quantization step, is raised to 1, because such a
channel holds only what resampling leaves behind.

The file is an input for --statistics of decode, convert and train. It records what it
was measured on. Measure at the size at which the statistics will be used: convert
refuses those of another size.

examples:
  jpegfreq stats photos/ --out stats.json
  # a random sample, the same one every time
  jpegfreq stats photos/ --sample 5000 --out stats.json
  # on Ray Data, with the same result
  jpegfreq stats photos/ --engine ray --out stats.json
  # one standard deviation for each of Y, Cb and Cr
  jpegfreq stats photos/ --std component --out stats.json
  # combine what two runs measured
  jpegfreq stats --merge a.json b.json --out all.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_engine_arguments, add_view_arguments, positive

    parser.add_argument("folder", type=Path, nargs="?", metavar="DIR", help="a folder of JPEG files")
    parser.add_argument(
        "--merge", type=Path, nargs="+", metavar="FILE",
        help="measure nothing, but combine the files of earlier runs over different images at the same size. A run "
        "that is contained twice is refused, but an image that two runs measured counts twice",
    )  # fmt: skip
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="the JSON file to write")
    parser.add_argument(
        "--sample", type=positive, metavar="N", help="measure N images drawn at random (default: all images)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the sample (default: 0)")
    parser.add_argument(
        "--std", choices=("channel", "component"), default="channel",
        help="what normalization divides by: each channel's own standard deviation (default), or a single standard "
        "deviation per component, which keeps high frequencies small and suits short trainings on all 192 channels",
    )  # fmt: skip
    add_engine_arguments(parser)
    add_view_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure or merge; return 1 if some files failed."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import VIEW_OPTIONS, check_engine, refuse_unused
    from jpegfreq.cli._outputs import check_outputs
    from jpegfreq.cli._progress import message_console

    check_engine(arguments)
    check_outputs(arguments.out, inputs=[arguments.folder, *(arguments.merge or ())])
    if arguments.out.suffix != ".json":
        raise CommandError(f"--out {arguments.out}: the name must end in .json, by which --statistics knows a file")
    if (arguments.folder is None) == (arguments.merge is None):
        raise CommandError("name either a folder to measure, or files to --merge")
    if arguments.seed < 0:
        raise CommandError(f"--seed must be 0 or more, not {arguments.seed}")
    console = message_console()
    if arguments.merge is not None:
        refuse_unused(arguments, (*VIEW_OPTIONS, "sample"), "--merge measures nothing")
        console.print(f"{arguments.out}: {printable(_merge(arguments.merge, arguments.std, arguments.out))}")
        return 0
    return _measure(arguments, console)


def _sample(found: list[Input], count: int | None, seed: int) -> list[Input]:
    """Draw images at random, and keep their order."""
    import numpy as np

    if count is None:
        return found
    chosen = np.random.default_rng(seed).permutation(len(found))[:count]
    return [found[index] for index in sorted(chosen)]


def _measure(arguments: argparse.Namespace, console: Console) -> int:
    """Measure the images of a folder and write the result; return 1 if some failed."""
    from jpegfreq import __version__
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import images_below, threads_from, view_from
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.statistics import StatisticsAccumulator
    from jpegfreq.store.measure import measure_files
    from jpegfreq.store.ray_engine import EngineError, measure_files_on_ray, ray_session

    view, threads = view_from(arguments), threads_from(arguments)
    found = images_below(arguments.folder)
    images = _sample(found, arguments.sample, arguments.seed)
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
                for measured in batch:  # merged in the files' order, so that every engine gives the same numbers
                    total.merge(measured.accumulator)
                    grey += measured.grey
                    failures += [measured.failure] if measured.failure else []
                advance(len(batch), sum(measured.size_bytes for measured in batch))
    except EngineError as error:
        raise CommandError(str(error)) from error
    list_failures(console, failures)
    measured_images = len(images) - len(failures)
    if not measured_images:
        raise CommandError(f"{arguments.folder}: no image could be measured, so {arguments.out} was not written")
    folder = arguments.folder.resolve().name
    sample = "" if len(images) == len(found) else f" of {len(found)}, a sample drawn with seed {arguments.seed}"
    source = f"{folder}: {counted(measured_images, 'image')}{sample}; {view}"
    measured_on: dict[str, Any] = {
        "folder": folder,
        "files": len(found),
        "images": measured_images,
        "grey_images": grey,
        "failed": len(failures),
        "sample_seed": arguments.seed if sample else None,
        **view.to_dict(),
        "jpegfreq": __version__,
    }
    console.print(f"{arguments.out}: {_save(total, source, measured_on, arguments.std, arguments.out)}")
    return 1 if failures else 0


def _save(total: StatisticsAccumulator, source: str, measured_on: dict[str, Any], std: str, out: Path) -> str:
    """Write the accumulator's state and the statistics; return what they were measured on."""
    from jpegfreq.cli import CommandError

    try:
        statistics = total.statistics(source)
    except ValueError as error:
        raise CommandError(f"{source}: cannot compute statistics of all channels: {error}") from error
    if std == "component":
        statistics = statistics.per_component()
    state = total.to_dict(statistics.source)
    write_whole(out, json.dumps({**state, "std": statistics.std, "measured_on": measured_on}) + "\n")
    return statistics.source


# What must agree for statistics to be merged, and the option that sets it.
_SAME = {
    "size": "--size",
    "shorter_side": "--shorter-side",
    "filter": "--filter",
    "rounding": "rounding",
    "apply_orientation": "--apply-orientation",
    "jpegfreq": "jpegfreq version",
}
_COUNTS = ("files", "images", "grey_images", "failed")


def _merge(files: Sequence[Path], std: str, out: Path) -> str:
    """Merge the files of earlier runs; return what the result was measured on."""
    from jpegfreq.cli import CommandError
    from jpegfreq.statistics import ONE_STD, StatisticsAccumulator

    total = StatisticsAccumulator()
    sources: list[str] = []
    merged: dict[str, Any] = {}
    runs: dict[str, Path] = {}  # the file that contains each run, by a hash of what the run measured
    for file in files:
        facts = _read(file)
        total.merge(StatisticsAccumulator.from_dict(facts))
        measured_on = facts["measured_on"]
        merged = merged or {"folder": [], **dict.fromkeys(_COUNTS, 0), **{key: measured_on[key] for key in _SAME}}
        different = [
            f"{option} {measured_on[key]} there and {merged[key]} here"
            for key, option in _SAME.items()
            if merged[key] != measured_on[key]
        ]
        if different:
            raise CommandError(f"{file} cannot be merged with {files[0]}: {', '.join(different)}")
        state = json.dumps([facts[key] for key in ("count", "mean", "second_moment")])
        for run in measured_on.get("runs", [hashlib.sha256(state.encode()).hexdigest()]):
            if run in runs:
                raise CommandError(f"{file} contains a run that {runs[run]} contains, too: it would count twice")
            runs[run] = file
        for key in _COUNTS:
            merged[key] += measured_on[key]
        folder = measured_on["folder"]
        merged["folder"] += folder if isinstance(folder, list) else [folder]
        sources.append(facts["source"].removesuffix(ONE_STD))
    return _save(total, " + ".join(sources), {**merged, "runs": list(runs)}, std, out)


def _read(file: Path) -> dict[str, Any]:
    """Read what an earlier run wrote, with every field that a merge needs.

    Raises:
        CommandError: the file cannot be read, or a field is missing or wrong.
    """
    import numpy as np

    from jpegfreq.channels import CHANNEL_COUNT
    from jpegfreq.cli import CommandError

    try:
        facts = parse_json(read_text(file))
        for key in ("source", "count", "mean", "second_moment"):
            facts[key]
        for key in ("folder", *_COUNTS, *_SAME):
            facts["measured_on"][key]
        for key in ("count", "mean", "second_moment"):
            values = np.array(facts[key], np.float64)
            if values.shape != (CHANNEL_COUNT,) or not np.isfinite(values).all():
                raise ValueError(f"{key} must be {CHANNEL_COUNT} finite numbers")
    except OSError as error:
        raise CommandError(reason_of(error)) from error
    except KeyError as error:
        raise CommandError(f"{file} was not written by `jpegfreq stats`: it has no field {error}") from error
    except (ValueError, TypeError) as error:
        raise CommandError(f"{file} was not written by `jpegfreq stats`: {error}") from error
    return dict(facts)
