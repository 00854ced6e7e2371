"""Files that a command is to write, looked at before it works for them."""

from __future__ import annotations

from pathlib import Path

from jpegfreq.cli import CommandError

_FIGURES = (".png", ".pdf", ".svg")


def check_outputs(*paths: Path | None) -> None:
    """Files to be written; None where one is not wanted.

    Raises:
        CommandError: the folder of one is missing, or one is a folder itself.
    """
    for path in paths:
        if path is None:
            continue
        if not path.absolute().parent.is_dir():
            raise CommandError(f"{path.parent}: no such folder")
        if path.is_dir():
            raise CommandError(f"{path} is a folder, and a file is to be written")


def check_figure(path: Path | None) -> None:
    """A figure to be drawn, or None.

    Raises:
        CommandError: as `check_outputs`; its name ends in another suffix than a figure's, or matplotlib is missing.
    """
    check_outputs(path)
    if path is not None:
        if path.suffix.lower() not in _FIGURES:
            raise CommandError(f"{path}: a figure's name ends in {', '.join(_FIGURES)}")
        check_matplotlib()


def check_matplotlib() -> None:
    """What draws figures and pages.

    Raises:
        CommandError: it is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise CommandError('a figure or page needs matplotlib: pip install "jpegfreq[plot]"') from error
