"""Tar shards: every image is read with its label, or an error names the shard, the member and the byte."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpegfreq.sources.images import open_images, tar_shards
from jpegfreq.sources.patterns import expand
from jpegfreq.sources.tar import read_members
from jpegfreq.sources.walk import LeftOut

LONG = "folder/" * 30 + "x" * 120


def shard(
    members: dict[str, bytes | tarfile.TarInfo], *, format: int = tarfile.USTAR_FORMAT, at_end: bytes | None = None
) -> bytes:
    """A tar file of these members; a TarInfo stands for a member that is not a plain file."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    data = file.getvalue()
    return data if at_end is None else data.rstrip(b"\0") + at_end


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


GOOD: dict[str, Any] = {
    "0.jpg": b"a" * 700, "0.cls": b"1", "1.jpg": b"b" * 512, "1.cls": b"0\n", "2.jpg": b"c", "2.cls": b"1",
}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        (tmp_path / "s.tar").write_bytes(data)
        return tmp_path / "s.tar"

    return write


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_image_is_read_with_its_label(write: Any, format: int) -> None:
    members = {**GOOD, "d": special("d", tarfile.DIRTYPE), "./d/3.jpg": b"d" * 513, "./d/3.cls": b"0"}
    if format != tarfile.USTAR_FORMAT:
        members |= {f"{LONG}.jpg": b"long", f"{LONG}.cls": b"1", "d/\u00e4.jpg": b"e", "d/\u00e4.cls": b"1"}
    path = write(shard(members, format=format))
    images = tar_shards([path])
    wanted = [name for name in members if name.endswith(".jpg")]
    assert [images.read(n) for n in range(len(images))] == [members[name] for name in wanted]
    assert list(images.labels) == [int(members[f"{name[:-4]}.cls"]) for name in wanted]
    assert images.name(3) == "s.tar/d/3.jpg"
    with tarfile.open(path) as peer:
        files = [member for member in peer if member.isfile()]
    assert [(m.offset_bytes, m.size_bytes) for m in read_members(path)] == [(f.offset_data, f.size) for f in files]


def test_a_hard_link_has_the_content_of_its_target(write: Any) -> None:
    images = tar_shards([write(shard({**GOOD, "3.jpg": special("3.jpg", tarfile.LNKTYPE, "0.jpg"), "3.cls": b"0"}))])
    assert images.read(3) == GOOD["0.jpg"]
    with pytest.raises(ValueError, match=r"s\.tar, member 0\.jpg, byte 0: it links to '9\.jpg', which is not before"):
        tar_shards([write(shard({"0.jpg": special("0.jpg", tarfile.LNKTYPE, "9.jpg"), "0.cls": b"0"}))])


@pytest.mark.parametrize(
    ("kind", "words"),
    [(tarfile.SYMTYPE, "a symbolic link"), (tarfile.CHRTYPE, "a character device"), (tarfile.BLKTYPE, "a block device"),
     (tarfile.FIFOTYPE, "a pipe"), (tarfile.GNUTYPE_SPARSE, "a sparse file"), (b"V", "unknown type")],
)  # fmt: skip
def test_members_that_are_not_plain_files_are_errors(write: Any, kind: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=rf"s\.tar, member 3\.jpg, byte 6,656: .*{words}"):
        tar_shards([write(shard({**GOOD, "3.jpg": special("3.jpg", kind, "0.jpg")}))])


def test_sparse_files_of_pax_are_errors(write: Any) -> None:
    info = tarfile.TarInfo("0.jpg")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    with pytest.raises(ValueError, match="sparse"):
        tar_shards([write(shard({"0.jpg": info}, format=tarfile.PAX_FORMAT))])


def test_a_damaged_header_is_an_error_wherever_it_is(write: Any) -> None:
    data = bytearray(shard(GOOD))
    for header in [member.header_bytes for member in read_members(write(bytes(data)))][1:]:
        damaged = data.copy()
        damaged[header + 130] ^= 1
        with pytest.raises(ValueError, match=rf"s\.tar, byte {header:,}: the header's checksum is wrong"):
            tar_shards([write(bytes(damaged))])


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_hole_of_zeros_is_an_error(write: Any, blocks: int) -> None:
    data = bytearray(shard(GOOD))
    header = read_members(write(bytes(data)))[2].header_bytes
    data[header : header + 512 * blocks] = bytes(512 * blocks)
    with pytest.raises(ValueError, match=rf"s\.tar, byte [\d,]+: data after the zeros at byte {header:,}"):
        tar_shards([write(bytes(data))])


