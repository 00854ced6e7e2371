"""Whole images in HDF5: each comes back alone, bit for bit, and a kill loses nothing."""

from __future__ import annotations

import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import read_coefficients
from jpegfreq._files import opened_alone
from jpegfreq.cli import main
from tests.images import make_jpeg
from tests.support import unavailable


@pytest.fixture(autouse=True)
def _needs_hdf5(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        import h5py  # noqa: F401
        import hdf5plugin  # noqa: F401
    except ImportError:
        unavailable("h5py and hdf5plugin are not installed (extra storage)")
    monkeypatch.setattr("jpegfreq.store.coefficients.IMAGES_PER_SHARD", 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    root.mkdir()
    for n in range(9):
        kind = ("RGB", "L", "CMYK")[n % 3]
        options = {"subsampling": "4:2:0"} if kind == "RGB" else {}
        (root / f"{n}.jpg").write_bytes(make_jpeg(50 + 7 * n, 60 - n, kind, seed=n, progressive=n > 4, **options))
    (root / "3a.jpg").write_bytes(b"no image")
    return root


def store(folder: Path, out: Path, *options: str) -> int:
    return main(["convert", str(folder), "--out", str(out), "--coefficients", *options])


def content(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_every_image_comes_back_bit_for_bit(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from jpegfreq.store.coefficients import StoredCoefficients

    assert store(folder, tmp_path / "store") == 1
    assert "1 failed: 1 not a JPEG" in capsys.readouterr().err
    images = StoredCoefficients(tmp_path / "store")
    assert images.names == [f"{n}.jpg" for n in range(9)]
    assert [failure.name for failure in images.failures] == ["3a.jpg"]
    again = pickle.loads(pickle.dumps(images))
    for index in (8, 0, 4, 1, 5, 2, 7, 3, 6):
        got, want = again[index], read_coefficients(folder / images.names[index])
        assert got.header == want.header
        assert len(got.planes) == len(want.planes)
        for mine, theirs in zip(
            (*got.planes, *got.quantization_tables), (*want.planes, *want.quantization_tables), strict=True
        ):
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)
    images.close()


def test_parts_and_threads_fill_one_store(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert store(folder, tmp_path / "whole", "--threads", "1") == 1
    capsys.readouterr()
    for part, code, shown in (
        (2, 1, "1 failed: 1 not a JPEG"),
        (3, 0, "1 shard of other parts is missing (--shard 1/3)"),
        (1, 0, "complete, 9 of 10 files in 3 shards of up to 4"),
    ):
        assert store(folder, tmp_path / "parts", "--shard", f"{part}/3", "--threads", "2") == code
        assert shown in " ".join(capsys.readouterr().err.split())
    assert content(tmp_path / "parts") == content(tmp_path / "whole")
    (folder / "new.jpg").write_bytes(make_jpeg())
    assert store(folder, tmp_path / "whole") == 2
    assert "was begun with another plan: the names of the files" in capsys.readouterr().err


def test_killed_runs_resume_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert store(folder, tmp_path / "whole") == 1
    out = tmp_path / "killed"
    code = (
        "import os, sys, time, jpegfreq.store.coefficients as store; from jpegfreq.cli import main\n"
        "import h5py, hdf5plugin; store.IMAGES_PER_SHARD = 4\n"
        "os.fsync = lambda file: time.sleep(0.05)\n"  # a slow disk
        "print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "convert", str(folder), "--out", str(out), "--coefficients"]
    delays = random.Random(1)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0.05, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert content(out) == content(tmp_path / "whole")
    assert not list(out.rglob("*.part"))


def test_a_store_that_is_not_complete_is_refused(folder: Path, tmp_path: Path) -> None:
    from jpegfreq.store.coefficients import StoredCoefficients

    assert store(folder, tmp_path / "store", "--shard", "1/3") == 0
    with pytest.raises(ValueError, match="2 shards are missing"):
        StoredCoefficients(tmp_path / "store")


def test_options_of_tensors_are_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in (("--size", "224", "--channels", "24"), ("--dtype", "float32"), ("--apply-orientation",)):
        assert store(folder, tmp_path / "store", *options) == 2
        named = ", ".join(option for option in options if option.startswith("--"))
        assert f"{named} would have no effect" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_two_processes_do_not_write_one_shard(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "store"
    (out / "shards").mkdir(parents=True)
    with opened_alone(out / "shards" / "00000.h5.part") as file:
        file.write(b"what the other one has written")
        file.flush()
        assert store(folder, out) == 2
        assert "is being written by another process" in capsys.readouterr().err
        file.seek(0)
        assert file.read() == b"what the other one has written"
    assert store(folder, out) == 1


def test_a_store_of_files_that_were_only_copied_is_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store(folder, tmp_path / "store") == 1
    shutil.copytree(folder, tmp_path / "moved")
    shard = tmp_path / "store" / "shards" / "00000.h5"
    before = shard.stat().st_ino
    assert store(tmp_path / "moved", tmp_path / "store") == 1
    assert "made again" not in capsys.readouterr().err
    assert shard.stat().st_ino == before


def test_shards_of_edited_files_are_made_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store(folder, tmp_path / "store") == 1
    (folder / "0.jpg").write_bytes(make_jpeg(30, 30))
    assert store(folder, tmp_path / "store") == 1
    assert "1 complete shard is made again" in capsys.readouterr().err
    assert store(folder, tmp_path / "anew") == 1
    assert content(tmp_path / "store") == content(tmp_path / "anew")


def test_missing_hdf5_names_the_extra_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert store(folder, tmp_path / "store") == 2
    assert "pip install 'jpegfreq[storage]'" in capsys.readouterr().err
