"""The plan of a conversion: it alone, together with the files' bytes, decides what a store holds.

A store is a folder with plan.json and the folder shards/. Each shard holds a fixed run of the sorted file names. So a
conversion may be killed at any time and run again, or be shared among machines.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from jpegfreq._json import parse_json
from jpegfreq._words import counted
from jpegfreq.channels import ChannelSelection
from jpegfreq.failures import Failure
from jpegfreq.format import TensorFormat
from jpegfreq.views import EvaluationView

__all__ = ["INT16_STEP", "Conversion", "ShardPlan", "Storage", "differences"]

Storage: TypeAlias = Literal["float32", "float16", "int16", "int8"]

# int16 holds coefficients, before normalization, in steps of 1/16: up to +-2047, which every 8-bit image keeps to.
INT16_STEP = 1 / 16
# What each kind of storage may lose.
STORAGE_ERRORS = {
    "float32": "none",
    "float16": "at most 2**-11 of each value (2**-25 for values below 2**-14)",
    "int8": "half a step of the format, and what is beyond 127 steps",
    "int16": "at most 1/32 of a coefficient, before normalization",
}
STORE_VERSION = 1
_SHARD_BYTES = 64 << 20


@dataclass(frozen=True)
class ShardRecord:
    """What a complete shard says of its files.

    Attributes:
        files: of every file its "name", "size_bytes" and hash, "xxh3_128" or "sha256"; a file that could not be opened
            has only its name.
        failures: the files that could not be read.
    """

    files: list[dict[str, Any]]
    failures: list[Failure]


class ShardPlan(ABC):
    """A conversion to shards, in whatever container.

    Attributes:
        folder: where the files are; it is not part of what is written.
        names: of the files below the folder, in order.
    """

    folder: Path
    names: tuple[str, ...]

    @property
    @abstractmethod
    def images_per_shard(self) -> int:
        """The number of files that each shard holds, but for the last."""

    @abstractmethod
    def plan(self) -> dict[str, Any]:
        """Return what must agree for two runs to fill the same store."""

    @abstractmethod
    def plan_text(self) -> str:
        """Return the content of plan.json."""

    @abstractmethod
    def shard_path(self, out: Path, shard: int) -> Path:
        """Return the file of a shard, whose time of modification is when it was begun."""

    @abstractmethod
    def complete_path(self, out: Path, shard: int) -> Path:
        """Return the file whose existence marks a shard as complete."""

    @abstractmethod
    def record(self, out: Path, shard: int) -> ShardRecord:
        """Read what a complete shard says of its files."""

    @property
    def shard_count(self) -> int:
        """The number of shards that the files make."""
        return -(-len(self.names) // self.images_per_shard)

    def shard_names(self, shard: int) -> tuple[str, ...]:
        """Return the names of one shard's files."""
        return self.names[shard * self.images_per_shard : (shard + 1) * self.images_per_shard]

    def part(self, part: int, parts: int) -> range:
        """Return the shards that one of several machines converts; `part` counts from 1."""
        return range(part - 1, self.shard_count, parts)


