"""What the commands that look at trained models share: the checkpoint, the images, the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq.cli import CommandError

if TYPE_CHECKING:
    from jpegfreq.models.checkpoint import Classifier
    from jpegfreq.models.dense.config import DenseModel
    from jpegfreq.torch import Images


def checkpoint_folder(path: Path) -> Path:
    """The checkpoint itself: a folder that holds a model, or the run whose best, or else last, one is meant.

    Raises:
        CommandError: there is none, or PyTorch is missing.
    """
    try:
        from jpegfreq.models.checkpoint import CheckpointError, checkpoint_in
    except ImportError as error:
        raise CommandError(f'models need PyTorch: pip install "jpegfreq[train]" ({error})') from error
    try:
        return checkpoint_in(path)
    except CheckpointError as error:
        raise CommandError(str(error)) from error


def load_classifier(path: Path, *, device: str = "cpu") -> Classifier:
    """The model of a checkpoint or run.

    Raises:
        CommandError: there is none, it is for boxes or masks, it cannot be read, or PyTorch is missing.
    """
    folder = checkpoint_folder(path)
    from jpegfreq.models.checkpoint import load_model
    from jpegfreq.models.dense.config import is_dense

    if is_dense(folder):
        raise CommandError(f"{folder} is a network for boxes or masks, and one for classes is wanted")
    with _refused(folder):
        return load_model(folder, device=device)


def load_gated(path: Path, *, device: str = "cpu") -> Classifier | DenseModel:
    """The model of a checkpoint or run, for classes, boxes or masks.

    Raises:
        CommandError: as `load_classifier`.
    """
    folder = checkpoint_folder(path)
    from jpegfreq.models.dense.config import is_dense, load_dense

    if not is_dense(folder):
        return load_classifier(folder, device=device)
    with _refused(folder):
        return load_dense(folder, device=device)


@contextmanager
def _refused(folder: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise CommandError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error


def any_images(source: str) -> Images:
    """JPEG files in a folder, however deep; or a .txt list or .tar shards, whose labels are not looked at.

    Raises:
        CommandError: there are none.
    """
    from jpegfreq.cli._options import find_inputs
    from jpegfreq.torch import file_list

    path = Path(source)
    if path.suffix in (".txt", ".tar"):
        return labelled_images(source)
    try:
        files = [item.path for item in find_inputs([source])]
    except CommandError:
        if (path / "manifest.json").exists() or any(path.glob("*.tar")):
            return labelled_images(source)
        raise
    return file_list(files, [0] * len(files))


def labelled_images(source: str) -> Images:
    """A folder of class folders, a .txt list of "path label" lines, or .tar shards.

    Raises:
        CommandError: it is none.
    """
    from jpegfreq.models.training.inputs import open_images

    try:
        return open_images(source)
    except (OSError, ValueError) as error:
        advice = ""
        if "class folder" in str(error):
            advice = f"; labelled images lie in a folder a class: {source}/class/image.jpg"
        raise CommandError(f"{error}{advice}") from error


@contextmanager
def image_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on the error stream; what it yields takes the number done since the last call."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.advance(task, done)
