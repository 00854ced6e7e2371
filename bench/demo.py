"""`make demo`: a network that was trained on RGB answers from the coefficients of photographs, without RGB.

    make demo [PHOTOS=folder]

The demo writes into demo/: the network's checkpoint, the channels that it needs, a drawing of one photograph's
frequency channels, and report.html, which shows and explains everything.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

import jpegfreq
from bench import demo_pretrained
from bench.demo_images import collect_photographs
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
    """Run the demo; return 1 if no photograph could be read."""
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
    DEMO.mkdir(exist_ok=True)

    console.rule(f"1. What is in {len(files)} photographs")
    command("inspect", str(photos))
    command("show", str(files[0]), "--out", str(DEMO / "channels.png"))

    console.rule("2. A network that was trained on RGB, and which channels it needs")
    try:
        sections = demo_pretrained.run(DEMO, files)
    except ValueError as error:
        console.print(f"The network cannot be shown on these photographs: {error}", style="yellow")
        return 1
    sections.append(channels_section(DEMO / "channels.png", files[0].name))

    console.rule("3. What training input costs on the same photographs, with RGB libraries and with jpegfreq")
    timed = compare(files)
    if timed is not None:
        sections += profile_sections(timed)

    write_page(DEMO / "report.html", page("jpegfreq on your photographs", LEAD, sections, footer=FOOTER))
    console.print(
        f"\nEverything is in [bold]{DEMO}[/bold]. Open [bold]{DEMO / 'report.html'}[/bold], which explains it."
    )
    return 0


LEAD = (
    "A JPEG file does not store pixels. For each block of 8 x 8 pixels it stores the strength of 64 frequencies. "
    "jpegfreq gives these numbers to a network that was trained on pixels, and finds out which of them it needs."
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
