"""Reading a finished store back."""

from __future__ import annotations

import bisect
import os
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq._files import read_text
from jpegfreq._json import parse_json
from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.store.plan import STORE_VERSION
from jpegfreq.views import EvaluationView

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["StoredDataset"]


class StoredDataset:
    """A finished store, read by memory map. It holds one fixed crop per image, so training on it has no random crops.

    Attributes:
        format: what the tensors hold.
        view: the part of each image that they show.
        names: the source file of each tensor.
        labels: int64 [N], indices into `classes`; -1 for files that are not in a class folder.
        classes: names of the labels.
        manifest: the fields of manifest.json, without the shards.

    >>> store = StoredDataset("store")  # doctest: +SKIP
    >>> tensor, label = store[0]  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a store; each shard is mapped when it is first used."""
        self.path = Path(path)
        manifest = parse_json(read_text(self.path / "manifest.json"))
        if manifest["store_version"] != STORE_VERSION:
            raise ValueError(
                f"{self.path} is a store of version {manifest['store_version']}, but this jpegfreq reads version "
                f"{STORE_VERSION}"
            )
        shards = manifest.pop("shards")
        self.manifest: dict[str, Any] = manifest
        self.format = TensorFormat.from_dict(manifest["format"])
        self.view = EvaluationView.from_dict({name: manifest[name] for name in EvaluationView.field_names()})
        self.classes: tuple[str, ...] = tuple(manifest["classes"])
        files = [file for shard in shards for file in shard["files"]]
        self.names: list[str] = [file["name"] for file in files]
        self.labels: npt.NDArray[np.int64] = np.array([file["label"] for file in files], np.int64)
        self._files = [str(shard["shard"]) for shard in shards]
        self._ends = list(accumulate(len(shard["files"]) for shard in shards))
        self._maps: list[npt.NDArray[Any] | None] = [None] * len(shards)
        self._affine = self._dequantization() if manifest["storage"] == "int16" else None

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.names)

    def __repr__(self) -> str:
        """Name the store, its size and its tensors in one line."""
        (height, width), format = self.view.size, self.format
        return (
            f"StoredDataset('{self.path}': {counted(len(self), 'tensor')} of "
            f"{counted(len(format.selection), 'channel')} from crops of "
            f"{height} x {width} px, {counted(len(self.classes), 'class')})"
        )

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], int]:
        """Return a tensor, copied into memory, and its label."""
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is out of range: the store holds {counted(len(self), 'tensor')}")
        shard = bisect.bisect_right(self._ends, index)
        tensors = self._maps[shard]
        if tensors is None:
            # A plain array over the map: np.memmap's own indexing takes longer than the copy.
            tensors = self._maps[shard] = np.asarray(np.load(self.path / self._files[shard], mmap_mode="r"))
        stored = tensors[index - self._ends[shard]]
        label = int(self.labels[index])
        if self._affine is None:
            return stored.copy(), label
        scale, shift = self._affine
        tensor = np.multiply(stored, scale, dtype=np.float32)
        tensor += shift
        return tensor, label

    def __reduce__(self) -> tuple[type[StoredDataset], tuple[str]]:
        """Pickle the path alone: another process opens the store itself and maps the same pages."""
        return StoredDataset, (str(self.path),)

    def _dequantization(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        channels = np.array(self.format.selection.channels)
        scale, shift = np.full(len(channels), float(self.manifest["int16_step"])), np.zeros(len(channels))
        if self.format.statistics is not None:
            std = np.array(self.format.statistics.std)[channels]
            scale, shift = scale / std, -np.array(self.format.statistics.mean)[channels] / std
        shape = (-1, 1, 1) if self.format.layout == "CHW" else (1, 1, -1)
        return scale.astype(np.float32).reshape(shape), shift.astype(np.float32).reshape(shape)
