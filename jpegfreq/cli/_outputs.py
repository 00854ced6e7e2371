"""The files that a command will write: checked before it starts its work, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._extras import needs_extra
from jpegfreq._files import written_whole
from jpegfreq.cli import CommandError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FIGURES = (".png", ".pdf", ".svg")
# Files that belong to an input folder: its images and shards, and the parts of a checkpoint, run or store.
_CONTENTS = {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tar", ".npy", ".npz", ".h5", ".safetensors", ".pt"}
_DESCRIPTIONS = {
    "config.json", "plan.json", "manifest.json", "manifest.jsonl", "format.json", "run.json", "log.csv", "gate.json",
    "statistics.json",
}  # fmt: skip


def check_outputs(*paths: Path | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Check that files can be written, and that no input would be overwritten.

    Args:
        paths: the files to write; None for each that is not wanted.
        inputs: files and folders that the command reads; names that do not exist, such as presets, are ignored.

    Raises:
        CommandError: the folder of a file is missing, the file is a folder, two outputs are the same file, or an input
            or any file of images or tensors, which a list may name, would be overwritten.
    """
    wanted = [path for path in paths if path is not None]
    for path in wanted:
        if path.is_dir():
            raise CommandError(f"{path} is a folder, but a file is to be written")
        if path.exists() and path.suffix.lower() in _CONTENTS - {*_FIGURES}:
            raise CommandError(f"{path} holds images or tensors, and would be overwritten; choose another name")
        if not path.absolute().parent.is_dir():
            raise CommandError(f"{path.parent}: no such folder, so {path.name} cannot be written there")
    real = [os.path.realpath(path) for path in wanted]
    for n, path in enumerate(wanted):
        if real[n] in real[:n]:
            raise CommandError(f"{path}: two outputs would be written to this file")
    for source in inputs:
        if source is not None and os.path.exists(source):
            for path in wanted:
                _refuse_input(path, Path(source))


def _refuse_input(path: Path, source: Path) -> None:
    """Refuse to overwrite an input file, or a file that belongs to an input folder."""
    if not path.exists():
        return
    if source.is_dir():
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source))
        if inside and (path.suffix.lower() in _CONTENTS or path.name in _DESCRIPTIONS):
            raise CommandError(f"{path} belongs to the input {source}: it would be overwritten; choose another name")
    elif path.samefile(source):
        raise CommandError(f"{path} is an input of this command: it would be overwritten; choose another name")


def refuse_inside(out: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse a folder of JPEG files inside an input folder, because the next run would take its files for inputs.

    Raises:
        CommandError: it lies inside one.
    """
    real = Path(os.path.realpath(out))
    for source in inputs:
        if os.path.isdir(source) and Path(os.path.realpath(source)) in real.parents:
            raise CommandError(f"--out {out} lies in the input {source}: choose a folder outside of it")


def check_figure(path: Path | None, *, inputs: Iterable[str | Path | None] = ()) -> None:
    """Check that a figure can be drawn and written.

    Args:
        path: the file to write; None if it is not wanted.
        inputs: as for `check_outputs`.

    Raises:
        CommandError: as for `check_outputs`; or the file's suffix is not that of a figure, or matplotlib is missing.
    """
    check_outputs(path, inputs=inputs)
    if path is not None:
        if path.suffix.lower() not in _FIGURES:
            raise CommandError(f"{path}: the name of a figure must end in {', '.join(_FIGURES)}")
        check_matplotlib()


def check_matplotlib() -> None:
    """Check that matplotlib, which draws figures and pages, is installed.

    Raises:
        CommandError: it is not.
    """
    with needs_extra("a figure or an HTML page"):
        import matplotlib

    matplotlib.use("Agg")


def write_figure(figure: Figure, path: Path, *, dpi: int = 150) -> None:
    """Write a figure whole or not at all, in the format that its name ends in.

    Args:
        figure: what was drawn.
        path: ends in .png, .pdf or .svg.
        dpi: dots per inch.

    Raises:
        WriteError: the file cannot be written.
    """
    with written_whole(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=dpi)
