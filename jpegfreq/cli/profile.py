"""`jpegfreq profile`: measure what decoding costs on the user's own files, with jpegfreq and with RGB decoders."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "measure how much decoding time your own files save"
DESCRIPTION = """\
Time jpegfreq and each installed RGB decoder (Pillow, OpenCV, simplejpeg,
torchvision) on your own JPEG files. They decode from memory, in turn, on one
thread. The table shows what each decoder returns and how many milliseconds of
one core it takes per image.

examples:
  jpegfreq profile photos/
  # a page with a table and a chart
  jpegfreq profile photos/ --images 1000 --html report.html
  jpegfreq profile photos/ --figure chart.png --json times.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("inputs", nargs="+", metavar="DIR|FILE", help="folders of JPEG files, or files")
    parser.add_argument(
        "--images", type=positive, default=200, metavar="N",
        help="time at most N images, drawn at random, the same ones every time (default: 200)",
    )  # fmt: skip
    parser.add_argument(
        "--rounds", type=positive, default=7, metavar="N", help="how often each decoder is timed (default: 7)"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write an HTML page that holds the table and the chart"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="write the chart: .png, .pdf or .svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the times; return 1 if some files were left out."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from jpegfreq._files import write_whole
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import find_inputs
    from jpegfreq.cli._outputs import check_figure, check_matplotlib, check_outputs, write_figure
    from jpegfreq.cli._progress import message_console
    from jpegfreq.report.profile import PROFILE_HEADINGS, profile, profile_cells

    check_outputs(arguments.html, arguments.json, arguments.figure, inputs=arguments.inputs)
    check_figure(arguments.figure)
    if arguments.html:
        check_matplotlib()
    files = [item.path for item in find_inputs(arguments.inputs)]
    if len(files) > arguments.images:
        chosen = np.random.default_rng(0).permutation(len(files))[: arguments.images]
        files = [files[n] for n in sorted(chosen)]

    progress = message_console()
    try:
        measured = profile(
            files,
            rounds=arguments.rounds,
            progress=lambda turns: iter(track(turns, f"timing {len(files)} images", console=progress)),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error

    table = Table(title=f"{measured.images} images: CPU time of one core, medians", title_justify="left")
    for n, heading in enumerate(PROFILE_HEADINGS):
        table.add_column(heading, justify="right" if n > 1 else "left")
    for row, cells in zip(measured.rows, profile_cells(measured), strict=True):
        table.add_row(*cells, style="bold green" if row.ours else None)
    console = Console()
    console.print(table)
    console.print(measured.verdict, highlight=False)
    for name, reason in measured.left_out:
        progress.print(f"left out: {name}: {reason}", style="yellow", markup=False, highlight=False)
    if arguments.json:
        write_whole(arguments.json, measured.to_json() + "\n")
    if arguments.figure:
        from jpegfreq.report.figures import profile_figure

        write_figure(profile_figure(measured), arguments.figure)
    if arguments.html:
        from jpegfreq.report.page import page, write_page
        from jpegfreq.report.sections import profile_section

        lead = "The time that jpegfreq and the RGB decoders installed here take on the same JPEG files."
        write_page(arguments.html, page("What decoding costs", lead, [profile_section(measured)]))
    return 1 if measured.left_out else 0