def test_a_shard_that_was_cut_anywhere_is_an_error(write: Any) -> None:
    data = shard(GOOD)
    end = len(data.rstrip(b"\0"))
    whole = -(-end // 512) * 512 + 1024
    for length in {*range(0, whole, 256), *range(1, whole, 511), whole - 1}:
        with pytest.raises(ValueError, match=r"s\.tar"):
            tar_shards([write(data[:length])])
    assert len(tar_shards([write(data[:whole])])) == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (gzip.compress(shard(GOOD)), r"is compressed \(gzip\)"),
        (b"", "is empty"),
        (b"\xff\xd8" * 600, "is not a tar file"),
    ],
)
def test_a_file_that_is_no_uncompressed_tar_file_is_named(write: Any, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=rf"s\.tar {words}"):
        tar_shards([write(data)])


def test_a_name_that_begins_as_compressed_files_do_is_fine(write: Any) -> None:
    assert len(tar_shards([write(shard({"PK.jpg": b"a", "PK.cls": b"0"}))])) == 1


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"0000.3.jpg": b"a", "0000.cls": b"1"}, r"s\.tar/0000\.3\.jpg holds no image by its extension, \.3\.jpg"),
        ({**GOOD, "3.cls": b"1"}, r"s\.tar/3\.cls is a label without an image"),
        ({**GOOD, "3.jpg": b"1"}, r"s\.tar/3\.jpg has no label: 3\.cls and 3\.json are missing"),
        ({"0.jpg": b"a", "0.cls": b"-1"}, r"s\.tar/0\.cls, byte 1,536: '-1' is not a class number"),
        ({"0.jpg": b"a", "0.cls": "\u0663".encode()}, "not a class number"),
        ({"0.jpg": b"a", "0.cls": b"9" * 5000}, "not a class number"),
        ({"0.jpg": b"a", "0.cls": b"99999"}, r"s\.tar/0\.jpg: class number 99999 would make 100,000 classes"),
        ({"0.txt": b"a"}, r"s\.tar holds no image"),
        ({"0.jpg": b"a", "./0.jpg": b"b"}, r"member \./0\.jpg, byte 1,024: the shard has a member of this name"),
    ],
)  # fmt: skip
def test_what_would_lose_or_mislabel_an_image_is_an_error(write: Any, members: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tar_shards([write(shard(members))])


def test_the_shard_at_fault_is_named_among_many(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.tar").write_bytes(shard(GOOD)[: 2560 if n == 1 else None])
    with pytest.raises(ValueError, match=r"1\.tar, byte 2,560: the shard ends without the two zero blocks"):
        tar_shards([tmp_path / f"{n}.tar" for n in range(3)])


def test_labels_are_read_from_json(write: Any) -> None:
    numbers = {
        "0.jpg": b"a", "0.json": b'{"label": 1}', "1.jpg": b"b", "1.json": b'{"label": 0}', "2.jpg": b"c",
        "2.cls": b"1",
    }  # fmt: skip
    assert list(tar_shards([write(shard(numbers))], json_key="label").labels) == [1, 0, 1]
    names = {"0.jpg": b"a", "0.json": b'{"label": "dog"}', "1.jpg": b"b", "1.json": b'{"label": "cat"}'}
    images = tar_shards([write(shard(names))], json_key="label")
    assert (images.classes, list(images.labels)) == (("cat", "dog"), [1, 0])
    for content, words in (
        (b"{", r"0\.json, byte [\d,]+: this is not JSON"),
        (b"[" * 100_000, "this is not JSON"),
        (b"[1]", "no key 'label'"),
        (b'{"class": 1}', "no key 'label'"),
        (b'{"label": 1.5}', "'label' is 1.5, neither"),
        (b'{"label": true}', "is True"),
    ):
        with pytest.raises(ValueError, match=words):
            tar_shards([write(shard({**names, "0.json": content}))], json_key="label")
    with pytest.raises(ValueError, match="has the label 1, and others have names, as 'cat'"):
        tar_shards([write(shard({**names, "0.json": b'{"label": 1}'}))], json_key="label")
    with pytest.raises(ValueError, match=r"0\.json says 'dog' and 0\.cls says 1: one image has one label"):
        tar_shards([write(shard({**names, "0.cls": b"1"}))], json_key="label")


def test_json_beside_a_class_number_is_no_label_unless_it_is_named(write: Any) -> None:
    members = {"0.jpg": b"a", "0.cls": b"4", "0.json": b'{"label": "cat"}', "1.jpg": b"b", "1.json": b'{"label": 2}'}
    images = tar_shards([write(shard({**members, "2.json": b"of no image"}))])
    assert list(images.labels) == [4, 2]
    assert images.left_out.other_files == 2
    with pytest.raises(ValueError, match=r"1\.json, byte [\d,]+: there is no key 'label'"):
        tar_shards([write(shard({**members, "1.json": b"{}"}))])


def test_images_are_read_without_labels_and_hidden_members_are_counted(write: Any) -> None:
    path = write(shard({"0.jpg": b"a", "1.jpg": b"b", "1.cls": b"x", "._0.jpg": b"c", ".d/2.jpg": b"d", "0.txt": b"e"}))
    images = tar_shards([path], labels=False)
    assert list(images.labels) == [-1, -1]
    assert images.left_out == LeftOut(hidden=2, other_files=1)


@given(st.data())
def test_damage_never_gives_other_members_than_the_shards_own(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes change, the reader gives all members at their places, or raises ValueError."""
    original = shard(
        {**GOOD, f"{LONG}.jpg": b"x"}, format=data.draw(st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    )
    path = tmp_path_factory.getbasetemp() / "damaged.tar"
    path.write_bytes(original)
    members = read_members(path)
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(damaged)))
        old = data.draw(st.integers(0, 600))
        new = data.draw(st.one_of(st.binary(max_size=600), st.integers(0, 1200).map(bytes)))
        damaged[start : start + old] = new
    path.write_bytes(damaged)
    try:
        found = read_members(path)
    except ValueError as error:
        assert "damaged.tar" in str(error)
        return
    # Only what no checksum covers may differ: contents, and long names and records, which are contents, too.
    assert all(member.offset_bytes + member.size_bytes <= len(damaged) for member in found)
    if len(damaged) == len(original):
        assert [member.header_bytes for member in found] == [member.header_bytes for member in members]


@given(st.binary(max_size=3000))
def test_arbitrary_bytes_are_no_shard(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.tar"
    path.write_bytes(data)
    if any(data[:512]) or len(data) < 1024:
        with pytest.raises(ValueError, match=r"arbitrary\.tar"):
            read_members(path)


def test_names_that_are_not_utf8_are_kept(write: Any) -> None:
    members = {os.fsdecode(b"\xe9.jpg"): b"a", os.fsdecode(b"\xe9.cls"): b"0"}
    images = tar_shards([write(shard(members, format=tarfile.GNU_FORMAT))])
    assert os.fsencode(images.name(0)) == b"s.tar/\xe9.jpg"


def test_a_shard_that_was_cut_after_its_table_was_read_is_named(write: Any) -> None:
    path = write(shard(GOOD))
    images = tar_shards([path])
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(OSError, match=r"s\.tar ends 212 bytes before its member s\.tar/0\.jpg does"):
        images.read(0)


def test_patterns_name_many_shards(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"train-{number:03d}.tar").write_bytes(shard({"0.jpg": bytes([number]), "0.cls": b"1"}))
    for pattern in (
        "train-{000..002}.tar",
        "train-00{0,1,2}.tar",
        "train-*.tar",
        "train-00[0-2].tar",
        "{train-00?}.tar",
    ):
        for images in (tar_shards(str(tmp_path / pattern)), open_images(tmp_path / pattern)):
            assert [images.read(n) for n in range(len(images))] == [b"\0", b"\1", b"\2"], pattern
    assert len(tar_shards([tmp_path / "train-{000..001}.tar", tmp_path / "train-002.tar"])) == 3
    assert len(tar_shards(tmp_path / "train-001.tar")) == 1


def test_braces_are_replaced_from_left_to_right() -> None:
    assert expand("{a,b}-{8..10}.tar") == ["a-8.tar", "a-9.tar", "a-10.tar", "b-8.tar", "b-9.tar", "b-10.tar"]
    assert expand("s3://photos/{08..09}.tar") == ["s3://photos/08.tar", "s3://photos/09.tar"]
    assert expand("plain.tar") == ["plain.tar"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1]{0..9}.tar"
    path.write_bytes(shard(GOOD))
    assert expand(str(path)) == [str(path)]
    assert len(tar_shards(path)) == 3


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{5..3}.tar", "the range 5..3 runs backwards"),
        ("{0..99999999}.tar", "more than 1,000,000 files"),
        ("{0..9999}{0..9999}.tar", "more than 1,000,000 files"),
        ("gone/*.tar", "gone/\\*.tar: no file matches"),
        ("s3://photos/*.tar", "name the others by braces"),
        ("gone-{0..1}.tar", "gone-0.tar"),
    ],
)
def test_a_pattern_that_names_nothing_is_an_error(pattern: str, words: str) -> None:
    with pytest.raises((ValueError, OSError), match=words):
        tar_shards(pattern)
