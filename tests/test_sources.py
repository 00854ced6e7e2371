"""Where images come from: nothing is lost, followed for ever or mislabelled without an error that names the place."""

from __future__ import annotations

import codecs
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jpegfreq.sources.images import Images, file_list, image_folder, list_file, open_images, tar_shards
from jpegfreq.sources.lists import read_list
from jpegfreq.sources.packed import PackedNames
from jpegfreq.sources.walk import LeftOut, find_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six empty files in two class folders."""
    root = tmp_path / "images"
    for name in ("b/0.jpg", "b/1.jpg", "b/deep/2.JPG", "a/0.jpg", "a/1.png", "a/deep/2.jpeg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def below(folder: Path) -> list[str]:
    return [os.path.relpath(path, folder) for path in find_files(folder).files]


def test_files_are_sorted_by_folder_and_name(folder: Path) -> None:
    assert below(folder) == ["a/0.jpg", "a/1.png", "a/deep/2.jpeg", "b/0.jpg", "b/1.jpg", "b/deep/2.JPG"]
    assert find_files(folder).folders == ("a", "b")
    assert not find_files(folder).left_out
    assert find_files(folder, (".png",)).left_out == LeftOut(other_files=5)


def test_a_folder_is_the_same_however_it_is_spelled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for spelling in (".", f"{folder}/", "../images"):
        images = image_folder(spelling)
        assert images.classes == ("a", "b")
        assert [os.path.samefile(*pair) for pair in zip(images.paths, image_folder(folder).paths, strict=True)]


@pytest.mark.parametrize("loops", [1, 2])
def test_links_in_circles_end_and_every_image_is_seen_once(folder: Path, loops: int) -> None:
    for name in "ab"[:loops]:
        (folder / name / "loop").symlink_to(folder, target_is_directory=True)
    images = image_folder(folder)
    assert list(images.paths) == [str(folder / name) for name in (
        "a/0.jpg", "a/1.png", "a/deep/2.jpeg", "b/0.jpg", "b/1.jpg", "b/deep/2.JPG",
    )]  # fmt: skip
    assert images.left_out == LeftOut(circular_links=loops)
    assert "contain" in str(images.left_out)


def test_a_link_to_a_folder_above_the_root_is_circular(folder: Path) -> None:
    (folder / "a" / "up").symlink_to(folder.parent, target_is_directory=True)
    assert find_files(folder).left_out.circular_links == 1
    assert len(below(folder)) == 6


def test_two_links_to_one_folder_are_both_followed(folder: Path) -> None:
    (folder / "a" / "one").symlink_to(folder / "b", target_is_directory=True)
    (folder / "a" / "two").symlink_to(folder / "b", target_is_directory=True)
    assert len(below(folder)) == 12


def test_hidden_entries_are_left_out_and_counted(folder: Path) -> None:
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / "0.jpg").touch()
    for name in ("a/._0.jpg", "b/.DS_Store", "a/notes.txt", "stray.jpg"):
        (folder / name).touch()
    os.mkfifo(folder / "a" / "pipe.jpg")
    images = image_folder(folder)
    assert images.classes == ("a", "b")
    assert len(images) == 6
    assert images.left_out == LeftOut(hidden=3, other_files=1, special=1, outside_classes=1)
    assert str(images.left_out) == (
        "3 hidden entries, 1 file of another type, 1 pipe, socket or device, 1 image beside the class folders"
    )


def test_classes_whose_names_sort_between_a_folder_and_its_files_keep_their_labels(folder: Path) -> None:
    (folder / "a-b").mkdir()
    (folder / "a-b" / "0.jpg").touch()
    images = image_folder(folder)
    assert images.classes == ("a", "a-b", "b")
    assert list(images.labels) == [0, 0, 0, 1, 2, 2, 2]


def test_a_link_to_nothing_is_listed_so_that_its_reader_reports_it(folder: Path) -> None:
    (folder / "a" / "gone.jpg").symlink_to("nowhere")
    images = image_folder(folder)
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        images.read(list(images.paths).index(str(folder / "a" / "gone.jpg")))


@pytest.mark.parametrize("name", ["c", "a/deeper", "v1.2"])
def test_a_link_to_a_folder_that_is_gone_is_an_error(folder: Path, name: str) -> None:
    (folder / name).symlink_to("not-mounted/images")
    with pytest.raises(FileNotFoundError, match=f"{name}: .*No such file"):
        image_folder(folder)


def test_links_that_lead_only_to_each_other_are_an_error(folder: Path) -> None:
    (folder / "a" / "x").symlink_to("y")
    (folder / "a" / "y").symlink_to("x")
    with pytest.raises(OSError, match=r"a/[xy]: cannot tell .*: Too many levels of symbolic links"):
        find_files(folder)


def test_a_folder_without_permission_is_an_error_that_names_it(folder: Path) -> None:
    """Root may read everything, so a process of another user tries."""
    code = (
        "import os\n"
        "from jpegfreq.sources.images import image_folder\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: image_folder('.')\n"
        "except PermissionError as error: print(error)\n"
    )
    folder.chmod(0o755)  # the folders above may be closed: another run of pytest closes them at any time
    (folder / "a").chmod(0)
    try:
        run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    finally:
        (folder / "a").chmod(0o755)
    assert run.stdout == "./a: cannot list this folder: Permission denied\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(PermissionError(13, "Permission denied"), "Permission"), (FileNotFoundError(2, "No such file"), "No such file")],
)
def test_a_folder_that_cannot_be_listed_or_vanishes_is_an_error_that_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    listed = os.scandir

    def scandir(path: str) -> object:
        if path == str(folder / "b" / "deep"):
            raise error
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(type(error), match=f"b/deep: cannot list this folder: {reason}"):
        find_files(folder)


def test_a_tree_deeper_than_the_system_allows_is_an_error_and_never_empty(tmp_path: Path) -> None:
    root = tmp_path / "deep"
    root.mkdir()
    name = "d" * 200
    parent = os.open(root, os.O_RDONLY)
    for _ in range(30):
        os.mkdir(name, dir_fd=parent)
        inner = os.open(name, os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = inner
    os.close(os.open("0.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=parent))
    os.close(parent)
    with pytest.raises(OSError, match=r"ddd \([\d,]+ characters\): cannot list this folder: File name too long"):
        find_files(root)


def test_a_file_or_nothing_where_a_folder_is_expected_is_one_sentence(folder: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"a/0\.jpg: cannot list this folder: Not a directory"):
        find_files(folder / "a" / "0.jpg")
    with pytest.raises(FileNotFoundError, match=r"gone: cannot list this folder: No such file or directory"):
        image_folder(folder / "gone")


@pytest.fixture
def listed(folder: Path) -> Path:
    """A folder with an empty list, beside the images."""
    for name in ("my photo.jpg", "\u00e4.jpg", "a\u0085b.jpg", "a\u2028b.jpg"):
        (folder.parent / name).touch()
    return folder.parent / "list.txt"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"images/a/0.jpg 0\nimages/b/0.jpg 1", ["images/a/0.jpg", "images/b/0.jpg"]),
        (b"images/a/0.jpg\t0 \r\n\r\n  \nimages/b/0.jpg   1\r\n", ["images/a/0.jpg", "images/b/0.jpg"]),
        (codecs.BOM_UTF8 + b'my photo.jpg 0\n"my photo.jpg" 1', ["my photo.jpg", "my photo.jpg"]),
        ("\u00e4.jpg 0\na\u0085b.jpg 1\na\u2028b.jpg 1".encode(), ["\u00e4.jpg", "a\u0085b.jpg", "a\u2028b.jpg"]),
    ],
)
def test_a_list_names_files_and_their_labels(listed: Path, data: bytes, names: list[str]) -> None:
    listed.write_bytes(data)
    images = list_file(listed)
    assert list(images.paths) == [str(listed.parent / name) for name in names]
    assert list(images.labels) == [0, 1, 1][: len(names)]


def test_a_list_finds_names_that_are_not_utf8(listed: Path) -> None:
    name = os.fsencode(listed.parent) + b"/\xe9.jpg"
    os.close(os.open(name, os.O_CREAT))
    listed.write_bytes(b"\xe9.jpg 0\n")
    assert os.fsencode(list_file(listed).paths[0]) == name


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("images/a/0.jpg 0".encode("utf-16"), "is encoded as UTF-16: save it as UTF-8"),
        ("images/a/0.jpg 0".encode("utf-16-le"), "line 1: a null byte"),
        (b"", "lists no image"),
        (b"\n \n", "lists no image"),
        (b"images/a/0.jpg", "line 1: 'images/a/0.jpg' has no space; a line is a path, a space and a class number"),
        (b"images/a/0.jpg 0\n\nimages/a/0.jpg,1 x", "line 3: 'x' is not a class number"),
        (b"images/a/0.jpg -1", "line 1: '-1' is not a class number"),
        ("images/a/0.jpg \u0663".encode(), "is not a class number"),
        (b"images/a/0.jpg 1_0", "'1_0' is not a class number"),
        (b"images/a/0.jpg " + b"9" * 5000, r"'99999+\.\.\. is not a class number"),
        (b"images/a/0.jpg 0\rimages/b/0.jpg 1", "line 1: a carriage return inside the line"),
        (b"images/a/0.jpg 0\nimages/b/0.jpg 99999", "line 2: class number 99999 would make 100,000 classes"),
    ],
)  # fmt: skip
def test_a_line_that_means_nothing_is_named(listed: Path, data: bytes, words: str) -> None:
    listed.write_bytes(data)
    with pytest.raises(ValueError, match=rf"list\.txt.*{words}"):
        list_file(listed)


def test_a_missing_file_is_named_with_its_line_and_what_is_odd_about_it(listed: Path) -> None:
    listed.write_bytes(b"images/a/0.jpg 0\ngone.jpg 1\nlost.jpg 1")
    with pytest.raises(FileNotFoundError, match=r"list\.txt, line 2: .*gone\.jpg \(1 more of its files are missing\)"):
        list_file(listed)
    listed.write_bytes("\u00e4.jpg 0".encode("latin-1"))
    with pytest.raises(FileNotFoundError, match=r"line 1: .*byte 1 of the line is not UTF-8: save the list as UTF-8"):
        list_file(listed)
    listed.write_bytes(b"images 0")
    with pytest.raises(FileNotFoundError, match=r"line 1: .*images is a folder, not a file"):
        list_file(listed)


def test_a_list_without_labels_is_read_where_none_are_needed(listed: Path) -> None:
    listed.write_bytes(b"my photo.jpg\nimages/a/0.jpg 3\n")
    images = list_file(listed, labels=False)
    assert list(images.labels) == [-1, 3]
    assert images.paths[0] == str(listed.parent / "my photo.jpg")


@given(st.binary(max_size=200))
def test_arbitrary_lists_are_read_or_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary.txt"
    path.write_bytes(data)
    try:
        assert all(map(os.path.isfile, read_list(path).paths))
    except (ValueError, OSError) as error:
        assert "arbitrary.txt" in str(error)


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(os.fsdecode)))
def test_packed_names_are_the_names(names: list[str]) -> None:
    packed = PackedNames(names)
    assert list(packed) == names
    assert packed == names
    assert packed[1:] == tuple(names[1:])
    assert pickle.loads(pickle.dumps(packed)) == packed
    assert [packed[-n - 1] for n in range(len(names))] == names[::-1]
    for index in (len(names), -len(names) - 1):
        with pytest.raises(IndexError, match=f"none has the index {index}"):
            packed[index]


def test_packed_names_take_indices_of_any_integer_type() -> None:
    packed = PackedNames(map(str, range(300)))
    places: list[tuple[Any, int]] = [(np.uint8(255), 255), (np.int8(127), 127), (np.int8(-128), 172), (np.int64(7), 7)]
    for index, place in places:
        assert packed[index] == str(place)
    wrong: Any = 1.0
    with pytest.raises(TypeError):
        packed[wrong]


def test_images_of_many_files_are_a_few_objects(tmp_path: Path) -> None:
    """Workers share them with their parent: nothing per image has a reference count."""
    import gc

    images = file_list([tmp_path / f"{n}.jpg" for n in range(10_000)], [n % 10 for n in range(10_000)])
    reached, waiting = set(), [images]
    while waiting:
        item = waiting.pop()
        if id(item) not in reached and not isinstance(item, type):
            reached.add(id(item))
            waiting += gc.get_referents(item)
    assert len(reached) < 100
    assert repr(images) == f"Images(10,000 images of 10 classes, from {tmp_path}/0.jpg)"


def test_images_of_different_lengths_are_refused_and_a_selection_keeps_what_belongs_together() -> None:
    with pytest.raises(ValueError, match="2 images need as many labels, not 1"):
        Images(["a", "b"], [0])
    with pytest.raises(ValueError, match="2 images need as many names, not 1"):
        Images(["a", "b"], [0, 1], names=["x"])
    images = Images(["s", "s", "s"], [0, 1, 2], [0, 10, 20], [1, 2, 3], ["a", "b", "c"], ("x", "y", "z"))
    chosen = images.select([2, 0])
    assert [list(values) for values in (chosen.labels, chosen.offsets_bytes, chosen.sizes_bytes, chosen.names)] == [
        [2, 0], [20, 0], [3, 1], ["c", "a"],
    ]  # fmt: skip
    assert chosen.classes == images.classes


def test_any_source_is_opened_and_labels_are_asked_for_where_needed(folder: Path, listed: Path) -> None:
    listed.write_text("images/a/0.jpg 3\nmy photo.jpg 0\n")
    assert list(open_images(listed).labels) == [3, 0]
    assert open_images(folder) == image_folder(folder)
    unlabelled = open_images(folder, labels=False)
    assert (len(unlabelled), set(unlabelled.labels)) == (5, {-1})
    assert unlabelled.left_out == LeftOut(other_files=1)
    assert list(open_images(folder / "a" / "0.jpg", labels=False).paths) == [str(folder / "a" / "0.jpg")]
    assert len(open_images(folder / "a" / "deep", labels=False)) == 1
    with pytest.raises(FileNotFoundError, match="a/deep has no class folders"):
        open_images(folder / "a" / "deep")
    for source, words in (
        ("gone", "no such folder, list or shard"),
        ("images/a/0.jpg", "is neither a folder, a .txt list nor a .tar shard"),
    ):
        with pytest.raises((OSError, ValueError), match=f"{source}:? {words}"):
            open_images(folder.parent / source)
    (folder / "plan.json").touch()
    with pytest.raises(ValueError, match="is a store that is not finished"):
        open_images(folder)
    (folder / "manifest.json").touch()
    with pytest.raises(ValueError, match="is a store of tensors, not of images"):
        open_images(folder)


def test_a_folder_of_shards_hides_no_other_images(folder: Path, tmp_path: Path) -> None:
    shards = tmp_path / "shards"
    shards.mkdir()
    with tarfile.open(shards / "0.tar", "w") as tar:
        for name in ("0.jpg", "0.cls"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"0"))
    (shards / "notes.txt").touch()
    (shards / ".hidden").touch()
    (shards / "empty").mkdir()
    assert open_images(shards).left_out == LeftOut(hidden=1, other_files=2)
    for name in ("1.tar.gz", "1.TGZ", "1.TAR"):
        (shards / name).touch()
        with pytest.raises(ValueError, match=rf"{name}: images are read from uncompressed shards"):
            open_images(shards)
        (shards / name).unlink()
    (shards / "empty").rmdir()
    folder.rename(shards / "images")
    with pytest.raises(ValueError, match=r"has shards, such as 0\.tar, and the folder images"):
        open_images(shards)


@pytest.mark.parametrize("label", ["", " ", "\ud800", True, 1.0, None, -1, [1]])
def test_a_json_label_that_names_no_class_is_refused(tmp_path: Path, label: object) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, content in (("0.jpg", b"0"), ("0.json", json.dumps({"class": label}).encode())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with pytest.raises(
        ValueError, match=r"0\.json, byte 1,536: 'class' is .*, neither a class number nor a class name"
    ):
        tar_shards([tmp_path / "0.tar"], json_key="class")
