"""`jpegfreq decode`: decode images to one frequency tensor each."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._words import counted, verb

if TYPE_CHECKING:
    from jpegfreq.store.outputs import Source

SUMMARY = "decode images to frequency tensors (.npy files or one .npz)"
DESCRIPTION = """\
Decode JPEG files to frequency tensors: OUT/NAME.npy for each file, or all tensors in
OUT/tensors.npz. NAME is the file's path below the folder that all inputs share.
OUT/format.json describes the tensors; a folder never mixes formats.

Run the same command again after an interruption or after files have changed. A tensor is
kept if its file has the same size and times as before, or the same content; all others
are decoded. A tensor is never replaced by that of another file: decode folders that
contain equal names together, or to different folders.

examples:
  jpegfreq decode photos/ --out tensors/
  jpegfreq decode photos/ --out small/ --channels 24 --dtype float16 --statistics stats.json
  python -c "import numpy; print(numpy.load('tensors/photo.jpg.npy').shape)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_format_arguments

    parser.add_argument("inputs", nargs="+", metavar="DIR|FILE", help="folders of JPEG files, or files")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="the folder of the tensors")
    parser.add_argument(
        "--npz", action="store_true",
        help="write one uncompressed archive, OUT/tensors.npz; another run adds to it and copies it to do so",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")
    parser.add_argument(
        "--damage", choices=("raise", "keep"), default="raise",
        help="what happens to a damaged file: it fails (raise), or it is decoded as far as possible, with zeros for "
        "the rest (keep) (default: raise)",
    )  # fmt: skip
    add_format_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Decode every file whose tensor is not current; return 1 if some failed."""
    from jpegfreq._files import write_npy
    from jpegfreq.assembly.tensor import to_frequency_tensor
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._each_file import make_missing
    from jpegfreq.cli._options import find_inputs, format_from, threads_from
    from jpegfreq.cli._progress import list_failures, message_console
    from jpegfreq.coefficients import read_coefficients
    from jpegfreq.store.outputs import ArchiveOutputs, FileOutputs, read_source

    format, threads, damage = format_from(arguments), threads_from(arguments), arguments.damage
    inputs = {f"{item.name}.npy": item.path for item in find_inputs(arguments.inputs)}
    container = ArchiveOutputs if arguments.npz else FileOutputs
    try:
        outputs = container(arguments.out, {"format": format.to_dict(), "damage": damage})
        missing = outputs.missing(inputs)
    except ValueError as error:
        raise CommandError(str(error)) from error

    def decode(name: str, path: Path) -> tuple[Source, Any]:
        source, data = read_source(path)
        tensor = to_frequency_tensor(read_coefficients(data, damage=damage), format)
        return source, outputs.prepare(name, lambda file: write_npy(file, tensor))

    console = message_console()
    failures = make_missing(console, ("decoding", "decoded"), inputs, missing, outputs, decode, threads)
    made = len(inputs) - len(failures)
    console.print(f"{made} of {counted(len(inputs), 'file')} {verb(made)} decoded in {arguments.out}")
    list_failures(console, failures)
    return 1 if failures else 0
