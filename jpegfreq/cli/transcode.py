"""`jpegfreq transcode`: turn, crop and rewrite JPEG files without loss."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._words import counted, verb

if TYPE_CHECKING:
    from jpegfreq.store.outputs import Source
    from jpegfreq.store.transcode import Transcoding

SUMMARY = "turn, crop and rewrite JPEG files without loss"
DESCRIPTION = """\
Rewrite JPEG files from their coefficients, without decoding pixels: nothing is
quantized twice, and nothing is lost. OUT/NAME is the file's name below the folder that
all inputs share. Without options, files get the Huffman tables that fit them best,
which makes them smaller.

Edits are made in this order: --upright, then --rotate, --flip or --transpose, then
--crop, in pixels of the turned image, then --grey.

The last MCUs of an image, squares or rectangles of 8 to 32 pixels, may lie only partly
in it. A mirrored image cannot begin with one of them. By default they stay in their
place unmirrored, as with jpegtran; --trim drops them, and --perfect refuses the file.
A crop that begins inside an MCU likewise begins with it; with --trim it begins after
it, and --perfect refuses it.

Segments such as EXIF and ICC profiles are kept, and --upright sets the orientation in
them to 1. Thumbnails are kept as they are, so after an edit they show the old image;
--strip drops them, like all metadata except what decoding needs and the orientation. Of an
MPO file, which holds several images, only the first one is written.

Run the same command again after an interruption or after files have changed: a file is
written again only if its source has changed. OUT/format.json holds the options, and
OUT/manifest.jsonl the source of each file. An input is never overwritten.

examples:
  # smaller files with the same pixels
  jpegfreq transcode photos/ --out smaller/
  # as the camera was held, with nothing about the camera
  jpegfreq transcode photos/ --out upright/ --upright --strip
  # the top left quarter of one photo of height 768 x width 1024, for the web
  jpegfreq transcode photo.jpg --out web/ --crop 0,0,384,512 --progressive
"""


# What decides, besides its source, what a file holds.
_OPTIONS = (
    "upright", "rotate", "flip", "transpose", "crop", "grey", "perfect", "trim", "baseline", "progressive", "optimize",
    "restart_rows", "strip",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", nargs="+", metavar="DIR|FILE", help="folders of JPEG files, or files")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="the folder of the new files")
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")
    edits = parser.add_argument_group("what the new image shows")
    edits.add_argument("--upright", action="store_true", help="turn each image as its EXIF orientation says")
    turn = edits.add_mutually_exclusive_group()
    turn.add_argument("--rotate", type=int, choices=(90, 180, 270), help="turn images clockwise by so many degrees")
    turn.add_argument(
        "--flip", choices=("horizontal", "vertical"), help="mirror images left to right, or top to bottom"
    )
    turn.add_argument("--transpose", action="store_true", help="exchange rows and columns")
    edits.add_argument(
        "--crop", type=_box, metavar="TOP,LEFT,HEIGHT,WIDTH", help="cut out this box, in pixels of the turned image"
    )
    edits.add_argument("--grey", action="store_true", help="keep only the luma of YCbCr images")
    edge = edits.add_mutually_exclusive_group()
    edge.add_argument("--perfect", action="store_true", help="refuse files whose edge would be left or made larger")
    edge.add_argument("--trim", action="store_true", help="drop MCUs that cannot be mirrored or begin before the crop")
    form = parser.add_argument_group("how it is written")
    process = form.add_mutually_exclusive_group()
    process.add_argument("--baseline", action="store_true", help="as baseline files, which every decoder reads")
    process.add_argument("--progressive", action="store_true", help="as progressive files, usually the smallest")
    form.add_argument(
        "--optimize", action=argparse.BooleanOptionalAction, default=True,
        help="with the best Huffman tables for each file, or with those of T.81 K.3 (default: the best)",
    )  # fmt: skip
    form.add_argument(
        "--restart-rows", type=_rows, metavar="N",
        help="with a restart marker after every N rows of MCUs; 0 for none (default: as the source)",
    )  # fmt: skip
    form.add_argument(
        "--strip", action="store_true", help="without metadata, except what decoding needs and the orientation"
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Transcode every file that is not current; return 1 if some failed."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._each_file import make_missing, report_further_images, sizes
    from jpegfreq.cli._options import find_inputs, threads_from
    from jpegfreq.cli._outputs import refuse_inside
    from jpegfreq.cli._progress import list_failures, message_console
    from jpegfreq.store.outputs import FileOutputs, read_source
    from jpegfreq.store.transcode import holds_further_images

    if arguments.progressive and not arguments.optimize:
        raise CommandError("--no-optimize goes with sequential files: T.81 K.3 has no tables for --progressive")
    options, threads = _transcoding(arguments), threads_from(arguments)
    inputs = {item.name: item.path for item in find_inputs(arguments.inputs)}
    refuse_inside(arguments.out, arguments.inputs)
    stamp = {f"--{name.replace('_', '-')}": getattr(arguments, name) for name in _OPTIONS}
    try:
        outputs = FileOutputs(arguments.out, {"command": "transcode", "options": stamp})
        missing = outputs.missing(inputs)
    except ValueError as error:
        raise CommandError(str(error)) from error

    further: list[str] = []

    def transcode(name: str, path: Path) -> tuple[Source, Any]:
        source, data = read_source(path)
        written = options.apply(data)
        if holds_further_images(data):
            further.append(name)
        return source, outputs.prepare(name, lambda file: file.write(written))

    console = message_console()
    failures = make_missing(console, ("transcoding", "transcoded"), inputs, missing, outputs, transcode, threads)
    made = len(inputs) - len(failures)
    done = f"{made} of {counted(len(inputs), 'file')} {verb(made)} transcoded in {arguments.out}"
    failed = {failure.name for failure in failures}
    console.print(done + sizes(outputs, [name for name, path in inputs.items() if str(path) not in failed]))
    report_further_images(console, len(further))
    list_failures(console, failures)
    return 1 if failures else 0


def _transcoding(arguments: argparse.Namespace) -> Transcoding:
    from jpegfreq.store.transcode import Transcoding

    crop = None if arguments.crop is None else [int(part) for part in arguments.crop.split(",")]
    turn = None
    if arguments.rotate is not None:
        turn = f"rotate {arguments.rotate}"
    elif arguments.flip is not None:
        turn = f"flip {arguments.flip}"
    elif arguments.transpose:
        turn = "transpose"
    return Transcoding(
        upright=arguments.upright,
        turn=turn,
        crop=None if crop is None else (crop[0], crop[1], crop[2], crop[3]),
        grey=arguments.grey,
        edge="refuse" if arguments.perfect else "trim" if arguments.trim else "keep",
        process="baseline" if arguments.baseline else "progressive" if arguments.progressive else "keep",
        optimize=arguments.optimize,
        restart_rows=arguments.restart_rows,
        strip=arguments.strip,
    )


def _box(text: str) -> str:
    parts = text.split(",")
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"must be TOP,LEFT,HEIGHT,WIDTH in whole pixels, not {text!r}")
    if max(map(len, parts)) > 9 or min(map(int, parts[2:])) < 1:
        raise argparse.ArgumentTypeError(f"must be a box inside an image, of at least 1 x 1 pixel, not {text!r}")
    return text


def _rows(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a number of MCU rows from 0 to 65535, not {text!r}")
    return int(text)
