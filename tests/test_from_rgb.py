"""RGB networks as checkpoints on frequencies: `jpegfreq from-rgb`, `save_model` and `load_model`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from torch import Tensor, nn  # noqa: E402

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import (  # noqa: E402
    CheckpointError,
    FrequencyNetwork,
    ModelConfig,
    from_rgb,
    from_timm,
    from_torchvision,
    load_model,
    save_model,
)
from jpegfreq.models.checkpoint import rgb_original  # noqa: E402
from jpegfreq.models.gate import ChannelGate, GatedNetwork  # noqa: E402
from jpegfreq.models.predict import evaluation_data  # noqa: E402
from jpegfreq.torch import Images  # noqa: E402
from jpegfreq.torch.pixels import decode_rgb  # noqa: E402
from tests.images import make_jpeg  # noqa: E402

SMALL = "mobilenet_v3_small"
FORMAT = TensorFormat(24, layout="HWC", statistics=ChannelStatistics.preset("dctnet"))
OWN = """
import torch

class Own(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 96, 4, stride=4)
        self.head = torch.nn.Linear(96, classes)

    def forward(self, images):
        return self.head(self.stem(images).mean((2, 3)))

def make(num_classes=3):
    torch.manual_seed(7)
    return Own(num_classes)

number = 4
"""
RUN = ("--run-code", "--mean", "0,0,0", "--std", "1,1,1")
THREE = "--network must be torchvision:NAME, timm:NAME or FILE.py:FUNCTION, such as torchvision:resnet50, not"


def frequency_vit(format: TensorFormat) -> FrequencyNetwork:
    """A small vision transformer of torchvision's, whose patch embedding is folded."""
    timm = pytest.importorskip("timm")
    assert timm
    return from_timm("vit_tiny_patch16_224", format=format, img_size=64, depth=1, num_classes=5)


def made(kind: str, format: TensorFormat) -> FrequencyNetwork:
    torch.manual_seed(3)
    if kind == "folded patch":
        return frequency_vit(format)
    if kind == "folded stride 4":
        pytest.importorskip("timm")
        return from_timm("convnext_atto", format=format, size=64, depths=(1, 1, 1, 1), num_classes=5)
    return from_torchvision(SMALL, size=64, format=format, classes=("a", "b", "c"))


def inputs(network: FrequencyNetwork) -> Tensor:
    x = torch.randn(2, len(network.format.selection), 8, 8, generator=torch.Generator().manual_seed(0))
    return x if network.format.statistics else 50 * x


@pytest.mark.parametrize("format", [TensorFormat(), FORMAT], ids=["all", "24"])
@pytest.mark.parametrize("kind", ["layer", "folded patch", "folded stride 4"])
def test_a_saved_network_gives_the_same_bits_without_its_original_weights(
    kind: str, format: TensorFormat, tmp_path: Path
) -> None:
    network = made(kind, format if kind != "folded stride 4" else FORMAT)
    assert network.form == kind
    save_model(tmp_path, network)
    torch.manual_seed(99)
    loaded = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(loaded.network(inputs(network)), network(inputs(network)))
    again = loaded.network
    assert isinstance(again, FrequencyNetwork)
    assert repr(again) == repr(network)
    for name in ("form", "format", "size", "shorter_side", "filter", "classes", "mean", "std", "source", "options"):
        assert getattr(again, name) == getattr(network, name), name
    config = loaded.config
    assert (config.architecture, config.format, config.size) == (network.source, network.format, (64, 64))
    assert config.labels == network.classes
    assert ModelConfig.from_json(config.to_json()) == config
    assert not again.training


@pytest.mark.parametrize("kind", ["layer", "folded patch", "folded stride 4"])
def test_the_rgb_original_comes_back_with_its_weights(kind: str, tmp_path: Path) -> None:
    network = made(kind, FORMAT)
    save_model(tmp_path, network)
    loaded = load_model(tmp_path)
    original = rgb_original(loaded)
    assert original is not None
    torch.manual_seed(3)
    if kind == "layer":
        expected = torchvision.models.get_model(SMALL, num_classes=3).eval()
    else:
        timm = pytest.importorskip("timm")
        expected = timm.create_model(network.source.removeprefix("timm:"), **network.options).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(original.network(x), expected(x))
    assert original.config.format is None
    data = [make_jpeg(90, 70, seed=n) for n in range(2)]
    for prediction in (*original.predict(data), *loaded.predict(data)):
        assert len(prediction.labels) == original.config.num_classes
    tuned = replace(loaded.config, source=replace(loaded.config.source, tuned=True))
    assert rgb_original(type(loaded)(tuned, loaded.network)) is None


