"""A store: what it holds, that it survives a kill at any time, and how it is read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xxhash

from jpegfreq import read_batch, read_header
from jpegfreq.crops import center_crop_window
from jpegfreq.format import TensorFormat
from jpegfreq.statistics import ChannelStatistics
from jpegfreq.store import (
    INT16_STEP,
    Conversion,
    Storage,
    StoredDataset,
    begin,
    convert_shards,
    finish,
    manifest,
    missing_shards,
)
from jpegfreq.store.coefficients import CoefficientConversion
from jpegfreq.store.npy_file import NpyFile
from jpegfreq.views import EvaluationView
from tests.images import make_jpeg

VIEW = EvaluationView((32, 32), 40)
FORMAT = TensorFormat(channels=24)
SHARD_BYTES = 5 * 24 * 4 * 4 * 4  # five images of FORMAT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve good files in two folders and one in none, and three that fail."""
    root = tmp_path / "photos"
    for n in range(12):
        path = root / ("cat", "dog")[n % 2] / f"{n:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(50 + 7 * n, 60, "L" if n == 3 else "RGB", seed=n, quality=90))
    (root / "loose.jpg").write_bytes(make_jpeg(64, 64))
    (root / "cat" / "04a.jpg").write_bytes(make_jpeg(16, 16, "CMYK"))
    (root / "cat" / "png.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "dog" / "cut.jpg").write_bytes(make_jpeg(64, 64)[:-200])
    return root


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jpegfreq.store.plan._SHARD_BYTES", SHARD_BYTES)


def plan(folder: Path, format: TensorFormat = FORMAT, storage: Storage = "float32") -> Conversion:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    return Conversion(folder, tuple(names), format, VIEW, storage)


def convert(conversion: Conversion, out: Path, *, threads: int = 1) -> StoredDataset:
    begin(conversion, out)
    convert_shards(conversion, out, missing_shards(conversion, out), threads=threads)
    assert finish(conversion, out)[0] == 0
    return StoredDataset(out)


def content(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def expected(path: Path, format: TensorFormat) -> np.ndarray:
    header = read_header(path)
    box = center_crop_window(header.height, header.width, VIEW.size, shorter_side=VIEW.shorter_side)
    return read_batch([path], size=VIEW.size, boxes=[box], format=format)[0]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_a_store_holds_what_read_batch_returns(folder: Path, tmp_path: Path, dtype: Storage, layout: str) -> None:
    format = TensorFormat(channels=24, dtype=dtype, layout=layout, statistics=ChannelStatistics.preset("dctnet"))  # type: ignore[arg-type]
    store = convert(plan(folder, format, dtype), tmp_path / "store")
    assert store.format == format
    assert len(store) == 13
    for index, name in enumerate(store.names):
        tensor, label = store[index]
        np.testing.assert_array_equal(tensor, expected(folder / name, format))
        assert label == (-1 if name == "loose.jpg" else ("cat", "dog").index(name.split("/")[0]))
    assert store.classes == ("cat", "dog")
    np.testing.assert_array_equal(store[-1][0], store[12][0])
    with pytest.raises(IndexError):
        store[13]


@pytest.mark.parametrize("storage", ["float32", "int16"])
@pytest.mark.parametrize("held", [1, 2, 4])
def test_a_shard_of_many_batches_is_that_of_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: Storage, held: int
) -> None:
    monkeypatch.setattr("jpegfreq.store.plan._SHARD_BYTES", 3 * SHARD_BYTES)
    convert(plan(folder, storage=storage), tmp_path / "whole")
    monkeypatch.setattr("jpegfreq.store.shards._BATCH", 2)
    monkeypatch.setattr("jpegfreq.store.shards._MOST_BATCHES", held)
    convert(plan(folder, storage=storage), tmp_path / "parts", threads=2)
    assert content(tmp_path / "parts") == content(tmp_path / "whole")


def test_a_store_of_a_size_off_the_grid_knows_its_view(folder: Path, tmp_path: Path) -> None:
    view = EvaluationView((30, 30), 33, "bicubic")
    names = ("cat/00.jpg", "dog/01.jpg")
    store = convert(Conversion(folder, names, FORMAT, view), tmp_path / "store")
    assert store.view == view
    assert "crops of 30 x 30 px" in repr(store)
    dataset = [store[index][0] for index in range(2)]
    assert dataset[0].shape == (24, 4, 4)
    data = (folder / names[0]).read_bytes()
    want = read_batch([data], size=(30, 30), boxes=[view.window(read_header(data))], filter="bicubic", format=FORMAT)
    np.testing.assert_array_equal(dataset[0], want[0])


def test_the_manifest_names_every_file_once(folder: Path, tmp_path: Path) -> None:
    conversion = plan(folder)
    convert(conversion, tmp_path / "store")
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    files = [file for shard in manifest["shards"] for file in shard["files"]]
    assert len(manifest["shards"]) == conversion.shard_count == 4
    failed = {failure["name"]: failure["reason"] for failure in manifest["failures"]}
    assert failed == {"cat/04a.jpg": "unsupported", "cat/png.jpg": "not a JPEG", "dog/cut.jpg": "truncated"}
    assert sorted([file["name"] for file in files] + list(failed)) == list(conversion.names)
    for file in files:
        data = (folder / file["name"]).read_bytes()
        assert (file["size_bytes"], file["xxh3_128"]) == (len(data), xxhash.xxh3_128_hexdigest(data))
        assert set(file) == {"name", "size_bytes", "xxh3_128", "label"}


@pytest.mark.parametrize(("storage", "dtype"), [("int16", "float32"), ("float16", "float16")])
def test_small_storage_stays_within_its_stated_error(
    folder: Path, tmp_path: Path, storage: Storage, dtype: str
) -> None:
    statistics = ChannelStatistics.preset("dctnet")
    format = TensorFormat(channels=24, dtype=dtype, statistics=statistics)  # type: ignore[arg-type]
    store = convert(plan(folder, format, storage), tmp_path / "store")
    std = np.array(statistics.std)[list(format.selection)].reshape(-1, 1, 1)
    for index, name in enumerate(store.names):
        tensor = store[index][0]
        assert tensor.dtype == dtype
        exact = expected(folder / name, TensorFormat(channels=24, statistics=statistics)).astype(np.float64)
        bound = np.maximum(2.0**-11 * np.abs(exact), 2.0**-25) if storage == "float16" else INT16_STEP / 2 / std
        assert (np.abs(tensor - exact) <= bound * 1.001 + 1e-6 * np.abs(exact)).all()


def test_threads_and_machines_do_not_change_a_byte(folder: Path, tmp_path: Path) -> None:
    conversion = plan(folder)
    convert(conversion, tmp_path / "one")
    convert(conversion, tmp_path / "threads", threads=3)
    out = tmp_path / "machines"
    for part in (2, 3, 1):
        begin(conversion, out, part=part)
        convert_shards(conversion, out, missing_shards(conversion, out, part=part, parts=3))
        missing, _ = finish(conversion, out, part=part, parts=3)
        assert (out / "manifest.json").exists() == (missing == 0) == (part == 1)
    assert content(tmp_path / "one") == content(tmp_path / "threads") == content(out)


def test_another_plan_is_refused(folder: Path, tmp_path: Path) -> None:
    convert(plan(folder), tmp_path / "store")
    before = content(tmp_path / "store")
    (folder / "new.jpg").write_bytes(make_jpeg(8, 8))
    with pytest.raises(ValueError, match=r"--channels 24 \(now 6\), number of files 16 \(now 17\)"):
        begin(plan(folder, TensorFormat(channels=6)), tmp_path / "store")
    assert content(tmp_path / "store") == before


def test_shards_of_files_that_changed_between_a_stop_and_its_resumption_are_made_again(
    folder: Path, tmp_path: Path
) -> None:
    conversion, out = plan(folder), tmp_path / "store"
    assert begin(conversion, out) == 0
    convert_shards(conversion, out, [0, 1, 3])
    names = [conversion.shard_names(shard) for shard in range(4)]
    edited = folder / names[0][1]
    data = edited.read_bytes()
    edited.write_bytes(data[:-30] + bytes(byte ^ 1 for byte in data[-30:-2]) + data[-2:])  # of the same size
    copied = folder / names[1][0]
    copied.write_bytes(copied.read_bytes())
    assert begin(conversion, out) == 1
    assert missing_shards(conversion, out) == [0, 2]
    convert(conversion, out)
    convert(conversion, tmp_path / "anew")
    assert content(out) == content(tmp_path / "anew")
    failed = folder / "cat" / "png.jpg"
    failed.write_bytes(make_jpeg(64, 64))
    assert begin(conversion, out) == 1
    assert not (out / "manifest.json").exists()
    convert(conversion, out)
    assert "cat/png.jpg" in StoredDataset(out).names


def test_a_shard_that_is_gone_is_made_again(folder: Path, tmp_path: Path) -> None:
    conversion, out = plan(folder), tmp_path / "store"
    begin(conversion, out)
    convert(conversion, out)
    whole = content(out)
    next((out / "shards").glob("*.npy")).unlink()
    assert begin(conversion, out) == 1
    convert(conversion, out)
    assert content(out) == whole


def record_sha256(conversion: Conversion, out: Path, shard: int) -> None:
    """Give a complete shard the record that earlier code wrote."""
    path = conversion.complete_path(out, shard)
    record = json.loads(path.read_text())
    for file in record["files"]:
        del file["xxh3_128"]
        file["sha256"] = hashlib.sha256((conversion.folder / file["name"]).read_bytes()).hexdigest()
    path.write_text(json.dumps(record))


def test_a_store_that_recorded_sha256_is_read_and_resumed(folder: Path, tmp_path: Path) -> None:
    conversion, out = plan(folder), tmp_path / "store"
    begin(conversion, out)
    convert_shards(conversion, out, [0, 1])
    for shard in (0, 1):
        record_sha256(conversion, out, shard)
    for name in conversion.shard_names(0):
        (folder / name).write_bytes((folder / name).read_bytes())  # copied, so that its hash is looked at
    assert begin(conversion, out) == 0
    assert missing_shards(conversion, out) == [2, 3]
    store, anew = convert(conversion, out), convert(conversion, tmp_path / "anew")
    assert store.names == anew.names
    for index in range(len(anew)):
        np.testing.assert_array_equal(store[index][0], anew[index][0])
    shards = json.loads((out / "manifest.json").read_text())["shards"]
    kinds = [{kind for file in shard["files"] for kind in ("sha256", "xxh3_128") if kind in file} for shard in shards]
    assert kinds == [{"sha256"}, {"sha256"}, {"xxh3_128"}, {"xxh3_128"}]
    edited = folder / store.names[0]
    data = edited.read_bytes()
    edited.write_bytes(data[:-30] + bytes(byte ^ 1 for byte in data[-30:-2]) + data[-2:])  # of the same size
    assert begin(conversion, out) == 1
    assert missing_shards(conversion, out) == [0]


@pytest.mark.parametrize("kind", ["xxh3_128", "sha256"])
def test_files_that_were_only_copied_are_hashed_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    conversion, out = plan(folder), tmp_path / "store"
    begin(conversion, out)
    convert_shards(conversion, out, [1])
    if kind == "sha256":
        record_sha256(conversion, out, 1)
    for name in conversion.shard_names(1):
        (folder / name).chmod(0o600)
    time.sleep(0.05)  # the file system's clock ticks in milliseconds
    hashed: list[Path] = []
    compare = manifest._has_recorded_hash
    monkeypatch.setattr(manifest, "_has_recorded_hash", lambda path, file: hashed.append(path) or compare(path, file))
    for times in (1, 1):
        assert begin(conversion, out) == 0
        assert len(hashed) == times * len(conversion.shard_names(1))


def test_a_file_that_changes_while_its_shard_is_made_is_noticed(folder: Path, tmp_path: Path) -> None:
    conversion, out = plan(folder), tmp_path / "store"
    begin(conversion, out)

    def edit(images: int, size_bytes: int) -> None:
        (folder / conversion.shard_names(0)[0]).write_bytes(make_jpeg(64, 64, seed=77))

    convert_shards(conversion, out, [0], progress=edit)
    assert begin(conversion, out) == 1


def test_a_dataset_is_pickled_as_its_path(folder: Path, tmp_path: Path) -> None:
    store = convert(plan(folder), tmp_path / "store")
    np.testing.assert_array_equal(store[2][0], store[2][0])
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent)[2][0], store[2][0])


