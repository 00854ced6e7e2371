"""Whole images' coefficients in HDF5: frequency-major, Blosc2 (bit-shuffle, Zstandard); any image alone, bit for bit.

A store is a folder: files `shards/00000.h5`, each with a fixed run of the sorted file names, and plan.json. A shard is
complete once it has its name, so a kill loses no more than the shard in work. A shard's time of modification is when
it was begun, before any of its files was read: one of whose files changed since is made again. Reading needs the extra
`storage`.

In a shard, data set "00007" is the shard's eighth file: int16, the planes of its components one behind the other,
each [8, 8, blocks_high, blocks_wide]; the data set "records" holds one JSON text for each file: its name, size, hash,
header and quantization tables, or why it could not be read.

Is it worth it? Seldom: of all standard containers that were measured (`python -m bench --stages storage`) those that
pack read back more slowly than `read_coefficients` decodes the JPEG again, and none is smaller than the JPEG. This one
takes 1.3 times the JPEG's space and twice the decoder's time. It serves those who need coefficients in other programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from jpegfreq._files import name_complete, opened_alone, write_whole
from jpegfreq.batch import read_coefficients_batch
from jpegfreq.coefficients import Coefficients
from jpegfreq.errors import JpegError
from jpegfreq.failures import Failure
from jpegfreq.header import Component, Header
from jpegfreq.store.conversion import identity_of, is_edited

__all__ = [
    "StoredCoefficients",
    "begin_coefficients",
    "convert_coefficients",
    "failures_in",
    "missing_coefficients",
    "shard_count",
    "shard_names",
]

IMAGES_PER_SHARD = 256
_STORE_VERSION = 1
_BATCH = 16


def begin_coefficients(folder: Path, names: tuple[str, ...], out: Path, *, part: int = 1, parts: int = 1) -> int:
    """Make the store's folder, or go on with one of the same files.

    Args:
        folder: where the files are.
        names: the files below it, in order.
        out: the store.
        part: which of several machines this is.
        parts: how many there are.

    Returns:
        How many complete shards of this part are to be made again: their files changed since.

    Raises:
        ValueError: the store was begun with other files.
    """
    (out / "shards").mkdir(parents=True, exist_ok=True)
    path = out / "plan.json"
    plan = {"coefficient_store_version": _STORE_VERSION, "images_per_shard": IMAGES_PER_SHARD, "names": list(names)}
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")) != plan:
            raise ValueError(f"{out} was begun with other files or another version; choose another folder")
    elif (out / "manifest.json").exists():
        raise ValueError(f"{out} is a store of tensors; choose another folder")
    else:
        write_whole(path, json.dumps(plan) + "\n")
    os.utime(path)
    now_ns = path.stat().st_mtime_ns
    edited = [
        shard
        for shard in range(part - 1, shard_count(names), parts)
        if _shard_path(out, shard).exists() and is_edited(folder, _shard_path(out, shard), _records(out, shard), now_ns)
    ]
    for shard in edited:
        _shard_path(out, shard).unlink()
    return len(edited)


def _records(out: Path, shard: int) -> list[dict[str, Any]]:
    """What a complete shard says of each of its files."""
    import h5py

    with h5py.File(_shard_path(out, shard), "r") as file:
        return [json.loads(text) for text in file["records"].asstr()[:]]


def shard_count(names: tuple[str, ...]) -> int:
    """How many shards the files make."""
    return -(-len(names) // IMAGES_PER_SHARD)


def shard_names(names: tuple[str, ...], shard: int) -> tuple[str, ...]:
    """The files of one shard."""
    return names[shard * IMAGES_PER_SHARD : (shard + 1) * IMAGES_PER_SHARD]


def missing_coefficients(out: Path, names: tuple[str, ...]) -> list[int]:
    """The shards that are not complete."""
    return [n for n in range(shard_count(names)) if not _shard_path(out, n).exists()]


def convert_coefficients(
    folder: Path,
    names: tuple[str, ...],
    out: Path,
    shards: Iterable[int],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda images, size_bytes: None,
) -> None:
    """Convert the files of some shards; each is complete at once, or not at all.

    Args:
        folder: where the files are.
        names: the files below it, in order.
        out: the store, begun.
        shards: their numbers.
        threads: how many threads decode.
        progress: called after each batch with the images and bytes it took.

    Raises:
        OSError: another process is writing one of them, or it cannot be written.
    """
    import h5py
    import hdf5plugin

    packed = hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.BITSHUFFLE)
    for shard in shards:
        own = shard_names(names, shard)
        path = _shard_path(out, shard)
        temporary = path.with_name(path.name + ".part")
        records: list[str] = []
        # HDF5's own lock comes too late: it empties the file first.
        with opened_alone(temporary) as begun:
            begun_ns = os.fstat(begun.fileno()).st_mtime_ns
            with h5py.File(temporary, "w", libver="latest", locking=False) as file:
                for start in range(0, len(own), _BATCH):
                    part = own[start : start + _BATCH]
                    paths = [os.path.join(folder, name) for name in part]
                    size_bytes = 0
                    for name, path_of, image in zip(part, paths, _read(paths, threads), strict=True):
                        known = {"name": name, **identity_of(Path(path_of))}
                        if isinstance(image, Coefficients):
                            values = _flat(image)
                            file.create_dataset(f"{len(records):05}", data=values, chunks=values.shape, **packed)
                            size_bytes += os.path.getsize(path_of)
                            records.append(json.dumps({**known, **_facts(image)}))
                        else:
                            failure = Failure.of_file(name, image, path_of)
                            records.append(json.dumps({**known, "failure": vars(failure)}))
                    progress(len(part), size_bytes)
                file.create_dataset("records", data=records, dtype=h5py.string_dtype())
            os.utime(temporary, ns=(begun_ns, begun_ns))
            name_complete(temporary, path)


def failures_in(out: Path, shards: Iterable[int]) -> list[Failure]:
    """The files of some complete shards that could not be read."""
    return [Failure(**facts["failure"]) for shard in shards for facts in _records(out, shard) if "failure" in facts]


def _read(paths: list[str], threads: int) -> list[Coefficients | JpegError | OSError | MemoryError]:
    return read_coefficients_batch(paths, threads=threads, errors="return")


def _flat(image: Coefficients) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Frequency-major: one frequency's values resemble one another, so that they pack well."""
    return np.concatenate([plane.transpose(2, 3, 0, 1).ravel() for plane in image.planes])


