"""`jpegfreq prepare`: the prepared set can take the place of the original, and nothing of it is lost."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import read_coefficients
from jpegfreq.cli import main
from jpegfreq.sources.images import image_folder, tar_shards
from jpegfreq.sources.tar import read_members, write_changed
from jpegfreq.store.prepare import crop_speed_up, prepare_jpeg
from jpegfreq.structure import read_structure
from tests.generate import random_image
from tests.images import make_jpeg, segment, with_segments
from tests.writer import write

JFIF_THUMBNAIL = b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `set` with two class folders, a list and a hidden file."""
    monkeypatch.chdir(tmp_path)
    for n, name in enumerate(("cat", "dog")):
        (tmp_path / "set" / name).mkdir(parents=True)
        for m in range(2):
            data = make_jpeg(61 + 8 * m, 45, seed=2 * n + m, subsampling="4:2:0", quality=90)
            (tmp_path / "set" / name / f"{m}.JPG").write_bytes(data)
    (tmp_path / "set" / "labels.txt").write_text("cat/0.JPG 0\n")
    (tmp_path / "set" / ".hidden").write_text("")
    return tmp_path


def prepare(*arguments: str) -> int:
    return main(["prepare", *arguments])


def check_prepared(original: bytes, prepared: bytes) -> None:
    before, after = read_coefficients(original), read_coefficients(prepared)
    for plane, wanted in zip(after.planes, before.planes, strict=True):
        np.testing.assert_array_equal(plane, wanted)
    for table, wanted in zip(after.quantization_tables, before.quantization_tables, strict=True):
        np.testing.assert_array_equal(table, wanted)
    header = after.header
    assert (header.height, header.width, header.color) == (
        before.header.height,
        before.header.width,
        before.header.color,
    )
    assert header.process == "baseline"
    assert len(read_structure(prepared).scans) == 1
    wide = max(c.horizontal_sampling_factor for c in header.components) if len(header.components) > 1 else 1
    assert header.restart_interval == -(-header.width // (8 * wide))


def test_a_folder_keeps_its_classes_and_its_other_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("set", "--out", "out") == 0
    for path in (folder / "set").rglob("*.JPG"):
        check_prepared(path.read_bytes(), (folder / "out" / path.relative_to(folder / "set")).read_bytes())
    assert (folder / "out" / "labels.txt").read_text() == "cat/0.JPG 0\n"
    before, after = image_folder(folder / "set"), image_folder(folder / "out")
    assert [os.path.relpath(path, "out") for path in after.paths] == [os.path.relpath(p, "set") for p in before.paths]
    error = " ".join(capsys.readouterr().err.split())
    sizes = [
        sum(path.stat().st_size for path in (folder / name).rglob("*") if path.suffix in (".JPG", ".txt"))
        for name in ("out", "set")
    ]
    assert "left out of set: 1 hidden entry" in error
    assert f"4 of 4 images are prepared in out: {sizes[0]:,} bytes, {sizes[0] / sizes[1]:.3f} times the" in error
    assert f"the {sizes[1]:,} bytes of their sources" in error
    assert "1 other file is copied unchanged" in error
    assert "random-resized crops of height 224 x width 224 pixels: " in error
    assert "times as fast as those of the originals (4 images" in error


def test_a_second_run_writes_only_what_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("set", "--out", "out") == 0
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*") if path.is_file()}
    (folder / "set" / "dog" / "1.JPG").write_bytes(make_jpeg(80, 80))
    assert prepare("set", "--out", "out") == 0
    assert "prepared already: 4 of 5 files and shards" in capsys.readouterr().err
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"1.JPG", "manifest.jsonl"}
    assert prepare("set", "--out", "out", "--thumbnails") == 2
    assert "out holds outputs made with --thumbnails False (now True)" in capsys.readouterr().err


def test_files_that_cannot_be_prepared_are_listed_and_copied(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "set" / "cat" / "cut.jpg").write_bytes(make_jpeg()[:300])
    (folder / "set" / "cat" / "png.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    for _ in range(2):  # the next run tries again
        assert prepare("set", "--out", "out") == 1
        error = capsys.readouterr().err
        assert "4 of 6 images are prepared in out" in error
        assert "2 failed: " in error
        assert "cat/png.jpg: not a JPEG" in error
        for name in ("cut.jpg", "png.jpg"):
            assert (folder / "out" / "cat" / name).read_bytes() == (folder / "set" / "cat" / name).read_bytes()


def test_the_speed_is_measured_on_images_that_give_tensors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "set" / "cat" / "print.jpg").write_bytes(make_jpeg(mode="CMYK"))
    assert prepare("set", "--out", "out") == 0
    check_prepared(make_jpeg(mode="CMYK"), (folder / "out" / "cat" / "print.jpg").read_bytes())
    assert "the originals (4 images" in capsys.readouterr().err