def killed_runs(folder: Path, tmp_path: Path, runs: int) -> None:
    """Kill -9 a conversion at random points, resuming each time, until `runs` were killed; then let it end."""
    convert(plan(folder), tmp_path / "whole")
    out = tmp_path / "killed"
    code = (
        "import os, sys, time, jpegfreq.store.plan as plan; from jpegfreq.cli import main\n"
        "plan._SHARD_BYTES = int(sys.argv[1])\n"
        "os.fsync = lambda file: time.sleep(0.03)\n"  # a slow disk: twenty of these, so that kills hit every stage
        "print('ready', flush=True); sys.exit(main(sys.argv[2:]))"
    )
    options = ["convert", str(folder), "--out", str(out), "--channels", "24", "--size", "32", "--shorter-side", "40"]
    command = [sys.executable, "-c", code, str(SHARD_BYTES), *options, "--threads", "1"]
    delays = random.Random(5)
    killed = 0
    while killed < runs:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0.05, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            killed += 1
        else:  # it was complete before the kill: start again
            assert content(out) == content(tmp_path / "whole")
            for path in sorted(out.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert content(out) == content(tmp_path / "whole")


def test_killed_conversions_resume_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    killed_runs(folder, tmp_path, 4)


@pytest.mark.long
def test_twenty_killed_conversions_resume_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    killed_runs(folder, tmp_path, 20)


@pytest.mark.parametrize("size", [3, 700, 2048])
@pytest.mark.parametrize("counts", [(), (0,), (3,), (2, 0, 3)])
def test_rows_written_one_after_the_other_are_the_file_that_numpy_writes(
    tmp_path: Path, counts: tuple[int, ...], size: int
) -> None:
    rows = np.random.default_rng(0).random((sum(counts), 2, size)).astype(np.float16)
    file = NpyFile(tmp_path / "rows.npy", 12345, (2, size), rows.dtype)
    begun_ns = (tmp_path / "rows.npy.part").stat().st_mtime_ns
    with pytest.raises(OSError, match="is being written by another process"):
        NpyFile(tmp_path / "rows.npy", 12345, (2, size), rows.dtype)
    append(file, rows, counts)
    assert not (tmp_path / "rows.npy").exists()
    file.finish()
    assert (tmp_path / "rows.npy").stat().st_mtime_ns == begun_ns
    check_saved(tmp_path / "rows.npy", rows)


def append(file: NpyFile, rows: npt.NDArray[Any], counts: tuple[int, ...]) -> None:
    start = 0
    memory = file.memory(max(counts, default=0))
    for count in counts:
        file.rows_in(memory, start, count)[:] = rows[start : start + count]
        file.append(memory, count)
        start += count


def check_saved(path: Path, rows: npt.NDArray[Any]) -> None:
    np.save(path.with_name("whole.npy"), rows)
    assert path.read_bytes() == path.with_name("whole.npy").read_bytes()


@pytest.mark.parametrize("at_a_time", [1 << 20, 8192, 5000, 1])
@pytest.mark.parametrize("fault", ["no direct writing", "larger blocks", "none"])
def test_file_systems_that_write_otherwise_get_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, at_a_time: int
) -> None:
    direct = getattr(os, "O_DIRECT", 0)
    real_write, real_control = os.pwrite, fcntl.fcntl

    def pwrite(file: int, data: memoryview, place: int) -> int:
        if fcntl.fcntl(file, fcntl.F_GETFL) & direct and (fault == "larger blocks" or place % 4096):
            raise OSError(errno.EINVAL, "Invalid argument")
        return real_write(file, data[:at_a_time], place)

    def control(file: Any, command: int, flags: int = 0) -> int:
        if fault == "no direct writing" and command == fcntl.F_SETFL and flags & direct:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real_control(file, command, flags)

    monkeypatch.setattr(os, "pwrite", pwrite)
    monkeypatch.setattr(fcntl, "fcntl", control)
    rows = np.random.default_rng(0).random((5, 3000), np.float32)
    file = NpyFile(tmp_path / "rows.npy", 7, (3000,), rows.dtype)
    append(file, rows, (1, 3, 1))
    file.finish()
    check_saved(tmp_path / "rows.npy", rows)


