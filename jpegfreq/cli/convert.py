"""`jpegfreq convert`: a folder of pictures to a store of fixed-size tensors."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from jpegfreq.store import View

SUMMARY = "convert a data set to fixed-size tensors (.npy shards and a manifest)"
DESCRIPTION = """\
Convert the JPEG files of a folder to tensors of one size (shorter side resized, centre
cropped): OUT/shards/*.npy, and OUT/manifest.json with the format, file names, sizes and
hashes, and labels (the first folder of each name). Read it with jpegfreq.store.StoredDataset.
Run the same command again after an interruption: what is complete is kept, and the store
becomes the one that an uninterrupted run makes, byte for byte. Shards whose files were edited
since they were made are made again.

A store holds one crop of each image. A network that trains on it sees each mirrored by chance and
never cropped otherwise: for random crops, train on DIR itself.

--dtype says how values are stored. float16 loses at most 2**-11 of each value; int16, in
steps of 1/16 of a coefficient, at most 1/32 of a coefficient, and is read as float32.

--engine ray makes each shard a task of Ray Data (pip install 'jpegfreq[ray]'): on this machine's
cores, or with --address on a cluster, whose machines all see DIR and STORE under these paths. The
store's bytes are the same, on processors of one kind: with and without AVX2 last bits differ.

--coefficients stores whole images instead, quantized as in their files, in HDF5 (pip install
'jpegfreq[storage]'): any image comes back alone, bit for bit, from
jpegfreq.store.coefficients.StoredCoefficients. Rarely worth it: it takes 1.3 times the JPEG's
space and twice the time of decoding the JPEG again. It serves other programs.

examples:
  jpegfreq convert photos/ --out store/ --format dct24 --size 224
  jpegfreq convert photos/ --out store/ --format dct24 --dtype float16 --statistics stats.json    of --size 224
  jpegfreq convert photos/ --out /shared/store/ --shard 2/8     the second of eight machines
  jpegfreq convert photos/ --out /shared/store/ --engine ray --address head:6379     a Ray cluster
"""


_SIZE = 224  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_engine_arguments, add_format_arguments, add_view_arguments

    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of JPEG files")
    parser.add_argument("--out", required=True, type=Path, metavar="STORE", help="folder for the store")
    parser.add_argument(
        "--shard", type=_part, default=(1, 1), metavar="I/N",
        help="convert the I-th of N parts; the machine that completes the store writes the manifest",
    )  # fmt: skip
    parser.add_argument(
        "--coefficients", action="store_true", help="store whole images' coefficients; nothing else can be chosen then"
    )
    add_engine_arguments(parser)
    add_view_arguments(parser, size=_SIZE)
    add_format_arguments(
        parser, channels="--format", chromas=("fancy", "replicate"), dtypes=("float32", "float16", "int16")
    )


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"must be I/N with I from 1 to N, not {text!r}")
    return int(part), int(parts)


def _print_missing(console: Console, shards: Sequence[int], parts: int) -> None:
    """Which shards a store still lacks, and which parts will make them."""
    lacking = ", ".join(f"{part}/{parts}" for part in sorted({shard % parts + 1 for shard in shards}))
    console.print(f"{len(shards)} shards of other parts are missing (--shard {lacking})")


def _print_edited(console: Console, edited: int) -> None:
    if edited:
        console.print(f"{edited} complete shards are made again: their files were edited since, or they are gone")


def run(arguments: argparse.Namespace) -> int:
    """Convert what is missing; 1 where some files of this part failed."""
    from rich.console import Console

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import check_engine, format_from, images_below, threads_from, view_from
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.store import Conversion, begin, convert_shards, finish, missing_shards
    from jpegfreq.store.ray_engine import EngineError, convert_shards_on_ray, ray_session

    check_engine(arguments)
    threads, (part, parts), out = threads_from(arguments), arguments.shard, arguments.out
    console = Console(stderr=True)
    if arguments.coefficients:
        return _store_coefficients(arguments, console, threads)
    names = tuple(image.name for image in images_below(arguments.folder, console))
    format, view = format_from(arguments), view_from(arguments, size=_SIZE)
    conversion = Conversion(arguments.folder, names, format, view, storage=arguments.dtype or "float32")
    _compare_views(arguments.statistics, view, console)
    try:
        _print_edited(console, begin(conversion, out, part=part, parts=parts))
        shards = missing_shards(conversion, out, part=part, parts=parts)
        own = len(range(part - 1, conversion.shard_count, parts))
        if len(shards) < own:
            console.print(f"{own - len(shards)} of {own} shards are complete already")
        with speed_bar(console, "converting", sum(len(conversion.shard_names(n)) for n in shards)) as advance:
            if arguments.engine == "ray":
                with ray_session(address=arguments.address, cores=threads):
                    convert_shards_on_ray(conversion, out, shards, progress=advance)
            else:
                convert_shards(conversion, out, shards, threads=threads, progress=advance)
        missing, failures = finish(conversion, out, part=part, parts=parts)
    except (OSError, ValueError, EngineError) as error:
        raise CommandError(str(error)) from error
    list_failures(console, failures)
    if missing:
        _print_missing(console, missing_shards(conversion, out), parts)
        console.print(f"the last part to run writes {out}/manifest.json")
    else:
        console.print(f"{out}: complete, {conversion.shard_count} shards of up to {conversion.images_per_shard} images")
    return 1 if failures else 0


def _compare_views(statistics: str | None, view: View, console: Console) -> None:
    """Warn of statistics that `jpegfreq stats` measured on another part of the images than is converted."""
    from jpegfreq.store import View

    if statistics is None or not statistics.endswith(".json"):
        return
    facts = json.loads(Path(statistics).read_text(encoding="utf-8")).get("measured_on")
    if not isinstance(facts, dict) or not {"size", "shorter_side"} <= set(facts):
        return
    measured = View(facts["size"], facts["shorter_side"], facts.get("apply_orientation", False))
    if measured != view:
        console.print(f"warning: {statistics} was measured otherwise ({measured}) than is converted ({view})")


def _store_coefficients(arguments: argparse.Namespace, console: Console, threads: int) -> int:
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import FORMAT_OPTIONS, VIEW_OPTIONS, images_below, refuse_unused
    from jpegfreq.cli._progress import list_failures, speed_bar
    from jpegfreq.store.coefficients import (
        begin_coefficients,
        convert_coefficients,
        failures_in,
        missing_coefficients,
        shard_count,
        shard_names,
    )

    reason = "--coefficients stores whole images as their files hold them"
    refuse_unused(arguments, (*VIEW_OPTIONS, *FORMAT_OPTIONS), reason, channels="format")
    if arguments.engine != "threads":
        raise CommandError("--coefficients knows no other engine than threads")
    (part, parts), out = arguments.shard, arguments.out
    try:
        import h5py  # noqa: F401
        import hdf5plugin  # noqa: F401
    except ImportError as error:
        raise CommandError(f"--coefficients needs HDF5 ({error}): pip install 'jpegfreq[storage]'") from error
    names = tuple(image.name for image in images_below(arguments.folder, console))
    try:
        _print_edited(console, begin_coefficients(arguments.folder, names, out, part=part, parts=parts))
        own = range(part - 1, shard_count(names), parts)
        shards = [n for n in missing_coefficients(out, names) if n in own]
        with speed_bar(console, "converting", sum(len(shard_names(names, n)) for n in shards)) as advance:
            convert_coefficients(arguments.folder, names, out, shards, threads=threads, progress=advance)
        missing, failures = missing_coefficients(out, names), failures_in(out, own)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    list_failures(console, failures)
    if missing:
        _print_missing(console, missing, parts)
    else:
        console.print(f"{out}: complete, {len(names)} files")
    return 1 if failures else 0