def test_thumbnails_are_left_out_unless_asked_for(folder: Path) -> None:
    (folder / "one").mkdir()
    profile = segment(0xE2, b"ICC_PROFILE\0\x01\x01profile")
    data = with_segments(make_jpeg(), segment(0xE0, JFIF_THUMBNAIL), profile)
    (folder / "one" / "x.jpg").write_bytes(data)
    assert prepare("one", "--out", "without") == 0
    assert prepare("one", "--out", "with", "--thumbnails") == 0
    without, kept = (folder / "without" / "x.jpg").read_bytes(), (folder / "with" / "x.jpg").read_bytes()
    assert JFIF_THUMBNAIL in kept
    assert JFIF_THUMBNAIL not in without
    assert profile in without
    assert profile in kept


def shard(path: Path, *, format: int = tarfile.GNU_FORMAT) -> None:
    """Write a shard with images, labels, a folder, a long name and a hard link."""
    with tarfile.open(path, "w", format=format) as archive:

        def add(name: str, content: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mtime = kind, link, len(content), 1_600_000_000
            archive.addfile(info, io.BytesIO(content))

        add("train", b"", tarfile.DIRTYPE)
        for n in range(3):
            add(f"train/{n:03}.jpg", make_jpeg(40 + 9 * n, 33, seed=n, subsampling="4:2:0"))
            add(f"train/{n:03}.cls", str(n).encode())
        add(f"train/{'long' * 40}.jpeg", make_jpeg(70, 20, seed=8))
        add(f"train/{'long' * 40}.cls", b"7")
        add("train/readme.txt", b"not an image")
        add("train/link.jpg", b"", tarfile.LNKTYPE, "train/001.jpg")
        add("train/link.cls", b"1")
        add("train/damaged.jpg", make_jpeg()[:100])
        add("train/damaged.cls", b"5")


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_a_shard_keeps_its_members_and_their_order(
    format: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set" / "part").mkdir(parents=True)
    source = tmp_path / "set" / "part" / "000.tar"
    if format == tarfile.USTAR_FORMAT:
        with tarfile.open(source, "w", format=format) as archive:
            info = tarfile.TarInfo("0.jpg")
            info.size = len(make_jpeg())
            archive.addfile(info, io.BytesIO(make_jpeg()))
    else:
        shard(source, format=format)
    code = prepare(str(tmp_path / "set"), "--out", str(tmp_path / "out"), "--threads", "2")
    error = capsys.readouterr().err
    result = tmp_path / "out" / "part" / "000.tar"
    with tarfile.open(source) as before, tarfile.open(result) as after:
        wanted, found = before.getmembers(), after.getmembers()
        assert [(m.name, m.type, m.mtime, m.linkname) for m in found] == [
            (m.name, m.type, m.mtime, m.linkname) for m in wanted
        ]
        for old, new in zip(wanted, found, strict=True):
            if not old.isreg():
                continue
            content, changed = before.extractfile(old), after.extractfile(new)
            assert content is not None
            assert changed is not None
            if old.name.endswith(("jpg", "jpeg")) and "damaged" not in old.name:
                check_prepared(content.read(), changed.read())
            else:
                assert changed.read() == content.read()
    if format != tarfile.USTAR_FORMAT:
        assert code == 1
        assert "4 of 5 images are prepared" in error
        assert "000.tar/train/damaged.jpg: " in error
        before_images, after_images = tar_shards([source]), tar_shards([result])
        assert list(after_images.labels) == list(before_images.labels)
        check_prepared(before_images.read(4), after_images.read(4))  # the hard link


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "class").mkdir(parents=True)
    for n in range(8):
        (tmp_path / "set" / "class" / f"{n}.jpg").write_bytes(make_jpeg(60 + n, 50, seed=n))
    for n in range(4):
        shard(tmp_path / "set" / f"{n}.tar")
    assert prepare("set", "--out", "whole", "--threads", "2") == 1
    code = (
        "import sys, time; from jpegfreq.cli import main; import jpegfreq.store.prepare\n"
        "import jpegfreq._files as files; real = files.Path.replace\n"
        "files.Path.replace = lambda *paths: (time.sleep(0.03), real(*paths))\n"  # a slow disk
        "print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "prepare", "set", "--out", "killed", "--threads", "2"]
    delays = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0.05, 0.3))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    prepare("set", "--out", "killed", "--threads", "2")
    whole, killed = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "whole", tmp_path / "killed")
    )
    assert killed == whole


