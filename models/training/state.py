"""What a run resumes from: one file that is whole at any time."""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from jpegfreq._files import write_whole
from jpegfreq._words import counted, verb
from jpegfreq.models.checkpoint import CheckpointError, read_tensors
from jpegfreq.models.training.distributed import total_over_processes

__all__ = ["STATE", "CheckpointInterval", "DataSummary", "RunState", "Sums", "check_same_data", "read_state", "seed_of"]

STATE = "training_state.pt"
_LISTED = 5  # classes that an error names


def seed_of(seed: int, epoch: int, step: int, rank: int = 0) -> int:
    """Return a seed for what a process draws in a step, so that a step does not depend on those before it."""
    return hash((seed, epoch, step, rank)) % 2**63


class Sums:
    """Running sums of an epoch, by name: float64 tensors of any shape, on the CPU."""

    def __init__(self, values: Mapping[str, Tensor] | None = None) -> None:
        """Start from earlier values."""
        self.values = dict(values or {})

    def __getitem__(self, name: str) -> float:
        """Return a sum of numbers."""
        return float(self.values[name])

    def add(self, **values: float | Tensor) -> None:
        """Add to each sum. Every process must name the same ones."""
        for name, value in values.items():
            new = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
            self.values[name] = self.values[name] + new if name in self.values else new

    def over_processes(self) -> Sums:
        """Return the sums over every process. All processes must call it."""
        names = sorted(self.values)
        parts = [self.values[name].reshape(-1) for name in names]
        total = total_over_processes(torch.cat(parts)).split([len(part) for part in parts])
        return Sums({name: part.reshape(self.values[name].shape) for name, part in zip(names, total, strict=True)})


@dataclass(frozen=True)
class DataSummary:
    """What the images of a run were, so that a resumed run can tell whether they are still the same.

    Attributes:
        source: as the run names it.
        images: how many.
        classes: the name of each class, or its number.
        names_sha256: of the images' names and labels, in order.
    """

    source: str
    images: int
    classes: tuple[str, ...]
    names_sha256: str

    @classmethod
    def of(cls, source: str, names: Iterable[str], labels: Iterable[object], classes: Sequence[object]) -> DataSummary:
        """Summarize images.

        Args:
            source: a folder, list or store; names are compared without this prefix.
            names: of each image.
            labels: of each image, anything that prints the same in the next run.
            classes: of all of them.
        """
        digest = hashlib.sha256()
        count = 0
        for name, label in zip(names, labels, strict=True):
            digest.update(f"{name.removeprefix(source)}\0{label}\n".encode(errors="surrogateescape"))
            count += 1
        return cls(source, count, tuple(map(str, classes)), digest.hexdigest())


def check_same_data(out: Path, before: Sequence[Mapping[str, Any]], now: Sequence[DataSummary]) -> None:
    """Require the images that a run began with.

    Args:
        out: the run's folder.
        before: `asdict` of the summaries in its state.
        now: the summaries of the images there are.

    Raises:
        ValueError: something has changed; the text says what.
    """
    for known, new in zip((DataSummary(**values) for values in before), now, strict=True):
        differences = _class_differences(tuple(known.classes), new.classes)
        if known.images != new.images:
            differences.append(
                f"there {verb(known.images, 'was', 'were')} {counted(known.images, 'image')} and there "
                f"{verb(new.images)} {new.images:,} now"
            )
        elif known.names_sha256 != new.names_sha256 and not differences:
            differences.append(
                f"there {verb(new.images)} {counted(new.images, 'image')} as before, but with other names or labels"
            )
        if differences:
            raise ValueError(
                f"{new.source} has changed since the run in {out} was stopped: {'; '.join(differences)}. "
                "Restore the images to resume the run, or name a new folder"
            )


