"""`jpegfreq profile`: what decoding costs on one's own files, beside the RGB decoders that are installed."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "measure how much decode time your own files save"
DESCRIPTION = """\
Time jpegfreq on your own JPEG files, beside each RGB decoder that is installed (Pillow, OpenCV,
simplejpeg, torchvision): all in turn, on one thread, from memory. The table says what each gives
and how many milliseconds of one core a photograph takes.

examples:
  jpegfreq profile photos/
  jpegfreq profile photos/ --images 1000 --html report.html    a page with table and chart
  jpegfreq profile photos/ --figure chart.png --json times.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", nargs="+", metavar="DIR", help="folders of JPEG files, or files")
    parser.add_argument(
        "--images", type=int, default=200, metavar="N",
        help="time N of them at most, drawn at random, the same every time (default: 200)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="default: 7")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that holds table and chart")
    parser.add_argument("--figure", type=Path, metavar="PICTURE", help="write the chart: .png, .pdf or .svg")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times")


def run(arguments: argparse.Namespace) -> int:
    """Measure; 1 where some files were left out."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track
    from rich.table import Table

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import find_inputs
    from jpegfreq.cli._outputs import check_figure, check_matplotlib, check_outputs
    from jpegfreq.report.profile import PROFILE_HEADINGS, profile, profile_cells

    if arguments.images < 1 or arguments.rounds < 1:
        raise CommandError("--images and --rounds must be 1 or more")
    check_outputs(arguments.html, arguments.json)
    check_figure(arguments.figure)
    if arguments.html:
        check_matplotlib()
    files = [item.path for item in find_inputs(arguments.inputs)]
    if len(files) > arguments.images:
        chosen = np.random.default_rng(0).permutation(len(files))[: arguments.images]
        files = [files[n] for n in sorted(chosen)]

    progress = Console(stderr=True)
    try:
        measured = profile(
            files,
            rounds=arguments.rounds,
            progress=lambda turns: iter(track(turns, f"timing {len(files)} photographs", console=progress)),
        )
    except ValueError as error:
        raise CommandError(str(error)) from error

    table = Table(title=f"{measured.images} photographs: CPU time of one core, medians", title_justify="left")
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
        arguments.json.write_text(measured.to_json() + "\n", encoding="utf-8")
    if arguments.figure:
        from jpegfreq.report.figures import profile_figure

        profile_figure(measured).savefig(arguments.figure, dpi=150)
    if arguments.html:
        from jpegfreq.report.page import page, write_page
        from jpegfreq.report.sections import profile_section

        lead = "JPEG files straight to frequency tensors, beside the RGB decoders that are installed here."
        write_page(arguments.html, page("What decoding costs", lead, [profile_section(measured)]))
    return 1 if measured.left_out else 0