def test_a_shard_is_given_alone_or_found_in_a_folder_and_damaged_ones_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    shard(tmp_path / "set" / "a.tar")
    (tmp_path / "set" / "b.tar").write_bytes((tmp_path / "set" / "a.tar").read_bytes()[:3000])
    assert prepare("set/a.tar", "--out", "one") == 1
    assert prepare("set", "--out", "all") == 1
    assert "set/b.tar: unsupported: set/b.tar, member" in capsys.readouterr().err
    assert (tmp_path / "one" / "a.tar").read_bytes() == (tmp_path / "all" / "a.tar").read_bytes()
    assert not (tmp_path / "all" / "b.tar").exists()
    assert prepare("set/a.tar", "--out", "one") == 0  # a shard is not looked into again
    assert "prepared already: 1 of 1 files and shards" in capsys.readouterr().err


def test_a_member_whose_size_is_in_a_pax_record_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x.jpg")
        info.size = len(make_jpeg())
        info.pax_headers = {"size": str(info.size)}
        archive.addfile(info, io.BytesIO(make_jpeg()))
    assert prepare(str(tmp_path / "a.tar"), "--out", str(tmp_path / "out")) == 1
    assert "a.tar/x.jpg: unsupported: its size is in a pax record" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.tar").read_bytes() == (tmp_path / "a.tar").read_bytes()


def test_changed_members_leave_every_other_byte(tmp_path: Path) -> None:
    shard(tmp_path / "a.tar")
    members = [member for member in read_members(tmp_path / "a.tar") if member.name.endswith("2.jpg")]
    out = io.BytesIO()
    write_changed(tmp_path / "a.tar", [(members[0], b"x" * 513)], out.write)
    (tmp_path / "b.tar").write_bytes(out.getvalue())
    before, after = (tmp_path / "a.tar").read_bytes(), out.getvalue()
    start, end = members[0].header_bytes, members[0].offset_bytes + -(-members[0].size_bytes // 512) * 512
    assert after[:start] == before[:start]
    assert after[start + 512 + 1024 :] == before[end:]
    assert [member.size_bytes for member in read_members(tmp_path / "b.tar") if member.name == members[0].name] == [513]
    out = io.BytesIO()
    write_changed(tmp_path / "a.tar", [], out.write)
    assert out.getvalue() == before


def test_twelve_bits_and_large_tables_become_extended_files() -> None:
    image = random_image(3, sof=1, height=40, width=40, sampling=((2, 1), (1, 1), (1, 1)), precision=12)
    prepared = read_coefficients(prepare_jpeg(write(image, 3)))
    assert prepared.header.process == "extended"
    for plane, wanted in zip(prepared.planes, image.expected_planes(), strict=True):
        np.testing.assert_array_equal(plane, wanted)


def test_wrong_sources_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.jpg").write_bytes(make_jpeg())
    (tmp_path / "empty").mkdir()
    for source, message in (
        ("none", "no such folder or shard"),
        ("x.jpg", "is neither a folder nor a .tar shard; jpegfreq transcode takes single files"),
        ("empty", "no JPEG files and no shards with JPEG files in"),
    ):
        assert prepare(str(tmp_path / source), "--out", str(tmp_path / "out")) == 2
        assert message in capsys.readouterr().err
    assert prepare(str(tmp_path), "--out", str(tmp_path)) == 2
    assert "would overwrite an input" in capsys.readouterr().err


def test_a_prepared_folder_can_be_prepared_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("set", "--out", "out") == 0
    capsys.readouterr()
    assert prepare("out", "--out", "again") == 0
    assert "left out of out: 2 files of other types" in " ".join(capsys.readouterr().err.split())
    for path in (folder / "out").rglob("*.JPG"):
        assert (folder / "again" / path.relative_to(folder / "out")).read_bytes() == path.read_bytes()


def test_the_speed_is_a_ratio_of_the_same_crops() -> None:
    data = make_jpeg(200, 160)
    assert 0 < crop_speed_up([(data, prepare_jpeg(data))] * 20, rounds=2) < 100
