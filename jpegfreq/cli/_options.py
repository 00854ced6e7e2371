"""Arguments that several commands share: input files, and the fields of a TensorFormat."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq.batch import usable_cores
from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import CommandError
from jpegfreq.format import TensorFormat
from jpegfreq.statistics import ChannelStatistics
from jpegfreq.store import View

if TYPE_CHECKING:
    from rich.console import Console

_SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"}


@dataclass(frozen=True)
class Input:
    """A file to read, and its name below what the inputs have in common."""

    path: Path
    name: str


def find_inputs(arguments: Sequence[str]) -> list[Input]:
    """The files named, and the JPEG files below the folders named, in order, each once.

    Raises:
        CommandError: a name does not exist, or there is no JPEG file at all.
    """
    files: list[Path] = []
    roots: list[Path] = []
    for argument in map(Path, arguments):
        if argument.is_dir():
            files += sorted(p for p in _files_below(argument) if p.suffix.lower() in _SUFFIXES and p.is_file())
            roots.append(argument.absolute())
        elif argument.exists():
            files.append(argument)
            roots.append(argument.absolute().parent)
        else:
            raise CommandError(f"{argument}: no such file or folder")
    if not files:
        raise CommandError(f"no JPEG files ({', '.join(sorted(_SUFFIXES))}) in {', '.join(map(str, arguments))}")
    root = os.path.commonpath(roots)
    named = {path.absolute(): Input(path, path.absolute().relative_to(root).as_posix()) for path in files}
    return list(named.values())


def _files_below(folder: Path) -> Iterator[Path]:
    """What lies below a folder and is none itself; links to folders are followed, but not back to where they lie."""
    for here, folders, files in os.walk(folder, followlinks=True):
        above = {os.path.realpath(parent) for parent in (Path(here), *Path(here).parents) if parent != parent.parent}
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(here, name)) not in above]
        yield from (Path(here, name) for name in files)


def positive(text: str) -> int:
    """A number of things, as an argument's type.

    Raises:
        argparse.ArgumentTypeError: it is less than one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of 1 or more is wanted, not {text}")
    return int(text)


def add_format_arguments(
    parser: argparse.ArgumentParser,
    *,
    channels: str = "--channels",
    chromas: Sequence[str] = ("fancy", "replicate", "nearest", "bilinear"),
    dtypes: Sequence[str] = ("float32", "float16"),
) -> None:
    """The fields of a TensorFormat as options.

    Args:
        parser: where to add them.
        channels: the option's name for the channels.
        chromas: the chroma modes that the command knows.
        dtypes: what it can write.
    """
    group = parser.add_argument_group("what the tensor holds")
    group.add_argument(
        channels,
        dest="channels",
        metavar="CHANNELS",
        help='"all" (192); a preset: 6, 24, 32, 48, 64 (or dct24); "zigzag:14,5,5", the lowest frequencies of '
        "Y, Cb, Cr; channel numbers 64 * component + 8 * v + u, as in 0,1,8,64,128; or a JSON file of a "
        "ChannelSelection (default: all)",
    )
    group.add_argument(
        "--order", choices=("raster", "zigzag"), help="sort the channels of each component so (default: as chosen)"
    )
    group.add_argument(
        "--chroma",
        choices=chromas,
        help="how chroma reaches the luma grid: fancy, as libjpeg upsamples it, or replicate, by pixel replication"
        + ("; or by enlarging the block grid" if "nearest" in chromas else "")
        + " (default: fancy)",
    )
    group.add_argument("--layout", choices=("CHW", "HWC"), help="default: CHW")
    group.add_argument("--dtype", choices=dtypes, help="default: float32")
    group.add_argument(
        "--statistics",
        metavar="FILE",
        help="normalize each channel, (value - mean) / std: a JSON file of `jpegfreq stats` at the same size, or "
        '"dctnet", the numbers of that network\'s code, whose std is that of per-image means and far too small',
    )


def format_from(arguments: argparse.Namespace) -> TensorFormat:
    """The TensorFormat that the options describe; int16 is a way to store float32.

    Raises:
        CommandError: one of them is wrong.
    """
    try:
        channels = _selection("all" if arguments.channels is None else arguments.channels)
        if arguments.order:
            channels = channels.ordered(arguments.order)
        return TensorFormat(
            channels=channels,
            chroma=arguments.chroma or "fancy",
            layout=arguments.layout or "CHW",
            dtype="float32" if arguments.dtype in (None, "int16") else arguments.dtype,
            statistics=_statistics(arguments.statistics),
        )
    except (ValueError, KeyError, OSError) as error:
        raise CommandError(str(error)) from error


