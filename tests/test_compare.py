"""Comparison of trained models, from Python and from the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jpegfreq import TensorFormat
from jpegfreq.cli import main
from jpegfreq.models import ModelConfig, create_model, load_model, save_model
from jpegfreq.models.analysis.compare import compare_models, to_csv, to_json
from jpegfreq.report.compared import compared_table, differences
from jpegfreq.torch import image_folder
from tests.images import make_jpeg
from tests.support import files_limited_to


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for n in range(4):
        path = folder / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(48, 40, seed=n))
    return folder


def checkpoint(folder: Path, format: TensorFormat | None, labels: tuple[str, ...] = (), *, gated: bool = False) -> Path:
    torch.manual_seed(0)
    config = ModelConfig("resnet18", 2, format, (32, 32), 32, labels=labels, gated=gated)
    save_model(folder, create_model("resnet18", format=format, num_classes=2, gated=gated), config)
    return folder


def test_models_are_measured_on_the_same_images(photos: Path, tmp_path: Path) -> None:
    names = {"rgb": None, "dct24": TensorFormat(24)}
    models = [(name, load_model(checkpoint(tmp_path / name, format))) for name, format in names.items()]
    images = image_folder(photos)
    done: list[int] = []
    rgb, dct = compare_models(models, images, progress=done.append)
    assert (rgb.input_shape, dct.input_shape) == ((3, 32, 32), (24, 4, 4))
    assert (rgb.input_bytes, dct.input_bytes) == (3 * 32 * 32, 2 * 24 * 16)
    assert rgb.images == dct.images == 4
    assert sum(done) == 8
    predictions = models[1][1].predict(list(images.paths))
    right = [p.indices[0] == label for p, label in zip(predictions, images.labels, strict=True)]
    assert dct.top1 == sum(right) / 4
    assert dct.top5 is None  # of two classes
    assert dct.transfer_milliseconds is None  # the network is where the tensors are
    assert (rgb.size, dct.size) == ((32, 32), (32, 32))
    headings, cells = compared_table([rgb, dct])
    assert headings == [
        "model", "input", "top-1", "same answers", "GMAC", "million parameters", "kB per image", "ms to read",
    ]  # fmt: skip
    assert [row[3] == "-" for row in cells] == [True, False]
    remarks = differences([rgb, dct, replace(dct, name="large", size=(64, 64))])
    assert remarks[:2] == [
        "The inputs differ: pixels (rgb); 24 channels (dct24, large).",
        "The networks see images of different sizes: 32 x 32 px (rgb, dct24); 64 x 64 px (large).",
    ]
    assert remarks[2].startswith("The multiply-adds differ: ")
    assert differences([dct]) == []
    assert min(rgb.read_milliseconds, dct.read_milliseconds, rgb.macs, dct.parameters) > 0
    assert to_csv([rgb, dct]).splitlines()[2].startswith("dct24,resnet18,24x4x4,32x32,")
    assert json.loads(to_json([dct]))[0]["input_bytes"] == dct.input_bytes


def test_command_writes_table_csv_json_and_page(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "run" / "best", TensorFormat(6)).parent
    files = {kind: tmp_path / f"compared.{kind}" for kind in ("csv", "json", "html")}
    options = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    assert main(["compare", str(folder), "--data", str(photos), *options]) == 0
    assert "resnet18" in capsys.readouterr().out
    assert "resnet18" in files["csv"].read_text()
    assert json.loads(files["json"].read_text())[0]["name"] == "run"
    assert "6 x 4 x 4" in files["html"].read_text()


def test_labels_beyond_the_models_classes_are_an_error(photos: Path, tmp_path: Path) -> None:
    (photos / "class2").mkdir()
    (photos / "class2" / "9.jpg").write_bytes(make_jpeg(48, 40))
    model = load_model(checkpoint(tmp_path / "model", TensorFormat(6)))
    with pytest.raises(ValueError, match="model: the images have labels up to 2, but the model has 2 classes"):
        compare_models([("model", model)], image_folder(photos))


def test_classes_are_matched_by_their_names(photos: Path, tmp_path: Path) -> None:
    model = load_model(checkpoint(tmp_path / "model", TensorFormat(6), ("class0", "class1")))
    (whole,) = compare_models([("model", model)], image_folder(photos))
    (photos / "class0").rename(tmp_path / "class0")
    (second,) = compare_models([("model", model)], image_folder(photos))
    (photos / "class1").rename(tmp_path / "class1")
    (tmp_path / "class0").rename(photos / "class0")
    (first,) = compare_models([("model", model)], image_folder(photos))
    assert first.top1 + second.top1 == 2 * whole.top1
    assert {first.top1, second.top1} <= {0.0, 0.5, 1.0}
    right = sum(p.labels[0] == "class1" for p in model.predict(sorted((tmp_path / "class1").iterdir())))
    assert second.top1 == right / 2
    (photos / "class0").rename(photos / "other")
    with pytest.raises(ValueError, match="model: the model has no class other; its classes are class0, class1"):
        compare_models([("model", model)], image_folder(photos))


@pytest.mark.parametrize("command", ["compare", "heatmap"])
def test_a_full_disk_is_one_line_and_nothing_is_left_half_written(
    command: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = checkpoint(tmp_path / "run" / "best", TensorFormat(6), gated=True).parent
    output = tmp_path / "result.json"
    argv = ["compare", str(folder), "--data", str(photos), "--json", str(output)]
    if command == "heatmap":
        argv = ["heatmap", str(folder), str(photos), "--out", str(output)]
    with files_limited_to(16):
        assert main(argv) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error == f"jpegfreq {command}: {output}: cannot write: File too large"
    assert not list(tmp_path.glob("result*"))
