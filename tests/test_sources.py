"""Where images come from: nothing is lost, followed for ever or mislabelled without an error that names the place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jpegfreq.sources.images import image_folder
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


def test_links_that_lead_only_to_each_other_are_an_error(folder: Path) -> None:
    (folder / "a" / "x").symlink_to("y")
    (folder / "a" / "y").symlink_to("x")
    with pytest.raises(OSError, match=r"a/[xy]: cannot tell .*: Too many levels of symbolic links"):
        find_files(folder)


def test_a_folder_without_permission_is_an_error_that_names_it(folder: Path) -> None:
    """Root may read everything, so a process of another user tries."""
    code = (
        "import os, sys\n"
        "from jpegfreq.sources.images import image_folder\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "try: image_folder(sys.argv[1])\n"
        "except PermissionError as error: print(error)\n"
    )
    for parent in [folder, *folder.parents][:4]:
        parent.chmod(parent.stat().st_mode | 0o055)
    (folder / "a").chmod(0)
    try:
        run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    finally:
        (folder / "a").chmod(0o755)
    assert run.stdout == f"{folder}/a: cannot list this folder: Permission denied\n"


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
