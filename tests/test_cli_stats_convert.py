"""`jpegfreq stats` and `jpegfreq convert`, run in this process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jpegfreq import TensorFormat, read_batch, read_header
from jpegfreq.cli import main
from jpegfreq.crops import center_crop_window
from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator
from jpegfreq.store import StoredDataset
from tests.images import make_jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n in range(6):
        path = folder / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(70 + n, 66, "L" if n == 5 else "RGB", seed=n))
    return folder


def stats(photos: Path, out: Path, *options: str) -> int:
    return main(["stats", str(photos), "--size", "32", "--out", str(out), *options])


def convert(photos: Path, out: Path, *options: str) -> int:
    return main(["convert", str(photos), "--size", "32", "--out", str(out), "--channels", "24", *options])


def views(photos: Path) -> np.ndarray:
    paths = sorted(photos.rglob("*.jpg"))
    headers = [read_header(path) for path in paths]
    boxes = [center_crop_window(h.height, h.width, (32, 32), shorter_side=37) for h in headers]
    return read_batch(paths, size=(32, 32), boxes=boxes)


def test_statistics_are_those_of_all_coefficients_together(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "stats.json"
    assert stats(photos, out) == 0
    measured = ChannelStatistics.load(out)
    tensors = views(photos).astype(np.float64)
    luma, chroma = tensors[:, :64], tensors[:5, 64:]  # the last, by name, is grey
    mean = np.concatenate([luma.mean((0, 2, 3)), chroma.mean((0, 2, 3))])
    std = np.maximum(np.concatenate([luma.std((0, 2, 3)), chroma.std((0, 2, 3))]), 1)
    np.testing.assert_allclose(measured.mean, mean, atol=1e-9)
    np.testing.assert_allclose(measured.std, std, rtol=1e-9)
    assert measured.source == "photos: 6 images; height 32 x width 32, shorter side 37, centre crop"
    facts = json.loads(out.read_text())
    assert facts["measured_on"]["grey_images"] == 1
    np.testing.assert_allclose(facts["std"], std)
    assert StatisticsAccumulator.from_json(out.read_text()).count[0] == 6 * 16


def test_linked_class_folders_are_followed_but_not_in_circles(photos: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for folder in photos.iterdir():
        (linked / folder.name).symlink_to(folder)
    (linked / "again").symlink_to(photos / "class0")
    (linked / "circle").symlink_to(linked)
    (linked / "real").mkdir()
    (linked / "real" / "up").symlink_to(linked)
    assert stats(linked, tmp_path / "stats.json") == 0
    again = len(list((photos / "class0").iterdir()))
    assert json.loads((tmp_path / "stats.json").read_text())["measured_on"]["files"] == 6 + again


def test_a_single_std_per_component_keeps_the_slope_of_the_spectrum(photos: Path, tmp_path: Path) -> None:
    own, shared, merged = (tmp_path / f"{name}.json" for name in ("own", "shared", "merged"))
    assert stats(photos, own) == 0
    assert main(["stats", str(photos), "--size", "32", "--std", "component", "--out", str(shared)]) == 0
    channel, component = ChannelStatistics.load(own), ChannelStatistics.load(shared)
    assert component == channel.per_component()
    assert component.mean == channel.mean
    squares = np.array(channel.std).reshape(3, 64) ** 2
    np.testing.assert_allclose(component.std, np.sqrt(squares.mean(1)).repeat(64), rtol=1e-12)
    assert component.source == f"{channel.source}; one std a component"
    assert main(["stats", "--merge", str(own), str(own), "--out", str(merged)]) == 2
    assert main(["stats", "--merge", str(own), str(shared), "--out", str(merged)]) == 2
    assert main(["stats", "--merge", str(own), "--std", "component", "--out", str(merged)]) == 0
    assert ChannelStatistics.load(merged) == component
    assert main(["stats", "--merge", str(shared), "--out", str(merged)]) == 0
    assert ChannelStatistics.load(merged) == channel


def test_merged_stats_are_those_of_all_files(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b, whole, out = (tmp_path / f"{name}.json" for name in ("a", "b", "whole", "out"))
    assert stats(photos / "class0", a) == stats(photos / "class1", b) == stats(photos, whole) == 0
    assert main(["stats", "--merge", str(a), str(b), "--out", str(out)]) == 0
    merged, want = json.loads(out.read_text()), json.loads(whole.read_text())
    assert merged["count"] == want["count"]
    for key in ("mean", "std"):
        np.testing.assert_allclose(merged[key], want[key], rtol=1e-12, atol=1e-10)
    del want["measured_on"]["sample_seed"], merged["measured_on"]["runs"]
    assert merged["measured_on"] == want["measured_on"] | {"folder": ["class0", "class1"]}
    assert (
        ChannelStatistics.load(out).source
        == f"{json.loads(a.read_text())['source']} + " + (json.loads(b.read_text())["source"])
    )
    capsys.readouterr()
    copy = tmp_path / "copy.json"
    copy.write_bytes(a.read_bytes())
    for again in (a, copy):
        assert main(["stats", "--merge", str(out), str(again), "--out", str(tmp_path / "more.json")]) == 2
        assert f"{again} contains a run that {out} contains, too" in capsys.readouterr().err
    assert main(["stats", str(photos), "--size", "40", "--out", str(b)]) == 0
    capsys.readouterr()
    assert main(["stats", "--merge", str(a), str(b), "--out", str(out)]) == 2
    assert "--size 40 there and 32 here, --shorter-side 46 there and 37 here" in capsys.readouterr().err
    b.write_text("{}")
    assert main(["stats", "--merge", str(a), str(b), "--out", str(out)]) == 2
    assert "was not written by `jpegfreq stats`: it has no field 'source'" in capsys.readouterr().err
    assert main(["stats", "--out", str(out)]) == 2
    assert "either a folder to measure, or files to --merge" in capsys.readouterr().err


def test_files_that_are_left_out_are_counted(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "notes.txt").write_text("hello")
    (photos / "class0" / "a.png").write_bytes(b"")
    for run in (stats(photos, tmp_path / "a.json"), convert(photos, tmp_path / "store")):
        assert run == 0
    assert capsys.readouterr().err.count(": 2 files of other types") == 2
    assert len(StoredDataset(tmp_path / "store")) == 6


def test_images_are_turned_upright_on_request(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = make_jpeg(80, 60, exif=exif.tobytes())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(data)
    assert convert(tmp_path / "photos", tmp_path / "store", "--apply-orientation") == 0
    box = center_crop_window(80, 60, (32, 32), shorter_side=37)
    want = read_batch([data], size=(32, 32), boxes=[box], apply_orientation=True, format=TensorFormat("24"))
    store = StoredDataset(tmp_path / "store")
    np.testing.assert_array_equal(store[0][0], want[0])
    assert store.manifest["apply_orientation"] is True


def test_stats_do_not_depend_on_threads(photos: Path, tmp_path: Path) -> None:
    assert stats(photos, tmp_path / "a.json", "--threads", "1") == 0
    assert stats(photos, tmp_path / "b.json", "--threads", "3") == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_sample_is_the_same_for_the_same_seed(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert stats(photos, tmp_path / f"{name}.json", "--sample", "3", "--seed", seed) == 0
    a, b, c = ((tmp_path / f"{name}.json").read_bytes() for name in "abc")
    assert a == b != c
    assert "3 images of 6, a sample drawn with seed 1" in ChannelStatistics.load(tmp_path / "a.json").source


def test_stats_list_failures_and_count_the_rest(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stats(photos, tmp_path / "clean.json") == 0
    (photos / "class0" / "2a.jpg").write_bytes(make_jpeg(16, 16, "CMYK"))
    assert stats(photos, tmp_path / "all.json") == 1
    assert "1 failed: 1 unsupported" in capsys.readouterr().err
    clean, mixed = ChannelStatistics.load(tmp_path / "clean.json"), ChannelStatistics.load(tmp_path / "all.json")
    assert clean.mean == mixed.mean


@pytest.mark.parametrize("words", [["convert", "--size", "32"], ["convert", "--coefficients"]], ids=" ".join)
def test_a_folder_of_unreadable_files_gives_no_complete_store(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--coefficients" in words:
        pytest.importorskip("h5py")
        pytest.importorskip("hdf5plugin")
    (tmp_path / "in").mkdir()
    for n in range(2):
        (tmp_path / "in" / f"{n}.jpg").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert main([*words, str(tmp_path / "in"), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"{out}: nothing was converted: 0 of 2 files could be read" in error
    assert "complete" not in error
    (tmp_path / "in" / "1.jpg").write_bytes(make_jpeg(40, 40))  # once a file is whole, the same command converts it
    assert main([*words, str(tmp_path / "in"), "--out", str(out)]) == 1
    assert f"{out}: complete, 1 of 2 files in 1 shard of up to" in capsys.readouterr().err


def test_stats_of_unreadable_files_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.jpg").write_bytes(b"no picture")
    assert main(["stats", str(tmp_path / "in"), "--out", str(tmp_path / "s.json")]) == 2
    error = capsys.readouterr().err
    assert "no image could be measured, so" in error
    assert error.index("0.jpg: not a JPEG") < error.index("no image could be measured")
    assert not (tmp_path / "s.json").exists()


def test_statistics_of_grey_images_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grey").mkdir()
    (tmp_path / "grey" / "a.jpg").write_bytes(make_jpeg(16, 16, "L"))
    assert stats(tmp_path / "grey", tmp_path / "stats.json") == 2
    assert "fewer than two values" in capsys.readouterr().err
    assert not (tmp_path / "stats.json").exists()


def test_convert_normalizes_by_what_stats_measured(photos: Path, tmp_path: Path) -> None:
    assert stats(photos, tmp_path / "stats.json") == 0
    assert convert(photos, tmp_path / "store", "--statistics", str(tmp_path / "stats.json")) == 0
    store = StoredDataset(tmp_path / "store")
    luma = np.stack([store[index][0][:16] for index in range(len(store))]).astype(np.float64)
    np.testing.assert_allclose(luma.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(luma.std((0, 2, 3)), 1, atol=1e-5)
    assert store.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_statistics_of_another_size_are_refused_unless_asked_for(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stats(photos, tmp_path / "stats.json") == 0
    options = ("--statistics", str(tmp_path / "stats.json"))
    capsys.readouterr()
    assert convert(photos, tmp_path / "same", *options) == 0
    assert "measured on other parts" not in capsys.readouterr().err
    facts = json.loads((tmp_path / "stats.json").read_text())
    del facts["measured_on"]["apply_orientation"]  # as earlier versions wrote it
    (tmp_path / "stats.json").write_text(json.dumps(facts))
    assert convert(photos, tmp_path / "older", *options) == 0
    for others, view in (
        (("--size", "64"), "height 64 x width 64, shorter side 73"),
        (("--shorter-side", "50"), "shorter side 50"),
        (("--filter", "bicubic"), "shorter side 37, centre crop, bicubic"),
    ):
        assert convert(photos, tmp_path / "other", *options, *others) == 2
        shown = capsys.readouterr().err
        assert "(height 32 x width 32, shorter side 37, centre crop) than are read now" in shown
        assert view in shown
        assert not (tmp_path / "other").exists()
    assert convert(photos, tmp_path / "other", *options, "--size", "64", "--any-statistics") == 0


def test_stats_and_convert_have_the_same_default_size(photos: Path, tmp_path: Path) -> None:
    assert main(["stats", str(photos), "--out", str(tmp_path / "stats.json")]) == 0
    options = ["--statistics", str(tmp_path / "stats.json"), "--channels", "6", "--out", str(tmp_path / "store")]
    assert main(["convert", str(photos), *options]) == 0


def test_stats_of_a_file_name_the_mistake(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(photos / "class0" / "0.jpg"), "--out", str(tmp_path / "stats.json")]) == 2
    assert "0.jpg is a file, but this command needs a folder of JPEG files" in capsys.readouterr().err


def test_hidden_entries_are_counted_and_unreadable_folders_are_named(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / ".ipynb_checkpoints").mkdir()
    (photos / ".ipynb_checkpoints" / "0.jpg").write_bytes(make_jpeg())
    (photos / "class0" / "._0.jpg").write_bytes(b"resource fork")
    assert convert(photos, tmp_path / "store") == 0
    assert f"left out of {photos}: 2 hidden entries" in capsys.readouterr().err
    assert StoredDataset(tmp_path / "store").classes == ("class0", "class1")
    scandir = os.scandir

    def refused(path: str) -> Any:
        if os.fspath(path).endswith("class1"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)  # root may list everything
    for command in (["stats", "--out", str(tmp_path / "s.json")], ["convert", "--out", str(tmp_path / "other")]):
        assert main([command[0], str(photos), *command[1:]]) == 2
        assert f"{photos / 'class1'}: cannot list this folder: Permission denied" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_damaged_statistics_are_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(photos, tmp_path / "stats.json") == 0
    facts = json.loads((tmp_path / "stats.json").read_text())
    facts["mean"][3] = float("nan")
    (tmp_path / "nan.json").write_text(json.dumps(facts))
    assert main(["stats", "--merge", str(tmp_path / "nan.json"), "--out", str(tmp_path / "all.json")]) == 2
    assert "nan.json was not written by `jpegfreq stats`: mean must be 192 finite numbers" in capsys.readouterr().err
    assert convert(photos, tmp_path / "store", "--statistics", str(tmp_path / "nan.json")) == 2
    assert "nan.json" in capsys.readouterr().err
    facts = json.loads((tmp_path / "stats.json").read_text())
    facts["measured_on"]["size"] = "large"
    (tmp_path / "odd.json").write_text(json.dumps(facts))
    assert convert(photos, tmp_path / "store", "--statistics", str(tmp_path / "odd.json")) == 2
    assert "odd.json: measured_on is damaged" in capsys.readouterr().err


def test_the_preset_dctnet_is_used_with_a_warning(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(photos, tmp_path / "store", "--statistics", "dctnet") == 0
    assert capsys.readouterr().err.count("is that of per-image means") == 1


def test_a_part_names_the_other_parts_that_are_missing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jpegfreq.store.plan._SHARD_BYTES", 24 * 4 * 4 * 4)  # one image per shard
    for part, lacking in (("2/3", "4 shards of other parts are missing (--shard 1/3, 3/3)"), ("1/3", "--shard 3/3")):
        assert convert(photos, tmp_path / "store", "--shard", part) == 0
        assert lacking in capsys.readouterr().err
    assert convert(photos, tmp_path / "store", "--shard", "3/3") == 0
    assert "complete" in capsys.readouterr().err


def test_edited_files_are_converted_again(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(photos, tmp_path / "store") == 0
    (photos / "class0" / "0.jpg").write_bytes(make_jpeg(50, 50, seed=9))
    capsys.readouterr()
    assert convert(photos, tmp_path / "store") == 0
    assert "1 complete shard is made again" in capsys.readouterr().err
    assert convert(photos, tmp_path / "anew") == 0
    for name in ("manifest.json", "shards/00000.npy"):
        assert (tmp_path / "store" / name).read_bytes() == (tmp_path / "anew" / name).read_bytes()


def test_convert_again_keeps_the_shards_and_the_exit_code(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "class1" / "bad.jpg").write_bytes(b"not a jpeg")
    assert convert(photos, tmp_path / "store", "--dtype", "int16") == 1
    before = (tmp_path / "store" / "shards" / "00000.npy").stat().st_mtime_ns
    capsys.readouterr()
    assert convert(photos, tmp_path / "store", "--dtype", "int16") == 1
    assert (tmp_path / "store" / "shards" / "00000.npy").stat().st_mtime_ns == before
    shown = capsys.readouterr().err
    assert "1 of 1 shard is complete already" in shown
    assert "1 not a JPEG" in shown


def test_wrong_options_are_named(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, complaint in (
        (("--size", "0"), "must be at least 1"),
        (("--shorter-side", "16"), "must not be below"),
        (("--channels", "25"), "no preset of 25"),
        (("--threads", "0"), "threads"),
    ):
        assert convert(photos, tmp_path / "store", *options) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert main(["stats", str(tmp_path / "gone"), "--out", "x.json"]) == 2
    capsys.readouterr()
    assert stats(photos, tmp_path / "x.json", "--sample", "2", "--seed", "-1") == 2
    assert "--seed must be 0 or more" in capsys.readouterr().err
    assert main(["stats", "--merge", "a.json", "--size", "32", "--out", str(tmp_path / "x.json")]) == 2
    assert "--size would have no effect" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        convert(photos, tmp_path / "store", "--shard", "3/2")
    assert convert(photos, tmp_path / "store") == 0
    assert convert(photos, tmp_path / "store", "--dtype", "float16") == 2
    assert "--dtype float32 (now float16)" in capsys.readouterr().err