def _class_differences(before: tuple[str, ...], now: tuple[str, ...]) -> list[str]:
    def listed(names: list[str]) -> str:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more

    gone, new = [name for name in before if name not in now], [name for name in now if name not in before]
    if len(gone) == len(new) and gone:
        return [f"classes were renamed or replaced: {listed(gone)} became {listed(new)}"]
    differences = [f"classes were removed: {listed(gone)}"] if gone else []
    differences += [f"classes were added: {listed(new)}"] if new else []
    return differences or (["the classes are in another order"] if before != now else [])


class CheckpointInterval:
    """When a run saves its state between the ends of epochs."""

    def __init__(self, text: str | None) -> None:
        """Read "500 steps" or "10 minutes"; None never saves between them.

        Raises:
            ValueError: the text is neither.
        """
        self._steps, self._seconds = 0, 0.0
        self._saved = time.monotonic()
        if text is None:
            return
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(step|minute)s?\s*", text)
        number = float(match[1]) if match else 0.0
        if match is None or not number or (match[2] == "step" and not number.is_integer()):
            raise ValueError(f'checkpoint_every must be like "500 steps" or "10 minutes", not {text!r}')
        if match[2] == "step":
            self._steps = int(number)
        else:
            self._seconds = 60 * number

    def is_due(self, step: int) -> bool:
        """Return whether to save after a step of an epoch, counted from 1."""
        if self._steps:
            return step % self._steps == 0
        if self._seconds and time.monotonic() - self._saved >= self._seconds:
            self._saved = time.monotonic()
            return True
        return False


class Stateful(Protocol):
    """A part of a run that is saved: a network, an optimizer, a loader, a Steering."""

    def state_dict(self) -> Any:
        """Return what `load_state_dict` needs."""

    def load_state_dict(self, state: Any, /) -> Any:
        """Continue from where `state_dict` was taken."""


@dataclass
class RunState:
    """What a run resumes from. The loop changes it, and saves it.

    Attributes:
        path: of the file.
        parts: what has a state of its own, by name.
        data: summaries of the training and the validation images.
        facts: values that the run determined when it began, such as measured statistics; plain values.
        history: one line of the log per finished epoch.
        step: how many steps of the current epoch are done.
        sums: over these steps.
    """

    path: Path
    parts: dict[str, Stateful]
    data: tuple[DataSummary, ...]
    facts: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    step: int = 0
    sums: Sums = field(default_factory=Sums)

    def save(self, *, step: int = 0, sums: Sums | None = None) -> None:
        """Write the file.

        Args:
            step: how many steps of the current epoch are done.
            sums: over these steps.

        Raises:
            OSError: it cannot be written; the file holds what it held before.
        """
        buffer = io.BytesIO()
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "data": [asdict(summary) for summary in self.data],
            "facts": self.facts,
            "history": self.history,
            "step": step,
            "sums": {} if sums is None else sums.values,
        }
        torch.save(state, buffer)
        write_whole(self.path, buffer.getvalue())

    def resume(self, saved: Mapping[str, Any], *, first_process: bool = True) -> None:
        """Continue from what `read_state` returned.

        Args:
            saved: the state.
            first_process: whether this process keeps the sums, which are over all of them.

        Raises:
            ValueError: the data have changed.
        """
        check_same_data(self.path.parent, saved["data"], self.data)
        for name, part in self.parts.items():
            part.load_state_dict(saved["parts"][name])
        self.history = list(saved["history"])
        self.step = int(saved["step"])
        self.sums = Sums({name: value if first_process else value * 0 for name, value in saved["sums"].items()})

    def take_progress(self) -> tuple[int, Sums]:
        """Return (steps that are done, their sums) of the epoch that begins now; the next epoch starts from nothing."""
        step, sums = self.step, self.sums
        self.step, self.sums = 0, Sums()
        return step, sums


def read_state(out: Path) -> dict[str, Any] | None:
    """Read what a run in a folder resumes from; None if it has not saved anything.

    Raises:
        ValueError: the file is damaged.
    """
    path = out / STATE
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = read_tensors(path)
    except CheckpointError as error:
        raise ValueError(f"{error}: delete it to start the run again, or name a new folder") from error
    return state