def test_a_gated_network_is_saved_with_its_gate(tmp_path: Path) -> None:
    network = made("layer", FORMAT)
    gated = GatedNetwork(ChannelGate(24), network).eval()
    save_model(tmp_path, gated)
    loaded = load_model(tmp_path)
    assert loaded.config.gated
    with torch.no_grad():
        assert torch.equal(loaded.network(inputs(network)), gated(inputs(network)))


def test_its_input_is_not_expected_to_be_normalized(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    network = made("layer", TensorFormat())
    save_model(tmp_path, network)
    load_model(tmp_path).predict(make_jpeg(90, 70))
    assert not [warning for warning in recwarn if "normalized" in str(warning.message)]


def test_a_network_that_cannot_be_built_again_is_not_saved(tmp_path: Path) -> None:
    own = from_rgb(nn.Conv2d(3, 5, 8, 8), size=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    with pytest.raises(CheckpointError, match="nothing tells how to build its RGB network again"):
        save_model(tmp_path / "own", own)
    own.source, own.shorter_side = "nets.py:make", 64
    with pytest.raises(CheckpointError, match=r"nets.py:make is not a classifier: it does not give \[N, classes\]"):
        save_model(tmp_path / "own", own)
    wide = from_torchvision(SMALL, size=(64, 96), num_classes=2)
    with pytest.raises(CheckpointError, match="nothing tells what the shorter side of images is resized to"):
        save_model(tmp_path / "own", wide)
    other = from_torchvision(SMALL, size=64, num_classes=2, norm_layer=nn.BatchNorm2d)
    with pytest.raises(
        CheckpointError, match="the option norm_layer of torchvision:mobilenet_v3_small cannot be stored"
    ):
        save_model(tmp_path / "own", other)
    with pytest.raises(CheckpointError, match="a Linear is not a FrequencyNetwork, so it needs a config"):
        save_model(tmp_path / "own", nn.Linear(2, 2))
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architecture": "torchvision:resnet999"},
            "torchvision has no network named 'resnet999': did you mean resnet",
        ),
        ({"architecture": "hub:resnet18"}, "a network must be named torchvision:NAME, timm:NAME or FILE.py:FUNCTION"),
        ({"architecture": "resnet18"}, "the source of an RGB network and the architecture 'resnet18' contradict"),
        ({"source": None}, "the architecture 'torchvision:mobilenet_v3_small' contradict"),
        ({"source": []}, "the source of an RGB network must have the fields options, mean"),
        ({"options": {"weights": "DEFAULT"}}, "weights is not an option with which"),
        ({"options": {"checkpoint_path": "/etc/passwd"}}, "checkpoint_path is not an option with which"),
        ({"options": {"dropout": "a"}}, "could not be built with dropout='a': TypeError"),
        ({"options": {}}, "model.safetensors does not fit config.json"),
        ({"options": 3}, "the options of the RGB network must be a mapping"),
        ({"mean": [0.5, 0.5]}, r"mean must be three numbers from 0 to 1"),
        ({"std": [0.5, 0, 0.5]}, r"std must be three numbers from 0 to 1"),
        ({"std": "abc"}, r"std must be three numbers, not 'abc'"),
        ({"filter": "box"}, "filter must be one of bilinear, bicubic, not 'box'"),
        ({"form": "folded patch"}, "the network cannot have the form 'folded patch', but only 'layer'"),
        ({"form": "none"}, "form must be one of layer, folded patch, folded stride 4, not 'none'"),
    ],
)
def test_a_damaged_config_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_model(tmp_path, made("layer", FORMAT))
    values = json.loads((tmp_path / "config.json").read_text())
    for name, value in changes.items():
        (values if name in values else values["source"])[name] = value
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "small.pth"
    torch.save(torchvision.models.get_model(SMALL, num_classes=3).state_dict(), path)
    (tmp_path / "names.txt").write_text("cat\ndog\nred fish\n")
    return path


