"""`jpegfreq profile`: measure what training input costs on the user's own files, today and with jpegfreq."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.report.profile import Profile

SUMMARY = "measure what your training input costs today, and with jpegfreq"
DESCRIPTION = """\
Measure what it costs to turn your own JPEG files into training input: from file to
a normalized batch of random crops, with each RGB library that is installed
(torchvision, Pillow, OpenCV, simplejpeg, PyTurboJPEG, DALI) and with jpegfreq, on
one thread. The result is in images per second per core, cores to feed an
accelerator, CPU time per epoch and bytes per image, with the stages of each.

examples:
  jpegfreq profile photos/
  # a page that shows everything
  jpegfreq profile photos/ --html report.html
  # compare with your own pipeline, at the speed of your accelerators
  jpegfreq profile photos/ --today 'Pillow + torchvision' --target-rate 12000
  # tar shards; the figures for other programs
  jpegfreq profile shards/ --json profile.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="SOURCE",
        help="folders of JPEG files, .tar shards or folders of them, .txt lists, or files",
    )
    parser.add_argument(
        "--images", type=positive, default=200, metavar="N",
        help="measure at most N images, chosen so that every kind of file has its share (default: 200)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=positive, default=40, metavar="S",
        help="time for measuring; fewer images are measured if N of them take longer (default: 40)",
    )  # fmt: skip
    parser.add_argument(
        "--target-rate", type=positive, default=3000, metavar="RATE",
        help="images per second that your accelerators take (default: 3000)",
    )  # fmt: skip
    parser.add_argument(
        "--today", metavar="NAME",
        help="the RGB pipeline you use, by its name in the table (default: the fastest that is installed)",
    )  # fmt: skip
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that shows everything")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print the result; return 1 if some files were left out."""
    from rich.console import Console

    from jpegfreq._files import reason_of, write_whole
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._outputs import check_outputs
    from jpegfreq.cli._progress import message_console, share_bar
    from jpegfreq.report.profile import profile

    check_outputs(arguments.html, arguments.json, inputs=arguments.inputs)
    messages = message_console()
    try:
        with share_bar(messages) as progress:
            measured = profile(
                arguments.inputs,
                images=arguments.images,
                seconds=arguments.seconds,
                target_rate=arguments.target_rate,
                today=arguments.today,
                progress=progress,
            )
    except (ValueError, OSError) as error:
        raise CommandError(reason_of(error)) from error
    if arguments.json:
        write_whole(arguments.json, measured.to_json() + "\n")
    if arguments.html:
        from jpegfreq.report.page import write_page
        from jpegfreq.report.profile_page import profile_page

        write_page(arguments.html, profile_page(measured))
    print_profile(Console(highlight=False), measured)
    for name, reason in measured.left_out:
        messages.print(f"left out: {name}: {reason}", style="yellow")
    return 1 if measured.left_out else 0


def print_profile(console: Console, measured: Profile) -> None:
    """Print the headline, the pipelines with their stages, and the kinds of file."""
    from rich.table import Table

    from jpegfreq.report.pipelines import ENTROPY
    from jpegfreq.report.profile import READ

    console.print(measured.verdict, style="bold")
    for warning in measured.warnings:
        console.print(f"Take care: {warning}.", style="yellow")
    console.print()
    headline = Table(box=None, pad_edge=False)
    headline.add_column("")
    headline.add_column("today", justify="right")
    headline.add_column("jpegfreq", justify="right", style="bold green")
    headline.add_column("", style="dim")
    for tile in measured.tiles:
        headline.add_row(tile.label, tile.today or "-", tile.then, tile.detail)
    console.print(headline)
    console.print()

    pipelines = Table(
        box=None, padding=(0, 1, 0, 0), title="From file to batch, ms of one core per image", title_justify="left"
    )
    for heading in ("pipeline", "network input"):
        pipelines.add_column(heading)
    for heading in ("total", "entropy", "rest", "images/s", "kB"):
        pipelines.add_column(heading, justify="right")
    for row in measured.rows:
        entropy = row.stages.get(ENTROPY)
        rest = None if entropy is None else row.seconds - row.stages[READ] - entropy
        pipelines.add_row(
            row.name,
            " x ".join(map(str, row.shape)) + f" {row.dtype}",
            *("-" if number is None else f"{1e3 * number:.2f}" for number in (row.seconds, entropy, rest)),
            f"{row.images_per_second:,.0f}",
            f"{row.size_bytes / 1e3:.0f}",
            style="green" if row.ours else None,
        )
    console.print(pipelines)
    console.print()

    kinds = Table(box=None, pad_edge=False, title=f"{measured.sampling}.", title_justify="left")
    kinds.add_column("kind of file")
    for heading in ("files", "share", "measured"):
        kinds.add_column(heading, justify="right")
    for kind in measured.kinds:
        kinds.add_row(kind.name, f"{kind.files:,}", f"{kind.share:.1%}", f"{kind.measured:,}")
    console.print(kinds)
    if measured.missing:
        console.print(f"\nnot measured: {', '.join(measured.missing)}", style="dim")
