"""Outputs of `jpegfreq decode`: none is lost, mixed up, out of date, or written outside its folder."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import read_coefficients, to_frequency_tensor
from jpegfreq.cli import main
from jpegfreq.store.outputs import FileOutputs, OutputConflictError, read_source
from tests.images import make_jpeg

FORMS = pytest.mark.parametrize("npz", [False, True], ids=["files", "npz"])


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders a and b with an image of equal name and another content each."""
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jpg").write_bytes(make_jpeg(40, 24, seed=n))
    return tmp_path


def decode(*arguments: str, npz: bool = False) -> int:
    return main(["decode", *arguments, *(["--npz"] if npz else [])])


def tensors(out: str, *, npz: bool) -> dict[str, np.ndarray]:
    if npz:
        with np.load(Path(out) / "tensors.npz") as archive:
            return dict(archive)
    return {path.relative_to(out).as_posix()[:-4]: np.load(path) for path in Path(out).rglob("*.npy")}


def check(found: dict[str, np.ndarray], expected: dict[str, Path]) -> None:
    assert set(found) == set(expected)
    for name, path in expected.items():
        np.testing.assert_array_equal(found[name], to_frequency_tensor(read_coefficients(path)))


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@FORMS
def test_a_second_folder_with_equal_names_is_refused_naming_both_files(
    photos: Path, npz: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decode("a", "--out", "t", npz=npz) == 0
    before = content(photos / "t")
    capsys.readouterr()
    assert decode("b", "--out", "t", npz=npz) == 2
    error = capsys.readouterr().err
    assert f"was made from {photos / 'a' / 'x.jpg'}, and {photos / 'b' / 'x.jpg'} would replace it" in error
    assert content(photos / "t") == before
    assert decode("a", "b", "--out", "both", npz=npz) == 0
    check(tensors("both", npz=npz), {"a/x.jpg": photos / "a" / "x.jpg", "b/x.jpg": photos / "b" / "x.jpg"})


@FORMS
def test_a_second_run_adds_to_the_first(photos: Path, npz: bool) -> None:
    (photos / "b" / "x.jpg").rename(photos / "b" / "y.jpg")
    assert decode("a", "--out", "t", npz=npz) == 0
    assert decode("b", "--out", "t", npz=npz) == 0
    check(tensors("t", npz=npz), {"x.jpg": photos / "a" / "x.jpg", "y.jpg": photos / "b" / "y.jpg"})


@FORMS
def test_a_file_replaced_by_an_older_one_is_decoded_again(photos: Path, npz: bool) -> None:
    assert decode("a", "--out", "t", npz=npz) == 0
    (photos / "a" / "x.jpg").write_bytes(make_jpeg(48, 16, seed=9))
    os.utime(photos / "a" / "x.jpg", (1, 1))
    assert decode("a", "--out", "t", npz=npz) == 0
    check(tensors("t", npz=npz), {"x.jpg": photos / "a" / "x.jpg"})


@FORMS
def test_an_edit_that_keeps_size_and_time_is_noticed(photos: Path, npz: bool) -> None:
    path = photos / "a" / "x.jpg"
    assert decode("a", "--out", "t", npz=npz) == 0
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    decode("a", "--out", "t", "--damage", "raise", npz=npz)
    record = read_source(path)[0]
    if npz:
        check(tensors("t", npz=True), {"x.jpg": path})
    else:
        lines = (photos / "t" / "manifest.jsonl").read_text().splitlines()
        assert [json.loads(line)["source"]["sha256"] for line in lines] == [record.sha256]


@FORMS
def test_a_file_that_was_only_touched_or_moved_is_kept(
    photos: Path, npz: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert decode("a", "--out", "t", npz=npz) == 0
    os.utime(photos / "a" / "x.jpg", (5, 5))
    assert decode("a", "--out", "t", npz=npz) == 0
    (photos / "a").rename(photos / "moved")
    assert decode("moved", "--out", "t", npz=npz) == 0
    assert capsys.readouterr().err.count("1 of 1 file is decoded already") == 2


@FORMS
def test_nothing_is_written_outside_the_folder(photos: Path, npz: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = photos / "one" / "two"
    inner.mkdir(parents=True)
    (photos / "one" / "a.jpg").write_bytes(make_jpeg(seed=1))
    (photos / "b.jpg").write_bytes(make_jpeg(seed=2))
    monkeypatch.chdir(inner)
    before = content(photos)
    assert decode("../a.jpg", "../../b.jpg", "--out", "tensors", npz=npz) == 0
    assert {name for name in content(photos) if name not in before and not name.startswith("one/two/tensors/")} == set()
    check(tensors("tensors", npz=npz), {"one/a.jpg": photos / "one" / "a.jpg", "b.jpg": photos / "b.jpg"})


def test_a_link_that_leads_out_of_the_folder_is_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "elsewhere").mkdir()
    (photos / "t").mkdir()
    (photos / "t" / "a").symlink_to(photos / "elsewhere")
    assert decode("a", "b", "--out", "t") == 2
    assert "is a link that leads outside t" in capsys.readouterr().err
    assert not list((photos / "elsewhere").iterdir())


@FORMS
def test_spellings_of_one_folder_count_once(photos: Path, npz: bool, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "link").symlink_to("a")
    assert decode("a", "./a", "link", "b/../a", "a/x.jpg", "--out", "t", npz=npz) == 0
    assert "1 of 1 file is decoded" in capsys.readouterr().err
    assert set(tensors("t", npz=npz)) == {"x.jpg"}


def test_an_output_that_is_the_folder_of_another_is_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "a" / "x.jpg.npy").mkdir()
    (photos / "a" / "x.jpg.npy" / "y.jpg").write_bytes(make_jpeg())
    assert decode("a", "--out", "t") == 2
    error = capsys.readouterr().err
    assert str(photos / "a" / "x.jpg") in error
    assert str(photos / "a" / "x.jpg.npy" / "y.jpg") in error
    assert not (photos / "t").exists()


@pytest.mark.parametrize("name", ["format.json", "manifest.jsonl", "tensors.npz"])
def test_a_folder_named_as_a_file_of_the_output_is_refused(
    photos: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a" / name).mkdir()
    (photos / "a" / name / "y.jpg").write_bytes(make_jpeg())
    assert decode("a", "--out", "t") == 2
    assert f"needs the name of t/{name}" in capsys.readouterr().err


def test_an_input_is_never_overwritten(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "a" / "x.jpg.npy").write_bytes(make_jpeg(seed=3))
    before = content(photos)
    assert decode("a/x.jpg", "a/x.jpg.npy", "--out", "a") == 2
    assert "would overwrite an input" in capsys.readouterr().err
    assert content(photos) == before


@FORMS
@pytest.mark.parametrize("length", range(247, 256))
def test_the_longest_names_are_decoded_or_fail_alone(
    photos: Path, npz: bool, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "n" * (length - 4) + ".jpg"
    (photos / "a" / name).write_bytes(make_jpeg(seed=4))
    fits = npz or length + len(".npy") <= 255
    assert decode("a", "--out", "t", npz=npz) == (0 if fits else 1)
    assert len(tensors("t", npz=npz)) == 1 + fits
    assert ("1 failed: 1 unreadable" in capsys.readouterr().err) == (not fits)
    assert not list((photos / "t").rglob("*.part"))


@FORMS
def test_names_that_are_not_utf_8_are_decoded_or_fail_alone(
    photos: Path, npz: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        Path(os.fsdecode(b"a/\xff\xe9.jpg")).write_bytes(make_jpeg(seed=4))
    except OSError:
        pytest.skip("this file system holds UTF-8 names only")
    assert decode("a", "--out", "t", npz=npz) == (1 if npz else 0)
    if npz:
        assert "the name is not UTF-8" in " ".join(capsys.readouterr().err.split())
        check(tensors("t", npz=True), {"x.jpg": photos / "a" / "x.jpg"})
    else:
        assert os.fsencode("t") + b"/\xff\xe9.jpg.npy" in [os.fsencode(path) for path in Path("t").iterdir()]
        assert decode("a", "--out", "t") == 0
        assert "2 of 2 files are decoded already" in capsys.readouterr().err
    assert main(["inspect", "a", "--json"]) == 0


@FORMS
def test_a_killed_run_resumes_to_the_same_bytes(photos: Path, npz: bool) -> None:
    for n in range(12):
        (photos / "a" / f"{n:02d}.jpg").write_bytes(make_jpeg(60 + n, 50, seed=n))
    options = ["--threads", "2", *(["--npz"] if npz else [])]
    assert decode("a", "--out", "whole", *options) == 0
    code = (
        "import os, sys, time; from jpegfreq.cli import main; import jpegfreq.assembly.tensor\n"
        "import jpegfreq._files as files; real = files.Path.replace\n"
        "files.Path.replace = lambda *paths: (time.sleep(0.02), real(*paths))\n"  # a slow disk
        "print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "decode", "a", "--out", "killed", *options]
    delays = random.Random(3)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0.05, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert decode("a", "--out", "killed", *options) == 0
    assert content(photos / "killed") == content(photos / "whole")


def test_a_manifest_that_was_cut_short_is_mended(photos: Path) -> None:
    assert decode("a", "b", "--out", "t") == 0
    manifest = photos / "t" / "manifest.jsonl"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[:-20])
    assert decode("a", "b", "--out", "t") == 0
    assert manifest.read_bytes() == whole
    manifest.write_bytes(b"{}\n")
    assert decode("a", "b", "--out", "t") == 2


def test_a_cut_or_missing_tensor_is_made_again(photos: Path) -> None:
    assert decode("a", "b", "--out", "t") == 0
    whole = content(photos / "t")
    (photos / "t" / "a" / "x.jpg.npy").write_bytes(b"")
    (photos / "t" / "b" / "x.jpg.npy").unlink()
    assert decode("a", "b", "--out", "t") == 0
    assert content(photos / "t") == whole


def test_a_damaged_archive_is_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decode("a", "--out", "t", npz=True) == 0
    (photos / "t" / "tensors.npz").write_bytes(b"not an archive")
    assert decode("a", "--out", "t", npz=True) == 2
    assert "t/tensors.npz is damaged" in capsys.readouterr().err


def test_a_failed_file_keeps_the_archive_that_holds_its_old_tensor(photos: Path) -> None:
    assert decode("a", "b", "--out", "t", npz=True) == 0
    before = tensors("t", npz=True)
    (photos / "a" / "x.jpg").write_bytes(b"not a JPEG")
    (photos / "b" / "x.jpg").write_bytes(make_jpeg(seed=8))
    assert decode("a", "b", "--out", "t", npz=True) == 1
    after = tensors("t", npz=True)
    np.testing.assert_array_equal(after["a/x.jpg"], before["a/x.jpg"])
    assert not np.array_equal(after["b/x.jpg"], before["b/x.jpg"])


def test_two_processes_do_not_write_to_one_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decode("a", "--out", "t") == 0
    stamp = json.loads((photos / "t" / "format.json").read_text())
    other = FileOutputs(photos / "t", stamp)
    other.begin()
    assert decode("a", "--out", "t") == 2
    assert "is being written by another process" in capsys.readouterr().err
    other.close()
    assert decode("a", "--out", "t") == 0


def test_names_that_leave_the_folder_are_refused(photos: Path) -> None:
    outputs = FileOutputs(photos / "t", {})
    for name in ("../x.npy", "/x.npy", "a/../../x.npy"):
        with pytest.raises(OutputConflictError, match="would lie outside"):
            outputs.missing({name: photos / "a" / "x.jpg"})


@FORMS
def test_what_another_program_wrote_is_never_replaced(
    photos: Path, npz: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "t").mkdir()
    if npz:
        np.savez(photos / "t" / "tensors.npz", **{"x.jpg": np.zeros(3)})
    else:
        np.save(photos / "t" / "x.jpg.npy", np.zeros(3))
    before = content(photos / "t")
    assert decode("a", "--out", "t", npz=npz) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert content(photos / "t") == before


def test_tensors_whose_manifest_is_missing_are_not_replaced(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decode("a", "--out", "t") == 0
    (photos / "t" / "manifest.jsonl").unlink()
    before = content(photos / "t")
    assert decode("b", "--out", "t") == 2
    assert "its manifest is missing" in capsys.readouterr().err
    assert content(photos / "t") == before
