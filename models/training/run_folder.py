"""The folder of a training run: a new one, or the one that the same run was begun in."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from jpegfreq._files import is_new, write_whole
from jpegfreq.models.checkpoint import CheckpointError, read_tensors

__all__ = ["STATE", "begin_run", "check_run_folder", "read_state"]

STATE = "training_state.pt"
_RUN = "run.json"
_LONG = 120  # characters of two values, which tell nothing any more


class Config(Protocol):
    """A frozen dataclass that a run is made of."""

    def to_json(self) -> str:
        """As JSON text."""


AnyConfig = TypeVar("AnyConfig", bound=Config)


def check_run_folder(
    out: Path, config: AnyConfig, from_json: Callable[[str], AnyConfig], *, movable: Collection[str]
) -> None:
    """Whether a run can be kept in a folder.

    Args:
        out: may be new, or hold this very run.
        config: the run.
        from_json: undoes `config.to_json`.
        movable: fields that change no weights (on a CPU). The weights that a run starts from are one once its first
            epoch has ended.

    Raises:
        OSError: it cannot be written.
        ValueError: it holds other files, or another run.
    """
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is no folder: the run cannot be kept in {out}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} cannot be written: the run cannot be kept in {out}")
    if not (out / _RUN).exists():
        if not is_new(out, _RUN):
            raise ValueError(f"{out} holds other files: name a new folder")
        return
    try:
        known = from_json((out / _RUN).read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{out / _RUN} is no run of this version ({error}): name a new folder") from error
    free = {*movable, "weights"} if (out / STATE).exists() else movable
    names = [field.name for field in fields(config) if field.name not in free]  # type: ignore[arg-type]
    changed = [name for name in names if getattr(known, name) != getattr(config, name)]
    if changed:
        name = changed[0]
        before, now = repr(getattr(known, name)), repr(getattr(config, name))
        difference = f"{name}={before}, not {now}" if len(before) + len(now) < _LONG else f"another {name}"
        raise ValueError(
            f"{out} holds a run with {difference}"
            + (f" (and {len(changed) - 1} more differences)" if len(changed) > 1 else "")
            + ": repeat its options to go on with it, or name a new folder"
        )


def read_state(out: Path) -> dict[str, Any] | None:
    """What a run in a folder goes on from; None where it has not come to the end of an epoch.

    Raises:
        ValueError: it is damaged.
    """
    path = out / STATE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = read_tensors(path)
    except CheckpointError as error:
        raise ValueError(f"{error}: delete it to begin the run again, or name a new folder") from error
    return state


def begin_run(out: Path, config: Config) -> None:
    """Make the folder, and keep in it what the run is."""
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / _RUN, config.to_json())
