"""`jpegfreq plot`: the curves of training runs."""

from __future__ import annotations

import argparse
from pathlib import Path

SUMMARY = "draw the curves of training runs"
DESCRIPTION = """\
Draw what training runs logged, epoch by epoch: the loss, the accuracy, how many
channels a gate leaves on, the learning rate, and for a gated run how often each
channel is on. A run may still be going on.

examples:
  jpegfreq plot runs/dct24 --out dct24.png
  jpegfreq plot runs/rgb runs/dct24 runs/gated --out runs.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="folders that `jpegfreq train` or `jpegfreq dense` wrote"
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE",
        help="the file to write: .png, .pdf or .svg for the figure alone, .html for a page",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Draw the runs."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._outputs import check_figure, check_matplotlib, check_outputs, write_figure

    as_page = arguments.out.suffix.lower() == ".html"
    if as_page:
        check_outputs(arguments.out, inputs=arguments.runs)
        check_matplotlib()
    else:
        check_figure(arguments.out, inputs=arguments.runs)
    from jpegfreq.report.page import write_page
    from jpegfreq.report.run import read_run, run_figure, run_page

    try:
        runs = [read_run(folder) for folder in arguments.runs]
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    if as_page:
        write_page(arguments.out, run_page(runs))
    else:
        write_figure(run_figure(runs), arguments.out)
    print(f"wrote {arguments.out}")
    return 0