def test_the_command_writes_a_checkpoint_that_predicts(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, photo = tmp_path / "model", tmp_path / "photo.jpg"
    photo.write_bytes(make_jpeg(90, 70))
    words = ["from-rgb", "--network", f"torchvision:{SMALL}", "--weights", str(weights), "--size", "64"]
    words += ["--classes", str(tmp_path / "names.txt"), "--channels", "48", "--out", str(out)]
    assert main(words) == 0
    told = capsys.readouterr().err
    assert f"torchvision:{SMALL} takes 48 channels now (layer): a fixed layer in front of it" in told
    assert (
        "images of height 64 x width 64 pixels, cropped from the centre once the shorter side is resized to 73" in told
    )
    assert "it names 3 classes" in " ".join(told.replace(";", "").split())
    assert f"`jpegfreq predict {out} PHOTO.jpg`" in told
    weights.unlink()
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    assert main(["predict", str(out), str(photo), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert {each["label"] for each in predictions} == {"cat", "dog", "red fish"}
    assert main(words) == 2
    assert f"--out {out} exists already: name a new folder" in capsys.readouterr().err


def test_a_network_of_ones_own_runs_only_with_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, photo = tmp_path / "nets.py", tmp_path / "model", tmp_path / "photo.jpg"
    code.write_text(OWN)
    photo.write_bytes(make_jpeg(90, 70))
    words = ["from-rgb", "--network", f"{code}:make", "--size", "64", "--channels", "24", "--out", str(out)]
    preprocessing = ["--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25"]
    assert main([*words, *preprocessing]) == 2
    assert f"executes {code}: if you trust its code, add --run-code" in capsys.readouterr().err
    assert main([*words, "--run-code"]) == 2
    assert "--mean is missing: nothing else tells it for" in capsys.readouterr().err
    assert main([*words, *preprocessing, "--run-code", "--option", "num_classes=4"]) == 0
    told = capsys.readouterr().err
    assert "takes 24 channels now (folded stride 4): its first convolution takes them" in told
    assert f"`jpegfreq predict {out} PHOTO.jpg --run-code`" in told
    assert f"`jpegfreq needs {out} PHOTOS/ --run-code --out needs/`" in told
    assert main(["predict", str(out), str(photo)]) == 2
    assert "whose code would be executed: if you trust it, allow this with --run-code" in (capsys.readouterr().err)
    assert main(["predict", str(out), str(photo), "--run-code", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == 4
    loaded = load_model(out, run_code=True)
    assert rgb_original(loaded) is not None
    code.unlink()
    with pytest.raises(CheckpointError, match=r"nets\.py, which makes the network, does not exist"):
        load_model(out, run_code=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", SMALL], f"{THREE} '{SMALL}'"),
        (["--network", "torchvision:mobilenet_v3_smal"], "no network named 'mobilenet_v3_smal': did you mean"),
        (["--weights", "none.pth"], r"none\.pth: No such file"),
        (["--weights", "DEFAULT2"], "must be the path of a file, IMAGENET1K_V1, DEFAULT or None, not 'DEFAULT2'"),
        (["--network", "torchvision:shufflenet_v2_x0_5"], "holds the weights of another network than this shufflenet"),
        (["--option", "num_classes=4"], "num_classes is 4, but classes has 3 names"),
        (["--option", "dropout=a"], "could not be built with .*dropout='a', num_classes=3: TypeError"),
        (["--option", "weights=None"], "--option weights=.*: give --weights instead"),
        (["--option", "shorter_side=72"], "--option shorter_side=.*: give --shorter-side instead"),
        (["--network", SMALL.partition(":")[2] or SMALL], "--network must be torchvision:NAME, timm:NAME or FILE"),
        (["--network", "timm:resnet18", "--option", "foo=1"], "timm:resnet18 could not be built with .*foo=1"),
        (["--option", "classes"], "--option must be NAME=VALUE, such as num_classes=10, not 'classes'"),
        (["--mean", "0.5,0.5,0.5"], "--mean would have no effect: torchvision:mobilenet_v3_small is known"),
        (["--run-code"], "--run-code would have no effect"),
        (["--shorter-side", "32"], "shorter_side is 32, but the crop is larger: height 64 x width 64"),
        (["--network", "{vit}:make", *RUN], "takes images of height 32 x width 32 pixels, but size is height 64"),
        (["--network", "{code}:make", "--run-code", "--size", "65"], "--mean is missing"),
        (["--network", "{code}:mke", *RUN], "no function named 'mke': did"),
        (["--network", "{code}:number", *RUN], "is not a function"),
        (["--network", "gone.py:make", *RUN], "gone.py, which makes the"),
        (["--network", "{code}:make", *["--mean", "9,0,0", "--std", "1,1,1", "--run-code"]], "mean must be three numb"),
        (["--network", "{broken}:make", *RUN], "executed: SyntaxError"),
        (["--network", "{grey}:make", *RUN], "takes 1 channel, but that"),
        (["--network", "{text}:make", *RUN], "returned str, not a torch.nn"),
    ],
)  # fmt: skip
def test_wrong_options_are_one_line(
    words: list[str], message: str, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import re

    files = {
        "code": OWN,
        "broken": "def make(:",
        "grey": "import torch\ndef make():\n    return torch.nn.Conv2d(1, 4, 3)",
        "vit": "import torchvision\ndef make():\n"
        "    return torchvision.models.VisionTransformer(32, 16, 1, 2, 32, 32, num_classes=3)",
        "text": "def make():\n    return 'network'",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    words = [word.format(**{name: tmp_path / f"{name}.py" for name in files}) for word in words]
    usual = ["--size", "64", "--classes", str(tmp_path / "names.txt"), "--out", str(tmp_path / "model")]
    if "--network" not in words:
        usual += ["--network", f"torchvision:{SMALL}"]
    if "--weights" not in words and "--run-code" not in words[1:]:
        usual += ["--weights", str(weights)]
    assert main(["from-rgb", *usual, *words]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert error.startswith("jpegfreq from-rgb: ")
    assert re.search(message, error), error
    assert not (tmp_path / "model").exists()


def test_missing_weights_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["from-rgb", "--network", f"torchvision:{SMALL}", "--out", str(tmp_path / "model")]) == 2
    assert "--weights FILE is missing: without its trained weights, a network gives the answers of chance" in (
        capsys.readouterr().err
    )


def test_weights_that_cannot_be_downloaded_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", refuse)
    words = ["from-rgb", "--network", f"torchvision:{SMALL}", "--weights", "DEFAULT", "--out", str(tmp_path / "model")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "--weights DEFAULT: torchvision could not download them (<urlopen error no route to host>)" in error
    assert len(error.strip().splitlines()) == 1


def test_names_of_classes_are_read_line_by_line(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["from-rgb", "--network", f"torchvision:{SMALL}", "--weights", str(weights), "--size", "64"]
    for text, message in (("cat\n\ndog\n", "line 2 is empty"), ("\n", "the file names no class")):
        (tmp_path / "names.txt").write_text(text)
        assert main([*words, "--classes", str(tmp_path / "names.txt"), "--out", str(tmp_path / "model")]) == 2
        assert message in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a network of three classes, whose answers depend on the image."""
    torch.manual_seed(3)
    network = torchvision.models.get_model(SMALL, num_classes=3).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(16, 3, 64, 64))
        network.classifier[3].weight *= 20
    path = tmp_path_factory.mktemp("trained") / "trained.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def model(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its checkpoint on six channels."""
    folder = tmp_path_factory.mktemp("model") / "model"
    network = from_torchvision(SMALL, weights=trained, size=64, format=TensorFormat(6), classes=("a", "b", "c"))
    save_model(folder, network)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of the model's."""
    folder = tmp_path_factory.mktemp("photos")
    for n, name in enumerate("aab"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{n}.jpg").write_bytes(make_jpeg(90, 70, seed=n))
    return folder


def test_its_channels_are_ranked_by_their_loss(model: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "best.json"
    assert main(["select", str(model), str(photos), "--by", "loss", "-k", "2", "--out", str(out)]) == 0
    assert len(json.loads(out.read_text())["channels"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["heatmap", "{model}", "{photos}", "--out", "heat.json"],
            "the model has no gate, so every channel is always on",
        ),
        (["select", "{model}", "--by", "weights", "--out", "w.json"], f"no convolution of torchvision:{SMALL}"),
        (
            ["select", "{model}", "--by", "energy", "--out", "e.json"],
            "the model's format holds no statistics, which --by",
        ),
        (["select", "{model}", "--out", "e.json"], "the model has no gate: choose --by energy, loss or weights"),
    ],
)
def test_what_a_network_without_a_gate_cannot_tell_is_explained(
    words: list[str],
    message: str,
    model: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([word.format(model=model, photos=photos) for word in words]) == 2
    assert message in capsys.readouterr().err


def test_compare_shows_the_rgb_network_beside_what_was_made_of_it(
    trained: Path, model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "whole"
    save_model(whole, from_torchvision(SMALL, weights=trained, size=64, classes=("a", "b", "c")))
    table = tmp_path / "table.json"
    words = ["compare", str(whole), str(model), "--data", str(photos), "--json", str(table)]
    assert main(words) == 0
    assert "answers" in capsys.readouterr().out
    rows = json.loads(table.read_text())
    assert [row["name"] for row in rows] == ["whole, RGB", "whole", "model"]  # the RGB network stands there once
    assert [row["input_shape"] for row in rows] == [[3, 64, 64], [192, 8, 8], [6, 8, 8]]
    assert [row["input_bytes"] for row in rows] == [3 * 64 * 64, 2 * 192 * 64, 2 * 6 * 64]
    assert rows[0]["agreement"] is None
    data = [str(path) for path in sorted(photos.rglob("*.jpg"))]
    original = rgb_original(load_model(model))
    assert original is not None
    predictions = original.predict(data)
    assert all(prediction.probabilities[0] - prediction.probabilities[1] > 1e-3 for prediction in predictions)
    expected = [prediction.label for prediction in predictions]
    found = [prediction.label for prediction in load_model(model).predict(data)]
    assert rows[2]["agreement"] == sum(a == b for a, b in zip(expected, found, strict=True)) / 3
    assert rows[1]["top5"] is None  # of three classes


def test_select_compares_what_an_adapted_network_allows(
    model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["select", str(model), str(photos), "--by", "loss", "-k", "2", "--compare"]) == 0
    output = capsys.readouterr()
    assert "by loss" in output.out
    assert "weights is not compared: no convolution of" in output.err


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_the_rgb_original_sees_what_torchvisions_transforms_make(filter: str, tmp_path: Path) -> None:
    transforms = pytest.importorskip("torchvision.transforms.v2")
    made = from_rgb(
        nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        size=60, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), shorter_side=66, filter=filter,
    )  # fmt: skip
    (tmp_path / "nets.py").write_text(
        "from torch import nn\ndef make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    made.source = f"{tmp_path}/nets.py:make"
    save_model(tmp_path / "model", made)
    original = rgb_original(load_model(tmp_path / "model", run_code=True))
    assert original is not None
    for n, data in enumerate((make_jpeg(91, 70, seed=1), make_jpeg(60, 140, seed=2))):
        (tmp_path / f"{n}.jpg").write_bytes(data)
        images = Images([str(tmp_path / f"{n}.jpg")], (0,))
        dataset = evaluation_data(original.config, images, errors="raise")
        found = dataset.fill(dataset.prepare([0])).tensors[0]
        expected = transforms.Compose(
            [
                transforms.Resize(66, getattr(transforms.InterpolationMode, filter.upper()), antialias=True),
                transforms.CenterCrop(60),
                transforms.ToDtype(torch.float32, scale=True),
                transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
            ]
        )(decode_rgb(data))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_size_off_the_grid_gives_the_rgb_networks_answers(trained: Path, tmp_path: Path) -> None:
    network = from_torchvision(SMALL, weights=trained, size=60, shorter_side=66, classes=("a", "b", "c"))
    save_model(tmp_path, network)
    loaded = load_model(tmp_path)
    assert (loaded.config.size, loaded.config.shorter_side) == ((60, 60), 66)
    original = rgb_original(loaded)
    assert original is not None
    data = [make_jpeg(90, 71, seed=n, quality=95, subsampling="4:4:4") for n in range(3)]
    for ours, theirs in zip(loaded.predict(data), original.predict(data), strict=True):
        found, expected = (dict(zip(each.labels, each.probabilities, strict=True)) for each in (ours, theirs))
        assert found == pytest.approx(expected, abs=0.03)  # what rounding pixels to whole grey levels costs
