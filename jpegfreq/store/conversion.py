"""A data set converted to fixed-size tensors: .npy shards, a record beside each, and manifest.json over all.

A conversion is a function of its plan and the files: each shard holds a fixed run of the sorted file names, and is
complete once its record has its name. So it may be killed at any time and run again, or be shared among machines.

A shard's time of modification is when it was begun, before any of its files was read: `begin` looks again at files that
changed since, and takes back the shards that hold others.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from jpegfreq._files import NpyFile, write_whole
from jpegfreq.batch import aligned_empty, read_batch
from jpegfreq.crops import Box, center_crop_box
from jpegfreq.failures import Failure
from jpegfreq.format import TensorFormat
from jpegfreq.header import Header, read_header
from jpegfreq.sources.file_memory import BatchFiles, FileMemory

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Conversion", "Failure", "StoredDataset", "View", "begin", "convert_shards", "finish", "missing_shards"]

Storage: TypeAlias = Literal["float32", "float16", "int16"]

# int16 holds coefficients, before normalization, in steps of 1/16: up to +-2047, which every 8-bit image keeps to.
INT16_STEP = 1 / 16
# What each kind of storage may lose.
STORAGE_ERRORS = {
    "float32": "none",
    "float16": "at most 2**-11 of each value (2**-25 for values below 2**-14)",
    "int16": "at most 1/32 of a coefficient, before normalization",
}
_STORE_VERSION = 1
_SHARD_BYTES = 64 << 20
_BATCH = 64


@dataclass(frozen=True)
class View:
    """The part of each image that becomes a tensor: shorter side resized, centre cropped.

    Attributes:
        size: height and width of the crop, pixels, a multiple of 8.
        shorter_side: what the image's shorter side is resized to first, pixels.
        apply_orientation: turn the image upright first, as its EXIF orientation says.
    """

    size: int
    shorter_side: int
    apply_orientation: bool = False

    def __post_init__(self) -> None:
        """Check both."""
        if self.size < 8 or self.size % 8:
            raise ValueError(f"size must be a multiple of 8, not {self.size}")
        if self.shorter_side < self.size:
            raise ValueError(f"the shorter side, {self.shorter_side}, must not be below the size, {self.size}")

    def box(self, header: Header) -> Box:
        """The part of an image that is resized to the crop."""
        height, width = header.upright_size if self.apply_orientation else (header.height, header.width)
        return center_crop_box(height, width, (self.size, self.size), shorter_side=self.shorter_side)

    def __str__(self) -> str:
        """In words, for what was measured on it."""
        upright = ", upright" if self.apply_orientation else ""
        return f"size {self.size}, shorter side {self.shorter_side}, centre crop{upright}"


@dataclass(frozen=True)
class LoadedImage:
    """A file's bytes; their SHA-256, if wanted; the part of the image to take."""

    data: memoryview
    sha256: str
    header: Header
    box: Box


class UnreadableImageError(Exception):
    """A file's bytes hold no image that can be read."""

    def __init__(self, error: Exception, data: memoryview) -> None:
        """Keep the reason, and the bytes."""
        super().__init__(str(error))
        self.error = error
        self.data = data


def failure_of(name: str, error: Exception) -> Failure:
    """Describe what `read_views` yielded in place of an image."""
    if isinstance(error, UnreadableImageError):
        return Failure.of(name, error.error, error.data)
    return Failure.of(name, error)


def _load(paths: Sequence[str], view: View, hashes: bool, memory: FileMemory) -> list[LoadedImage | Exception]:
    """Read files, and find their boxes; or why not."""
    files = memory.batch()
    return [_load_one(files, path, view, hashes) for path in paths]


def _load_one(files: BatchFiles, path: str, view: View, hashes: bool) -> LoadedImage | Exception:
    try:
        data = files.read(path)
    except OSError as error:
        return error
    try:
        header = read_header(data)
        box = view.box(header)
    except (ValueError, MemoryError) as error:
        return UnreadableImageError(error, data)
    return LoadedImage(data, hashlib.sha256(data).hexdigest() if hashes else "", header, box)


