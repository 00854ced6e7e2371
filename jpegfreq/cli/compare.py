"""`jpegfreq compare`: trained models side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jpegfreq.models.analysis.compare import ComparedModel

SUMMARY = "compare trained models: accuracy, multiply-adds, cost of the input"
DESCRIPTION = """\
Measure trained classifiers on the same labelled images: accuracy, multiply-adds,
parameters, the size of one image's input (float16 for frequencies, 8 bits for
pixels), the CPU time to read it on one thread, and, if the networks run on another
device, the time to copy it there. "Same answers" is the share of images that get the
first model's answer. Below the table stands what else differs between the models.

A network that `jpegfreq from-rgb` adapted is shown beside the RGB network it was
made of, which takes pixels that torchvision decodes.

examples:
  jpegfreq compare runs/rgb runs/dct24 runs/learned24 --data photos/val
  jpegfreq compare model/ --data photos/val           # an adapted network, beside RGB
  jpegfreq compare runs/* --data photos/val --csv compared.csv --html compared.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument, add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="folders of checkpoints or of training runs"
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="labelled images: a folder with one folder per class, DATA/class/image.jpg, a .txt list, or .tar shards",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page with the table")
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="images per batch (default: 64)")
    add_device_argument(parser)
    add_code_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure the models and print a table; return 1 if some images could not be read."""
    from rich.console import Console
    from rich.table import Table

    from jpegfreq._files import write_whole
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import Unread, image_bar, labelled_images, load_classifier
    from jpegfreq.cli._outputs import check_outputs

    check_outputs(arguments.csv, arguments.json, arguments.html, inputs=(*arguments.checkpoints, arguments.data))
    from jpegfreq.models.analysis.compare import compare_models, to_csv, to_json, with_originals
    from jpegfreq.report.compared import EXPLAINED, compared_table, differences

    models = with_originals([(_name(path), load_classifier(path, arguments)) for path in arguments.checkpoints])
    images = labelled_images(arguments.data)
    unread = Unread()
    try:
        with image_bar("comparing", len(images) * len(models)) as advance:
            rows = compare_models(models, images, batch_size=arguments.batch_size, progress=advance, on_unread=unread)
    except ValueError as error:
        raise CommandError(str(error)) from error
    table = Table(title=f"{counted(rows[0].images, 'image')} of {arguments.data}", title_justify="left")
    headings, lines = compared_table(rows)
    for n, heading in enumerate(headings):
        table.add_column(heading, justify="right" if n > 1 else "left")
    for cells in lines:
        table.add_row(*cells)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
    for text in (EXPLAINED, *differences(rows)):
        console.print(text, markup=False)
    if arguments.csv:
        write_whole(arguments.csv, to_csv(rows))
    if arguments.json:
        write_whole(arguments.json, to_json(rows) + "\n")
    if arguments.html:
        _write_page(arguments.html, rows)
    return unread.report()


def _write_page(path: Path, rows: Sequence[ComparedModel]) -> None:
    from jpegfreq.report.compared import EXPLAINED, compared_table, differences
    from jpegfreq.report.page import Section, page, table_html, text_html, write_page

    html = text_html(EXPLAINED) + table_html(*compared_table(rows)) + text_html(*differences(rows))
    lead = f"{counted(len(rows), 'model')} on the same {counted(rows[0].images, 'image')}."
    write_page(path, page("Models compared", lead, [Section("Accuracy and cost", html)]))


def _name(checkpoint: Path) -> str:
    """Name a model after its run."""
    path = checkpoint.resolve()
    return f"{path.parent.name}/{path.name}" if path.name in ("best", "last") else path.name
