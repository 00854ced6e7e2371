"""Training runs that start from a classifier's weights."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.models.checkpoint import CheckpointError, ModelConfig, save_model  # noqa: E402
from jpegfreq.models.dense.config import DenseConfig, body_of, gate_of, load_dense  # noqa: E402
from jpegfreq.models.dense.recipe import DenseTraining  # noqa: E402
from jpegfreq.models.dense.training import train_dense  # noqa: E402
from jpegfreq.models.pretrained import LoadedWeights, Pretrained, load_pretrained, read_pretrained  # noqa: E402
from tests.scenes import FORMAT, scene_folder  # noqa: E402

CONFIG = DenseConfig("segmentation", "resnet18", FORMAT, (1, 3), 32, 64)
INPUTS = ("layer1.0.conv1.weight", "layer1.0.downsample.0.weight")


def classifier(folder: Path, architecture: str = "resnet18", **changes: Any) -> Path:
    """Save a checkpoint whose weights differ from any other's."""
    torch.manual_seed(7)
    config = ModelConfig(architecture, 3, **{"format": FORMAT, "size": (64, 64), "shorter_side": 64, **changes})
    save_model(folder, config.create(), config)
    return folder


def load_backbone(network: Any, config: DenseConfig, source: Pretrained) -> LoadedWeights:
    """Load the weights into the backbone of a network for boxes or masks."""
    gate = gate_of(network) if config.gated else None
    return load_pretrained(body_of(network), source, architecture=config.architecture, format=config.format, gate=gate)


@pytest.mark.parametrize("task", ["segmentation", "detection"])
@pytest.mark.parametrize("gated", [False, True])
def test_a_classifier_with_the_same_channels_gives_every_tensor(tmp_path: Path, task: Any, gated: bool) -> None:
    source = read_pretrained(classifier(tmp_path / "weights", gated=True))
    config = replace(CONFIG, task=task, gated=gated)
    network = config.create()
    names = load_backbone(network, config, source)
    assert names.fresh == ()
    assert {name for name in names.left if not name.startswith("gate.")} == {"fc.weight", "fc.bias"}
    assert gated != ("gate.mix.weight" in names.left)
    body = body_of(network).state_dict()
    assert all(torch.equal(body[name], source.tensors[name]) for name in body)
    if gated:
        assert source.gate is not None
        assert torch.equal(gate_of(network).mix.weight, source.gate["mix.weight"])
        assert "gate.mix.weight" in names.loaded


def test_a_classifier_with_other_channels_gives_every_layer_except_the_input_layers(tmp_path: Path) -> None:
    other = replace(FORMAT, channels=24)
    source = read_pretrained(classifier(tmp_path / "weights", format=other, gated=True))
    config = replace(CONFIG, gated=True)
    network = config.create()
    names = load_backbone(network, config, source)
    assert set(INPUTS) < set(names.fresh)
    assert "gate.mix.weight" in names.fresh
    body = body_of(network).state_dict()
    assert torch.equal(body["layer4.1.conv2.weight"], source.tensors["layer4.1.conv2.weight"])


@pytest.mark.parametrize("wrapped", [None, "model", "state_dict"])
def test_an_rgb_network_gives_every_layer_except_the_input_layers(tmp_path: Path, wrapped: str | None) -> None:
    rgb = torchvision.models.resnet18(weights=None)
    state = rgb.state_dict()
    torch.save(state if wrapped is None else {wrapped: state}, tmp_path / "rgb.pth")
    network = CONFIG.create()
    names = load_backbone(network, CONFIG, read_pretrained(tmp_path / "rgb.pth"))
    assert set(INPUTS) < set(names.fresh)
    assert {"conv1.weight", "fc.weight"} < set(names.left)
    body = body_of(network).state_dict()
    assert torch.equal(body["layer2.0.conv1.weight"], state["layer2.0.conv1.weight"])
    assert torch.equal(body["layer1.0.bn1.running_var"], state["layer1.0.bn1.running_var"])


def test_an_rgb_checkpoint_counts_as_an_rgb_network(tmp_path: Path) -> None:
    source = read_pretrained(classifier(tmp_path / "weights", format=None))
    assert source.format is None
    names = load_backbone(CONFIG.create(), CONFIG, source)
    assert set(INPUTS) < set(names.fresh)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a resnet34, but the network is a resnet18"):
        load_backbone(CONFIG.create(), CONFIG, read_pretrained(classifier(tmp_path / "weights", "resnet34")))
    torch.save(torchvision.models.mobilenet_v2(weights=None).state_dict(), tmp_path / "rgb.pth")
    with pytest.raises(ValueError, match=r"rgb\.pth.*another architecture"):
        load_backbone(CONFIG.create(), CONFIG, read_pretrained(tmp_path / "rgb.pth"))


@pytest.mark.parametrize(("architecture", "other"), [("resnet18", "resnet34"), ("resnet34", "resnet18")])
def test_a_deeper_or_shallower_rgb_network_is_refused(tmp_path: Path, architecture: str, other: str) -> None:
    torch.save(torchvision.models.get_model(other).state_dict(), tmp_path / "rgb.pth")
    config, source = replace(CONFIG, architecture=architecture), read_pretrained(tmp_path / "rgb.pth")
    with pytest.raises(ValueError, match=r"another architecture: they have .*layer1\.2\.conv1"):
        load_backbone(config.create(), config, source)


def test_weights_without_counters_or_without_a_last_layer_load(tmp_path: Path) -> None:
    state = torchvision.models.resnet18().state_dict()
    kept = {name: value for name, value in state.items() if "num_batches" not in name and not name.startswith("fc.")}
    torch.save(kept, tmp_path / "rgb.pth")
    names = load_backbone(CONFIG.create(), CONFIG, read_pretrained(tmp_path / "rgb.pth"))
    assert "layer4.1.conv2.weight" in names.loaded


def test_a_run_folder_gives_its_best_epoch(tmp_path: Path) -> None:
    classifier(tmp_path / "run" / "best")
    classifier(tmp_path / "run" / "last", "resnet34")
    assert read_pretrained(tmp_path / "run").path == tmp_path / "run" / "best"


def test_a_path_without_weights_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(torchvision.models.resnet18(), tmp_path / "whole.pth")
    torch.save({"a": torch.zeros(9999)}, tmp_path / "cut.pth")
    os.truncate(tmp_path / "cut.pth", 5000)
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("no weights")
    for name in ("text.pth", "list.pth", "whole.pth", "cut.pth", "empty.pth", "text.safetensors", "."):
        with pytest.raises(CheckpointError, match=str(tmp_path)):
            read_pretrained(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_pretrained(tmp_path / "missing.pth")


def test_training_uses_the_weights_and_their_statistics(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = str(scene_folder(tmp_path / "data"))
    statistics = ChannelStatistics((1.0,) * 192, (90.0,) * 192, "of the classifier")
    weights = classifier(tmp_path / "weights", format=replace(FORMAT, statistics=statistics))
    training = DenseTraining(
        "segmentation", folder, folder, str(tmp_path / "run"), format=TensorFormat(6), shorter_side=32, longer_side=64,
        epochs=1, batch_size=2, learning_rate=1e-9, weights=str(weights),
    )  # fmt: skip
    model, _ = train_dense(training)
    assert model.config.format.statistics == statistics
    kept = body_of(load_dense(tmp_path / "run" / "last").network).get_submodule("layer1.0.conv1").weight
    assert torch.allclose(kept, read_pretrained(weights).tensors["layer1.0.conv1.weight"], atol=1e-6)
