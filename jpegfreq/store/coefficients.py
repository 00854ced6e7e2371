"""Whole images' coefficients in HDF5, packed by Blosc2 (bit-shuffle, Zstandard); each image comes back bit for bit.

A store is a folder with plan.json and files `shards/00000.h5`, each with a fixed run of the sorted file names. Reading
and writing need the extra `storage`.

In a shard, data set "00007" is the shard's eighth file: int16, the planes of its components one after the other, each
[8, 8, blocks_high, blocks_wide]. The data set "records" holds one JSON text per file: its name, size, hash, header and
quantization tables, or why it could not be read.

It is seldom worth it. Of all standard containers that were measured (`python -m bench --stages storage`), those that
compress are slower to read than `read_coefficients` is to decode the JPEG again, and none is smaller than the JPEG.
This one takes 1.3 times the JPEG's space and twice the decoder's time. It serves those who need coefficients in other
programs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from jpegfreq._extras import needs_extra
from jpegfreq._files import WriteError, name_complete, opened_alone, read_text
from jpegfreq._json import parse_json
from jpegfreq._words import counted, verb
from jpegfreq.batch import read_coefficients_batch
from jpegfreq.coefficients import Coefficients
from jpegfreq.failures import Failure
from jpegfreq.header import Component, Header
from jpegfreq.store.manifest import identity_of, missing_shards
from jpegfreq.store.plan import ShardPlan, ShardRecord

__all__ = ["CoefficientConversion", "StoredCoefficients", "convert_coefficients"]

IMAGES_PER_SHARD = 256
_STORE_VERSION = 1
_BATCH = 16


@dataclass(frozen=True)
class CoefficientConversion(ShardPlan):
    """The plan of a conversion of whole images.

    Attributes:
        folder: where the files are; it is not part of what is written.
        names: of the files below the folder, in order.
    """

    folder: Path
    names: tuple[str, ...]

    def __repr__(self) -> str:
        """Describe the plan in one line."""
        return f"CoefficientConversion('{self.folder}': {counted(len(self.names), 'file')})"

    @property
    def images_per_shard(self) -> int:
        """The number of files that each shard holds, but for the last."""
        return IMAGES_PER_SHARD

    def plan(self) -> dict[str, Any]:
        """Return what must agree for two runs to fill the same store."""
        return {
            "coefficient_store_version": _STORE_VERSION,
            "images_per_shard": IMAGES_PER_SHARD,
            "names": list(self.names),
        }

    def plan_text(self) -> str:
        """Return the content of plan.json."""
        return json.dumps(self.plan()) + "\n"

    def shard_path(self, out: Path, shard: int) -> Path:
        """Return the HDF5 file of a shard."""
        return out / f"shards/{shard:05d}.h5"

    complete_path = shard_path

    def record(self, out: Path, shard: int) -> ShardRecord:
        """Read what a complete shard says of its files."""
        import h5py

        with h5py.File(self.shard_path(out, shard), "r") as file:
            files = [parse_json(text) for text in file["records"].asstr()[:]]
        return ShardRecord(files, [Failure(**facts["failure"]) for facts in files if "failure" in facts])


def convert_coefficients(
    conversion: CoefficientConversion,
    out: Path,
    shards: Iterable[int],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda images, size_bytes: None,
) -> None:
    """Convert the files of some shards; each shard appears whole or not at all.

    Args:
        conversion: the plan.
        out: the store, after `begin`.
        shards: their numbers.
        threads: how many threads decode.
        progress: called after each batch with its number of images and bytes.

    Raises:
        WriteError: a shard cannot be written, or another process is writing it.
    """
    for shard in shards:
        path = conversion.shard_path(out, shard)
        temporary = path.with_name(path.name + ".part")
        file = opened_alone(temporary)
        try:
            begun_ns = os.fstat(file.fileno()).st_mtime_ns
            file.write(_shard_bytes(conversion, shard, threads, progress))
            file.flush()
            os.utime(temporary, ns=(begun_ns, begun_ns))
            name_complete(temporary, path)  # before the lock is given up
            file.close()
        except BaseException as error:
            with suppress(OSError):
                temporary.unlink()
            with suppress(OSError):  # closing flushes what the full disk refused
                file.close()
            if isinstance(error, OSError):
                raise WriteError.of(path, error) from error
            raise


def _shard_bytes(
    conversion: CoefficientConversion, shard: int, threads: int, progress: Callable[[int, int], None]
) -> bytes:
    """Make the HDF5 file of a shard in memory, because libhdf5 crashes when a full disk cuts its file short."""
    import h5py
    import hdf5plugin

    packed = hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.BITSHUFFLE)
    names = conversion.shard_names(shard)
    records: list[str] = []
    with h5py.File(f"{shard:05d}.h5", "w", libver="latest", driver="core", backing_store=False) as file:
        for start in range(0, len(names), _BATCH):
            part = names[start : start + _BATCH]
            paths = [os.path.join(conversion.folder, name) for name in part]
            size_bytes = 0
            images = read_coefficients_batch(paths, threads=threads, errors="return")
            for name, path, image in zip(part, paths, images, strict=True):
                known = {"name": name, **identity_of(Path(path))}
                if isinstance(image, Coefficients):
                    values = _frequency_major(image)
                    file.create_dataset(f"{len(records):05}", data=values, chunks=values.shape, **packed)
                    size_bytes += known.get("size_bytes", 0)
                    records.append(json.dumps({**known, **_facts(image)}))
                else:
                    records.append(json.dumps({**known, "failure": vars(Failure.of_file(name, image, path))}))
            progress(len(part), size_bytes)
        file.create_dataset("records", data=records, dtype=h5py.string_dtype())
        file.flush()
        return bytes(file.id.get_file_image())


def _frequency_major(image: Coefficients) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Put the values of one frequency side by side: they resemble one another, so that they compress well."""
    return np.concatenate([plane.transpose(2, 3, 0, 1).ravel() for plane in image.planes])


