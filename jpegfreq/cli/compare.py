"""`jpegfreq compare`: trained models side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = "compare trained models: accuracy, work, cost of the input"
DESCRIPTION = """\
Measure trained models on the same labelled pictures (a folder a class): accuracy, multiply-adds,
parameters, bytes of an image's input (float16 frequencies, 8-bit pixels), CPU time to read it on
one thread, and time to copy it.

examples:
  jpegfreq compare runs/rgb runs/dct24 runs/learned24 --data photos/val
  jpegfreq compare runs/* --data photos/val --csv compared.csv --html compared.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="folders of models, or of runs")
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="labelled pictures: a folder a class, DATA/class/image.jpg; a .txt list, or .tar shards",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that holds the table")
    parser.add_argument("--batch-size", type=positive, default=64, metavar="N", help="default: 64")
    parser.add_argument("--device", default="cpu", help="default: cpu")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print."""
    from rich.console import Console
    from rich.table import Table

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import image_bar, labelled_images, load_classifier
    from jpegfreq.cli._outputs import check_outputs

    check_outputs(arguments.csv, arguments.json, arguments.html)
    models = [(_name(path), load_classifier(path, device=arguments.device)) for path in arguments.checkpoints]
    from jpegfreq.models.analysis.compare import compare_models, to_csv, to_json
    from jpegfreq.report.compared import COMPARED_HEADINGS, compared_cells

    images = labelled_images(arguments.data)
    try:
        with image_bar("comparing", len(images) * len(models)) as advance:
            rows = compare_models(models, images, batch_size=arguments.batch_size, progress=advance)
    except ValueError as error:
        raise CommandError(str(error)) from error
    table = Table(title=f"{rows[0].images} pictures of {arguments.data}", title_justify="left")
    for n, heading in enumerate(COMPARED_HEADINGS):
        table.add_column(heading, justify="right" if n > 1 else "left")
    for cells in compared_cells(rows):
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if arguments.csv:
        arguments.csv.write_text(to_csv(rows), encoding="utf-8")
    if arguments.json:
        arguments.json.write_text(to_json(rows) + "\n", encoding="utf-8")
    if arguments.html:
        from jpegfreq.report.page import Section, page, table_html, text_html, write_page

        explained = (
            "An image's input counts as float16 for frequencies and as 8 bits for pixels. Reading is CPU time on one "
            "thread, from the file to the normalized tensor; copying is of an image in a batch."
        )
        html = text_html(explained) + table_html(COMPARED_HEADINGS, compared_cells(rows))
        lead = f"{len(rows)} models on the same {rows[0].images} pictures."
        write_page(arguments.html, page("Models compared", lead, [Section("Accuracy and cost", html)]))
    return 0


def _name(checkpoint: Path) -> str:
    """What to call a model: its run."""
    path = checkpoint.resolve()
    return f"{path.parent.name}/{path.name}" if path.name in ("best", "last") else path.name
