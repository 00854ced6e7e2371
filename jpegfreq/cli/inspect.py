"""`jpegfreq inspect`: show what a JPEG file contains."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import reason_of

if TYPE_CHECKING:
    from rich.console import RenderableType

SUMMARY = "show a file's header, scans, tables, quality and coefficients"
DESCRIPTION = """\
Show what a JPEG file contains: its header, scans and quantization tables, the quality
setting that these tables correspond to, and how its DCT coefficients are distributed.

examples:
  jpegfreq inspect photo.jpg
  jpegfreq inspect photos/ --json | jq '{file, width, height, subsampling}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", nargs="+", metavar="FILE", help="JPEG files, or folders of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object per file, each on its own line")


def run(arguments: argparse.Namespace) -> int:
    """Print the facts about each file; return 1 if a file cannot be read."""
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
            errors.print(Text(reason if str(item.path) in reason else f"{item.path}: {reason}", "red"))
            continue
        if arguments.json:
            sys.stdout.write(json.dumps(facts) + "\n")
        else:
            console.print(_page(facts))
    return 1 if failures else 0


def _facts(path: Path) -> dict[str, Any]:
    from jpegfreq.cli._facts import file_facts
    from jpegfreq.coefficients import read_coefficients
    from jpegfreq.errors import UnsupportedJpegError
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
    return Panel(Group(*parts), title=Text(facts["file"], "bold"), title_align="left", expand=False)


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
