"""What long commands show: a progress bar with the speed, and the failures at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from jpegfreq._files import printable

if TYPE_CHECKING:
    from jpegfreq.failures import Failure


def message_console(*, quiet: bool = False) -> Console:
    """Return the console for messages, on the error stream; unless that is a terminal, lines are not wrapped."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty(), quiet=quiet)


class Advance(Protocol):
    """Advances the bar."""

    def __call__(self, images: int, size_bytes: int) -> None:
        """Count some more images and their bytes as done."""


@contextmanager
def speed_bar(console: Console, what: str, total: int) -> Iterator[Advance]:
    """Show a progress bar with images/s and MB/s."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    start = time.perf_counter()
    done = done_bytes = 0
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total, speed="")

        def advance(images: int, size_bytes: int) -> None:
            nonlocal done, done_bytes
            done, done_bytes = done + images, done_bytes + size_bytes
            seconds = time.perf_counter() - start
            speed = f"{done / seconds:.0f} images/s, {done_bytes / seconds / 1e6:.1f} MB/s"
            progress.update(task, completed=done, speed=speed)

        yield advance


def list_failures(console: Console, failures: Sequence[Failure]) -> None:
    """Print every file that failed, and how many failed for each reason."""
    if not failures:
        return
    counts = Counter(failure.reason for failure in failures)
    title = f"{len(failures)} failed: " + ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    if not console.is_terminal:  # a log, which people search: a line per file
        console.print(title)
        for failure in failures:
            console.print(f"{printable(failure.name)}: {failure.reason}: {printable(failure.message)}")
        return
    table = Table(title=title, title_justify="left", title_style="bold red")
    for heading in ("file", "reason", "what is wrong"):
        table.add_column(heading, overflow="fold")
    for failure in failures:
        table.add_row(Text(printable(failure.name)), failure.reason, Text(printable(failure.message)))
    console.print(table)


@contextmanager
def share_bar(console: Console) -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar for work that tells what it is doing and what share of it is done, from 0 to 1."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)

        def show(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        yield show
