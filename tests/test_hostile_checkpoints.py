"""Checkpoints that are damaged or made up: refused in one line, before memory is taken for what they claim."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import (  # noqa: E402
    CheckpointError,
    ModelConfig,
    create_model,
    from_torchvision,
    load_model,
    load_rgb_weights,
    save_model,
)
from tests.images import make_jpeg  # noqa: E402

HUGE = 10**12  # classes: whoever built the network for them would need terabytes


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a network of the library."""
    config = ModelConfig("resnet18", 3, TensorFormat(6), (32, 32), 32)
    folder = tmp_path_factory.mktemp("own")
    save_model(folder, config.create(), config)
    return folder


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an adapted RGB network."""
    folder = tmp_path_factory.mktemp("adapted")
    save_model(folder, from_torchvision("mobilenet_v3_small", size=32, format=TensorFormat(6), num_classes=3))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(4):
        path = tmp_path / "photos" / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(48, 40, seed=n))
    return tmp_path / "photos"


def changed(folder: Path, out: Path, **changes: Any) -> Path:
    """Copy a checkpoint with other values in its config."""
    out.mkdir()
    values = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        (values if name in values else values["source"]["options"])[name] = value
    (out / "config.json").write_text(json.dumps(values))
    (out / "model.safetensors").hardlink_to(folder / "model.safetensors")
    return out


def spoiled(folder: Path, out: Path, name: str, value: float) -> Path:
    """Copy a checkpoint with one value of one tensor replaced."""
    out.mkdir()
    (out / "config.json").write_text((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    tensors[name].view(-1)[0] = value
    save_file(tensors, out / "model.safetensors")
    return out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": HUGE, "labels": []}, f"of shape \\(3, 512\\) instead of \\({HUGE}, 512\\)"),
        ({"num_classes": 0, "labels": []}, "num_classes must be at least 1, not 0"),
        ({"num_classes": True, "labels": []}, "num_classes must be a whole number, not True"),
        ({"num_classes": math.inf}, "num_classes must be a whole number, not inf"),
        ({"gated": 0}, "gated must be True or False, not 0"),
        ({"gated": "no"}, "gated must be True or False, not 'no'"),
        ({"size": [True, 32]}, "size must be a list of whole numbers"),
        ({"labels": [1, 2, 3]}, "labels must be a list of texts"),
        ({"architecture": "vit_l_16"}, "does not fit config.json"),
    ],
)
def test_a_made_up_config_of_the_library_is_refused(
    changes: dict[str, Any], message: str, own: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_model(changed(own, tmp_path / "made up", **changes))


@pytest.mark.parametrize("name", ["num_classes", "option"])
def test_an_adapted_network_is_not_built_for_more_classes_than_it_has_weights(
    name: str, adapted: Path, tmp_path: Path
) -> None:
    folder = changed(adapted, tmp_path / "made up", **{"num_classes": HUGE} if name == "num_classes" else {})
    if name == "option":
        values = json.loads((folder / "config.json").read_text())
        values["source"]["options"]["num_classes"] = HUGE
        (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="weights in all, too few for 1,000,000,000,000 classes"):
        load_model(folder)


def test_a_network_with_other_outputs_than_its_config_says_does_not_answer(adapted: Path, tmp_path: Path) -> None:
    classifier = load_model(changed(adapted, tmp_path / "made up", num_classes=2))
    with pytest.raises(ValueError, match="the network gives 1 x 3 numbers for 1 x 2 classes"):
        classifier.predict(make_jpeg(40, 40))


def test_json_that_is_nested_too_deeply_is_refused(own: Path, tmp_path: Path, capsys: Any) -> None:
    folder = changed(own, tmp_path / "deep")
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json: its JSON is nested too deeply"):
        load_model(folder)
    (tmp_path / "0.jpg").write_bytes(make_jpeg(40, 40))
    assert main(["predict", str(folder), str(tmp_path / "0.jpg")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_labels_cannot_move_the_terminals_cursor(own: Path, tmp_path: Path, capsys: Any) -> None:
    folder = changed(own, tmp_path / "labels", labels=["a\x1b[2J", "b\nc", "d"])
    (tmp_path / "0.jpg").write_bytes(make_jpeg(40, 40))
    assert main(["predict", str(folder), str(tmp_path / "0.jpg")]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1


# --- weights that are not finite


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_checkpoint_with_a_weight_that_is_not_finite_is_refused(
    value: float, own: Path, adapted: Path, tmp_path: Path
) -> None:
    for folder, name in ((own, "fc.weight"), (adapted, "network.features.0.1.running_var")):
        with pytest.raises(CheckpointError, match=f"1 of the .* of {name} is infinite or not a number"):
            load_model(spoiled(folder, tmp_path / name, name, value))


def test_every_command_refuses_weights_that_are_not_finite(
    own: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rgb = torchvision.models.resnet18(num_classes=3)
    rgb.layer1[0].conv1.weight.data[:2] = math.nan
    torch.save(rgb.state_dict(), tmp_path / "rgb.pth")
    bad = spoiled(own, tmp_path / "bad", "layer1.0.conv1.weight", math.nan)
    more = ["--epochs", "1", "--batch-size", "2", "--size", "32", "--out", str(tmp_path / "out")]
    source = ["--network", "torchvision:resnet18", "--weights", str(tmp_path / "rgb.pth"), "--option", "num_classes=3"]
    for words in (
        ["from-rgb", *source, "--out", str(tmp_path / "out")],
        ["predict", str(bad), str(photos)],
        ["train", str(photos), str(photos), "--weights", str(tmp_path / "rgb.pth"), "--rgb", *more],
        ["train", str(photos), str(photos), "--weights", str(bad), "--channels", "6", *more],
        ["select", str(bad), "--by", "weights", "-k", "2", "--out", str(tmp_path / "out.json")],
    ):
        assert main(words) == 2, words
        assert "of layer1.0.conv1.weight" in capsys.readouterr().err
        assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_state_dict_with_weights_that_are_not_finite_is_refused_in_python() -> None:
    rgb = torchvision.models.resnet18(num_classes=3)
    rgb.layer4[0].bn1.running_mean[5] = math.inf
    with pytest.raises(ValueError, match=r"1 of the 512 values of layer4\.0\.bn1\.running_mean is infinite"):
        load_rgb_weights(create_model("resnet18", format=TensorFormat(6), num_classes=3), rgb.state_dict())
