"""`jpegfreq prepare`: rewrite a training set in the form whose random crops decode fastest."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._words import counted, verb

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console

    from jpegfreq.cli._progress import Advance
    from jpegfreq.failures import Failure
    from jpegfreq.sources.tar import Member
    from jpegfreq.store.outputs import FileOutputs, Source
    from jpegfreq.store.prepare import Parts

SUMMARY = "rewrite a training set, without loss, so that random crops decode faster"
DESCRIPTION = """\
Rewrite the JPEG files of a training set with the same coefficients: as baseline
files with the best Huffman tables and a restart marker after every row of MCUs. Such a
file is ordinary JPEG, which every program reads, but jpegfreq can skip the rows above
and below a crop. No pixel changes.

OUT has the same folders and names as DIR. A tar shard becomes a tar shard with the same
members in the same order; members that are not JPEG files stay, byte for byte, and so
does every other file of DIR. So OUT can take the place of DIR. Only an index of byte
offsets in shards, such as an .idx file, must be made again.

Metadata is kept, except for smaller copies of the image, which training does not need;
--thumbnails keeps them, too. Of an MPO file, only the first image is written. A JPEG file
that cannot be written in this way is listed and copied as it is; the next run tries
again, but does not look into a shard again. A damaged shard is listed and not copied.

At the end the command prints the size of OUT, and how much faster random-resized crops
of height 224 x width 224 pixels are, measured on a sample on one core.

Run the same command again after an interruption or after files have changed: a file or
shard is written again only if its source has changed.