def read_views(
    paths: Iterable[tuple[str, str]],
    view: View,
    format: TensorFormat,
    threads: int,
    batch: int,
    *,
    hashes: bool = False,
    out: npt.NDArray[Any] | None = None,
    memory: FileMemory | None = None,
) -> Iterator[tuple[list[str], list[LoadedImage | Exception], npt.NDArray[Any]]]:
    """Batches of tensors in the files' order; the next batch is read from disk while one is decoded.

    Args:
        paths: names and files.
        view: the part of each image.
        format: of the tensors.
        threads: how many read, and how many decode.
        batch: how many files at a time.
        hashes: whether to hash the files.
        out: room for a tensor of each file, for those that are read, one behind the other; None for new arrays.
        memory: that the files are read into, for calls that follow one another; None for new.

    Yields:
        Names; what was loaded, or the error in its place; the tensors of those without an error.
    """
    files = list(paths)
    parts = [files[start : start + batch] for start in range(0, len(files), batch)]
    share = -(-batch // threads)
    room = FileMemory() if memory is None else memory
    filled = 0
    with ThreadPoolExecutor(threads) as pool:

        def begin_reading(number: int) -> list[Future[list[LoadedImage | Exception]]]:
            own = [path for _, path in parts[number]] if number < len(parts) else []
            shares = (own[start : start + share] for start in range(0, len(own), share))
            return [pool.submit(_load, few, view, hashes, room) for few in shares]

        ahead = begin_reading(0)
        for number, part in enumerate(parts):
            loaded = [image for future in ahead for image in future.result()]
            ahead = begin_reading(number + 1)
            good = [image for image in loaded if isinstance(image, LoadedImage)]
            tensors, errors = read_batch(
                [image.data for image in good],
                size=(view.size, view.size),
                boxes=[image.box for image in good],
                apply_orientation=view.apply_orientation,
                format=format,
                out=None if out is None else out[filled : filled + len(good)],
                threads=threads,
                errors="return",
            )
            slots = [index for index, image in enumerate(loaded) if isinstance(image, LoadedImage)]
            kept = [index for index, error in enumerate(errors) if error is None]
            for slot, image, error in zip(slots, good, errors, strict=True):
                if error is not None:
                    loaded[slot] = UnreadableImageError(error, image.data)
            if len(kept) < len(good):
                tensors[: len(kept)] = tensors[kept]
                tensors = tensors[: len(kept)]
            filled += len(kept)
            yield [name for name, _ in part], loaded, tensors


@dataclass(frozen=True)
class Conversion:
    """The plan of a conversion: it alone, and the files' bytes, decide what the store holds.

    Attributes:
        folder: where the files are; not part of what is written.
        names: the files below it, in order. A file's label is the first folder of its name.
        format: what StoredDataset will give.
        view: the part of each image.
        storage: how values are stored: "float32" and "float16" as the format's dtype; "int16" for float32.
        shard_bytes: about how large a shard is.
    """

    folder: Path
    names: tuple[str, ...]
    format: TensorFormat
    view: View
    storage: Storage = "float32"
    shard_bytes: int = field(default_factory=lambda: _SHARD_BYTES)

    def __post_init__(self) -> None:
        """Check that storage and format agree."""
        if self.format.dtype != ("float32" if self.storage == "int16" else self.storage):
            raise ValueError(f"{self.storage} storage does not give tensors of {self.format.dtype}")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels, sorted: the first folder of each name."""
        return tuple(sorted({name.split("/")[0] for name in self.names if "/" in name}))

    @property
    def images_per_shard(self) -> int:
        """As many as fill a shard."""
        values = int(np.prod(self.format.shape(self.view.size, self.view.size)))
        return max(1, self.shard_bytes // (values * np.dtype(self.storage).itemsize))

    @property
    def shard_count(self) -> int:
        """How many shards the files make."""
        return -(-len(self.names) // self.images_per_shard)

    def shard_names(self, shard: int) -> tuple[str, ...]:
        """The files of one shard."""
        return self.names[shard * self.images_per_shard : (shard + 1) * self.images_per_shard]

    def plan(self) -> dict[str, Any]:
        """What must agree for two runs to fill one store."""
        from jpegfreq import __version__

        return {
            "store_version": _STORE_VERSION,
            "versions": {"jpegfreq": __version__, "numpy": np.__version__},
            "format": self.format.to_dict(),
            "size": self.view.size,
            "shorter_side": self.view.shorter_side,
            "apply_orientation": self.view.apply_orientation,
            "storage": self.storage,
            "storage_error": STORAGE_ERRORS[self.storage],
            "int16_step": INT16_STEP if self.storage == "int16" else None,
            "images_per_shard": self.images_per_shard,
            "classes": self.classes,
            "files": len(self.names),
            "names_sha256": hashlib.sha256("\n".join(self.names).encode(errors="surrogateescape")).hexdigest(),
        }


def begin(conversion: Conversion, out: Path, *, part: int = 1, parts: int = 1) -> int:
    """Make the store's folder, or go on with one of the same plan.

    Args:
        conversion: the plan.
        out: the store.
        part: which of several machines this is.
        parts: how many there are.

    Returns:
        How many complete shards of this part are to be made again: their files were edited since, or they are gone.

    Raises:
        ValueError: the store was begun with another plan.
    """
    (out / "shards").mkdir(parents=True, exist_ok=True)
    text = _json(conversion.plan())
    path = out / "plan.json"
    if path.exists():
        before, wanted = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        different = ", ".join(key for key in wanted if before.get(key) != wanted[key])
        if different:
            raise ValueError(f"{out} was begun with another plan (different: {different}); choose another folder")
    write_whole(path, text, suffix=f".part{part}")
    now_ns = path.stat().st_mtime_ns
    edited = []
    for n in range(part - 1, conversion.shard_count, parts):
        if _record_path(out, n).exists():
            record = json.loads(_record_path(out, n).read_text("utf-8"))
            files = [*record["files"], *record.get("unread", ())]
            if is_edited(conversion.folder, out / _shard_name(n), files, now_ns):
                edited.append(n)
    if edited:
        (out / "manifest.json").unlink(missing_ok=True)
    for shard in edited:
        _record_path(out, shard).unlink()
    return len(edited)


def is_edited(folder: Path, shard: Path, files: Iterable[Mapping[str, Any]], now_ns: int) -> bool:
    """Whether a complete shard's files are others than when it was made, or it is gone.

    Files whose st_ctime says that they may have changed are hashed; where they did not, the shard's time becomes
    `now_ns`, so that this is done once.

    Args:
        folder: where the files are.
        shard: the shard's file.
        files: "name", "size_bytes" and "sha256" of each; those without a hash could not be opened.
        now_ns: a time of the file system's, just now.
    """
    if not shard.exists():
        return True
    made_ns = shard.stat().st_mtime_ns
    hashed = False
    for file in files:
        path = folder / file["name"]
        if not path.exists() or path.stat().st_size != file.get("size_bytes", path.stat().st_size):
            return True
        if path.stat().st_ctime_ns < made_ns:  # which nobody can set; its clock may tick in milliseconds
            continue
        if "sha256" not in file or _sha256_of(path) != file["sha256"]:
            return True
        hashed = True
    if hashed:
        os.utime(shard, ns=(now_ns, now_ns))
    return False


def identity_of(path: Path) -> dict[str, Any]:
    """What `is_edited` knows a file again by; nothing where it cannot be opened."""
    try:
        return {"size_bytes": path.stat().st_size, "sha256": _sha256_of(path)}
    except OSError:
        return {}


def _sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def missing_shards(conversion: Conversion, out: Path, *, part: int = 1, parts: int = 1) -> list[int]:
    """The shards of one machine's part (of 1 to `parts`) that are not complete."""
    return [n for n in range(part - 1, conversion.shard_count, parts) if not _record_path(out, n).exists()]


def convert_shards(
    conversion: Conversion,
    out: Path,
    shards: Iterable[int],
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda images, size_bytes: None,
) -> None:
    """Convert the files of some shards; each is complete at once, or not at all.

    Args:
        conversion: the plan.
        out: the store, begun.
        shards: their numbers.
        threads: how many threads decode.
        progress: called after each batch with the images and bytes it took.
    """
    shape = (conversion.images_per_shard, *conversion.format.shape(conversion.view.size, conversion.view.size))
    room: list[npt.NDArray[Any]] = []
    memory = FileMemory()
    dtype = np.dtype(conversion.storage)
    with ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for number, shard in enumerate(shards):
            if len(room) < 2:  # one shard on its way to disk, one in work: memory stays bounded, and is used again
                room.append(aligned_empty(shape, dtype))
            file = NpyFile(out / _shard_name(shard), conversion.images_per_shard, shape[1:], dtype)

            def write(rows: npt.NDArray[Any], file: NpyFile = file) -> None:
                writer.submit(file.append, rows)

            try:
                record = _convert_shard(conversion, shard, room[number % 2], memory, threads, write, progress)
                if writing is not None:
                    writing.result()
            except BaseException:
                file.abandon()
                raise
            writing = writer.submit(_finish_shard, out, shard, file, record)
        if writing is not None:
            writing.result()


def _convert_shard(
    conversion: Conversion,
    shard: int,
    stored: npt.NDArray[Any],
    memory: FileMemory,
    threads: int,
    write: Callable[[npt.NDArray[Any]], object],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    label_of = {name: label for label, name in enumerate(conversion.classes)}
    files: list[dict[str, Any]] = []
    failures: list[Failure] = []
    paths = ((name, os.path.join(conversion.folder, name)) for name in conversion.shard_names(shard))
    as_steps = conversion.storage == "int16"
    format = replace(conversion.format, statistics=None) if as_steps else conversion.format
    out = None if as_steps else stored
    batches = read_views(paths, conversion.view, format, threads, _BATCH, hashes=True, out=out, memory=memory)
    for names, loaded, tensors in batches:
        size_bytes, first = 0, len(files)
        tensor = iter(tensors)
        for name, image in zip(names, loaded, strict=True):
            if isinstance(image, Exception):
                failures.append(failure_of(name, image))
                continue
            size_bytes += len(image.data)
            values = next(tensor)
            if as_steps:
                steps = np.rint(values / np.float32(INT16_STEP))
                if not np.abs(steps).max() <= 32767:
                    failures.append(Failure(name, "unsupported", "a coefficient is too large for int16 storage"))
                    continue
                stored[len(files)] = steps
            label = label_of.get(name.split("/")[0], -1) if "/" in name else -1
            files.append({"name": name, "size_bytes": len(image.data), "sha256": image.sha256, "label": label})
        write(stored[first : len(files)])
        progress(len(names), size_bytes)
    unread = [{"name": failure.name, **identity_of(conversion.folder / failure.name)} for failure in failures]
    failed = [vars(failure) for failure in failures]
    return {"shard": _shard_name(shard), "files": files, "failures": failed, "unread": unread}


def _finish_shard(out: Path, shard: int, file: NpyFile, record: dict[str, Any]) -> None:
    file.finish()
    write_whole(_record_path(out, shard), _json(record))  # last: it says that the shard is complete


def finish(conversion: Conversion, out: Path, *, part: int = 1, parts: int = 1) -> tuple[int, list[Failure]]:
    """Write manifest.json where every shard is complete.

    Returns:
        How many shards of other machines are still missing, and the failures of this part.
    """
    missing = len(missing_shards(conversion, out))
    own = range(part - 1, conversion.shard_count, parts)
    records = {n: json.loads(_record_path(out, n).read_text("utf-8")) for n in (own if missing else _all(conversion))}
    if not missing:
        shards = [{key: record[key] for key in ("shard", "files")} for record in records.values()]
        failures = [failure for record in records.values() for failure in record["failures"]]
        text = _json({**conversion.plan(), "shards": shards, "failures": failures})
        write_whole(out / "manifest.json", text, suffix=f".part{part}")
    return missing, [Failure(**failure) for n in own for failure in records[n]["failures"]]


def _all(conversion: Conversion) -> range:
    return range(conversion.shard_count)


def _shard_name(shard: int) -> str:
    return f"shards/{shard:05d}.npy"


def _record_path(out: Path, shard: int) -> Path:
    return out / f"shards/{shard:05d}.json"


def _json(value: dict[str, Any]) -> str:
    """One line a key: with more of them Python's slow encoder would do it."""
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()) + "\n}\n"


class StoredDataset:
    """A finished store, read by memory map: one fixed crop of each image, so that training on it has no random crops.

    Attributes:
        format: what the tensors hold.
        names: the source file of each tensor.
        labels: int64 [N], indices into `classes`; -1 for files that lay in no folder.
        classes: names of the labels.
        manifest: all that manifest.json says of the store but its shards.

    >>> store = StoredDataset("store")  # doctest: +SKIP
    >>> tensor, label = store[0]  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a store; its shards are mapped when first used."""
        self.path = Path(path)
        manifest = json.loads((self.path / "manifest.json").read_text(encoding="utf-8"))
        if manifest["store_version"] != _STORE_VERSION:
            raise ValueError(f"{self.path}: a store of version {manifest['store_version']}, not {_STORE_VERSION}")
        shards = manifest.pop("shards")
        self.manifest: dict[str, Any] = manifest
        self.format = TensorFormat.from_dict(manifest["format"])
        self.classes: tuple[str, ...] = tuple(manifest["classes"])
        files = [file for shard in shards for file in shard["files"]]
        self.names: list[str] = [file["name"] for file in files]
        self.labels: npt.NDArray[np.int64] = np.array([file["label"] for file in files], np.int64)
        self._files = [str(shard["shard"]) for shard in shards]
        self._ends = list(accumulate(len(shard["files"]) for shard in shards))
        self._maps: list[npt.NDArray[Any] | None] = [None] * len(shards)
        self._affine = self._dequantization() if manifest["storage"] == "int16" else None

    def __len__(self) -> int:
        """How many tensors."""
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[Any], int]:
        """One tensor, a copy in memory, and its label."""
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(f"tensor {index} of {len(self)}")
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
        """Another process opens the store itself, and maps the same pages."""
        return StoredDataset, (str(self.path),)

    def _dequantization(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        channels = np.array(self.format.selection.channels)
        scale, shift = np.full(len(channels), float(self.manifest["int16_step"])), np.zeros(len(channels))
        if self.format.statistics is not None:
            std = np.array(self.format.statistics.std)[channels]
            scale, shift = scale / std, -np.array(self.format.statistics.mean)[channels] / std
        shape = (-1, 1, 1) if self.format.layout == "CHW" else (1, 1, -1)
        return scale.astype(np.float32).reshape(shape), shift.astype(np.float32).reshape(shape)
