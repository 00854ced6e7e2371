"""The families that torchvision has besides ResNet and MobileNetV2, as frequency networks to train from scratch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import (  # noqa: E402
    ModelConfig,
    create_model,
    from_rgb,
    load_model,
    load_pretrained,
    load_rgb_weights,
    model_summary,
    read_pretrained,
    save_model,
)
from jpegfreq.models.analysis.probes import weight_ranking  # noqa: E402
from jpegfreq.models.networks.registry import ARCHITECTURES  # noqa: E402

# One of each family. ViT-B and ConvNeXt are large, so tests that train or save them are long ones.
LIGHT = ["regnet_x_400mf", "regnet_y_400mf", "mobilenet_v3_small", "efficientnet_b0", "vit_ti_16", "vit_ti_16_separate"]
HEAVY = ["convnext_tiny", "swin_t", "swin_v2_t", "vit_b_32", "vit_b_32_separate", "efficientnet_v2_s"]
RNG = np.random.default_rng(0)
STATISTICS = ChannelStatistics(tuple(RNG.normal(0, 9, 192)), tuple(RNG.uniform(1, 90, 192)), "made up")
OTHER = ChannelStatistics((0.0,) * 192, (20.0,) * 192, "made up too")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FORMAT = TensorFormat(24, statistics=STATISTICS)


def network(name: str, side: int = 64, *, format: TensorFormat | None = FORMAT, **options: object) -> nn.Module:
    torch.manual_seed(0)
    return create_model(name, format=format, num_classes=5, size=(side, side), **options)  # type: ignore[arg-type]


def tensors(side: int = 64, count: int = 2) -> Tensor:
    return torch.randn(count, 24, side // 8, side // 8, generator=torch.Generator().manual_seed(0))


def long_if_heavy(names: list[str]) -> list[object]:
    return [pytest.param(name, marks=pytest.mark.long) if name in HEAVY else name for name in names]


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", LIGHT + HEAVY)
def test_a_step_of_training_reaches_every_weight_that_is_not_fixed(name: str, gated: bool) -> None:
    made = network(name, gated=gated).train()
    output = made(tensors())
    logits = output.logits if gated else output
    assert logits.shape == (2, 5)
    (logits.square().mean() + logits.sum() + (output.gate.on_probability.sum() if gated else 0)).backward()
    for parameter, value in made.named_parameters():
        assert (value.grad is not None) == (".pixels." not in f".{parameter}"), parameter


@pytest.mark.parametrize(
    ("name", "rgb", "cost"),
    [
        ("regnet_y_400mf", 0.402, (0.37, 0.34)),
        ("regnet_y_3_2gf", 3.176, (3.14, 2.99)),
        ("convnext_tiny", 4.456, (4.45, 4.45)),
        ("swin_t", 4.491, (4.48, 4.48)),
        ("vit_b_16", 17.564, (17.46,)),
        ("vit_b_16_separate", 17.564, (17.46,)),
        ("vit_ti_16", 1.253, (1.228,)),
        ("vit_s_16", 4.598, (4.548,)),
        ("efficientnet_b0", 0.386, (0.387,)),
        ("mobilenet_v3_small", 0.057, (0.058,)),
    ],
)
def test_the_cost_is_that_of_rgb_at_224_pixels(name: str, rgb: float, cost: tuple[float, ...]) -> None:
    """At the entry's size, and for "full" at 224 px; as the builders' tables say."""
    entry = ARCHITECTURES[name]
    with torch.device("meta"):
        original = create_model(name, format=None, num_classes=1000)
        assert model_summary(original, (3, 224, 224)).macs / 1e9 == pytest.approx(rgb, rel=0.01)
        for stride, expected in zip(entry.strides, cost, strict=True):
            made = create_model(name, format=FORMAT, num_classes=1000, stride=stride)
            cells = entry.size // 8 if stride == "paper" else 28
            found = model_summary(made, (24, cells, cells))
            assert found.macs / 1e9 == pytest.approx(expected, abs=0.02 if expected > 3 else 0.005)
            assert found.macs / 1e9 == pytest.approx(rgb, rel=0.15)
            assert found.normalized_input_size in (0.125, 0.5)


def test_the_fixed_layer_is_not_counted_among_the_trainable_numbers() -> None:
    with torch.device("meta"):
        rgb = model_summary(create_model("efficientnet_b0", format=None, num_classes=9), (3, 224, 224))
        made = model_summary(create_model("efficientnet_b0", format=FORMAT, num_classes=9), (24, 28, 28))
    assert made.parameters == rgb.parameters


@pytest.mark.parametrize(
    ("name", "options", "form"),
    [("vit_b_32", {}, "folded patch"), ("convnext_tiny", {"stride": "full"}, "folded stri")],
)
def test_the_folded_weights_of_a_trained_rgb_network_fit(name: str, options: dict[str, str], form: str) -> None:
    original = network(name, format=None).eval()
    folded = from_rgb(original, size=64, mean=MEAN, std=STD, format=FORMAT)
    assert folded.form.startswith(form)
    made = network(name, **options).eval()
    made.load_state_dict(folded.network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(made(tensors()), folded(tensors()), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0"])
def test_a_network_on_pixels_gives_with_rgb_weights_what_the_rgb_network_gives(name: str) -> None:
    original = network(name, format=None).eval()
    made = network(name).eval()
    report = load_rgb_weights(made, original.state_dict())
    assert report.fresh == report.left == ()
    expected = from_rgb(original, size=64, mean=MEAN, std=STD, format=FORMAT)
    with torch.no_grad():
        torch.testing.assert_close(made(tensors()), expected(tensors()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "fresh"),
    [
        ("regnet_y_400mf", {"proj.0.weight", "f.a.0.weight"}),
        ("convnext_tiny", {"features.0.0.weight", "features.0.0.bias"}),
        ("swin_t", {"features.0.0.weight", "features.0.0.bias"}),
        ("vit_b_32", {"conv_proj.weight", "conv_proj.bias"}),
        (
            "vit_b_32_separate",
            {f"conv_proj.{part}" for part in ("luma.weight", "luma.bias", "chroma.weight", "chroma.bias")},
        ),
    ],
)
def test_rgb_weights_load_into_every_layer_except_the_input_layers(name: str, fresh: set[str]) -> None:
    rgb = network(name, format=None).state_dict()
    made = network(name)
    report = load_rgb_weights(made, rgb)
    assert {key.removeprefix("trunk_output.block1.block1-0.") for key in report.fresh} == fresh
    own = made.state_dict()
    assert all(torch.equal(own[key], rgb[key]) for key in report.loaded)


def test_a_position_embedding_of_another_size_stays_new_and_is_reported() -> None:
    rgb = network("vit_b_32", 96, format=None).state_dict()
    report = load_rgb_weights(network("vit_b_32", 64), rgb)
    assert set(report.fresh) == {"conv_proj.weight", "conv_proj.bias", "encoder.pos_embedding"}
    with pytest.raises(ValueError, match="another architecture"):
        load_rgb_weights(network("vit_b_32", 64), network("resnet18", format=None).state_dict())


def test_the_fixed_layer_follows_the_format_and_not_the_weights(tmp_path: Path) -> None:
    name = "mobilenet_v3_small"
    first = network(name)
    save_model(tmp_path, first, ModelConfig(name, 5, FORMAT, (64, 64), 64))
    other = TensorFormat(24, statistics=OTHER)
    made = create_model(name, format=other, num_classes=5)
    before = {key: value.clone() for key, value in made.state_dict().items() if "pixels" in key}
    report = load_pretrained(made, read_pretrained(tmp_path), architecture=name, format=other)
    assert report.fresh == report.left == ()
    assert all(torch.equal(made.state_dict()[key], value) for key, value in before.items())
    own, theirs = made.state_dict(), first.state_dict()
    assert all(torch.equal(own[key], theirs[key]) for key in report.loaded)
    assert len(report.loaded) == len(own) - len(before)


@pytest.mark.parametrize("name", long_if_heavy([*LIGHT, "convnext_tiny", "swin_t", "vit_b_32", "vit_b_32_separate"]))
def test_a_checkpoint_keeps_the_size(name: str, tmp_path: Path) -> None:
    made = network(name, 96).eval()
    save_model(tmp_path, made, ModelConfig(name, 5, FORMAT, (96, 96), 96))
    again = load_model(tmp_path).network
    with torch.no_grad():
        torch.testing.assert_close(again(tensors(96)), made(tensors(96)), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "vit_b_32", "side": 80},
            "square images whose side is a multiple of 32 pixels, not height 80 x width 80",
        ),
        ({"name": "vit_b_16", "stride": "full"}, "vit_b_16 has no stride 'full': choose paper"),
        ({"name": "efficientnet_b0", "stride": "full"}, "efficientnet_b0 has no stride 'full': choose paper"),
        (
            {"name": "vit_b_32_separate", "format": TensorFormat(ChannelSelection((0, 1, 8)))},
            "vit_b_32_separate needs channels of luma and of chroma",
        ),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)  # type: ignore[arg-type]


def test_luma_and_chroma_are_embedded_apart() -> None:
    order = ChannelSelection((70, 0, 130, 1, 9, 64))
    made = network("vit_b_32_separate", format=TensorFormat(order)).conv_proj
    x = torch.randn(1, 6, 8, 8)
    before = made(x)
    for place, channel in enumerate(order.channels):
        changed = x.clone()
        changed[:, place] += 1
        moved = (made(changed) - before).abs().amax((0, 2, 3)) > 1e-4
        luma = torch.arange(768) < 576
        assert torch.equal(moved, luma if channel < 64 else ~luma)


def test_weights_rank_the_channels_of_a_patch_embedding_but_not_of_a_network_on_pixels(tmp_path: Path) -> None:
    for name in ("regnet_y_400mf", "mobilenet_v3_small"):
        save_model(tmp_path / name, network(name), ModelConfig(name, 5, FORMAT, (64, 64), 64))
    assert len(weight_ranking(load_model(tmp_path / "regnet_y_400mf")).scores) == 24
    with pytest.raises(ValueError, match="no convolution of mobilenet_v3_small takes the channels themselves"):
        weight_ranking(load_model(tmp_path / "mobilenet_v3_small"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of noise around two colors: 8 images each."""
    root = tmp_path_factory.mktemp("data")
    for name, color in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
        (root / name).mkdir()
        for number in range(8):
            pixels = np.clip(np.random.default_rng(number).normal(color, 30, (72, 72, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.jpg")
    return root


@pytest.mark.parametrize("name", long_if_heavy([*LIGHT, *HEAVY]))
def test_each_family_is_trained_from_the_command_line(name: str, folder: Path, tmp_path: Path) -> None:
    arguments = ["train", str(folder), str(folder), "--out", str(tmp_path), "--architecture", name, "--channels", "24"]
    options = ["--size", "64", "--epochs", "2", "--batch-size", "8", "--learning-rate", "0.05", "--gate"]
    assert main([*arguments, *options]) == 0
    assert load_model(tmp_path / "last").predict(str(folder / "red" / "0.jpg")).label in ("blue", "red")


@pytest.mark.parametrize(("name", "side"), [("mobilenet_v3_small", 224), ("regnet_y_400mf", 448)])
def test_the_usual_size_is_the_architectures(
    name: str, side: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jpegfreq.models.training import train as module

    sizes: list[int] = []

    def refuse(config: object, **options: object) -> None:
        sizes.append(config.size)  # type: ignore[attr-defined]
        raise ValueError("enough")

    monkeypatch.setattr(module, "train", refuse)
    arguments = ["train", str(folder), str(folder), "--out", str(tmp_path / "run"), "--architecture", name]
    assert main(arguments) == 2
    assert sizes == [side]


def test_the_help_says_how_each_architecture_takes_frequencies(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "vit_b_16, " in text
    assert "(the patch embedding takes whole blocks, as many as a patch has)" in text
    assert json.dumps("paper") in text


@pytest.mark.filterwarnings("ignore")  # what PyTorch's exporters say about each other
@pytest.mark.parametrize("name", long_if_heavy(["mobilenet_v3_small", *HEAVY]))
def test_onnx_gives_the_same_logits_for_any_batch(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    made = network(name, gated=name == "mobilenet_v3_small")
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        made.train()(tensors(count=8))
        expected = made.eval()(tensors())
    exported = torch.export.export(made, (tensors(),), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.onnx.export(exported, dynamo=True, verbose=False).save(tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    twice = torch.cat([tensors(), tensors()]).numpy()
    (found,) = session.run(None, {session.get_inputs()[0].name: twice})
    np.testing.assert_allclose(found[2:], expected.numpy(), rtol=1e-3, atol=1e-3)
