"""Training adapted RGB networks further: on their own channels, on others, with a gate, and on RGB."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import from_rgb, from_timm, from_torchvision, load_model, save_model  # noqa: E402
from jpegfreq.models.checkpoint import rgb_original  # noqa: E402
from jpegfreq.models.pretrained import load_adapted, read_pretrained  # noqa: E402

FORMAT = TensorFormat(24)
QUICK = ("--epochs", "1", "--batch-size", "4", "--average-decay", "0", "--learning-rate", "0.01")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two classes that differ in colour: 8 training images and 4 to validate on."""
    root = tmp_path_factory.mktemp("data")
    numbers = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for name, color in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
            (root / part / name).mkdir(parents=True)
            for n in range(count):
                pixels = np.clip(numbers.normal(color, 30, (64, 64, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{n}.jpg")
    return [str(root / "train"), str(root / "val")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three classes in the layer form."""
    folder = tmp_path_factory.mktemp("models") / "layer"
    torch.manual_seed(1)
    save_model(folder, from_torchvision("mobilenet_v3_small", size=64, format=FORMAT, num_classes=3))
    return folder


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer of two classes, whose patch embedding is folded."""
    pytest.importorskip("timm")
    folder = tmp_path_factory.mktemp("models") / "folded"
    torch.manual_seed(1)
    options = {"img_size": 64, "depth": 1, "num_classes": 2}
    network = from_timm("vit_tiny_patch16_224", format=FORMAT, **options)
    nn.init.normal_(network.network.head.weight)
    save_model(folder, network)
    return folder


def train(data: list[str], out: Path, *words: object) -> dict[str, object]:
    """Train with the command for one epoch, and return the config of the result."""
    assert main(["train", *data, "--out", str(out), *QUICK, *map(str, words)]) == 0
    config: dict[str, object] = json.loads((out / "last" / "config.json").read_text())
    return config


def test_it_trains_on_its_own_channels_with_the_layer_frozen(
    data: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = train(data, tmp_path / "run", "--weights", model)
    assert "it was made for" not in capsys.readouterr().err  # only their layout is another
    assert (config["architecture"], config["labels"]) == ("torchvision:mobilenet_v3_small", ["blue", "red"])
    before, after = load_model(model), load_model(tmp_path / "run" / "last")
    assert after.config.source is not None
    assert after.config.source.tuned
    assert replace(after.config.format, layout="CHW") == FORMAT
    first, last = before.network.state_dict(), after.network.state_dict()
    assert all(torch.equal(last[name], first[name]) for name in first if name.startswith("front."))
    assert not torch.equal(last["network.features.0.0.weight"], first["network.features.0.0.weight"])
    assert rgb_original(after) is None
    assert not (tmp_path / "run" / "statistics.json").exists()


def test_what_is_other_than_before_is_named(
    data: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, tmp_path / "run", "--weights", model, "--channels", "48")
    assert f"{model}: it was made for other channels\n" in capsys.readouterr().err


def test_the_layer_is_trained_too_if_it_is_freed(data: list[str], model: Path, tmp_path: Path) -> None:
    train(data, tmp_path / "run", "--weights", model, "--free-front")
    first, last = (load_model(path).network.state_dict() for path in (model, tmp_path / "run" / "last"))
    changed = [name for name in first if name.startswith("front.") and not torch.equal(last[name], first[name])]
    assert len(changed) == 6


def test_the_same_command_resumes(
    data: list[str], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(data, tmp_path / "run", "--weights", model)
    before = (tmp_path / "run" / "last" / "model.safetensors").read_bytes()
    capsys.readouterr()
    train(data, tmp_path / "run", "--weights", model)
    assert "this run is complete" in capsys.readouterr().err
    assert (tmp_path / "run" / "last" / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("kind", ["model", "folded"])
def test_a_gate_is_trained_in_front_of_it(
    kind: str, data: list[str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    config = train(data, tmp_path / "run", "--weights", folder, "--gate", "--channels", "48")
    assert config["gated"]
    trained = load_model(tmp_path / "run" / "last")
    assert trained.config.format is not None
    assert trained.config.format.statistics is not None  # so that a closed channel stands at its mean
    heat = tmp_path / "heat.json"
    assert main(["heatmap", str(tmp_path / "run"), data[1], "--out", str(heat)]) == 0
    assert main(["select", str(heat), "-k", "1", "--out", str(tmp_path / "one.json")]) == 0
    again = train(data, tmp_path / "again", "--weights", tmp_path / "run" / "last", "--gate", "--channels", "48")
    assert again["format"] == config["format"]


@pytest.mark.parametrize("kind", ["model", "folded"])
@pytest.mark.parametrize("format", [TensorFormat(48), TensorFormat(6), None], ids=["48", "6", "RGB"])
def test_for_other_channels_the_rgb_network_is_adapted_anew(
    kind: str, format: TensorFormat | None, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    loaded = load_model(folder)
    original = rgb_original(loaded)
    assert original is not None
    config = replace(loaded.config, format=format)
    network = config.create()
    names = load_adapted(network, read_pretrained(folder), config)
    assert not names.left
    assert not names.fresh
    source = config.source
    expected: nn.Module = original.network
    x = torch.randn(2, 3, 64, 64)
    if format is not None:
        x = 50 * torch.randn(2, len(format.selection), 8, 8)
        expected = from_rgb(original.network, size=64, mean=source.mean, std=source.std, format=format)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(x), expected(x), rtol=0, atol=0)


def test_a_store_without_statistics_is_enough(data: list[str], model: Path, tmp_path: Path) -> None:
    stores = [str(tmp_path / "train"), str(tmp_path / "val")]
    for source, store in zip(data, stores, strict=True):
        words = ["convert", source, "--out", store, "--channels", "24", "--size", "64", "--shorter-side", "73"]
        assert main([*words, "--dtype", "float16"]) == 0
    config = train(stores, tmp_path / "run", "--weights", model)
    assert config["format"]["statistics"] is None


def test_a_size_off_the_grid_is_trained_too(data: list[str], tmp_path: Path) -> None:
    network = from_torchvision("mobilenet_v3_small", size=60, shorter_side=66, format=FORMAT, num_classes=2)
    save_model(tmp_path / "model", network)
    config = train(data, tmp_path / "run", "--weights", tmp_path / "model")
    assert (config["size"], config["shorter_side"]) == ([60, 60], 66)


def test_rgb_and_other_channels_are_trained_by_the_command(data: list[str], model: Path, tmp_path: Path) -> None:
    config = train(data, tmp_path / "rgb", "--weights", model, "--rgb")
    assert config["format"] is None
    assert load_model(tmp_path / "rgb" / "last").predict(f"{data[1]}/red/0.jpg", top=1).label in ("blue", "red")
    back = train(data, tmp_path / "back", "--weights", tmp_path / "rgb" / "last", "--channels", "6")
    assert back["format"]["channels"]["name"] == "6"


def test_a_network_of_ones_own_that_keeps_its_outputs_is_refused_before_it_is_trained(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nets.py").write_text(
        "import torch\ndef make():\n    return torch.nn.Sequential(torch.nn.Conv2d(3, 96, 4, 4), "
        "torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(96, 5))\n"
    )
    words = ["from-rgb", "--network", f"{tmp_path / 'nets.py'}:make", "--run-code", "--size", "64", "--mean", "0,0,0"]
    assert main([*words, "--std", "1,1,1", "--out", str(tmp_path / "own")]) == 0
    capsys.readouterr()
    out = tmp_path / "run"
    assert main(["train", *data, *QUICK, "--weights", str(tmp_path / "own"), "--run-code", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "has 2 classes, for which" in error
    assert "must give [1, 2] for one image, but it gives [1, 5]: let its function take num_classes" in error
    assert not out.exists()


def test_bfloat16_and_a_file_of_ones_own(data: list[str], tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import torch\ndef make(num_classes=3):\n    return torch.nn.Sequential(torch.nn.Conv2d(3, 96, 4, 4), "
        "torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(96, num_classes))\n"
    )
    words = ["from-rgb", "--network", f"{tmp_path}/nets.py:make", "--run-code", "--size", "64", "--channels", "24"]
    words += ["--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--option", "num_classes=5"]
    assert main([*words, "--out", str(tmp_path / "own")]) == 0
    config = train(data, tmp_path / "run", "--weights", tmp_path / "own", "--run-code", "--amp")
    assert config["source"]["form"] == "folded stride 4"
    assert config["num_classes"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--weights", "{model}", "--size", "128"],
            "--size is 128, but .* takes images of 64 x 64 pixels: make one for",
        ),
        (["--weights", "{model}", "--architecture", "resnet18"], "--architecture is resnet18, but .* is a ModelConfig"),
        (["--free-front"], "--free-front would have no effect: it is for --weights of `jpegfreq from-rgb`"),
        (["--run-code"], "--run-code would have no effect"),
        (["--weights", "{folded}", "--free-front"], "has no layer before it that could be trained"),
        (["--weights", "{own}"], r"made by make\(\) of .*nets\.py, whose code would be executed"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    words: list[str],
    message: str,
    data: list[str],
    model: Path,
    folded: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import re

    own = tmp_path / "own"
    own.mkdir()
    for path in model.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    values = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps({**values, "architecture": "/nets.py:make"}))
    words = [word.format(model=model, folded=folded, own=own) for word in words]
    assert main(["train", *data, "--out", str(tmp_path / "run"), *QUICK, *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert re.search(message, error[0]), error
    assert not (tmp_path / "run").exists()