# Of what add_format_arguments adds, and of what add_view_arguments does, all but --threads.
FORMAT_OPTIONS = ("channels", "order", "chroma", "layout", "dtype", "statistics")
VIEW_OPTIONS = ("size", "shorter_side", "apply_orientation")


def refuse_unused(arguments: argparse.Namespace, names: Sequence[str], reason: str, **spelled: str) -> None:
    """Refuse options that were given and would have no effect.

    Args:
        arguments: what was given; the rest is None or False.
        names: of the options that nothing uses.
        reason: why.
        spelled: options whose names say otherwise: `channels="format"`.

    Raises:
        CommandError: there is one.
    """
    given = [name for name in names if getattr(arguments, name) is not None and getattr(arguments, name) is not False]
    if given:
        options = ", ".join("--" + spelled.get(name, name).replace("_", "-") for name in given)
        raise CommandError(f"{options} would have no effect: {reason}")


def add_view_arguments(parser: argparse.ArgumentParser, *, size: int) -> None:
    """The part of each image that becomes a tensor, and the threads that make it."""
    parser.add_argument(
        "--size", type=int, metavar="PIXELS",
        help=f"height and width of the crop, a multiple of 8; the tensor's grid is an eighth of it (default: {size})",
    )  # fmt: skip
    parser.add_argument(
        "--shorter-side", type=int, metavar="PIXELS",
        help="what the shorter side is resized to before the centre crop (default: 8/7 of the size, 256 for 224)",
    )  # fmt: skip
    parser.add_argument(
        "--apply-orientation", action="store_true", help="turn images upright first, as their EXIF orientation says"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: one for each core")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the work is done."""
    parser.add_argument(
        "--engine", choices=("threads", "ray"), default="threads",
        help="threads of this process, or tasks of Ray Data (default: threads)",
    )  # fmt: skip
    parser.add_argument(
        "--address", metavar="ADDRESS",
        help='with --engine ray, a cluster: "host:port" or "auto" (default: a Ray of its own on this machine)',
    )  # fmt: skip


def check_engine(arguments: argparse.Namespace) -> None:
    """Refuse an address that nothing would use.

    Raises:
        CommandError: there is one without Ray.
    """
    if arguments.address is not None and arguments.engine != "ray":
        raise CommandError("--address is where a Ray cluster is: it goes with --engine ray")


def view_from(arguments: argparse.Namespace, *, size: int) -> View:
    """The View that the options describe, of this size where they name none.

    Raises:
        CommandError: one of them is wrong.
    """
    size = size if arguments.size is None else arguments.size
    shorter_side = round(size * 8 / 7) if arguments.shorter_side is None else arguments.shorter_side
    try:
        return View(size, shorter_side, arguments.apply_orientation)
    except ValueError as error:
        raise CommandError(str(error)) from error


def threads_from(arguments: argparse.Namespace) -> int:
    """How many threads to use.

    Raises:
        CommandError: fewer than one.
    """
    if arguments.threads is None:
        return usable_cores()
    if arguments.threads < 1:
        raise CommandError("--threads must be 1 or more")
    return int(arguments.threads)


def images_below(folder: Path, console: Console) -> list[Input]:
    """The JPEG files below a folder; a line on the console says how many others are left out.

    Raises:
        CommandError: it is no folder, or there are none.
    """
    if not folder.is_dir():
        raise CommandError(f"{folder}: no such folder")
    images = find_inputs([str(folder)])
    others = sum(1 for _ in _files_below(folder)) - len(images)
    if others > 0:
        console.print(f"warning: {others} files without a JPEG suffix ({' '.join(sorted(_SUFFIXES))}) are left out")
    return images


def _selection(text: str) -> ChannelSelection:
    if text.startswith("dct"):
        return ChannelSelection.of(text.removeprefix("dct"))
    if text.endswith(".json"):
        with _named(text):
            return ChannelSelection.from_json(Path(text).read_text(encoding="utf-8"))
    if text.startswith("zigzag:"):
        return ChannelSelection.zigzag(*(int(count) for count in text.removeprefix("zigzag:").split(",")))
    if "," in text:
        return ChannelSelection(tuple(int(channel) for channel in text.split(",")))
    return ChannelSelection.of(text)


def _statistics(text: str | None) -> ChannelStatistics | None:
    if text is None:
        return None
    if text.endswith(".json"):
        with _named(text):
            return ChannelStatistics.load(text)
    preset = ChannelStatistics.preset(text)
    print(
        f'warning: the std of "{text}" is that of per-image means, far below that of coefficients: it gives '
        "that network's own input; to train another, measure with `jpegfreq stats`",
        file=sys.stderr,
    )
    return preset


@contextmanager
def _named(path: str) -> Iterator[None]:
    """What is wrong with a file's text is said with its name."""
    try:
        yield
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
