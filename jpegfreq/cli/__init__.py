"""The command line: `jpegfreq COMMAND ...`, one module per command."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence
from types import ModuleType

import jpegfreq
from jpegfreq._extras import MissingExtraError, needs_extra
from jpegfreq._files import printable, reason_of

# Each module has SUMMARY, DESCRIPTION, add_arguments(parser) and run(arguments) -> exit code, and imports what it needs
# only when it runs.
COMMANDS = (
    "inspect",
    "decode",
    "show",
    "stats",
    "convert",
    "transcode",
    "prepare",
    "profile",
    "verify",
    "from-rgb",
    "train",
    "dense",
    "plot",
    "heatmap",
    "select",
    "needs",
    "predict",
    "compare",
)

_EPILOG = """\
examples:
  # what a file contains
  jpegfreq inspect photo.jpg
  # one frequency tensor per image
  jpegfreq decode photos/ --out tensors/
  # a figure of an image's 192 channels
  jpegfreq show photo.jpg --out channels.png
  # mean and standard deviation of each channel
  jpegfreq stats photos/ --out stats.json
  # a data set of fixed-size tensors
  jpegfreq convert photos/ --channels 24 --statistics stats.json --out store/
  # JPEG files turned upright without loss
  jpegfreq transcode photos/ --out upright/ --upright
  # a training set whose random crops decode faster
  jpegfreq prepare photos/ --out prepared/
  # what training input costs today, and with jpegfreq
  jpegfreq profile photos/
  # every coefficient of your own files, compared with other readers
  jpegfreq verify photos/
  # a trained RGB network on frequencies, with the same answers
  jpegfreq from-rgb --network torchvision:resnet50 --weights resnet50.pth --out model/
  # train a classifier, and one with a gate that learns which channels matter
  jpegfreq train photos/train photos/val --out runs/dct24 --channels 24
  jpegfreq train photos/train photos/val --out runs/gated --gate
  # the curves of a run
  jpegfreq plot runs/gated --out gated.html
  # the classes of an image
  jpegfreq predict runs/dct24 photo.jpg
  # how often the gate uses each channel, and the 24 channels that matter most
  jpegfreq heatmap runs/gated photos/val --out heat.json
  jpegfreq select heat.json -k 24 --out learned24.json
  # which channels any trained network needs, without labels
  jpegfreq needs model/ photos/ --channels 24,48 --out needs/
  # trained models side by side
  jpegfreq compare runs/* --data photos/val

`jpegfreq COMMAND --help` explains each command.

exit codes:
  0  everything worked
  1  the command finished, but some files failed; they are listed
  2  the command could not start or could not go on: wrong options, missing
     inputs, or an output that cannot be written, such as on a full disk
  130  interrupted by Ctrl-C
"""


class CommandError(Exception):
    """A command cannot start or go on; the message tells the user why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments after the program's name; None for those of this process.

    Returns:
        Exit code: 0 for success, 1 if some files failed, 2 if the command could not start or its output could not be
        written, 130 if it was interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is not UTF-8 is printed with escapes
            stream.reconfigure(errors="backslashreplace")
    parser, modules, parsers = _parsers()
    words = sys.argv[1:] if argv is None else argv
    arguments, unknown = parser.parse_known_args(words)
    if unknown:  # named with the usage of the command, not with that of all commands
        hint = "" if unknown[0].startswith("-") else "; words that belong to no option must stand before the options"
        parsers[arguments.command].error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    if any(not word or (word.startswith("--") and word.endswith("=") and word.count("=") == 1) for word in words):
        # The current folder would be read or written in the place of an empty path.
        parsers[arguments.command].error("an argument is empty; if it is a variable of the shell, is it set?")
    try:
        with needs_extra(f"jpegfreq {arguments.command}"):
            code: int = modules[arguments.command].run(arguments)
        sys.stdout.flush()
    except (CommandError, MissingExtraError) as error:
        return _stop(arguments.command, str(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `jpegfreq inspect ... | head`: the reader has what it wanted
        _discard_output()
        return 0
    except OSError as error:
        _discard_output()  # standard output may be what could not be written, and Python would try again at its end
        return _stop(arguments.command, reason_of(error))
    return code


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the argument parser of each command by its name, and that of all of them as ""."""
    parser, _, parsers = _parsers()
    return {"": parser, **parsers}


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, ModuleType], dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="jpegfreq",
        description="Read JPEG files as DCT coefficients, without decoding pixels: inspect them, decode them to "
        "frequency tensors, and train networks on these.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"jpegfreq {jpegfreq.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules = {name: importlib.import_module(f"jpegfreq.cli.{name.replace('-', '_')}") for name in COMMANDS}
    parsers = {}
    for name, module in modules.items():
        parsers[name] = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(parsers[name])
    return parser, modules, parsers


def _stop(command: str, message: str) -> int:
    print(f"jpegfreq {command}: " + "\n".join(map(printable, message.splitlines())), file=sys.stderr)
    return 2


def _discard_output() -> None:
    """Send what standard output still holds nowhere."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
