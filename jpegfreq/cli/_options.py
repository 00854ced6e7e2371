"""Arguments that several commands share: input files, and the fields of a TensorFormat."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jpegfreq._files import check_not_special, read_text, reason_of
from jpegfreq._json import parse_json
from jpegfreq.batch import usable_cores
from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import CommandError
from jpegfreq.crops import FILTERS, Filter
from jpegfreq.format import TensorFormat
from jpegfreq.sources.walk import JPEG_EXTENSIONS, find_files
from jpegfreq.statistics import ChannelStatistics
from jpegfreq.views import EvaluationView

DEFAULT_SIZE = 448  # pixels: the input of the paper's networks; stats, convert and train share it


@dataclass(frozen=True)
class Input:
    """A file to read.

    Attributes:
        path: as the user spelled it.
        name: below the folder that all inputs have in common, with forward slashes.
    """

    path: Path
    name: str


def find_inputs(arguments: Sequence[str]) -> list[Input]:
    """Find the files named and the JPEG files below the folders named, in order.

    A folder or file that is named twice, in whatever spelling, counts once. Entries that are left out of a folder are
    counted on the error stream.

    Raises:
        CommandError: a name does not exist, or there is no JPEG file at all.
        OSError: a folder cannot be listed, or a name is that of a pipe, a socket or a device.
    """
    found: dict[str, Path] = {}  # by the resolved folder of the argument, and the name below it
    roots: list[str] = []
    for argument in map(Path, arguments):
        if argument.is_dir():
            root = os.path.realpath(argument)
            below = find_files(argument, JPEG_EXTENSIONS)
            for path in sorted(map(Path, below.files)):
                found.setdefault(os.path.join(root, path.relative_to(argument)), path)
            if below.left_out:
                print(f"left out of {argument}: {below.left_out}", file=sys.stderr)
        elif argument.exists():
            check_not_special(argument)
            root = os.path.realpath(argument.parent)
            found.setdefault(os.path.join(root, argument.name), argument)
        else:
            raise CommandError(f"{argument}: no such file or folder")
        roots.append(root)
    if not found:
        raise CommandError(f"no JPEG files ({', '.join(JPEG_EXTENSIONS)}) in {', '.join(map(str, arguments))}")
    common = os.path.commonpath(roots)
    return [Input(path, Path(key).relative_to(common).as_posix()) for key, path in found.items()]


def images_below(folder: Path) -> list[Input]:
    """Find the JPEG files below a folder, as `find_inputs` does.

    Raises:
        CommandError: it is not a folder, or it holds no JPEG file.
        OSError: it is a pipe, a socket or a device, or cannot be listed.
    """
    if not folder.is_dir():
        check_not_special(folder)
        if folder.exists():
            raise CommandError(f"{folder} is a file, but this command needs a folder of JPEG files")
        raise CommandError(f"{folder}: no such folder")
    return find_inputs([str(folder)])


def positive(text: str) -> int:
    """Parse a whole number of at least 1, as an argument's type.

    Raises:
        argparse.ArgumentTypeError: it is not one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def add_format_arguments(parser: argparse.ArgumentParser, *, dtypes: Sequence[str] = ("float32", "float16")) -> None:
    """Declare the fields of a TensorFormat as options.

    Args:
        parser: where to add them.
        dtypes: the types of values that the command can write.
    """
    group = parser.add_argument_group("what the tensor holds")
    group.add_argument(
        "--channels",
        metavar="CHANNELS",
        help='"all" (192); a preset: 6, 24, 32, 48 or 64; "zigzag:14,5,5", the lowest frequencies of Y, Cb and Cr; '
        "channel numbers 64 * component + 8 * v + u, such as 0,1,8,64,128; or the JSON file of a ChannelSelection "
        "(default: all)",
    )
    group.add_argument(
        "--order",
        choices=("raster", "zigzag"),
        help="sort each component's channels in this order (default: as chosen)",
    )
    group.add_argument(
        "--chroma",
        choices=("fancy", "replicate"),
        help="how chroma is upsampled to the resolution of luma: fancy, as libjpeg does it, or replicate, by repeating "
        "pixels (default: fancy)",
    )
    group.add_argument(
        "--layout", choices=("CHW", "HWC"), help="channels first (CHW) or channels last (HWC) (default: CHW)"
    )
    group.add_argument("--dtype", choices=dtypes, help="type of the values (default: float32)")
    group.add_argument(
        "--statistics",
        metavar="FILE",
        help="normalize each channel by (value - mean) / std: a JSON file that `jpegfreq stats` wrote, measured at the "
        'same size, or "dctnet", the published numbers of that network, whose std is that of per-image means and far '
        "too small for other networks",
    )


def format_from(arguments: argparse.Namespace) -> TensorFormat:
    """Build the TensorFormat that the options describe; int16 is a way to store float32.

    Raises:
        CommandError: an option has a wrong value.
    """
    try:
        channels = _selection("all" if arguments.channels is None else arguments.channels)
        if arguments.order:
            channels = channels.ordered(arguments.order)
        statistics = _statistics(arguments.statistics)
        if arguments.dtype == "int8" and statistics is None:
            raise CommandError("--dtype int8 needs --statistics FILE, which say how large each channel's steps must be")
        return TensorFormat(
            channels=channels,
            chroma=arguments.chroma or "fancy",
            layout=arguments.layout or "CHW",
            dtype="float32" if arguments.dtype in (None, "int16") else arguments.dtype,
            statistics=statistics,
            steps=statistics.int8_steps() if arguments.dtype == "int8" and statistics is not None else None,
        )
    except (ValueError, KeyError, OSError) as error:
        raise CommandError(reason_of(error)) from error


