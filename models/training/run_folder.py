"""The folder of a training run: a new one, or the one in which the same run began."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jpegfreq._files import is_new, read_text, write_whole
from jpegfreq._json import parse_json
from jpegfreq.models.training.state import STATE

__all__ = ["begin_run", "check_run_folder"]

_RUN = "run.json"
_LONG = 120  # characters of two values, too many to compare by eye


class RunConfig(Protocol):
    """A frozen dataclass that describes a run."""

    @property
    def epochs(self) -> int:
        """How many there are in the whole run."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""


AnyConfig = TypeVar("AnyConfig", bound=RunConfig)


def check_run_folder(
    out: Path,
    config: AnyConfig,
    from_dict: Callable[[dict[str, Any]], AnyConfig],
    *,
    movable: Collection[str],
    extend: bool = False,
) -> None:
    """Require that a run can be kept in a folder.

    Args:
        out: a new folder, or one that holds this very run.
        config: the run.
        from_dict: undoes `config.to_dict`.
        movable: fields that do not change the weights (on a CPU). Once a state is saved, the weights that the run
            started from are one of them.
        extend: accept a run that was to have fewer epochs.

    Raises:
        OSError: the folder cannot be written.
        ValueError: the folder holds other files or another run.
    """
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"the run cannot be kept in {out}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"the run cannot be kept in {out}: {there} is not writable")
    if not (out / _RUN).exists():
        if not is_new(out, _RUN):
            raise ValueError(f"{out} holds other files: name a new folder")
        return
    try:
        known = from_dict(parse_json(read_text(out / _RUN)))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{out / _RUN} is not a run of this version ({error}): name a new folder") from error
    free = {*movable, "weights"} if (out / STATE).exists() else set(movable)
    longer = config.epochs > known.epochs
    if extend and longer:
        free.add("epochs")
    names = [field.name for field in fields(config) if field.name not in free]  # type: ignore[arg-type]
    changed = [name for name in names if getattr(known, name) != getattr(config, name)]
    if changed:
        raise ValueError(
            f"{out} holds a run with other options: {', '.join(_difference(known, config, name) for name in changed)}. "
            f"Repeat its options to resume it, or name a new folder{'; --extend makes it longer' if longer else ''}"
        )


def _difference(known: RunConfig, config: RunConfig, name: str) -> str:
    before, now = (repr(getattr(each, name)) for each in (known, config))
    return f"{name}={before}, not {now}" if len(before) + len(now) < _LONG else f"another {name}"


def begin_run(out: Path, config: RunConfig) -> None:
    """Create the folder, and write what the run is into it."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / _RUN, json.dumps(config.to_dict(), indent=1))