def test_rows_go_past_the_page_cache_where_the_system_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = NpyFile(tmp_path / "rows.npy", 4, (3000,), np.dtype(np.float32))
    if not file._is_direct:
        pytest.skip("the file system of the temporary folder has no direct writing")
    written = []
    real = os.pwrite

    def pwrite(file: int, data: memoryview, place: int) -> int:
        written.append((place, len(data), bool(fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT)))
        return real(file, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    append(file, rows := np.ones((4, 3000), np.float32), (2,))
    assert written == [(4096, 16384, True)]  # whole blocks of 128 + 24000 bytes, but for the one with the header
    memory = file.memory(2)
    file.rows_in(memory, 2, 2)[:] = 1
    file.append(memory, 2)
    file.finish()
    assert written[1:] == [(20480, 24576, True), (45056, 4096, True), (0, 4096, True)]
    check_saved(tmp_path / "rows.npy", rows)


@pytest.mark.parametrize("full", [3, 4, 6])
def test_a_disk_that_was_full_for_a_while_ends_no_shard(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: int
) -> None:
    """The third write to the disk, after plan.json and its name, is that of the first shard."""
    conversion = plan(folder)
    real, calls = os.fsync, 0

    def fsync(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls == full:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="No space left"):
            convert(conversion, tmp_path / "cut")
    convert(conversion, tmp_path / "cut")
    convert(conversion, tmp_path / "whole")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


@pytest.mark.parametrize("stop", range(1, 11))
def test_a_stop_before_any_rename_loses_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """plan.json, four shards with a record each, manifest.json: ten files get their names, in turn."""
    conversion = plan(folder)
    convert(conversion, tmp_path / "whole")
    real, calls = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            convert(conversion, tmp_path / "cut")
    assert content(tmp_path / "cut") != content(tmp_path / "whole")
    convert(conversion, tmp_path / "cut")
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_short_reprs_name_what_a_store_holds(folder: Path, tmp_path: Path) -> None:
    conversion = plan(folder)
    store = convert(conversion, tmp_path / "store")
    assert repr(store) == (
        f"StoredDataset('{tmp_path / 'store'}': 13 tensors of 24 channels from crops of 32 x 32 px, 2 classes)"
    )
    assert repr(conversion) == (
        f"Conversion('{folder}': 16 files to 24 channels; height 32 x width 32, shorter side 40, centre crop; float32)"
    )


def test_a_store_of_another_kind_is_refused(folder: Path, tmp_path: Path) -> None:
    convert(plan(folder), tmp_path / "store")
    with pytest.raises(ValueError, match="is a store of tensors, not of coefficients of whole images"):
        begin(CoefficientConversion(folder, plan(folder).names), tmp_path / "store")