examples:
  jpegfreq prepare imagenet/train/ --out prepared/train/
  # a folder of WebDataset's shards
  jpegfreq prepare shards/ --out prepared/
  # is it worth it? Try it with a few images first
  jpegfreq prepare imagenet/train/n01440764/ --out sample/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("source", type=Path, metavar="DIR", help="a folder of JPEG files or tar shards, or one shard")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT", help="the folder of the prepared set")
    parser.add_argument("--threads", type=int, metavar="N", help="number of threads (default: one per core)")
    parser.add_argument("--thumbnails", action="store_true", help="keep smaller copies of the images in their metadata")
    parser.add_argument(
        "--sample", type=positive, default=64, metavar="N",
        help="measure the speed on at most N images, drawn at random, the same ones every time (default: 64)",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Prepare every file and shard that is not current; return 1 if some failed."""
    from jpegfreq._files import check_not_special
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._each_file import report_further_images, resumable, sizes
    from jpegfreq.cli._options import threads_from
    from jpegfreq.cli._outputs import refuse_inside
    from jpegfreq.cli._progress import list_failures, message_console, speed_bar
    from jpegfreq.failures import Failure
    from jpegfreq.store.outputs import FileOutputs
    from jpegfreq.store.prepare import find_parts

    threads, source = threads_from(arguments), arguments.source
    if not source.exists():
        raise CommandError(f"{source}: no such folder or shard")
    check_not_special(source)
    if not source.is_dir() and source.suffix != ".tar":
        raise CommandError(f"{source} is neither a folder nor a .tar shard; jpegfreq transcode takes single files")
    refuse_inside(arguments.out, [source])
    parts = find_parts(source)
    console = message_console()
    if parts.left_out:
        console.print(f"left out of {source}: {parts.left_out}")
    damaged = [Failure.of(str(path), error) for path, error in parts.unreadable.items()]
    if not parts.image_count and not damaged:
        raise CommandError(f"no JPEG files and no shards with JPEG files in {source}")
    inputs = {**parts.images, **parts.others, **parts.shards}
    stamp = {"command": "prepare", "options": {"--thumbnails": arguments.thumbnails}}
    try:
        outputs = FileOutputs(arguments.out, stamp)
        missing = set(outputs.missing(inputs))
    except ValueError as error:
        raise CommandError(str(error)) from error
    wanted, there = len(inputs), len(inputs) - len(missing)
    if there:
        console.print(f"prepared already: {there:,} of {wanted:,} files and shards")
    try:
        outputs.begin()
        total = sum(len(parts.members.get(name, (name,))) for name in missing)
        with resumable(console), speed_bar(console, "preparing", total) as advance:
            work = _Work(parts, missing, outputs, arguments.thumbnails, threads, advance)
            failures = [*work.files(), *work.shards()]
        outputs.finish()
    finally:
        outputs.close()
    failed = {failure.name for failure in failures}
    images = parts.image_count - sum(str(path) in failed for path in parts.images.values()) - work.failed_members
    names = [name for name, path in inputs.items() if str(path) not in failed]
    console.print(
        f"{images} of {counted(parts.image_count, 'image')} {verb(images)} prepared in "
        f"{arguments.out}{sizes(outputs, names)}"
    )
    if parts.others:
        console.print(f"{counted(len(parts.others), 'other file')} {verb(len(parts.others))} copied unchanged")
    report_further_images(console, len(work.further))
    list_failures(console, [*damaged, *failures])
    _print_speed_up(parts, arguments.out, arguments.sample, console)
    return 1 if damaged or failures else 0


class _Work:
    """What is to be done, and how."""

    def __init__(
        self,
        parts: Parts,
        missing: set[str],
        outputs: FileOutputs,
        thumbnails: bool,
        threads: int,
        advance: Advance,
    ) -> None:
        """Keep the arguments: the set, the outputs to make, and where they go."""
        self._parts = parts
        self._missing = missing
        self._outputs = outputs
        self._thumbnails = thumbnails
        self._threads = threads
        self._advance = advance
        self.failed_members = 0
        self.further: list[str] = []

    def files(self) -> list[Failure]:
        """Prepare the JPEG files and copy the others; return those that failed."""
        from jpegfreq.cli._each_file import make_outputs

        paths = {**self._parts.images, **self._parts.others}
        waiting = {name: path for name, path in paths.items() if name in self._missing}
        return make_outputs(waiting, self._outputs, self._make, self._threads, self._advance)

    def _make(self, name: str, path: Path) -> tuple[Source, Any]:
        from jpegfreq.sources.tar import write_changed
        from jpegfreq.store.outputs import describe_source, read_source

        if name in self._parts.others:
            return describe_source(path), self._outputs.prepare(name, lambda file: write_changed(path, (), file.write))
        source, data = read_source(path)
        try:
            content = self._prepare(name, data)
        except (ValueError, MemoryError):
            self._outputs.prepare(name, lambda file: file.write(data))  # not recorded: the next run tries again
            raise
        return source, self._outputs.prepare(name, lambda file: file.write(content))

    def _prepare(self, name: str, data: bytes) -> bytes:
        from jpegfreq.store.prepare import prepare_jpeg
        from jpegfreq.store.transcode import holds_further_images

        content = prepare_jpeg(data, thumbnails=self._thumbnails)
        if holds_further_images(data):
            self.further.append(name)
        return content

    def shards(self) -> list[Failure]:
        """Prepare the shards; return the members and shards that failed."""
        from jpegfreq.cli._each_file import failure_of
        from jpegfreq.store.outputs import describe_source

        failures: list[Failure] = []
        for name, path in self._parts.shards.items():
            if name not in self._missing:
                continue
            try:
                source = describe_source(path)
                self._outputs.commit(name, source, self._write_shard(name, path, failures))
            except (ValueError, OSError, MemoryError) as error:
                failures.append(failure_of(path, error))
        return failures

    def _write_shard(self, name: str, path: Path, failures: list[Failure]) -> int:
        from jpegfreq.sources.tar import write_changed

        with closing(self._contents(name, path, failures)) as contents:
            return self._outputs.prepare(name, lambda file: write_changed(path, contents, file.write))

    def _contents(self, name: str, path: Path, failures: list[Failure]) -> Generator[tuple[Member, bytes], None, None]:
        """Yield the new content of a shard's members; those that fail keep their old one."""
        from jpegfreq.cli._each_file import in_threads
        from jpegfreq.failures import Failure
        from jpegfreq.store.prepare import read_member

        def prepare(member: Member) -> bytes | Failure:
            data = b""
            try:
                data = read_member(path, member)
                if member.size_in_record:
                    raise ValueError("its size is in a pax record: pack the shard again, in the ustar or GNU format")
                return self._prepare(f"{name}/{member.name}", data)
            except (ValueError, OSError, MemoryError) as error:
                return Failure.of(f"{path}/{member.name}", error, data)

        with closing(in_threads(prepare, self._parts.members[name], self._threads)) as calls:
            for member, future in calls:
                content = future.result()
                if isinstance(content, Failure):
                    failures.append(content)
                    self.failed_members += 1
                else:
                    yield member, content
                self._advance(1, member.size_bytes)


def _print_speed_up(parts: Parts, out: Path, count: int, console: Console) -> None:
    from jpegfreq.store.prepare import CROP, crop_speed_up, sample_pairs

    pairs = sample_pairs(parts, out, count)
    if not pairs:
        return
    with console.status("measuring the speed of random crops"):
        speed_up = crop_speed_up(pairs)
    images = counted(len(pairs), "image")
    console.print(
        f"random-resized crops of height {CROP[0]} x width {CROP[1]} pixels: {speed_up:.2f} times as fast as those of "
        f"the originals ({images}, CPU time of one core)"
    )
