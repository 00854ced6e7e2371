"""Arguments that several commands share: input files, and the fields of a TensorFormat."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import CommandError
from jpegfreq.format import TensorFormat
from jpegfreq.statistics import ChannelStatistics

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
            files += sorted(path for path in argument.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
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


def add_format_arguments(parser: argparse.ArgumentParser) -> None:
    """The fields of a TensorFormat as options."""
    group = parser.add_argument_group("what the tensor holds")
    group.add_argument(
        "--channels",
        default="all",
        metavar="CHANNELS",
        help='"all" (192); a preset: 6, 24, 32, 48, 64; "zigzag:14,5,5", the lowest frequencies of Y, Cb, Cr; channel '
        "numbers 64 * component + 8 * v + u, as in 0,1,8,64,128; or a JSON file of a ChannelSelection (default: all)",
    )
    group.add_argument(
        "--order", choices=("raster", "zigzag"), help="sort the channels of each component so (default: as chosen)"
    )
    group.add_argument(
        "--chroma",
        choices=("fancy", "replicate", "nearest", "bilinear"),
        default="fancy",
        help="how chroma reaches the luma grid: as libjpeg upsamples it, by pixel replication, or by enlarging the "
        "block grid (default: fancy)",
    )
    group.add_argument("--layout", choices=("CHW", "HWC"), default="CHW", help="default: CHW")
    group.add_argument("--dtype", choices=("float32", "float16"), default="float32", help="default: float32")
    group.add_argument(
        "--statistics",
        metavar="FILE",
        help='normalize each channel, (value - mean) / std: a JSON file of ChannelStatistics, or the preset "dctnet"',
    )


def format_from(arguments: argparse.Namespace) -> TensorFormat:
    """The TensorFormat that the options describe.

    Raises:
        CommandError: one of them is wrong.
    """
    try:
        channels = _selection(arguments.channels)
        if arguments.order:
            channels = channels.ordered(arguments.order)
        return TensorFormat(
            channels=channels,
            chroma=arguments.chroma,
            layout=arguments.layout,
            dtype=arguments.dtype,
            statistics=_statistics(arguments.statistics),
        )
    except (ValueError, KeyError, OSError) as error:
        raise CommandError(str(error)) from error


def _selection(text: str) -> ChannelSelection:
    if text.endswith(".json"):
        return ChannelSelection.from_json(Path(text).read_text(encoding="utf-8"))
    if text.startswith("zigzag:"):
        return ChannelSelection.zigzag(*(int(count) for count in text.removeprefix("zigzag:").split(",")))
    if "," in text:
        return ChannelSelection(tuple(int(channel) for channel in text.split(",")))
    return ChannelSelection.of(text)


def _statistics(text: str | None) -> ChannelStatistics | None:
    if text is None:
        return None
    return ChannelStatistics.load(text) if text.endswith(".json") else ChannelStatistics.preset(text)