def _facts(image: Coefficients) -> dict[str, Any]:
    return {
        "header": asdict(image.header),
        "shapes": [plane.shape[:2] for plane in image.planes],
        "quantization_tables": [table.tolist() for table in image.quantization_tables],
    }


class StoredCoefficients:
    """A store of whole images, of which any can be read alone.

    Attributes:
        names: the source file of each image, without those that could not be read.
        failures: the files that could not be read.

    >>> store = StoredCoefficients("store")  # doctest: +SKIP
    >>> store[0].planes[0].shape  # doctest: +SKIP
    (47, 63, 8, 8)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a complete store."""
        with needs_extra("StoredCoefficients"):
            import h5py
            import hdf5plugin  # noqa: F401  # its filters are known once it is imported

        self.path = Path(path)
        plan = parse_json(read_text(self.path / "plan.json"))
        if plan.get("coefficient_store_version") != _STORE_VERSION:
            raise ValueError(f"{self.path} is not a store of coefficients of version {_STORE_VERSION}")
        conversion = CoefficientConversion(self.path, tuple(plan["names"]))
        missing = missing_shards(conversion, self.path)
        if missing:
            raise ValueError(
                f"{self.path} is not complete: {counted(len(missing), 'shard')} {verb(len(missing))} missing"
            )
        self.names: list[str] = []
        self.failures: list[Failure] = []
        self._places: list[tuple[int, str, dict[str, Any]]] = []
        self._files: list[Any] = []
        for shard in range(conversion.shard_count):
            file = h5py.File(conversion.shard_path(self.path, shard), "r")
            self._files.append(file)
            for number, text in enumerate(file["records"].asstr()[:]):
                facts = parse_json(text)
                if "failure" in facts:
                    self.failures.append(Failure(**facts["failure"]))
                else:
                    self.names.append(facts["name"])
                    self._places.append((shard, f"{number:05}", facts))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)

    def __repr__(self) -> str:
        """Name the store and its size in one line."""
        return (
            f"StoredCoefficients('{self.path}': {counted(len(self), 'image')}, "
            f"{counted(len(self.failures), 'failure')})"
        )

    def __getitem__(self, index: int) -> Coefficients:
        """Return one image as `read_coefficients` does."""
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
        """Pickle the path alone: another process opens the store itself."""
        return StoredCoefficients, (str(self.path),)
