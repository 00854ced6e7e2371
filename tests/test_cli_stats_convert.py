"""`jpegfreq stats` and `jpegfreq convert`, run in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import read_batch, read_header
from jpegfreq.cli import main
from jpegfreq.resample import center_crop_box
from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator
from jpegfreq.store import StoredDataset
from tests.pictures import picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n in range(6):
        path = folder / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(70 + n, 66, "L" if n == 5 else "RGB", seed=n))
    return folder


def stats(photos: Path, out: Path, *options: str) -> int:
    return main(["stats", str(photos), "--size", "32", "--out", str(out), *options])


def convert(photos: Path, out: Path, *options: str) -> int:
    return main(["convert", str(photos), "--size", "32", "--out", str(out), "--format", "dct24", *options])


def views(photos: Path) -> np.ndarray:
    paths = sorted(photos.rglob("*.jpg"))
    headers = [read_header(path) for path in paths]
    boxes = [center_crop_box(h.height, h.width, (32, 32), shorter_side=37) for h in headers]
    return read_batch(paths, size=(32, 32), boxes=boxes)


def test_stats_are_those_of_all_coefficients_together(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "stats.json"
    assert stats(photos, out) == 0
    measured = ChannelStatistics.load(out)
    tensors = views(photos).astype(np.float64)
    luma, chroma = tensors[:, :64], tensors[:5, 64:]  # the last, by name, is grey
    mean = np.concatenate([luma.mean((0, 2, 3)), chroma.mean((0, 2, 3))])
    std = np.concatenate([luma.std((0, 2, 3)), chroma.std((0, 2, 3))])
    np.testing.assert_allclose(measured.mean, mean, atol=1e-9)
    np.testing.assert_allclose(measured.std, std, rtol=1e-9)
    assert measured.source == "photos: 6 images; size 32, shorter side 37, centre crop"
    facts = json.loads(out.read_text())
    assert facts["measured_on"]["grey_images"] == 1
    np.testing.assert_allclose(facts["std"], std)
    assert StatisticsAccumulator.from_json(out.read_text()).count[0] == 6 * 16


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
    (photos / "class0" / "2a.jpg").write_bytes(picture(16, 16, "CMYK"))
    assert stats(photos, tmp_path / "all.json") == 1
    assert "1 failed: 1 unsupported" in capsys.readouterr().err
    clean, mixed = ChannelStatistics.load(tmp_path / "clean.json"), ChannelStatistics.load(tmp_path / "all.json")
    assert clean.mean == mixed.mean


def test_stats_of_grey_pictures_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "grey").mkdir()
    (tmp_path / "grey" / "a.jpg").write_bytes(picture(16, 16, "L"))
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
    assert "1 of 1 shards are complete already" in shown
    assert "1 not a JPEG" in shown


def test_wrong_options_say_what_is_wrong(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, complaint in (
        (("--size", "30"), "multiple of 8"),
        (("--shorter-side", "16"), "must not be below"),
        (("--format", "dct25"), "no preset of 25"),
        (("--threads", "0"), "threads"),
    ):
        assert convert(photos, tmp_path / "store", *options) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    assert main(["stats", str(tmp_path / "gone"), "--out", "x.json"]) == 2
    with pytest.raises(SystemExit):
        convert(photos, tmp_path / "store", "--shard", "3/2")
    assert convert(photos, tmp_path / "store") == 0
    assert convert(photos, tmp_path / "store", "--dtype", "float16") == 2
    assert "different: format, storage" in capsys.readouterr().err
