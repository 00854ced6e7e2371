"""What the commands that look at trained models share: the checkpoint, the images, the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq.cli import CommandError

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import Classifier
    from jpegfreq.torch import Images


def checkpoint_folder(path: Path) -> Path:
    """The checkpoint itself: a folder that holds a model, or the run whose best, or else last, one is meant.

    Raises:
        CommandError: there is none.
    """
    for folder in (path, path / "best", path / "last"):
        if (folder / "model.safetensors").is_file():
            return folder
    raise CommandError(f"{path}: no checkpoint (model.safetensors and config.json), nor a run with best/ or last/")


def load_classifier(path: Path, *, device: str = "cpu") -> Classifier:
    """The model of a checkpoint or run.

    Raises:
        CommandError: there is none, it cannot be read, or PyTorch is missing.
    """
    folder = checkpoint_folder(path)
    try:
        from jpegfreq.models.checkpoint import load_model
    except ImportError as error:
        raise CommandError(f'models need PyTorch: pip install "jpegfreq[train]" ({error})') from error
    try:
        return load_model(folder, device=device)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise CommandError(f"{folder}: {error}") from error


def labelled_images(folder: Path) -> Images:
    """A folder of class folders.

    Raises:
        CommandError: it is none.
    """
    from jpegfreq.torch import image_folder

    try:
        return image_folder(folder)
    except OSError as error:
        raise CommandError(f"{error}; labelled images lie in a folder a class: {folder}/class/image.jpg") from error


@contextmanager
def image_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream; what it yields takes the number done since the last call."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.advance(task, done)
