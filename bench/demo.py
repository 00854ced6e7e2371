"""`make demo`: photographs through jpegfreq, from end to end, compared with the RGB decoders that are installed.

    make demo [PHOTOS=folder]

The demo writes into demo/: the tensors of all photographs, a drawing of one photograph's frequency channels, a small
network with a gate, its heat map, the channels that it selected, and report.html, which shows and explains everything.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

import jpegfreq
from bench import demo_training
from bench.demo_images import collect_photographs, cut_crops
from jpegfreq.cli import main as jpegfreq_command
from jpegfreq.cli._options import find_inputs
from jpegfreq.cli._progress import share_bar
from jpegfreq.cli.profile import print_profile
from jpegfreq.report.page import Section, image_html, page, text_html, write_page
from jpegfreq.report.profile import Profile, profile
from jpegfreq.report.profile_page import profile_sections

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
    command("inspect", str(photos))
    command("inspect", str(files[0]))

    console.rule("2. Every photograph as a frequency tensor: the paper's 24 channels, float16")
    shutil.rmtree(DEMO / "tensors", ignore_errors=True)
    options = ("--channels", "24", "--dtype", "float16")
    failed = command("decode", str(photos), "--out", str(DEMO / "tensors"), *options)
    show_tensor(DEMO / "tensors")

    console.rule("3. The 192 channels of one photograph, drawn")
    command("show", str(files[0]), "--out", str(DEMO / "channels.png"))

    console.rule("4. What training input costs on the same photographs, with RGB libraries and with jpegfreq")
    sections = [channels_section(DEMO / "channels.png", files[0].name)]
    timed = compare(files)
    if timed is not None:
        sections = [*profile_sections(timed), *sections]

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


def show_tensor(folder: Path) -> None:
    """Print the type and shape of one stored tensor, and the size of all."""
    first = min(folder.rglob("*.npy"), default=None)
    if first is not None:
        tensor = np.load(first)
        total = sum(path.stat().st_size for path in folder.rglob("*.npy"))
        console.print(f"{first.name}: {tensor.dtype} {list(tensor.shape)}; all tensors together: {total / 1e6:.1f} MB")


def compare(files: list[Path]) -> Profile | None:
    """Measure all pipelines on the photographs and print the result."""
    try:
        with share_bar(console) as progress:
            timed = profile(files, images=TIMED, progress=progress)
    except ValueError as error:
        console.print(f"There is nothing to time: {error}", style="yellow")
        return None
    for name, reason in timed.left_out:
        console.print(f"{name} is left out of the timing: {reason}", style="yellow", markup=False)
    print_profile(console, timed)
    return timed


if __name__ == "__main__":
    sys.exit(main())
