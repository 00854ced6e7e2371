"""`jpegfreq verify`: compare every coefficient of the user's own files with what other readers find."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.report.verify import Entry, Verification

SUMMARY = "compare every coefficient of your own files with other readers"
DESCRIPTION = """\
Check that jpegfreq is exact on your own files. Every quantized coefficient is compared
with what each installed reader finds: libjpeg (Pillow's and the system's), jpeglib,
and jpeg2dct where it does not encode the image again. The inverse DCT is compared
with the planes that PyTurboJPEG decodes, within one level.

The exit code is 0 if every file was read and nothing differs, and 1 otherwise.

examples:
  jpegfreq verify photos/
  # 500 files of a large folder, every kind in its share
  jpegfreq verify photos/ --images 500 --json verify.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE",
        help="folders of JPEG files, .tar shards or folders of them, .txt lists, or files",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=positive, metavar="N", help="compare at most N files, evenly spread (default: all)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Compare the files and print what differs; return 1 unless everything is equal."""
    from rich.console import Console

    from jpegfreq._files import reason_of, write_whole
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._outputs import check_outputs
    from jpegfreq.cli._progress import message_console, speed_bar
    from jpegfreq.report.readers import coefficient_readers, plane_reader
    from jpegfreq.report.sampling import Files
    from jpegfreq.report.verify import verify

    check_outputs(arguments.json, inputs=arguments.inputs)
    try:
        files = Files(arguments.inputs)
    except (ValueError, OSError) as error:
        raise CommandError(reason_of(error)) from error
    readers, planes = list(coefficient_readers()), plane_reader()
    if not readers and planes is None:
        raise CommandError(
            "there is nothing to compare with: install Pillow (pip install pillow), jpeglib, jpeg2dct or PyTurboJPEG"
        )
    count = min(arguments.images or len(files), len(files))
    indices = [n * len(files) // count for n in range(count)]
    messages = message_console()
    for text in files.left_out:
        messages.print(text)
    try:
        with speed_bar(messages, "comparing", count) as advance:
            found = verify(files, indices, readers, planes, advance)
    finally:
        for reader in readers:
            reader.close()
    if arguments.json:
        write_whole(arguments.json, json.dumps(found.to_dict(), indent=1) + "\n")
    _print(Console(highlight=False), found)
    return 0 if found.is_exact else 1


def _print(console: Console, found: Verification) -> None:
    from rich.table import Table

    from jpegfreq._files import printable

    table = Table(box=None, pad_edge=False, title=counted(found.files, "file"), title_justify="left")
    table.add_column("reader")
    for heading in ("equal", "different", "not read"):
        table.add_column(heading, justify="right")
    for name in found.readers:
        equal, different, not_read = found.count(name)
        label, style = (f"{name} (read)", None) if name == "jpegfreq" else (name, "red" if different else "green")
        table.add_row(label, f"{equal:,}", "" if name == "jpegfreq" else f"{different:,}", f"{not_read:,}", style=style)
    console.print(table)
    for entry in found.different:
        text = printable(f"different: {entry.file}: {entry.reader}: {entry.message}")
        console.print(text, style="red", markup=False)
    for (reader, message), entries in _grouped(found.not_read).items():
        others = len(entries) - 1
        more = f" and {counted(others, 'more file')}" if others else ""
        text = printable(f"not read by {reader}: {entries[0].file}{more}: {message}")
        console.print(text, style="yellow", markup=False)
    if found.is_exact:
        console.print("Everything that another reader reads is equal.", style="bold green")


def _grouped(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Put together what one reader says of several files."""
    groups: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.reader, entry.message].append(entry)
    return groups
