"""Heat maps and rankings, measured on models whose answer is known."""

from __future__ import annotations

import json
import math
import re
import shutil
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jpegfreq import TensorFormat, read_batch, read_header
from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import main
from jpegfreq.crops import center_crop_window
from jpegfreq.models import Classifier, ModelConfig, create_model, load_model, save_model
from jpegfreq.models.analysis.heatmap import HeatMap, heat_map
from jpegfreq.models.analysis.probes import loss_ranking, sample_images, weight_ranking
from jpegfreq.models.dense.config import DenseConfig
from jpegfreq.models.gate import ChannelGate, GateDecision, GatedNetwork
from jpegfreq.statistics import ChannelStatistics
from jpegfreq.torch import Images, image_folder
from jpegfreq.views import EvaluationView
from tests.images import make_jpeg
from tests.scenes import FORMAT

CHANNELS = (0, 1, 9, 64)


class Gate(ChannelGate):
    """A gate that is on where a channel's mean is positive."""

    def forward(self, x: Tensor) -> tuple[Tensor, GateDecision]:
        mean = x.mean(dim=(2, 3))
        on = (mean > 0).float()
        return x * on[:, :, None, None], GateDecision(torch.sigmoid(mean), on)


class Network(nn.Module):
    """A network with two convolutions that see the input and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 8, 3, padding=1, bias=False)
        self.beside = nn.Conv2d(4, 8, 1, bias=False)
        self.last = nn.Conv2d(8, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x) + self.beside(x))).mean(dim=(2, 3))


def classifier(*, gated: bool = True, channels: tuple[int, ...] = CHANNELS) -> Any:
    torch.manual_seed(0)
    format = TensorFormat(ChannelSelection(channels))
    config = SimpleNamespace(
        architecture="tiny",
        num_classes=2,
        labels=(),
        format=format,
        view=EvaluationView((32, 32), 32),
        gated=gated,
        source=None,
    )
    return SimpleNamespace(config=config, network=GatedNetwork(Gate(4), Network()) if gated else Network())


@pytest.fixture
def images(tmp_path: Path) -> Images:
    for n in range(5):
        path = tmp_path / "photos" / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(48, 40, seed=n))
    return image_folder(tmp_path / "photos")


def tensors(images: Images) -> np.ndarray:
    headers = [read_header(path) for path in images.paths]
    boxes = [center_crop_window(h.height, h.width, (32, 32), shorter_side=32) for h in headers]
    return read_batch(images.paths, size=(32, 32), boxes=boxes, format=TensorFormat(ChannelSelection(CHANNELS)))


def test_heat_map_counts_the_images_that_turn_a_channel_on(images: Images) -> None:
    done: list[int] = []
    heat = heat_map(classifier(), images, batch_size=2, progress=done.append, source="five")
    mean = tensors(images).mean(axis=(2, 3))
    assert heat.channels == CHANNELS
    np.testing.assert_allclose([heat.on_rate[c] for c in CHANNELS], (mean > 0).mean(axis=0))
    expected = torch.sigmoid(torch.from_numpy(mean)).mean(0).numpy()
    np.testing.assert_allclose([heat.on_probability[c] for c in CHANNELS], expected, rtol=1e-5)
    assert math.isnan(heat.on_rate[2])
    assert (heat.images, heat.source, done) == (5, "five", [2, 2, 1])


def test_heat_map_leaves_unreadable_images_out(images: Images) -> None:
    Path(images.paths[0]).write_bytes(b"no picture")
    done: list[int] = []
    unread: list[str] = []
    assert heat_map(classifier(), images, progress=done.append, on_unread=unread.append).images == 4
    assert sum(done) == 5
    assert [images.paths[0] in message for message in unread] == [True]


def test_a_model_without_a_gate_has_no_heat_map(images: Images) -> None:
    with pytest.raises(ValueError, match=r"has no gate.*energy, loss or weights"):
        heat_map(classifier(gated=False), images)


def trained(architecture: str, channels: int) -> tuple[ModelConfig, nn.Module]:
    torch.manual_seed(0)
    config = ModelConfig(architecture, 2, TensorFormat(channels), (64, 64), 64, gated=True)
    return config, config.create()


@pytest.mark.parametrize(
    ("architecture", "channels", "first"),
    [
        ("resnet18", 6, ("layer1.0.conv1", "layer1.0.downsample.0")),
        ("resnet18", 64, ("layer1.0.conv1",)),
        ("resnet50", 6, ("layer1.0.conv1", "layer1.0.downsample.0")),
    ],
)
def test_every_convolution_that_sees_the_input_counts(architecture: str, channels: int, first: tuple[str, ...]) -> None:
    config, network = trained(architecture, channels)
    ranking = weight_ranking(Classifier(config, network))
    weights = [network.network.get_submodule(name).weight for name in first]
    expected = sum(weight.square().sum((0, 2, 3)) for weight in weights).sqrt()
    known = dict(zip(config.format.selection, expected.tolist(), strict=True))
    assert dict(zip(ranking.channels, ranking.scores, strict=True)) == pytest.approx(known)
    assert ranking.source == f"L2 norm of the weights of {', '.join(first)}"


def test_after_a_depthwise_convolution_the_scale_of_the_norm_is_a_factor() -> None:
    config, network = trained("mobilenet_v2", 6)
    scale = network.network.features[1].conv[0][1].weight
    with torch.no_grad():
        scale.copy_(torch.tensor([1.0, 2.0, 0.5, 0.1, -3.0, 1.0]))
    ranking = weight_ranking(Classifier(config, network))
    project = network.network.features[1].conv[1].weight[:, :, 0, 0]
    expected = dict(zip(config.format.selection, (scale.abs() * project.norm(dim=0)).tolist(), strict=True))
    assert dict(zip(ranking.channels, ranking.scores, strict=True)) == pytest.approx(expected)
    assert ranking.source == "L2 norm of the weights of features.1.conv.1"


def test_loss_rises_most_without_the_channel_that_the_model_reads(images: Images) -> None:
    model = classifier(gated=False)
    with torch.no_grad():
        model.network.first.weight.zero_()
        model.network.beside.weight.zero_()
        model.network.beside.weight[:, 2] = torch.rand(8, 1, 1) - 0.5  # reads channel 9 alone
    ranking = loss_ranking(model, images, batch_size=2)
    scores = dict(zip(ranking.channels, ranking.scores, strict=True))
    assert scores[0] == scores[1] == scores[64] == 0
    assert scores[9] != 0
    x = torch.from_numpy(tensors(images))
    labels = torch.tensor(images.labels)
    without = x.clone()
    without[:, 2] = x[:, 2].mean()
    with torch.no_grad():
        rise = nn.functional.cross_entropy(model.network(without), labels) - nn.functional.cross_entropy(
            model.network(x), labels
        )
    assert scores[9] == pytest.approx(float(rise), rel=1e-4)


def test_labels_beyond_the_classes_are_named(images: Images) -> None:
    model = classifier(gated=False)
    model.config.num_classes = 1
    with pytest.raises(ValueError, match="labels up to 1, but the model has 1 class"):
        loss_ranking(model, images)


def test_a_sample_is_repeatable_and_no_larger_than_the_images(images: Images) -> None:
    assert sample_images(images, 3) == sample_images(images, 3)
    assert len(sample_images(images, 3)) == 3
    assert sample_images(images, 9) is images


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    """Save a run whose gate turns on luma only."""
    torch.manual_seed(0)
    statistics = ChannelStatistics((0.0,) * 192, tuple(200.0 - k for k in range(192)), "made up")
    format = TensorFormat(6, statistics=statistics)
    network = create_model("resnet18", format=format, num_classes=2, gated=True)
    network.gate.pair.bias.data.copy_(torch.tensor([0.0, 3.0] * 4 + [3.0, 0.0] * 2))
    config = ModelConfig("resnet18", 2, format, (32, 32), 32, gated=True)
    save_model(tmp_path / "run" / "best", network, config)
    return tmp_path / "run"


def test_heatmap_command_measures_draws_and_feeds_select(
    gated: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    photos, heat, figure = Path(images.paths[0]).parents[1], tmp_path / "heat.json", tmp_path / "heat.png"
    assert main(["heatmap", str(gated), str(photos), "--out", str(heat), "--figure", str(figure)]) == 0
    out = capsys.readouterr().out
    assert f"{gated / 'best'}, 5 images:" in out
    assert re.search(r"channels on per image +4\.0 of 6\n +channels that are ever on +4\n", out)
    assert figure.read_bytes().startswith(b"\x89PNG")
    rates = HeatMap.load(heat)
    assert [rates.on_rate[c] for c in rates.channels] == [1, 1, 1, 1, 0, 0]
    assert rates.luma_over_chroma == math.inf
    assert main(["select", str(heat), "-k", "4", "--out", str(tmp_path / "learned.json")]) == 0
    assert json.loads((tmp_path / "learned.json").read_text())["channels"] == [0, 1, 8, 9]
    assert main(["select", str(heat), "-k", "5", "--out", str(tmp_path / "more.json")]) == 2
    error = capsys.readouterr().err
    assert f"{heat}: -k 5: 5 channels cannot be chosen: the gate ever turns on only 4 of the 6 channels" in error
    assert not (tmp_path / "more.json").exists()


def test_select_command_compares_every_way_to_rank(
    gated: Path, images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = Path(images.paths[0]).parents[1]
    assert main(["select", str(gated), str(photos), "-k", "3", "--compare"]) == 0
    out = capsys.readouterr().out
    assert all(way in out for way in ("gate", "energy", "loss", "weights"))
    assert out.count(" of 3") == 6  # pairs of four rankings


def test_select_command_reports_a_model_without_a_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = ModelConfig("resnet18", 2, TensorFormat(6), (32, 32), 32)
    save_model(tmp_path / "m", config.create(), config)
    assert main(["select", str(tmp_path / "m"), "--out", str(tmp_path / "x.json")]) == 2
    assert "no gate: choose --by energy, loss or weights" in capsys.readouterr().err
    assert main(["select", str(tmp_path / "m"), "--by", "energy", "--out", str(tmp_path / "x.json")]) == 2
    assert "holds no statistics" in capsys.readouterr().err
    assert main(["heatmap", str(tmp_path / "m"), str(tmp_path / "gone"), "--out", str(tmp_path / "x.json")]) == 2


def test_heatmap_command_takes_lists_and_shards_and_refuses_stores(
    gated: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed, shards, store = tmp_path / "list.txt", tmp_path / "shards", tmp_path / "store"
    listed.write_text("".join(f"{path}\n" for path in images.paths[:3]))  # labels are not needed
    shards.mkdir()
    with tarfile.open(shards / "0.tar", "w") as tar:
        tar.add(images.paths[0], "a.jpg")
    for source, count in ((listed, 3), (shards, 1)):
        assert main(["heatmap", str(gated), str(source), "--out", str(tmp_path / "heat.json")]) == 0
        assert HeatMap.load(tmp_path / "heat.json").images == count
    photos = Path(images.paths[0]).parents[1]
    shutil.copy(shards / "0.tar", photos / "backup.tar")  # the images beside it are meant
    assert main(["heatmap", str(gated), str(photos), "--out", str(tmp_path / "heat.json")]) == 0
    assert HeatMap.load(tmp_path / "heat.json").images == 5
    with (shards / "0.tar").open("r+b") as file:
        file.truncate(700)
    assert main(["heatmap", str(gated), str(shards), "--out", str(tmp_path / "heat.json")]) == 2
    assert str(shards / "0.tar") in capsys.readouterr().err
    listed.write_text("gone.jpg\n")
    assert main(["heatmap", str(gated), str(listed), "--out", str(tmp_path / "heat.json")]) == 2
    assert f"{listed}, line 1: " in capsys.readouterr().err
    store.mkdir()
    (store / "manifest.json").write_text("{}")
    assert main(["heatmap", str(gated), str(store), "--out", str(tmp_path / "heat.json")]) == 2
    assert "is a store of tensors, not of images" in capsys.readouterr().err


def test_heatmap_command_draws_the_gate_of_a_network_for_masks(
    images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    config = DenseConfig("segmentation", "resnet18", FORMAT, (1, 3), 32, 64, gated=True)
    network = config.create()
    network.gate.pair.bias.data.copy_(torch.tensor([3.0, 0.0] * 4 + [0.0, 3.0] * 2))
    save_model(tmp_path / "masks" / "last", network, config)
    photos, heat, figure = Path(images.paths[0]).parents[1], tmp_path / "heat.json", tmp_path / "heat.png"
    words = ["heatmap", str(tmp_path / "masks"), str(photos), "--out", str(heat), "--figure", str(figure)]
    assert main([*words, "--images", "4"]) == 0
    assert re.search(r", 4 images:\n  channels on per image +2\.0 of 6", capsys.readouterr().out)
    assert [HeatMap.load(heat).on_rate[c] for c in FORMAT.selection] == [0, 0, 0, 0, 1, 1]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_gate_that_prefers_no_channel_gets_a_warning(
    gated: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_model(gated / "best")
    model.network.gate.pair.bias.data.copy_(torch.tensor([0.0, 3.0] * 6))
    save_model(gated / "best", model.network, model.config)
    photos, heat = Path(images.paths[0]).parents[1], tmp_path / "heat.json"
    assert main(["heatmap", str(gated), str(photos), "--out", str(heat)]) == 0
    assert "warning: every channel is on equally often" in capsys.readouterr().out
    words = ["select", str(heat), "--out", str(tmp_path / "learned.json"), "-k"]
    assert main([*words, "4"]) == 0
    assert "warning: 6 channels are on equally often (100.0% of the images)" in capsys.readouterr().out
    assert main([*words, "6"]) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["predict", "compare"])
def test_a_network_for_masks_is_not_a_classifier(
    command: str, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = DenseConfig("segmentation", "resnet18", FORMAT, (1, 3), 32, 64)
    save_model(tmp_path / "masks" / "last", config.create(), config)
    words = [images.paths[0]] if command == "predict" else ["--data", str(Path(images.paths[0]).parents[1])]
    assert main([command, str(tmp_path / "masks"), *words]) == 2
    assert "is a network for boxes or masks, but this command needs a classifier" in capsys.readouterr().err


def test_impossible_outputs_are_refused_before_anything_is_measured(
    gated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["heatmap", str(gated), str(tmp_path / "gone")]
    for more, message in (
        (["--out", str(tmp_path / "none" / "heat.json")], "no such folder"),
        (["--out", str(tmp_path)], "is a folder"),
        (
            ["--out", str(tmp_path / "heat.json"), "--figure", str(tmp_path / "heat.xyz")],
            "must end in .png, .pdf, .svg",
        ),
    ):
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*words, "--out", str(tmp_path / "heat.json"), "--images", "0"])
    assert "must be a whole number of at least 1, not '0'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["classes", "masks"])
def test_unreadable_images_are_named_and_counted(
    kind: str, gated: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, model = Path(images.paths[0]).parents[1], gated
    if kind == "masks":
        config = DenseConfig("segmentation", "resnet18", FORMAT, (1, 3), 32, 64, gated=True)
        model = tmp_path / "masks"
        save_model(model / "last", config.create(), config)
    for path in images.paths[:2]:
        Path(path).write_bytes(b"not an image")
    commands = [["heatmap", str(model), str(photos), "--out", str(tmp_path / "heat.json")]]
    if kind == "classes":
        commands += [["compare", str(model), "--data", str(photos)]]
        commands += [["select", str(model), str(photos), "-k", "3", "--compare"]]
    for command in commands:
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "unreadable images left out: 2" in error
        for path in images.paths[:2]:
            assert error.count(path) == 1


def test_a_device_that_does_not_exist_is_an_error_that_names_it(
    gated: Path, images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(gated), images.paths[0], "--device", "gpu"]) == 2
    assert "--device: device 'gpu' cannot be used" in capsys.readouterr().err


def test_no_command_overwrites_its_own_input(
    gated: Path, images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, heat, listed = Path(images.paths[0]).parents[1], tmp_path / "heat.json", tmp_path / "list.txt"
    config = gated / "best" / "config.json"
    assert main(["heatmap", str(gated), str(photos), "--out", str(heat)]) == 0
    listed.write_text("".join(f"{path} 0\n" for path in images.paths))
    capsys.readouterr()
    for command, output in (
        (["heatmap", str(gated), str(photos), "--out", str(config)], config),
        (["heatmap", str(gated), str(listed), "--out", str(listed)], listed),
        (["select", str(heat), "-k", "4", "--out", str(heat)], heat),
        (["select", str(gated), str(photos), "-k", "4", "--out", str(config)], config),
        (["compare", str(gated), "--data", str(photos), "--json", str(config)], config),
        (["compare", str(gated), "--data", str(listed), "--csv", str(listed)], listed),
    ):
        before = output.read_bytes()
        assert main(command) == 2
        assert "would be overwritten" in capsys.readouterr().err
        assert output.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("option", ["--csv", "--json", "--html", "--out"])
def test_a_full_disk_is_one_line_that_names_the_file(
    option: str, gated: Path, images: Images, capsys: pytest.CaptureFixture[str]
) -> None:
    if option == "--html":
        pytest.importorskip("matplotlib")
    photos = str(Path(images.paths[0]).parents[1])
    words = ["heatmap", str(gated), photos] if option == "--out" else ["compare", str(gated), "--data", photos]
    assert main([*words, option, "/dev/full"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("jpegfreq")]
    assert "/dev/full: cannot write: No space left on device" in line


def test_entries_that_are_left_out_are_counted(gated: Path, images: Images, capsys: pytest.CaptureFixture[str]) -> None:
    photos = Path(images.paths[0]).parents[1]
    (photos / "class0" / "._0.jpg").write_bytes(b"hidden")
    assert main(["compare", str(gated), "--data", str(photos)]) == 0
    assert f"left out of {photos}: 1 hidden entry" in capsys.readouterr().err
