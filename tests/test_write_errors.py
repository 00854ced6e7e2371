"""Outputs that cannot be written: one line that names the file, exit code 2, and nothing half-written left behind."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jpegfreq._files import WriteError, write_whole, written_whole
from jpegfreq.cli import CommandError, main
from jpegfreq.cli._outputs import check_outputs
from jpegfreq.statistics import ChannelStatistics
from tests.images import make_jpeg
from tests.support import files_limited_to

COMMANDS = {
    "decode": (["decode", "photos", "--out", "out"], "out/"),
    "decode --npz": (["decode", "photos", "--out", "out", "--npz"], "out/"),
    "transcode": (["transcode", "photos", "--out", "out"], "out/"),
    "prepare": (["prepare", "photos", "--out", "out", "--sample", "1"], "out/"),
    "stats": (["stats", "photos", "--size", "32", "--out", "stats.json"], "stats.json"),
    "convert": (["convert", "photos", "--size", "32", "--out", "out"], "out/plan.json"),
    "convert --coefficients": (["convert", "photos", "--coefficients", "--out", "out"], "out/plan.json"),
    "show": (["show", "photos/0.jpg", "--dpi", "40", "--out", "figure.png"], "figure.png"),
    "profile --json": (["profile", "photos", "--seconds", "1", "--json", "times.json"], "times.json"),
    "profile --html": (["profile", "photos", "--seconds", "1", "--html", "page.html"], "page.html"),
    "verify --json": (["verify", "photos", "--json", "verify.json"], "verify.json"),
    "select": (["select", "statistics.json", "-k", "6", "--out", "learned.json"], "learned.json"),
}


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for n in range(3):
        (tmp_path / "photos" / f"{n}.jpg").write_bytes(make_jpeg(64, 48, seed=n))
    ChannelStatistics((0.0,) * 192, tuple(range(1, 193)), "made up").save(tmp_path / "statistics.json")
    return tmp_path


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("size_bytes", [16, 1000])
def test_a_full_disk_is_one_line_that_names_the_file(
    command: str, size_bytes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (
        (["torch"] if command == "select" else [])
        + (["matplotlib"] if "show" in command else [])
        + (["h5py", "hdf5plugin"] if "coefficients" in command else [])
    ):
        pytest.importorskip(module)
    argv, named = COMMANDS[command]
    with files_limited_to(size_bytes):
        code = main(argv)
    lines = capsys.readouterr().err.splitlines()
    if code == 0:  # everything fitted
        assert size_bytes == 1000
        return
    assert code == 2
    error = lines[-1]
    assert error.startswith(f"jpegfreq {argv[0]}: ")
    assert named in error or size_bytes > 16
    assert str(tmp_path) in error or "out/" in error
    assert not [name for name in files(tmp_path) if name.endswith(".part")]
    assert main(argv) == 0  # with room on the disk, the same command completes the work
    assert not [name for name in files(tmp_path) if name.endswith(".part")]


def test_a_folder_without_write_permission_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    assert main(["stats", "photos", "--size", "32", "--out", str(locked / "stats.json")]) == 2
    assert f"{locked / 'stats.json'}: cannot write: Permission denied" in capsys.readouterr().err


def test_an_output_folder_that_is_a_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("not a folder")
    for command in (["decode", "photos"], ["convert", "photos", "--size", "32"]):
        assert main([*command, "--out", "taken"]) == 2
        assert "taken" in capsys.readouterr().err.splitlines()[-1]


def test_an_error_while_writing_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    write_whole(path, "old")
    with pytest.raises(WriteError, match=r"kept\.json: cannot write: File too large"), files_limited_to(10):
        write_whole(path, "new" * 1000)

    def stopped() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text() == "old"
    assert files(tmp_path) == {"kept.json", "statistics.json", *(f"photos/{n}.jpg" for n in range(3))}


def test_a_link_stays_a_link_and_a_device_stays_a_device(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    write_whole(Path("/dev/null"), "nothing")
    assert Path("/dev/null").is_char_device()


def test_the_longest_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_whole(path, "content")
    assert path.read_text() == "content"


@pytest.mark.parametrize(
    "command",
    [
        ["show", "photos/0.jpg", "--out", "link.png"],
        ["profile", "photos", "--html", "photos/0.jpg"],
        ["profile", "photos", "--json", "photos/../photos/1.jpg"],
        ["stats", "photos", "--size", "32", "--out", "photos/0.jpg"],
        ["stats", "--merge", "a.json", "--out", "./a.json"],
        ["select", "a.json", "-k", "6", "--out", "photos/../a.json"],
    ],
)
def test_no_command_overwrites_its_input(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "link.png").symlink_to("photos/0.jpg")
    (tmp_path / "a.json").write_text("{}")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    assert main(command) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_an_image_that_only_a_list_names_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("photos/0.jpg 0\n")
    with pytest.raises(CommandError, match=r"photos/0\.jpg holds images or tensors, and would be overwritten"):
        check_outputs(tmp_path / "photos" / "0.jpg", inputs=[tmp_path / "list.txt"])
    check_outputs(tmp_path / "photos" / "new.jpg", inputs=[tmp_path / "list.txt"])


@pytest.mark.parametrize("name", ["run.json", "log.csv", "gate.json", "training_state.pt", "best/config.json"])
def test_what_a_run_needs_is_not_overwritten(name: str, tmp_path: Path) -> None:
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(CommandError, match="would be overwritten"):
        check_outputs(path, inputs=[tmp_path / "run"])


def test_statistics_that_cannot_be_written_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "statistics.json"
    before = path.read_bytes()
    statistics = ChannelStatistics.load(path)
    with pytest.raises(WriteError, match=r"statistics\.json: cannot write: File too large"), files_limited_to(10):
        statistics.save(path)
    assert path.read_bytes() == before
