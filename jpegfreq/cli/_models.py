"""What the commands for trained models share: the checkpoint, the device, the images, the progress bar."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._files import reason_of
from jpegfreq.cli import CommandError

if TYPE_CHECKING:
    from jpegfreq.models.dense.config import DenseModel
    from jpegfreq.models.predict import Classifier
    from jpegfreq.torch import Images

_NAMED = 10  # unreadable files that are listed


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Declare --device."""
    parser.add_argument(
        "--device", default="auto", metavar="NAME",
        help='where the network runs: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best there is (default: auto)',
    )  # fmt: skip


def add_code_argument(parser: argparse._ActionsContainer) -> None:
    """Declare --run-code."""
    parser.add_argument(
        "--run-code",
        action="store_true",
        help="execute the Python file that makes a network of your own (`jpegfreq from-rgb`), if you trust it",
    )


def device_from(arguments: argparse.Namespace) -> str:
    """Find the device that --device names and return PyTorch's name for it.

    Raises:
        CommandError: it cannot be used.
    """
    from jpegfreq.models.device import best_device

    try:
        return str(best_device(arguments.device))
    except ValueError as error:
        raise CommandError(f"--device: {error}") from error


def checkpoint_folder(path: Path) -> Path:
    """Find the checkpoint: the folder itself, or best/ or else last/ of a training run.

    Raises:
        CommandError: there is none, or PyTorch is missing.
    """
    from jpegfreq.models.checkpoint import CheckpointError, checkpoint_in

    try:
        return checkpoint_in(path)
    except CheckpointError as error:
        raise CommandError(str(error)) from error


def load_classifier(path: Path, arguments: argparse.Namespace) -> Classifier:
    """Load the classifier of a checkpoint or training run onto the device that --device names.

    Raises:
        CommandError: there is none, it is a network for boxes or masks, it cannot be read, or PyTorch is missing.
    """
    folder = checkpoint_folder(path)
    from jpegfreq.models.checkpoint import load_model
    from jpegfreq.models.dense.config import is_dense

    if is_dense(folder):
        raise CommandError(f"{folder} is a network for boxes or masks, but this command needs a classifier")
    with _named(folder):
        return load_model(folder, device=device_from(arguments), run_code=getattr(arguments, "run_code", False))


def load_gated(path: Path, arguments: argparse.Namespace) -> Classifier | DenseModel:
    """Load the model of a checkpoint or training run, for classes, boxes or masks.

    Raises:
        CommandError: as for `load_classifier`.
    """
    folder = checkpoint_folder(path)
    from jpegfreq.models.dense.config import is_dense, load_dense

    if not is_dense(folder):
        return load_classifier(folder, arguments)
    with _named(folder):
        return load_dense(folder, device=device_from(arguments))


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Turn errors into a CommandError that names the checkpoint."""
    try:
        yield
    except (ValueError, KeyError, OSError, RuntimeError, ImportError) as error:
        reason = reason_of(error)
        raise CommandError(reason if str(folder) in reason else f"{folder}: {reason}") from error


def any_images(source: str) -> Images:
    """Find the JPEG files of a folder, however deep, of a .txt list or of .tar shards, with or without labels.

    Raises:
        CommandError: there are none.
    """
    return _images(source, labels=False)


def labelled_images(source: str) -> Images:
    """Find the images of a folder with one folder per class, of a .txt list, or of .tar shards.

    Raises:
        CommandError: the source is none of these.
    """
    return _images(source, labels=True)


def _images(source: str, *, labels: bool) -> Images:
    """Open a source, and count on the error stream what is left out of it."""
    from jpegfreq.sources import open_images

    try:
        images = open_images(source, labels=labels)
    except (OSError, ValueError) as error:
        advice = ""
        if "class folder" in str(error):
            advice = f"; labelled images need one folder per class: {source}/class/image.jpg"
        raise CommandError(f"{reason_of(error)}{advice}") from error
    if images.left_out:
        print(f"left out of {source}: {images.left_out}", file=sys.stderr)
    return images


class Unread:
    """Collect the unreadable images of a command, to name them at its end."""

    def __init__(self) -> None:
        """Begin with none."""
        self.messages: dict[str, None] = {}

    def __call__(self, message: str) -> None:
        """Note an image, once; the message names it."""
        self.messages[message] = None

    def report(self) -> int:
        """Print the images that were left out to the error stream; return 1 if there are any, as an exit code."""
        from rich.text import Text

        from jpegfreq.cli._progress import message_console

        console = message_console()
        for message in list(self.messages)[:_NAMED]:
            console.print(Text(message, "yellow"), soft_wrap=True)
        if self.messages:
            more = f" ({len(self.messages) - _NAMED} are not listed)" if len(self.messages) > _NAMED else ""
            text = f"unreadable images left out: {len(self.messages)}{more}"
            console.print(Text(text, "bold yellow"), soft_wrap=True)
        return 1 if self.messages else 0


@contextmanager
def image_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on the error stream; call the result with the number of images done since the last call."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from jpegfreq.cli._progress import message_console

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=message_console()) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.advance(task, done)
