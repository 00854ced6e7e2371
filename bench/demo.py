"""`make demo`: real photographs through jpegfreq, end to end, beside the RGB decoders that are installed.

    make demo [PHOTOS=folder]

Writes into demo/: the tensors of all photographs, a picture of one's frequency channels, a small network with a gate,
trained here, its heat map, the channels that it chose, and report.html, which shows and explains all of it.
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
from bench.demo_pictures import collect_photographs, cut_crops
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
    """Run the demonstration; 1 where a photograph could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of JPEG photographs (default: those of installed packages)")
    arguments = parser.parse_args()
    photos = arguments.photos
    if photos is None:
        photos = collect_photographs(DEMO / "photos")
        console.print(
            f"photographs that scikit-image and scikit-learn ship, in {photos} (PHOTOS=folder takes your own)"
        )
    files = [item.path for item in find_inputs([str(photos)])]

    console.rule(f"1. What is in {len(files)} photographs")
    summarize(files)
    command("inspect", str(files[0]))

    console.rule("2. Each one as a frequency tensor: the paper's 24 channels, float16")
    shutil.rmtree(DEMO / "tensors", ignore_errors=True)
    options = ("--channels", "24", "--dtype", "float16")
    failed = command("decode", str(photos), "--out", str(DEMO / "tensors"), *options)
    show_tensor(DEMO / "tensors")

    console.rule("3. The 192 channels of one, as a picture")
    command("show", str(files[0]), "--out", str(DEMO / "channels.png"))

    console.rule("4. How long the same photographs take the RGB decoders here")
    sections = [channels_section(DEMO / "channels.png", files[0].name)]
    timed = compare(files)
    if timed is not None:
        sections.insert(0, profile_section(timed, f"What decoding costs on {timed.images} photographs"))

    console.rule("5. A small network that learns which channels matter")
    names = cut_crops(files, DEMO / "crops")
    if len(names) < 2:
        console.print("left out: it takes two photographs of 256 x 256 px or more, to tell one from the other")
    else:
        sections += demo_training.run(DEMO, names, command)

    write_page(DEMO / "report.html", page("jpegfreq on your photographs", LEAD, sections, footer=FOOTER))
    console.print(
        f"\nAll of it is in [bold]{DEMO}[/bold]; the page that explains it: [bold]{DEMO / 'report.html'}[/bold]"
    )
    return 1 if failed else 0


LEAD = (
    "A JPEG file does not hold pixels: it holds, for blocks of 8 x 8 pixels, how much there is of 64 frequencies. "
    "jpegfreq hands them to a network as they are, without decoding a pixel, and finds out which ones it needs."
)
FOOTER = f"made by jpegfreq {jpegfreq.__version__}, `make demo`; everything on this page was measured on this machine"


def command(*words: str) -> int:
    """Run a jpegfreq command as if typed."""
    console.print(f"[dim]$ jpegfreq {' '.join(words)}[/dim]", soft_wrap=True)
    return jpegfreq_command(words)


def channels_section(picture: Path, name: str) -> Section:
    """What a photograph looks like in frequencies."""
    text = text_html(
        "All blocks' values of one frequency make one channel, an eighth as wide and high as the picture: 64 channels "
        "of brightness (Y) and 64 of each colour difference (Cb, Cr). Nearly all that is in a photograph lies in the "
        "upper left corner of the three mosaics, which is why few channels can be enough.",
        f"Drawn by `jpegfreq show {name} --out channels.png`.",
    )
    return Section("One photograph as 192 channels", text + image_html(picture.read_bytes(), alt="frequency channels"))


def summarize(files: list[Path]) -> None:
    """One table of how the photographs are coded."""
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
    """Say what one stored tensor looks like to NumPy."""
    first = min(folder.rglob("*.npy"), default=None)
    if first is not None:
        tensor = np.load(first)
        total = sum(path.stat().st_size for path in folder.rglob("*.npy"))
        console.print(f"{first.name}: {tensor.dtype} {list(tensor.shape)}; all of them: {total / 1e6:.1f} MB")


def compare(files: list[Path]) -> Profile | None:
    """Time all decoders on the photographs, and print the table."""
    files = files[:: max(1, -(-len(files) // TIMED))]
    try:
        timed = profile(
            files, progress=lambda turns: iter(track(turns, f"timing {len(files)} photographs", console=console))
        )
    except ValueError as error:
        console.print(f"nothing to time: {error}", style="yellow")
        return None
    for name, reason in timed.left_out:
        console.print(f"left out of the timing: {name}: {reason}", style="yellow", markup=False)
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
