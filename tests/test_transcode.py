"""`jpegfreq transcode`: every option gives what the library's edits give, and no input is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import Coefficients, blocks, read_coefficients
from jpegfreq.cli import main
from jpegfreq.structure import read_structure
from tests.images import make_jpeg, segment, with_segments
from tests.support import same_coefficients

ORIENTED = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # turned by a quarter


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `in` with files in two folders below it, one of them not in whole MCUs and one stored sideways."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "in" / name).mkdir(parents=True)
    (tmp_path / "in" / "a" / "odd.jpg").write_bytes(make_jpeg(61, 37, subsampling="4:2:0"))
    sideways = with_segments(make_jpeg(64, 48, subsampling="4:2:2", restart_marker_rows=2), segment(0xE1, ORIENTED))
    (tmp_path / "in" / "b" / "sideways.jpg").write_bytes(sideways)
    return tmp_path


def transcode(*arguments: str) -> int:
    return main(["transcode", *arguments])


def read(path: Path) -> Coefficients:
    return read_coefficients(path, segments=True)


EDITS: dict[str, tuple[list[str], Callable[[Coefficients], Coefficients]]] = {
    "nothing": ([], lambda c: c),
    "rotate": (["--rotate", "90"], lambda c: blocks.rotate(c, 1, edge="keep")),
    "rotate and trim": (["--rotate", "270", "--trim"], lambda c: blocks.rotate(c, 3, edge="trim")),
    "flip": (["--flip", "vertical"], lambda c: blocks.flip_vertical(c, edge="keep")),
    "transpose": (["--transpose", "--perfect"], blocks.transpose),
    "upright": (["--upright"], lambda c: blocks.upright(c, edge="keep")),
    "upright, flip, crop, grey": (
        ["--upright", "--flip", "horizontal", "--crop", "3,20,30,17", "--grey"],
        lambda c: blocks.grey(
            blocks.crop(
                blocks.flip_horizontal(blocks.upright(c, edge="keep"), edge="keep"), (3, 20, 30, 17), edge="keep"
            )
        ),
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_each_edit_is_that_of_the_library(edit: str, photos: Path) -> None:
    options, expected = EDITS[edit]
    assert transcode("in", "--out", "out", *options, "--threads", "2") == 0
    for name in ("a/odd.jpg", "b/sideways.jpg"):
        wanted, found = expected(read(photos / "in" / name)), read(photos / "out" / name)
        assert same_coefficients(found, wanted)
        assert found.segments == wanted.segments


def test_process_tables_markers_and_metadata_are_as_asked(photos: Path) -> None:
    assert transcode("in", "--out", "plain", "--no-optimize", "--restart-rows", "0") == 0
    assert transcode("in", "--out", "best", "--baseline", "--restart-rows", "1", "--strip") == 0
    assert transcode("in", "--out", "progressive", "--progressive") == 0
    for name in ("a/odd.jpg", "b/sideways.jpg"):
        plain, best = read(photos / "plain" / name), read(photos / "best" / name)
        assert plain.header.restart_interval == 0
        assert best.header.restart_interval == 4  # one row of MCUs
        tables = [sum(len(t.values) for t in read_structure(photos / folder / name).scans[0].huffman_tables)
                  for folder in ("plain", "best")]  # fmt: skip
        assert tables[0] == 2 * (162 + 12) > tables[1]
        original = read(photos / "in" / name)
        progressive = read(photos / "progressive" / name)
        assert progressive.header.process == "progressive"
        for found in (plain, best, progressive):
            for plane, wanted in zip(found.planes, original.planes, strict=True):
                np.testing.assert_array_equal(plane, wanted)
            assert found.header.orientation == original.header.orientation  # even where other metadata is stripped
    assert plain.segments is not None
    assert ORIENTED in [body for _, body in plain.segments]


def test_files_that_cannot_be_edited_without_loss_fail_and_are_counted(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "in" / "a" / "broken.jpg").write_bytes(make_jpeg()[:200])
    (photos / "in" / "a" / "text.jpg").write_text("no image")
    assert transcode("in", "--out", "out", "--flip", "horizontal", "--perfect") == 1
    error = capsys.readouterr().err
    assert "1 of 4 files is transcoded in out" in error
    assert "3 failed: " in error
    assert "a/odd.jpg: unsupported: cannot mirror 61 columns without loss: 61 is not a multiple of 16" in error
    assert "a/text.jpg: not a JPEG" in error
    assert sorted(path.name for path in (photos / "out").rglob("*.jpg")) == ["sideways.jpg"]


def test_a_second_run_writes_only_what_changed(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert transcode("in", "--out", "out") == 0
    before = {path: path.stat().st_mtime_ns for path in (photos / "out").rglob("*.jpg")}
    (photos / "in" / "b" / "sideways.jpg").write_bytes(make_jpeg(24, 24))
    assert transcode("in", "--out", "out") == 0
    assert "1 of 2 files is transcoded already" in capsys.readouterr().err
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"sideways.jpg"}
    records = [json.loads(line) for line in (photos / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [record["output"] for record in records] == ["a/odd.jpg", "b/sideways.jpg"]


def test_an_input_is_never_overwritten(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (photos / "in" / "a" / "odd.jpg").read_bytes()
    assert transcode("in", "--out", "in", "--rotate", "180") == 2
    assert "would overwrite an input" in capsys.readouterr().err
    assert (photos / "in" / "a" / "odd.jpg").read_bytes() == before


def test_one_folder_holds_outputs_of_one_kind(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert transcode("in", "--out", "out", "--rotate", "90", "--strip") == 0
    assert transcode("in", "--out", "out", "--rotate", "180", "--strip") == 2
    assert "out holds outputs made with --rotate 90 (now 180); choose another --out" in capsys.readouterr().err
    assert main(["decode", "in", "--out", "out"]) == 2
    assert "out holds outputs made with jpegfreq transcode (now decode)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--crop", "1,2,3"], "must be TOP,LEFT,HEIGHT,WIDTH in whole pixels, not '1,2,3'"),
        (["--crop", "0,-1,8,8"], "must be TOP,LEFT,HEIGHT,WIDTH in whole pixels"),
        (["--crop", "0,0,0,8"], "must be a box inside an image, of at least 1 x 1 pixel, not '0,0,0,8'"),
        (["--crop", "0,0,8," + "9" * 5000], "must be a box inside an image, of at least 1 x 1 pixel"),
        (["--restart-rows", "70000"], "must be a number of MCU rows from 0 to 65535, not '70000'"),
        (["--rotate", "45"], "invalid choice: 45"),
        (["--rotate", "90", "--transpose"], "not allowed with argument"),
        (["--perfect", "--trim"], "not allowed with argument"),
        (["--baseline", "--progressive"], "not allowed with argument"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_wrong_options_are_explained(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        transcode("in", "--out", "out", *options)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("photos")
def test_standard_tables_do_not_go_with_progressive_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert transcode("in", "--out", "out", "--progressive", "--no-optimize") == 2
    assert "--no-optimize goes with sequential files" in capsys.readouterr().err


@pytest.mark.usefixtures("photos")
def test_a_box_beyond_an_image_fails_for_that_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert transcode("in", "--out", "out", "--crop", "0,0,40,40") == 1
    assert "a/odd.jpg: unsupported: the box (top 0, left 0, height 40, width 40) ends below" in capsys.readouterr().err


def test_further_images_of_a_file_are_counted(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0")
    (photos / "in" / "a" / "two.mpo").write_bytes(with_segments(make_jpeg(), index) + make_jpeg())
    assert transcode("in", "--out", "out") == 0
    assert main(["prepare", "in", "--out", "prepared", "--thumbnails"]) == 0
    assert capsys.readouterr().err.count("1 file holds further images after the first, as MPO files do; these are") == 2
    for folder in ("out", "prepared"):
        assert b"MPF" not in (photos / folder / "a" / "two.mpo").read_bytes()


@pytest.mark.usefixtures("photos")
def test_an_output_folder_inside_an_input_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert transcode("in", "--out", "in/turned") == 2
    assert "--out in/turned lies in the input in: choose a folder outside of it" in capsys.readouterr().err
    assert main(["prepare", "in", "--out", "in/b/prepared"]) == 2
    assert "--out in/b/prepared lies in the input in" in capsys.readouterr().err