@dataclass(frozen=True)
class Conversion(ShardPlan):
    """The plan of a conversion to tensors of one size.

    Attributes:
        folder: where the files are; it is not part of what is written.
        names: of the files below the folder, in order. A file's label is the first folder of its name.
        format: of the tensors that StoredDataset returns.
        view: the part of each image.
        storage: how values are stored: "float32", "float16" and "int8" as the format's dtype; "int16" for float32.
        shard_bytes: the approximate size of a shard.
    """

    folder: Path
    names: tuple[str, ...]
    format: TensorFormat
    view: EvaluationView
    storage: Storage = "float32"
    shard_bytes: int = field(default_factory=lambda: _SHARD_BYTES)

    def __post_init__(self) -> None:
        """Check that storage and format agree."""
        if self.format.dtype != ("float32" if self.storage == "int16" else self.storage):
            raise ValueError(f"{self.storage} storage cannot return tensors of {self.format.dtype}")

    def __repr__(self) -> str:
        """Describe the plan in one line."""
        return (
            f"Conversion('{self.folder}': {counted(len(self.names), 'file')} to "
            f"{counted(len(self.format.selection), 'channel')}; "
            f"{self.view}; {self.storage})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, sorted: the first folder of each name."""
        return tuple(sorted({name.split("/")[0] for name in self.names if "/" in name}))

    @property
    def images_per_shard(self) -> int:
        """The number of tensors that fill a shard."""
        values = int(np.prod(self.format.shape(*self.view.size)))
        return max(1, self.shard_bytes // (values * np.dtype(self.storage).itemsize))

    def plan(self) -> dict[str, Any]:
        """Return what must agree for two runs to fill the same store."""
        from jpegfreq import __version__

        return {
            "store_version": STORE_VERSION,
            "versions": {"jpegfreq": __version__, "numpy": np.__version__},
            "format": self.format.to_dict(),
            **self.view.to_dict(),
            "storage": self.storage,
            "storage_error": STORAGE_ERRORS[self.storage],
            "int16_step": INT16_STEP if self.storage == "int16" else None,
            "images_per_shard": self.images_per_shard,
            "classes": self.classes,
            "files": len(self.names),
            "names_sha256": hashlib.sha256("\n".join(self.names).encode(errors="surrogateescape")).hexdigest(),
        }

    def plan_text(self) -> str:
        """Return the content of plan.json."""
        return lines_json(self.plan())

    def shard_path(self, out: Path, shard: int) -> Path:
        """Return the .npy file of a shard."""
        return out / shard_name(shard)

    def complete_path(self, out: Path, shard: int) -> Path:
        """Return the record beside the .npy file, which is written last."""
        return out / f"shards/{shard:05d}.json"

    def record(self, out: Path, shard: int) -> ShardRecord:
        """Read the record of a complete shard."""
        record = parse_json(self.complete_path(out, shard).read_text("utf-8"))
        files = [*record["files"], *record.get("unread", ())]
        return ShardRecord(files, [Failure(**failure) for failure in record["failures"]])


def shard_name(shard: int) -> str:
    """Name the .npy file of a shard below the store."""
    return f"shards/{shard:05d}.npy"


def lines_json(value: dict[str, Any]) -> str:
    """Write a dict as JSON, one line per key: with more lines Python would use its slow encoder."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}\n"


_OPTIONS = {
    "size": "--size",
    "shorter_side": "--shorter-side",
    "filter": "--filter",
    "apply_orientation": "--apply-orientation",
    "storage": "--dtype",
    "damage": "--damage",
    "chroma": "--chroma",
    "layout": "--layout",
    "dtype": "--dtype",
}


def differences(before: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Name what differs between two plans, or between the stamps of two folders of outputs.

    Args:
        before: of the folder, as it was written to JSON.
        wanted: of this run, likewise.

    Returns:
        Each option with both values: "--channels 24 (now 6), --dtype float32 (now float16)"; "" for equal plans.
    """
    commands = before.get("command", "decode"), wanted.get("command", "decode")
    if commands[0] != commands[1]:
        return f"jpegfreq {commands[0]} (now {commands[1]})"
    before, wanted = _flat(before), _flat(wanted)
    found = {}
    for key, value in wanted.items():
        old = before.get(key)
        if old == value:
            continue
        if key.startswith("--"):
            found[key] = (old, value)
        elif key in _OPTIONS:
            found[_OPTIONS[key]] = (old, value)
        elif key == "channels":
            found["--channels"] = (_channels_in_words(old, value), _channels_in_words(value, old))
        elif key == "statistics":
            found["--statistics"] = (_source_of(old), _source_of(value))
        elif key == "versions":
            found |= {f"{name} version": ((old or {}).get(name), value[name]) for name in value}
        elif key == "files":
            found["number of files"] = (old, value)
    if before != wanted and not found:
        if before.get("names_sha256") != wanted.get("names_sha256") or before.get("names") != wanted.get("names"):
            return "the names of the files"
        return "the layout of the shards"
    return ", ".join(f"{name} {old} (now {new})" for name, (old, new) in found.items() if old != new)


def _flat(plan: dict[str, Any]) -> dict[str, Any]:
    """Put the fields of the format, and the options by their names, beside the others."""
    flat = {**plan.get("format", {}), **plan.get("options", {}), **plan}
    if "storage" in flat:
        flat.pop("dtype", None)  # the storage implies it
    return flat


def _channels_in_words(channels: Any, other: Any) -> str:
    if not isinstance(channels, dict):
        return str(channels)
    selection = ChannelSelection.from_dict(channels)
    if isinstance(other, dict) and other.get("name") == selection.name:
        return " ".join(selection.channel_names)
    return str(selection.name)


def _source_of(statistics: Any) -> str:
    return "none" if statistics is None else f'"{statistics["source"]}"'
