"""`make demo`: photographs through jpegfreq, from end to end, compared with the RGB decoders that are installed.

    make demo [PHOTOS=folder]

The demo writes into demo/: the tensors of all photographs, a drawing of one photograph's frequency channels, a small
network with a gate, its heat map, the channels that it selected, and report.html, which shows and explains everything.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jpegfreq
from bench import demo_training
from bench.demo_images import collect_photographs, cut_crops
from jpegfreq.cli import main as jpegfreq_command
from jpegfreq.cli._facts import estimated_quality, subsampling
from jpegfreq.cli._options import find_inputs
from jpegfreq.report.page import Section, image_html, page, text_html, write_page
from jpegfreq.report.profile import PROFILE_HEADINGS, Profile, profile, profile_cells
from jpegfreq.report.sections import profile_section

DEMO = Path(__file__).resolve().parents[1] / "demo"
TIMED = 200  # photographs
console = Console()


def main() -> int:
    """Run the demo; return 1 if a photograph could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--photos", type=Path, help="folder of JPEG files (default: the photographs of scikit-image and scikit-learn)"
    )
    arguments = parser.parse_args()
    photos = arguments.photos
    if photos is None:
        photos = collect_photographs(DEMO / "photos")
        console.print(
            f"The photographs of scikit-image and scikit-learn are in {photos} (PHOTOS=folder takes your own)."
        )
    files = [item.path for item in find_inputs([str(photos)])]

    console.rule(f"1. What is in {len(files)} photographs")
    summarize(files)
    command("inspect", str(files[0]))

    console.rule("2. Every photograph as a frequency tensor: the paper's 24 channels, float16")
    shutil.rmtree(DEMO / "tensors", ignore_errors=True)
    options = ("--channels", "24", "--dtype", "float16")
    failed = command("decode", str(photos), "--out", str(DEMO / "tensors"), *options)
    show_tensor(DEMO / "tensors")

    console.rule("3. The 192 channels of one photograph, drawn")
    command("show", str(files[0]), "--out", str(DEMO / "channels.png"))

    console.rule("4. How long RGB decoders take for the same photographs")
    sections = [channels_section(DEMO / "channels.png", files[0].name)]
    timed = compare(files)
    if timed is not None:
        sections.insert(0, profile_section(timed, f"What decoding costs on {timed.images} photographs"))

    console.rule("5. A small network that learns which channels matter")
    names = cut_crops(files, DEMO / "crops")
    if len(names) < 2:
        console.print("This part is left out: it needs at least two photographs of 256 x 256 px or more.")
    else:
        sections += demo_training.run(DEMO, names, command)

    write_page(DEMO / "report.html", page("jpegfreq on your photographs", LEAD, sections, footer=FOOTER))
    console.print(
        f"\nEverything is in [bold]{DEMO}[/bold]. Open [bold]{DEMO / 'report.html'}[/bold], which explains it."
    )
    return 1 if failed else 0


LEAD = (
    "A JPEG file does not store pixels. For each block of 8 x 8 pixels it stores the strength of 64 frequencies. "
    "jpegfreq gives these numbers to a network without decoding a pixel, and finds out which of them the network needs."
)
FOOTER = (
    f"Made by `make demo` of jpegfreq {jpegfreq.__version__}. Everything on this page was measured on this machine."
)


def command(*words: str) -> int:
    """Run a jpegfreq command as if it were typed."""
    console.print(f"[dim]$ jpegfreq {' '.join(words)}[/dim]", soft_wrap=True)
    return jpegfreq_command(words)


def channels_section(drawing: Path, name: str) -> Section:
    """Show what a photograph looks like in frequencies."""
    text = text_html(
        "The values of one frequency in all blocks make one channel, 1/8 as high and wide as the image. There are "
        "64 channels of brightness (Y) and 64 of each colour difference (Cb and Cr). Nearly all of a photograph's "
        "content is in the upper left corner of each mosaic, which is why few channels can be enough.",
        f"Drawn by `jpegfreq show {name} --out channels.png`.",
    )
    return Section("One photograph as 192 channels", text + image_html(drawing.read_bytes(), alt="frequency channels"))


def summarize(files: list[Path]) -> None:
    """Print how the photographs are coded."""
    kinds: dict[str, Counter[str]] = {"coding": Counter(), "colour": Counter(), "subsampling": Counter()}
    qualities, pixels, sizes = [], [], []
    for path in files:
        try:
            header = jpegfreq.read_header(path)
            coefficients = jpegfreq.read_coefficients(path, damage="keep")
        except jpegfreq.JpegError as error:
            console.print(f"[red]{error}")
            continue
        kinds["coding"][f"{header.process}, {header.precision} bits"] += 1
        kinds["colour"][header.color] += 1
        kinds["subsampling"][subsampling(header)] += 1
        qualities.append(estimated_quality(coefficients.quantization_tables).value)
        pixels.append(header.height * header.width / 1e6)
        sizes.append(path.stat().st_size / 1e3)
    grid = Table.grid(padding=(0, 2))
    for name, counter in kinds.items():
        grid.add_row(f"[cyan]{name}", ", ".join(f"{count} {kind}" for kind, count in counter.most_common()))
    for name, values, unit in (("size", pixels, "Mpx"), ("file", sizes, "kB"), ("quality", qualities, "")):
        if values:
            text = f"median {statistics.median(values):.3g} {unit}, {min(values):.3g} to {max(values):.3g} {unit}"
            grid.add_row(f"[cyan]{name}", text)
    console.print(grid)


def show_tensor(folder: Path) -> None:
    """Print the type and shape of one stored tensor, and the size of all."""
    first = min(folder.rglob("*.npy"), default=None)
    if first is not None:
        tensor = np.load(first)
        total = sum(path.stat().st_size for path in folder.rglob("*.npy"))
        console.print(f"{first.name}: {tensor.dtype} {list(tensor.shape)}; all tensors together: {total / 1e6:.1f} MB")


def compare(files: list[Path]) -> Profile | None:
    """Time all decoders on the photographs and print the table."""
    files = files[:: max(1, -(-len(files) // TIMED))]
    try:
        timed = profile(
            files, progress=lambda turns: iter(track(turns, f"timing {len(files)} photographs", console=console))
        )
    except ValueError as error:
        console.print(f"There is nothing to time: {error}", style="yellow")
        return None
    for name, reason in timed.left_out:
        console.print(f"{name} is left out of the timing: {reason}", style="yellow", markup=False)
    table = Table(title="CPU time of one core, one thread; medians", title_justify="left")
    for n, heading in enumerate(PROFILE_HEADINGS):
        table.add_column(heading, justify="right" if n > 1 else "left")
    for row, cells in zip(timed.rows, profile_cells(timed), strict=True):
        table.add_row(*cells, style="bold green" if row.ours else None)
    console.print(table)
    console.print(timed.verdict, highlight=False)
    return timed


if __name__ == "__main__":
    sys.exit(main())