# The options of add_format_arguments, and those of add_view_arguments except --threads.
FORMAT_OPTIONS = ("channels", "order", "chroma", "layout", "dtype", "statistics")
VIEW_OPTIONS = ("size", "shorter_side", "filter", "apply_orientation")


def refuse_unused(arguments: argparse.Namespace, names: Sequence[str], reason: str) -> None:
    """Refuse options that were given and would have no effect.

    Args:
        arguments: the parsed arguments; an option that was not given is None or False.
        names: of the options that would have no effect.
        reason: why.

    Raises:
        CommandError: at least one of them was given.
    """
    given = [name for name in names if getattr(arguments, name) is not None and getattr(arguments, name) is not False]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise CommandError(f"{options} would have no effect: {reason}")


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the part of each image that becomes a tensor, and the threads that make it."""
    parser.add_argument(
        "--size", type=int, metavar="PIXELS",
        help="height and width of the crop; the tensor's grid is an eighth of it, rounded up "
        f"(default: {DEFAULT_SIZE})",
    )  # fmt: skip
    parser.add_argument(
        "--shorter-side", type=int, metavar="PIXELS",
        help="length to which the shorter side is resized before the centre is cropped "
        "(default: 8/7 of the size, such as 512 for 448)",
    )  # fmt: skip
    parser.add_argument("--filter", choices=FILTERS, help="the filter of the resize (default: bilinear)")
    parser.add_argument(
        "--apply-orientation", action="store_true", help="first turn images upright as their EXIF orientation says"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the work is done."""
    parser.add_argument(
        "--engine", choices=("threads", "ray"), default="threads",
        help="do the work in threads of this process or in tasks of Ray Data (default: threads)",
    )  # fmt: skip
    parser.add_argument(
        "--address", metavar="ADDRESS",
        help='with --engine ray, the cluster: "host:port" or "auto" (default: start Ray on this machine)',
    )  # fmt: skip


def check_engine(arguments: argparse.Namespace) -> None:
    """Refuse --address without --engine ray.

    Raises:
        CommandError: it was given.
    """
    if arguments.address is not None and arguments.engine != "ray":
        raise CommandError("--address names a Ray cluster: it goes with --engine ray")


def view_from(arguments: argparse.Namespace) -> EvaluationView:
    """Build the view that the options describe.

    Raises:
        CommandError: an option has a wrong value.
    """
    size = DEFAULT_SIZE if arguments.size is None else arguments.size
    shorter_side = round(size * 8 / 7) if arguments.shorter_side is None else arguments.shorter_side
    if size < 1:
        raise CommandError(f"--size must be at least 1, not {size}")
    if shorter_side < size:
        raise CommandError(f"--shorter-side {shorter_side} must not be below --size {size}")
    filter: Filter = arguments.filter or "bilinear"
    return EvaluationView((size, size), shorter_side, filter, apply_orientation=arguments.apply_orientation)


def add_any_statistics(parser: argparse._ActionsContainer) -> None:
    """Declare the option that makes `check_statistics` unnecessary."""
    parser.add_argument(
        "--any-statistics", action="store_true", help="accept --statistics that were measured at another size"
    )


def check_statistics(statistics: str | None, view: EvaluationView) -> None:
    """Refuse a statistics file that was measured at another size, or on other parts of the images, than are read.

    Args:
        statistics: the value of --statistics; presets and files that do not record a view pass.
        view: the part of each image that is read.

    Raises:
        CommandError: the views differ.
    """
    if statistics is None or not statistics.endswith(".json"):
        return
    facts = parse_json(read_text(statistics)).get("measured_on")
    names = EvaluationView.field_names()
    if not isinstance(facts, dict) or not {"size", "shorter_side"} <= set(facts):
        return
    try:
        # What a file does not record has its default.
        measured = EvaluationView.from_dict(
            {name: facts.get(name, getattr(EvaluationView, name, None)) for name in names}
        )
    except ValueError as error:
        raise CommandError(f"--statistics {statistics}: measured_on is damaged: {error}") from error
    if measured != view:
        raise CommandError(
            f"--statistics {statistics} was measured on other parts of the images ({measured}) than are read now "
            f"({view}): measure again with the same options, or add --any-statistics to use it nevertheless"
        )


def threads_from(arguments: argparse.Namespace) -> int:
    """Return how many threads to use.

    Raises:
        CommandError: --threads is less than 1.
    """
    if arguments.threads is None:
        return usable_cores()
    if arguments.threads < 1:
        raise CommandError(f"--threads must be 1 or more, not {arguments.threads}")
    return int(arguments.threads)


def _selection(text: str) -> ChannelSelection:
    if text.startswith("dct"):
        return ChannelSelection.of(text.removeprefix("dct"))
    if text.endswith(".json"):
        with _named(text):
            return ChannelSelection.from_json(read_text(text))
    if text.startswith("zigzag:"):
        return ChannelSelection.zigzag(*(int(count) for count in text.removeprefix("zigzag:").split(",")))
    if "," in text:
        return ChannelSelection(tuple(int(channel) for channel in text.split(",")))
    return ChannelSelection.of(text)


def _statistics(text: str | None) -> ChannelStatistics | None:
    if text is None:
        return None
    if text.endswith(".json"):
        return ChannelStatistics.load(text)
    preset = ChannelStatistics.preset(text)
    print(
        f'warning: the std of "{text}" is that of per-image means, far below that of coefficients. It reproduces that '
        "network's own input; for any other network, measure with `jpegfreq stats`",
        file=sys.stderr,
    )
    return preset


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Name the file in errors about its text."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
