"""The command line, run in this process."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jpegfreq
from jpegfreq.cli import COMMANDS, main
from jpegfreq.format import TensorFormat
from jpegfreq.report.facts import estimated_quality, subsampling
from tests.images import make_jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(make_jpeg(40, 24, subsampling="4:2:0", quality=80))
    (folder / "inner" / "b.JPEG").write_bytes(make_jpeg(17, 9))
    (folder / "inner" / "grey.jpg").write_bytes(make_jpeg(16, 16, "L"))
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"  jpegfreq {command} " in capsys.readouterr().out


def test_missing_inputs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "gone.jpg")]) == 2
    assert "gone.jpg: no such file" in capsys.readouterr().err
    assert main(["decode", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "no JPEG files" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["transcode", "", "--out", "o"], ["prepare", "in", "--out="], ["inspect", ""]])
def test_an_empty_argument_is_not_the_current_folder(
    words: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    before = sorted(photos.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "an argument is empty; if it is a variable of the shell, is it set?" in capsys.readouterr().err
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize(
    "command", ["inspect", "inspect --each", "transcode --out o", "prepare --out o", "decode --out o"]
)
def test_control_characters_in_names_are_shown_as_escapes(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a\x1b[31m\nb.jpg").write_bytes(b"no JPEG")
    name, *options = command.split()
    assert main([name, "in", *options]) == 1
    printed = capsys.readouterr().err
    assert "in/a\\x1b[31m\\nb.jpg: " in printed
    assert "\x1b" not in printed


def test_an_error_is_printed_without_control_characters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "\x1b[2J.jpg")]) == 2
    assert "\\x1b[2J.jpg: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a$x^$.jpg", os.fsdecode(b"\xff.jpg"), "\t.jpg"])
def test_show_draws_a_file_of_any_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(make_jpeg(16, 16))
    assert main(["show", str(tmp_path / name), "--out", str(tmp_path / "f.png"), "--dpi", "20"]) == 0


# --- inspect


def test_inspect_prints_one_json_object_per_line(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", "--each", str(photos)]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(fact["file"]).name for fact in facts] == ["a.jpg", "b.JPEG", "grey.jpg"]
    first = facts[0]
    assert (first["width"], first["height"], first["subsampling"]) == (40, 24, "4:2:0")
    assert (first["estimated_quality"], first["quality_is_exact"]) == (80, True)
    assert [component["name"] for component in first["components"]] == ["Y", "Cb", "Cr"]
    assert first["components"][1]["blocks"] == [2, 3]
    assert len(first["scans"]) == 1
    assert facts[2]["color"] == "grey"


def test_inspect_counts_coefficients_as_numpy_does(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["inspect", "--json", str(photos / "a.jpg")])
    spread = json.loads(capsys.readouterr().out)["components"][0]["coefficients"]
    plane = jpegfreq.read_coefficients(photos / "a.jpg").planes[0].reshape(-1, 64)
    assert spread["nonzero_per_block"] == pytest.approx((plane != 0).sum(1).mean(), abs=1e-3)
    assert spread["flat_blocks"] == pytest.approx((plane[:, 1:] == 0).all(1).mean(), abs=1e-4)
    assert spread["largest"] == plane.max()
    assert np.array(spread["nonzero"]).reshape(64) == pytest.approx((plane != 0).mean(0), abs=1e-4)


def test_inspect_prints_the_facts_for_readers(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.jpg").write_bytes(b"not a jpeg")
    (photos / "cut.jpg").write_bytes(make_jpeg(64, 64)[:-200])
    assert main(["inspect", "--each", str(photos)]) == 1
    printed = capsys.readouterr()
    assert "height 24 x width 40 px, YCbCr, 4:2:0" in printed.out
    assert "80 (libjpeg's tables exactly)" in printed.out
    assert "damaged: " in printed.out
    assert "bad.jpg" in printed.err


@pytest.mark.parametrize(
    "command", [["inspect"], ["decode", "--out", "OUT"], ["convert", "--out", "OUT"], ["stats", "--out", "OUT.json"]]
)
def test_names_of_failed_files_are_never_cut_where_output_is_no_terminal(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{'long' * 20}/{'name' * 20}.jpg"
    folder = tmp_path / "images"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"\xff\xd8 damaged")
    (folder / "good.jpg").write_bytes(make_jpeg(600, 600))
    main([command[0], str(folder), *(word.replace("OUT", str(tmp_path / "out")) for word in command[1:])])
    assert any(name in line and "SOF at byte" in line for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 92, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_quality_is_found_from_the_tables(quality: int, mode: str) -> None:
    coefficients = jpegfreq.read_coefficients(make_jpeg(16, 16, mode, quality=quality))
    found = estimated_quality(coefficients.quantization_tables)
    assert (found.value, found.exact) == (quality, True)


def test_other_tables_get_the_nearest_quality() -> None:
    tables = [np.full((8, 8), 5), np.full((8, 8), 5), np.full((8, 8), 5)]
    found = estimated_quality(tables)
    assert 90 < found.value < 98
    assert not found.exact


@pytest.mark.parametrize("name", ["4:4:4", "4:2:2", "4:2:0"])
def test_subsampling_has_its_usual_name(name: str) -> None:
    assert subsampling(jpegfreq.read_header(make_jpeg(16, 16, subsampling=name))) == name


# --- decode


def decode(photos: Path, out: Path, *options: str) -> int:
    return main(["decode", str(photos), "--out", str(out), *options])


def test_decode_writes_one_tensor_per_image(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--channels", "24", "--dtype", "float16", "--layout", "HWC", "--statistics", "dctnet")
    assert decode(photos, out, *options, "--threads", "2") == 0
    written = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.npy"))
    assert written == ["a.jpg.npy", "inner/b.JPEG.npy", "inner/grey.jpg.npy"]
    format = TensorFormat.from_json(json.dumps(json.loads((out / "format.json").read_text())["format"]))
    assert format.selection.name == "24"
    for name in written:
        expected = jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(photos / name[:-4]), format)
        np.testing.assert_array_equal(np.load(out / name), expected)
    assert not list(out.rglob("*.part"))


def test_decode_resumes_where_it_stopped(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert decode(photos, out) == 0
    untouched = (out / "a.jpg.npy").stat().st_mtime_ns
    (out / "inner" / "b.JPEG.npy").unlink()
    (out / "inner" / "b.JPEG.npy.part").write_bytes(b"cut off")
    assert decode(photos, out) == 0
    assert (out / "a.jpg.npy").stat().st_mtime_ns == untouched
    assert np.load(out / "inner" / "b.JPEG.npy").shape == (192, 2, 3)
    assert not list(out.rglob("*.part"))


def test_decode_refuses_to_mix_formats(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert decode(photos, out, "--channels", "6") == 0
    assert decode(photos, out, "--channels", "24", "--layout", "HWC") == 2
    assert "--channels 6 (now 24), --layout CHW (now HWC)" in capsys.readouterr().err
    assert np.load(out / "a.jpg.npy").shape == (6, 3, 5)


def test_decode_lists_failures_and_keeps_the_rest(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    (photos / "bad.jpg").write_bytes(b"not a jpeg")
    (photos / "cmyk.jpg").write_bytes(make_jpeg(16, 16, "CMYK"))
    (photos / "cut.jpg").write_bytes(make_jpeg(64, 64)[:-200])
    assert decode(photos, tmp_path / "out") == 1
    report = capsys.readouterr().err
    assert "3 of 6 files are decoded" in report
    line = next(line for line in report.splitlines() if "bad.jpg" in line)
    assert "not a JPEG" in line
    assert "SOI at byte 0" in line
    assert "(T.81 B.2.1)" in line
    assert "CMYK" in report
    assert len(list((tmp_path / "out").rglob("*.npy"))) == 3
    assert decode(photos, tmp_path / "kept", "--damage", "keep") == 1
    assert np.load(tmp_path / "kept" / "cut.jpg.npy").shape == (192, 8, 8)


def test_decode_to_one_archive(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert decode(photos, out, "--npz") == 0
    with np.load(out / "tensors.npz") as archive:
        assert sorted(archive.files) == ["a.jpg", "inner/b.JPEG", "inner/grey.jpg"]
        expected = jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(photos / "a.jpg"))
        np.testing.assert_array_equal(archive["a.jpg"], expected)
    before = (out / "tensors.npz").stat().st_mtime_ns
    assert decode(photos, out, "--npz") == 0
    assert (out / "tensors.npz").stat().st_mtime_ns == before
    (photos / "c.jpg").write_bytes(make_jpeg(8, 8))
    assert decode(photos, out, "--npz") == 0
    with zipfile.ZipFile(out / "tensors.npz") as archive_file:
        assert len(archive_file.namelist()) == 4


@pytest.mark.parametrize(
    ("text", "channels"),
    [("6", (0, 1, 8, 9, 64, 128)), ("zigzag:3,1,1", (0, 1, 8, 64, 128)), ("5,3,100", (5, 3, 100))],
)
def test_channels_can_be_written_in_several_ways(
    photos: Path, tmp_path: Path, text: str, channels: tuple[int, ...]
) -> None:
    assert decode(photos / "a.jpg", tmp_path / "out", "--channels", text) == 0
    everything = jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(photos / "a.jpg"))
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.jpg.npy"), everything[list(channels)])


def test_wrong_options_are_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, complaint in (
        (("--channels", "25"), "no preset of 25"),
        (("--statistics", "imagenet"), "dctnet"),
        (("--statistics", "gone.json"), "gone.json"),
        (("--threads", "-1"), "threads"),
    ):
        assert decode(photos, tmp_path / "out", *options) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# --- show


def test_show_draws_every_kind_of_image(photos: Path, tmp_path: Path) -> None:
    from PIL import Image

    pytest.importorskip("matplotlib")
    for name in ("a.jpg", "inner/grey.jpg"):
        out = tmp_path / "drawn" / f"{Path(name).name}.png"
        assert main(["show", str(photos / name), "--out", str(out), "--dpi", "50"]) == 0
        with Image.open(out) as image:
            assert image.width > 300


def test_show_names_what_it_cannot_read(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "cmyk.jpg").write_bytes(make_jpeg(16, 16, "CMYK"))
    assert main(["show", str(photos / "cmyk.jpg"), "--out", str(tmp_path / "x.png")]) == 1
    assert "CMYK" in capsys.readouterr().err


def test_show_without_matplotlib_names_the_extra(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    absent: Any = None
    monkeypatch.setitem(sys.modules, "matplotlib", absent)
    assert main(["show", str(photos / "a.jpg"), "--out", str(tmp_path / "x.png")]) == 2
    assert "jpegfreq[plot]" in capsys.readouterr().err


def test_what_a_command_does_not_know_is_told_with_its_own_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (
            ["select", "model", "--by", "loss", "photos"],
            "unrecognized arguments: photos; words that belong to no option",
        ),
        (["inspect", "a.jpg", "--loud"], "jpegfreq inspect: error: unrecognized arguments: --loud\n"),
    ):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 2
        error = capsys.readouterr().err
        assert f"usage: jpegfreq {words[0]} " in error
        assert message in error
