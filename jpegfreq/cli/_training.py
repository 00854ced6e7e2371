"""What `train` and `dense` share: the options of a run, and the bars that show it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

Line = TypeVar("Line")

CHANNELS_HELP = (
    '"all" (192); a preset: 6, 24, 32, 48, 64 (or dct24); "zigzag:14,5,5", the lowest frequencies of Y, Cb, Cr; '
    "channel numbers 64 * component + 8 * v + u, as in 0,1,8,64,128; or a JSON file of a ChannelSelection (default: "
    "all)"
)
WEIGHTS_HELP = (
    "start from an earlier run, a checkpoint, or a file of torchvision's RGB weights; for other channels or RGB, every "
    "layer except the input layers is loaded (default: new weights)"
)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of every training run that do not change its weights."""
    from jpegfreq.cli._models import add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "--checkpoint-every", metavar="INTERVAL",
        help='save the state within an epoch too, every "500 steps" or "10 minutes" (default: when an epoch ends)',
    )  # fmt: skip
    parser.add_argument(
        "--extend", action="store_true",
        help="resume a run with more --epochs than it was begun with; the learning rate follows the longer run's "
        "schedule, so with the cosine it rises again",
    )  # fmt: skip
    parser.add_argument(
        "--compute-threads", type=positive, metavar="N",
        help="threads in which PyTorch computes on a CPU (default: PyTorch's choice)",
    )  # fmt: skip
    add_device_argument(parser)


class RunBars(Generic[Line]):
    """An observer of a run: a bar for the run and one for the epoch, and for each epoch a line and the time to go."""

    def __init__(self, console: Console, describe: Callable[[Line], str]) -> None:
        """Show nothing yet.

        Args:
            console: where to print.
            describe: turns an epoch's line of log.csv into text.
        """
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns: Any = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self._progress = Progress(*columns, console=console, disable=console.quiet)
        self._describe = describe
        self._whole: TaskID | None = None
        self._part: TaskID | None = None
        self._steps = self._epochs = self._begun = 0
        self._start = 0.0

    def __enter__(self) -> RunBars[Line]:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, style="yellow" if text.startswith("warning:") else None)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        """Show the bars."""
        self._steps, self._epochs, self._begun, self._start = steps, epochs, done, time.perf_counter()
        self._whole = self._progress.add_task("run", total=epochs * steps, completed=done, now="")
        self._part = self._progress.add_task("epoch", total=steps, completed=done % steps, now="")

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        """Advance the bar of steps."""
        assert self._part is not None
        assert self._whole is not None
        self._progress.update(self._part, completed=step, now=f"loss {loss:.3f}")
        done = (epoch - 1) * self._steps + step
        self._progress.update(self._whole, completed=done, now=f"epoch {epoch} of {self._epochs}")

    def end_epoch(self, line: Line) -> None:
        """Print the epoch's line, and how long the rest of the run will take at this speed."""
        assert self._whole is not None
        done = round(self._progress.tasks[self._whole].completed)
        seconds = (time.perf_counter() - self._start) / max(done - self._begun, 1) * (self._epochs * self._steps - done)
        to_go = f", {duration(seconds)} to go" if seconds else ""
        self._progress.console.print(self._describe(line) + to_go)


def duration(seconds: float) -> str:
    """Put a time in words.

    >>> duration(90), duration(8000)
    ('1 min 30 s', '2 h 13 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
