"""`jpegfreq convert`: convert a folder of images to a store of fixed-size tensors."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._extras import needs_extra
from jpegfreq._words import counted, verb

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.store.plan import ShardPlan

SUMMARY = "convert a data set to fixed-size tensors (.npy shards and a manifest)"
DESCRIPTION = """\
Convert the JPEG files of a folder to tensors of one size. The shorter side of each
image is resized, then the centre is cropped. The store holds OUT/shards/*.npy and
OUT/manifest.json with the format, the names, sizes and XXH3 hashes of the files, and
the labels (the first folder of each name). Read it with jpegfreq.store.StoredDataset.

Run the same command again after an interruption: complete shards are kept, and the
store becomes the same, byte for byte, as without the interruption. Shards whose files
were edited since are made again.

A store holds one crop per image. A network that trains on it sees each crop mirrored
at random, but no other crop. For random crops, train on DIR itself.

--dtype chooses how values are stored. float16 loses at most 2**-11 of each value.
int16 holds steps of 1/16 of a coefficient, so it loses at most 1/32 of a coefficient,
and is read as float32. int8 holds steps that --statistics FILE give each channel, up to
8 standard deviations from its mean, and is read as int8; networks undo the steps.

--engine ray makes each shard a task of Ray Data (pip install 'jpegfreq[ray]'), on this
machine's cores or, with --address, on a cluster whose machines all see DIR and STORE
under the same paths. The store's bytes are the same on processors of the same kind;
with and without AVX2 the last bits of values differ (AVX-512 gives the same as AVX2).

--coefficients stores the quantized coefficients of whole images instead, in HDF5
(pip install 'jpegfreq[storage]'). jpegfreq.store.coefficients.StoredCoefficients returns
any image alone, bit for bit. It is rarely worth it: the store takes 1.3 times the space
of the JPEG files, and reading takes twice the time of decoding a JPEG again. It serves
other programs that need coefficients.

examples:
  jpegfreq convert photos/ --out store/ --channels 24 --size 224
  jpegfreq convert photos/ --out store/ --channels 24 --dtype float16 --statistics stats.json
  # the second of eight machines
  jpegfreq convert photos/ --out /shared/store/ --shard 2/8
  # on a Ray cluster
  jpegfreq convert photos/ --out /shared/store/ --engine ray --address head:6379
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_any_statistics, add_engine_arguments, add_format_arguments, add_view_arguments

    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of JPEG files")
    parser.add_argument("--out", required=True, type=Path, metavar="STORE", help="the folder of the store")
    parser.add_argument(
        "--shard", type=_part, default=(1, 1), metavar="I/N",
        help="convert part I of N; the machine that completes the store writes the manifest",
    )  # fmt: skip
    parser.add_argument(
        "--coefficients", action="store_true", help="store the coefficients of whole images; no other choice applies"
    )
    add_any_statistics(parser)
    add_engine_arguments(parser)
    add_view_arguments(parser)
    add_format_arguments(parser, dtypes=("float32", "float16", "int16", "int8"))


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, not {text!r}")
    return int(part), int(parts)


def run(arguments: argparse.Namespace) -> int:
    """Convert what is missing; return 1 if some files of this part failed."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import check_engine, images_below, threads_from
    from jpegfreq.cli._progress import message_console
    from jpegfreq.store.ray_engine import EngineError

    check_engine(arguments)
    threads, console = threads_from(arguments), message_console()
    prepare = _coefficients if arguments.coefficients else _tensors
    _refuse_what_does_not_apply(arguments)
    names = tuple(image.name for image in images_below(arguments.folder))
    conversion, convert = prepare(arguments, names, threads)
    try:
        return _convert(conversion, convert, arguments, console)
    except (ValueError, EngineError) as error:
        raise CommandError(str(error)) from error


def _refuse_what_does_not_apply(arguments: argparse.Namespace) -> None:
    """Refuse options that --coefficients ignores, and check that its packages are installed."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import FORMAT_OPTIONS, VIEW_OPTIONS, refuse_unused

    if not arguments.coefficients:
        return
    reason = "--coefficients stores whole images as their files hold them"
    refuse_unused(arguments, (*VIEW_OPTIONS, *FORMAT_OPTIONS, "any_statistics"), reason)
    if arguments.engine != "threads":
        raise CommandError("--coefficients works with --engine threads only")
    with needs_extra("--coefficients"):
        import h5py  # noqa: F401
        import hdf5plugin  # noqa: F401


# Converts some shards: takes their numbers and what to call after each batch with its images and bytes.
_Convert = Callable[[list[int], Callable[[int, int], None]], None]


def _tensors(arguments: argparse.Namespace, names: tuple[str, ...], threads: int) -> tuple[ShardPlan, _Convert]:
    """Return the plan of a store of tensors, and what converts its shards."""
    from jpegfreq.cli._options import check_statistics, format_from, view_from
    from jpegfreq.store import Conversion, convert_shards
    from jpegfreq.store.ray_engine import convert_shards_on_ray, ray_session

    format, view = format_from(arguments), view_from(arguments)
    if not arguments.any_statistics:
        check_statistics(arguments.statistics, view)
    conversion = Conversion(arguments.folder, names, format, view, storage=arguments.dtype or "float32")

    def convert(shards: list[int], progress: Callable[[int, int], None]) -> None:
        if arguments.engine == "ray":
            with ray_session(address=arguments.address, cores=threads):
                convert_shards_on_ray(conversion, arguments.out, shards, progress=progress)
        else:
            convert_shards(conversion, arguments.out, shards, threads=threads, progress=progress)

    return conversion, convert


def _coefficients(arguments: argparse.Namespace, names: tuple[str, ...], threads: int) -> tuple[ShardPlan, _Convert]:
    """Return the plan of a store of coefficients, and what converts its shards."""
    from jpegfreq.store.coefficients import CoefficientConversion, convert_coefficients

    conversion = CoefficientConversion(arguments.folder, names)

    def convert(shards: list[int], progress: Callable[[int, int], None]) -> None:
        convert_coefficients(conversion, arguments.out, shards, threads=threads, progress=progress)

    return conversion, convert


def _convert(conversion: ShardPlan, convert: _Convert, arguments: argparse.Namespace, console: Console) -> int:
    """Convert this part's missing shards and report; return 1 if some of its files failed."""
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.store import begin, finish, missing_shards

    (part, parts), out = arguments.shard, arguments.out
    edited = begin(conversion, out, part=part, parts=parts)
    if edited:
        shards_again = f"{counted(edited, 'complete shard')} {verb(edited)} made again"
        console.print(f"{shards_again}: files were edited since, or the shard is gone")
    shards = missing_shards(conversion, out, part=part, parts=parts)
    own = len(conversion.part(part, parts))
    if len(shards) < own:
        there = own - len(shards)
        console.print(f"{there} of {counted(own, 'shard')} {verb(there)} complete already")
    with speed_bar(console, "converting", sum(len(conversion.shard_names(n)) for n in shards)) as advance:
        convert(shards, advance)
    missing, failures = finish(conversion, out, part=part, parts=parts)
    list_failures(console, failures)
    if missing:
        of_parts = sorted({shard % parts + 1 for shard in missing_shards(conversion, out)})
        lacking = ", ".join(f"{other}/{parts}" for other in of_parts)
        console.print(f"{counted(missing, 'shard')} of other parts {verb(missing)} missing (--shard {lacking})")
        console.print(f"the last part to run completes {out}")
    else:
        console.print(_completed(conversion, out))
    return 1 if failures else 0


def _completed(conversion: ShardPlan, out: Path) -> str:
    """Say how many files a complete store holds, of all its parts."""
    count, files = conversion.shard_count, len(conversion.names)
    made = files - sum(len(conversion.record(out, shard).failures) for shard in range(count))
    if not made:
        return f"{out}: nothing was converted: 0 of {counted(files, 'file')} could be read"
    which = counted(files, "file") if made == files else f"{made:,} of {counted(files, 'file')}"
    return f"{out}: complete, {which} in {counted(count, 'shard')} of up to {conversion.images_per_shard}"
