"""The command line: `jpegfreq COMMAND ...`, one module a command."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import jpegfreq

# Each module has SUMMARY, DESCRIPTION, add_arguments(parser) and run(arguments) -> exit code, and imports what it needs
# only when it runs.
COMMANDS = (
    "inspect",
    "decode",
    "show",
    "stats",
    "convert",
    "profile",
    "train",
    "dense",
    "heatmap",
    "select",
    "predict",
    "compare",
)

_EPILOG = """\
examples:
  jpegfreq inspect photo.jpg                     what is in the file
  jpegfreq decode photos/ --out tensors/         a frequency tensor for each picture
  jpegfreq show photo.jpg --out picture.png      the 192 channels as a picture
  jpegfreq stats photos/ --out stats.json        mean and deviation of each channel
  jpegfreq convert photos/ --size 448 --statistics stats.json --out store/   a data set of fixed-size tensors
  jpegfreq predict runs/dct24 photo.jpg          what a trained network sees in it
  jpegfreq dense segmentation train/ --validation val/ --out runs/masks   boxes, instances or masks
  jpegfreq profile photos/                       how much decode time your own files save
  jpegfreq heatmap runs/gated photos/ --out heat.json   how often a gate uses each channel
  jpegfreq select heat.json -k 24 --out learned24.json  the channels that matter most
  jpegfreq compare runs/* --data photos/val      trained models side by side
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments behind the program's name; None for those of this process.

    Returns:
        Exit code: 0, 1 where some files failed, 2 where the command could not begin, 130 where it was interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="jpegfreq",
        description="JPEG files as their DCT coefficients: look inside, decode to frequency tensors, no pixel decode.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jpegfreq {jpegfreq.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: importlib.import_module(f"jpegfreq.cli.{name}") for name in COMMANDS}
    for name, module in modules.items():
        command = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
    arguments = parser.parse_args(argv)
    try:
        code: int = modules[arguments.command].run(arguments)
    except CommandError as error:
        print(f"jpegfreq {arguments.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `jpegfreq inspect ... | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


class CommandError(Exception):
    """A command cannot begin; the text says why, to the user."""