def _facts(image: Coefficients) -> dict[str, Any]:
    return {
        "header": asdict(image.header),
        "shapes": [plane.shape[:2] for plane in image.planes],
        "quantization_tables": [table.tolist() for table in image.quantization_tables],
    }


class StoredCoefficients:
    """A store of whole images, each read alone.

    Attributes:
        names: the source file of each image, those left out that could not be read.
        failures: the files that could not be read.

    >>> store = StoredCoefficients("store")  # doctest: +SKIP
    >>> store[0].planes[0].shape  # doctest: +SKIP
    (47, 63, 8, 8)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a complete store."""
        import h5py
        import hdf5plugin  # noqa: F401  # its filters are known once it is imported

        self.path = Path(path)
        plan = json.loads((self.path / "plan.json").read_text(encoding="utf-8"))
        if plan.get("coefficient_store_version") != _STORE_VERSION:
            raise ValueError(f"{self.path} is no store of coefficients of version {_STORE_VERSION}")
        missing = missing_coefficients(self.path, tuple(plan["names"]))
        if missing:
            raise ValueError(f"{self.path} is not complete: {len(missing)} shards are missing")
        self.names: list[str] = []
        self.failures: list[Failure] = []
        self._places: list[tuple[int, str, dict[str, Any]]] = []
        self._files: list[Any] = []
        for shard in range(-(-len(plan["names"]) // plan["images_per_shard"])):
            file = h5py.File(_shard_path(self.path, shard), "r")
            self._files.append(file)
            for number, text in enumerate(file["records"].asstr()[:]):
                facts = json.loads(text)
                if "failure" in facts:
                    self.failures.append(Failure(**facts["failure"]))
                else:
                    self.names.append(facts["name"])
                    self._places.append((shard, f"{number:05}", facts))

    def __len__(self) -> int:
        """How many images."""
        return len(self.names)

    def __getitem__(self, index: int) -> Coefficients:
        """One image, as `read_coefficients` gives it."""
        shard, key, facts = self._places[index]
        values = self._files[shard][key][:]
        ends = list(accumulate(64 * high * wide for high, wide in facts["shapes"]))
        memory = np.empty(ends[-1], np.int16)
        planes = []
        for (high, wide), end in zip(facts["shapes"], ends, strict=True):
            part = slice(end - 64 * high * wide, end)
            plane = memory[part].reshape(high, wide, 8, 8)
            plane[:] = values[part].reshape(8, 8, high, wide).transpose(2, 3, 0, 1)
            planes.append(plane)
        header = dict(facts["header"])
        header["components"] = tuple(Component(**component) for component in header["components"])
        tables = tuple(np.array(table, np.uint16) for table in facts["quantization_tables"])
        return Coefficients(Header(**header), tuple(planes), tables)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __reduce__(self) -> tuple[type[StoredCoefficients], tuple[str]]:
        """Another process opens the store itself."""
        return StoredCoefficients, (str(self.path),)


def _shard_path(out: Path, shard: int) -> Path:
    return out / f"shards/{shard:05d}.h5"
