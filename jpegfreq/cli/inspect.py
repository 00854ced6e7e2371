"""`jpegfreq inspect`: show what a JPEG file contains, and sum up the files of a folder."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import printable, reason_of
from jpegfreq._words import counted

if TYPE_CHECKING:
    from collections import Counter

    from rich.console import Console, RenderableType

    from jpegfreq.report.folder import FolderSummary

SUMMARY = "show what a file contains, or sum up the files of a folder"
DESCRIPTION = """\
Show what a JPEG file contains: its header, scans and quantization tables, the quality
setting that these tables correspond to, and how its DCT coefficients are distributed.
For a folder, every file is decoded; the files are counted by process, subsampling,
size and quality, and the damaged ones are listed.

examples:
  jpegfreq inspect photo.jpg
  jpegfreq inspect photos/
  jpegfreq inspect photos/ --each --json | jq '{file, width, height, subsampling}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs", nargs="+", metavar="SOURCE",
        help="JPEG files; or folders of them, .tar shards or folders of shards, .txt lists",
    )  # fmt: skip
    parser.add_argument("--each", action="store_true", help="show every file of a folder by itself, without a sum")
    parser.add_argument(
        "--json", action="store_true",
        help="print JSON: one object for a folder, or one per file, each on its own line",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Print the facts about each file, or about all together; return 1 if a file cannot be read or is damaged."""
    is_sum = any(Path(source).is_dir() or source.endswith((".tar", ".txt")) for source in arguments.inputs)
    if is_sum and not arguments.each:
        return _sum_up(arguments)
    from rich.console import Console
    from rich.text import Text

    from jpegfreq.cli._options import find_inputs
    from jpegfreq.cli._progress import message_console
    from jpegfreq.errors import JpegError

    console, errors = Console(), message_console()
    failures = 0
    for item in find_inputs(arguments.inputs):
        try:
            facts = _facts(item.path)
        except (JpegError, OSError, MemoryError) as error:
            failures += 1
            reason = reason_of(error)
            text = reason if str(item.path) in reason else f"{item.path}: {reason}"
            errors.print(Text(printable(text), "red"))
            continue
        if arguments.json:
            sys.stdout.write(json.dumps(facts) + "\n")
        else:
            console.print(_page(facts))
    return 1 if failures else 0


def _sum_up(arguments: argparse.Namespace) -> int:
    """Read all files, print what they are, and list the failures."""
    from rich.console import Console

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._progress import list_failures, message_console, speed_bar
    from jpegfreq.report.folder import sum_up
    from jpegfreq.report.sampling import Files

    messages = message_console()
    try:
        files = Files(arguments.inputs)
    except (ValueError, OSError) as error:
        raise CommandError(reason_of(error)) from error
    for text in files.left_out:
        messages.print(text)
    with speed_bar(messages, "reading", len(files)) as advance:
        summary = sum_up(files, advance)
    if arguments.json:
        sys.stdout.write(json.dumps(summary.to_dict()) + "\n")
    else:
        _print_summary(Console(highlight=False), summary)
    list_failures(messages, summary.failures)
    return 1 if summary.failures else 0


def _print_summary(console: Console, summary: FolderSummary) -> None:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_row("[cyan]files", f"{summary.files:,}, {summary.size_bytes / 1e6:,.1f} MB")
    units = {"bytes": ("file size", "kB", 1e3), "megapixels": ("image size", "Mpx", 1.0)}
    units |= {"height": ("height", "px", 1.0), "width": ("width", "px", 1.0)}
    for name, (label, unit, scale) in units.items():
        spread = summary.spreads[name]
        if spread is not None:
            low, middle, high = (f"{value / scale:,.4g}" for value in (spread.smallest, spread.median, spread.largest))
            grid.add_row(f"[cyan]{label}", f"median {middle} {unit}, {low} to {high} {unit}")
    for label, counts in (
        ("process", summary.count(0)),
        ("subsampling", summary.count(1)),
        ("class of size", summary.count(2)),
        ("quality", summary.qualities),
    ):
        grid.add_row(f"[cyan]{label}", _counted(counts))
    others = {"restart markers": summary.markers, "turned by EXIF": summary.turned, "12 bits": summary.twelve_bits}
    grid.add_row("[cyan]with", ", ".join(f"{name}: {count:,}" for name, count in others.items()))
    grid.add_row("[cyan]not decoded", _counted(summary.failed) if summary.failures else "0")
    console.print(grid)


_COUNTED = 8  # values that are named; the others are added up


def _counted(counts: Counter[str]) -> str:
    """List the most frequent values and how many files have each."""
    total = max(1, counts.total())
    shown = [f"{name}: {count:,} ({count / total:.0%})" for name, count in counts.most_common(_COUNTED)]
    if len(counts) > _COUNTED:
        rest = counts.most_common()[_COUNTED:]
        shown.append(f"{counted(len(rest), 'other')}: {sum(count for _, count in rest):,}")
    return ", ".join(shown)


def _facts(path: Path) -> dict[str, Any]:
    from jpegfreq.coefficients import read_coefficients
    from jpegfreq.errors import UnsupportedJpegError
    from jpegfreq.report.facts import file_facts
    from jpegfreq.structure import read_structure

    data = path.read_bytes()
    structure = read_structure(data, damage="keep")
    try:
        coefficients = read_coefficients(data, damage="keep")
    except UnsupportedJpegError as error:
        return {**file_facts(str(path), len(data), structure, None), "damage": str(error)}
    return file_facts(str(path), len(data), structure, coefficients)


def _page(facts: dict[str, Any]) -> RenderableType:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    parts: list[RenderableType] = [_summary(facts), _components(facts), _scans(facts), _tables(facts)]
    if facts["damage"]:
        parts.insert(0, Text(f"damaged: {facts['damage']}", "bold red"))
    return Panel(Group(*parts), title=Text(printable(facts["file"]), "bold"), title_align="left", expand=False)


def _summary(facts: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    quality = "unknown"
    if facts["estimated_quality"]:
        quality = f"{facts['estimated_quality']}" + (" (libjpeg's tables exactly)" if facts["quality_is_exact"] else
                                                     " (the nearest; the tables are not libjpeg's)")  # fmt: skip
    rows = {
        "image": f"height {facts['height']} x width {facts['width']} px, {facts['color']}, {facts['subsampling']}, "
        f"{facts['precision']} bits",
        "coding": f"{facts['process']}, {len(facts['scans'])} scan{'s' * (len(facts['scans']) != 1)}"
        + (f", restart every {facts['restart_interval']} MCUs" if facts["restart_interval"] else ""),
        "size": f"{facts['size_bytes']:,} bytes, {facts['bits_per_pixel']} bits per pixel",
        "quality": quality,
    }
    if facts["orientation"] != 1:
        rows["orientation"] = f"EXIF {facts['orientation']}"
    grid = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        grid.add_row(f"[cyan]{name}", value)
    return grid


def _components(facts: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table(title="Components and their quantized coefficients", title_justify="left", box=None, pad_edge=False)
    for heading in (
        "",
        "sampling",
        "blocks, height x width",
        "non-zero per block",
        "flat blocks",
        "frequencies in use",
        "range",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    for component in facts["components"]:
        cells = [
            component["name"],
            "x".join(map(str, component["sampling"])),
            f"{component['blocks'][0]} x {component['blocks'][1]}",
        ]
        if spread := component["coefficients"]:
            cells += [
                f"{spread['nonzero_per_block']:.1f} of 64",
                f"{spread['flat_blocks']:.0%}",
                f"{spread['frequencies_in_use']} of 64",
                f"{spread['smallest']} .. {spread['largest']}",
            ]
        table.add_row(*cells)
    return table


def _scans(facts: dict[str, Any]) -> RenderableType:
    from rich.table import Table

    table = Table(title="Scans", title_justify="left", box=None, pad_edge=False)
    for heading in ("components", "coefficients", "bits", "bytes", "at byte", "Huffman tables"):
        table.add_column(heading, justify="right" if heading in ("bytes", "at byte") else "left")
    for scan in facts["scans"]:
        (first, last), (high, low) = scan["spectral_selection"], scan["successive_approximation"]
        table.add_row(
            " ".join(scan["components"]),
            f"{first}" if first == last else f"{first} to {last}",
            f"{high} to {low}" if high else ("all" if low == 0 else f"down to {low}"),
            f"{scan['data_size_bytes']:,}",
            f"{scan['offset_bytes']:,}",
            ", ".join(scan["huffman_tables"]) or "none",
        )
    return table


def _tables(facts: dict[str, Any]) -> RenderableType:
    from rich.columns import Columns
    from rich.text import Text

    groups: dict[str, list[str]] = {}
    for component in facts["components"]:
        if component["quantization_table"]:
            rows = component["quantization_table"]
            text = "\n".join(" ".join(f"{value:3}" for value in row) for row in rows)
            groups.setdefault(text, []).append(component["name"])
    blocks = [Text(f"quantization of {', '.join(names)}\n{text}") for text, names in groups.items()]
    return Columns(blocks, padding=(1, 4))
