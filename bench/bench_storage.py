"""Coefficients of whole images in standard containers: their size relative to the JPEGs', and the time to read one.

Every container holds the same images, one entry per image, and is read in random order through its own library. A read
ends with planes of int16 [blocks_high, blocks_wide, 8, 8] in memory. The baseline decodes the JPEG from memory again.
"frequency-major" means that planes are stored as [8, 8, blocks_high, blocks_wide] and transposed when they are read.
`jpegfreq convert --coefficients` writes HDF5 with Blosc2, frequency-major.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import jpegfreq
from bench.results import Options, Result, Value
from bench.sets import Image
from bench.timing import Method

READ = "one image's coefficients from a container, against decoding the JPEG again"
DECODE = "read_coefficients"
MOST = 40  # images; deflate writes slowly

Planes = list[NDArray[np.int16]]
Read = Callable[[int], NDArray[np.int16]]


def run(result: Result, options: Options) -> None:
    images = options.images("A")
    if not images:
        return
    images = images[:: max(1, len(images) // MOST)]
    coefficients = [jpegfreq.read_coefficients(image.data) for image in images]
    as_they_are = [np.concatenate([plane.ravel() for plane in one.planes]) for one in coefficients]
    turned = [np.concatenate([p.transpose(2, 3, 0, 1).ravel() for p in one.planes]) for one in coefficients]
    jpeg_bytes = sum(len(image.data) for image in images)
    place = {image: number for number, image in enumerate(images)}
    with tempfile.TemporaryDirectory() as temporary:
        methods = [Method(DECODE, lambda unit: jpegfreq.read_coefficients(unit[0].data))]
        for name, container in CONTAINERS.items():
            if any(importlib.util.find_spec(module) is None for module in MODULES[name.split()[0]]):
                continue
            for order, values in (("", as_they_are), (", frequency-major", turned)):
                path = Path(temporary) / f"{len(methods)}"
                read = container(path, values)
                size = path.stat().st_size / jpeg_bytes
                title = f"{name}{order}"
                result.value(Value(f"{title}: bytes over the JPEGs'", size, size, size, "x"))
                methods.append(_method(title, read, place, coefficients, bool(order)))
        units = [(image,) for image in images]
        result.compare(READ, "A", units, methods, baseline=DECODE, seconds=2 * options.seconds)


def _method(
    name: str,
    read: Read,
    place: dict[Image, int],
    coefficients: Sequence[jpegfreq.Coefficients],
    turned: bool,
) -> Method[tuple[Image, ...]]:
    def planes(unit: tuple[Image, ...]) -> Planes:
        number = place[unit[0]]
        values, start, found = read(number), 0, []
        for plane in coefficients[number].planes:
            part = values[start : start + plane.size]
            start += plane.size
            if turned:
                part = np.ascontiguousarray(part.reshape(8, 8, *plane.shape[:2]).transpose(2, 3, 0, 1))
            found.append(part.reshape(plane.shape))
        return found

    def check(unit: tuple[Image, ...]) -> str:
        same = zip(planes(unit), coefficients[place[unit[0]]].planes, strict=True)
        return "" if all(np.array_equal(mine, theirs) for mine, theirs in same) else f"{unit[0].name} differs"

    return Method(name, planes, check, strict=True)


def _npz(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
    with path.open("wb") as file:
        np.savez_compressed(file, **{str(number): one for number, one in enumerate(values)})
    archive = np.load(path)
    return lambda number: archive[str(number)]


def _hdf5(pack: Callable[[], Any]) -> Callable[[Path, Sequence[NDArray[np.int16]]], Read]:
    def container(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
        import h5py

        with h5py.File(path, "w", libver="latest") as file:
            for number, one in enumerate(values):
                file.create_dataset(str(number), data=one, chunks=one.shape, **pack())
        stored = h5py.File(path, "r")
        return lambda number: stored[str(number)][:]

    return container


def _bitshuffle(codec: str) -> Callable[[], Any]:
    def pack() -> Any:
        import hdf5plugin

        return hdf5plugin.Bitshuffle(cname=codec, **({"clevel": 3} if codec == "zstd" else {}))

    return pack


def _zstd() -> Any:
    import hdf5plugin

    return hdf5plugin.Zstd(clevel=3)


def _blosc2() -> Any:
    import hdf5plugin

    return hdf5plugin.Blosc2(cname="zstd", clevel=3, filters=hdf5plugin.Blosc2.BITSHUFFLE)


def _zarr(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
    import zarr
    from zarr.storage import ZipStore

    packed = zarr.codecs.BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle")
    with ZipStore(path, mode="w") as store:
        group = zarr.create_group(store)
        for number, one in enumerate(values):
            group.create_array(str(number), data=one, chunks=one.shape, compressors=packed)
    stored = zarr.open_group(ZipStore(path, mode="r"), mode="r")
    return lambda number: np.asarray(stored[str(number)][:])


def _parquet(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("values", pa.list_(pa.int16()))])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for one in values:  # one row group per image, so that one image can be read alone
            writer.write_table(pa.table({"values": pa.array([one], pa.list_(pa.int16()))}, schema=schema))
    stored = pq.ParquetFile(path)

    def read(number: int) -> NDArray[np.int16]:
        column = stored.read_row_group(number, use_threads=False).column(0).chunk(0)
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.int16)

    return read


def _arrow(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    schema = pa.schema([("values", pa.int16())])
    with pa.ipc.new_file(str(path), schema, options=options) as writer:
        for one in values:
            writer.write_batch(pa.record_batch([pa.array(one)], schema=schema))
    stored = pa.ipc.open_file(pa.memory_map(str(path)), options=pa.ipc.IpcReadOptions(use_threads=False))
    return lambda number: np.asarray(stored.get_batch(number).column(0).to_numpy(zero_copy_only=False))


def _safetensors(path: Path, values: Sequence[NDArray[np.int16]]) -> Read:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    save_file({str(number): one for number, one in enumerate(values)}, path)
    stored = safe_open(path, framework="np")
    return lambda number: np.array(stored.get_tensor(str(number)))


CONTAINERS: dict[str, Callable[[Path, Sequence[NDArray[np.int16]]], Read]] = {
    "HDF5 bitshuffle + zstd": _hdf5(_bitshuffle("zstd")),
    "HDF5 bitshuffle + lz4": _hdf5(_bitshuffle("lz4")),
    "HDF5 zstd": _hdf5(_zstd),
    "HDF5 blosc2 bitshuffle + zstd": _hdf5(_blosc2),
    "Zarr blosc bitshuffle + zstd": _zarr,
    "Parquet zstd": _parquet,
    "Arrow zstd": _arrow,
    "npz deflate": _npz,
    "safetensors uncompressed": _safetensors,
}
MODULES = {
    "HDF5": ("h5py", "hdf5plugin"),
    "Zarr": ("zarr",),
    "Parquet": ("pyarrow",),
    "Arrow": ("pyarrow",),
    "npz": (),
    "safetensors": ("safetensors",),
}
