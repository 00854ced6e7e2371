"""RGB networks on frequency tensors: the same outputs as on the float pixels, in every form and format."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from PIL import Image  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from jpegfreq import (  # noqa: E402
    ChannelSelection,
    ChannelStatistics,
    TensorFormat,
    read_batch,
    read_coefficients,
    read_header,
    to_frequency_tensor,
)
from jpegfreq.models import from_rgb, model_summary  # noqa: E402
from jpegfreq.models.pixel_layer import PixelLayer  # noqa: E402
from jpegfreq.views import EvaluationView  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RNG = np.random.default_rng(0)
STATISTICS = ChannelStatistics(tuple(RNG.normal(0, 9, 192)), tuple(RNG.uniform(1, 90, 192)), "made up")
MIXED = ChannelSelection((70, 0, 130, 1, 9, 64, 8, 128, 2))


def pixels(count: int = 2, size: int = 64, seed: int = 0) -> Tensor:
    """Smooth random RGB images from 0 to 255, float64 [N, 3, size, size]."""
    coarse = torch.rand(count, 3, 14, 14, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return nn.functional.interpolate(255 * coarse, (size, size), mode="bicubic")


def coefficients(rgb: Tensor) -> Tensor:
    """The 192 channels of RGB images by the JFIF equations and the definition of the DCT, [N, 192, H / 8, W / 8]."""
    r, g, b = rgb.unbind(1)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = torch.stack([y - 128, (b - y) / 1.772, (r - y) / 1.402], 1)
    u, x = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(8, dtype=torch.float64)
    dct = torch.where(u == 0, u.new_tensor(0.125).sqrt(), u.new_tensor(0.5)) * torch.cos(
        (2 * x + 1) * u * torch.pi / 16
    )
    count, _, height, width = planes.shape
    blocks = planes.reshape(count, 3, height // 8, 8, width // 8, 8)
    return torch.einsum("nchywx,vy,ux->ncvuhw", blocks, dct, dct).reshape(count, 192, height // 8, width // 8)


def in_format(channels: Tensor, format: TensorFormat) -> Tensor:
    """The tensor of a format."""
    if format.statistics is not None:
        mean, std = (
            torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (format.statistics.mean, format.statistics.std)
        )
        channels = (channels - mean) / std
    return channels[:, list(format.selection.channels)]


def with_means(channels: Tensor, format: TensorFormat) -> Tensor:
    """The 192 channels with those that a format lacks at their means."""
    mean = torch.zeros(192) if format.statistics is None else torch.tensor(format.statistics.mean, dtype=torch.float64)
    filled = mean.double()[None, :, None, None].expand_as(channels).clone()
    filled[:, list(format.selection.channels)] = channels[:, list(format.selection.channels)]
    return filled


def rgb_of(channels: Tensor) -> Tensor:
    """RGB images from 192 channels, by the inverse of `coefficients`."""
    u, x = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(8, dtype=torch.float64)
    dct = torch.where(u == 0, u.new_tensor(0.125).sqrt(), u.new_tensor(0.5)) * torch.cos(
        (2 * x + 1) * u * torch.pi / 16
    )
    count, _, high, wide = channels.shape
    blocks = channels.reshape(count, 3, 8, 8, high, wide)
    planes = torch.einsum("ncvuhw,vy,ux->nchywx", blocks, dct, dct).reshape(count, 3, 8 * high, 8 * wide)
    y, cb, cr = planes[:, 0] + 128, planes[:, 1], planes[:, 2]
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 1)


def normalized(rgb: Tensor) -> Tensor:
    mean, std = (torch.tensor(v, dtype=rgb.dtype)[:, None, None] for v in (MEAN, STD))
    return (rgb / 255 - mean) / std


def network(name: str) -> nn.Module:
    """A network with random weights, whose outputs differ between images; "vit" is a small one for 64 pixels."""
    torch.manual_seed(0)
    if name == "vit":
        made = torchvision.models.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=10)
    elif name == "swin":
        made = torchvision.models.SwinTransformer([4, 4], 32, [1, 1], [2, 2], [4, 4], num_classes=10)
    elif name == "convnext":
        blocks = [torchvision.models.convnext.CNBlockConfig(48, None, 2)]
        made = torchvision.models.ConvNeXt(blocks, layer_scale=1.0, num_classes=10)
    elif name == "small":
        layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)
        made = nn.Sequential(*layers)
    else:
        made = torchvision.models.get_model(name, weights=None, num_classes=10)
    if "vit" in name:  # torchvision begins with a head of zeros
        nn.init.normal_(made.heads.head.weight, std=0.1)
    return made.eval()


def relative(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference over that of the expected outputs, which differ between images."""
    assert (expected[0] - expected[1]).norm() > 1e-3 * expected.norm()
    return float((found.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(
    "format",
    [
        TensorFormat(),
        TensorFormat(statistics=STATISTICS),
        TensorFormat(ChannelSelection.of("all").ordered("zigzag"), layout="HWC"),
        TensorFormat(24, statistics=STATISTICS),
        TensorFormat(MIXED, statistics=STATISTICS),
        TensorFormat(ChannelSelection((0, 1, 8))),
    ],
    ids=["all", "statistics", "zigzag", "24", "mixed", "luma"],
)
@pytest.mark.parametrize("name", ["resnet18", "vit", "swin", "convnext"])
def test_outputs_equal_those_on_the_float_pixels(name: str, format: TensorFormat, dtype: Any, tolerance: float) -> None:
    channels = coefficients(pixels())
    rgb = rgb_of(with_means(channels, format))
    x = in_format(channels, format).to(dtype)
    if format.layout == "HWC":
        x = x.contiguous(memory_format=torch.channels_last)
    original = network(name).to(dtype)
    made = from_rgb(original, size=64, mean=MEAN, std=STD, format=format)
    with torch.no_grad():
        assert relative(made(x), original(normalized(rgb).to(dtype))) < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("name", "form"), [("resnet18", "layer"), ("vit_b_16", "folded patch")])
def test_torchvisions_networks_keep_their_outputs_at_224_pixels(
    name: str, form: str, dtype: Any, tolerance: float
) -> None:
    rgb = pixels(2, 224)
    original = network(name).to(dtype)
    made = from_rgb(original, mean=MEAN, std=STD)
    assert made.form == form
    with torch.no_grad():
        assert relative(made(coefficients(rgb).to(dtype)), original(normalized(rgb).to(dtype))) < tolerance


@pytest.mark.parametrize("name", ["swin", "convnext"])
def test_a_stem_of_stride_4_is_folded_where_that_needs_fewer_multiply_adds(name: str) -> None:
    original = network(name)
    stem = original.features[0][0]
    for channels in range(24, 193, 24):
        format = TensorFormat(ChannelSelection(tuple(range(channels))))
        made = from_rgb(original, size=64, mean=MEAN, std=STD, format=format)
        layer_form = nn.Sequential(PixelLayer(format, (64, 64), mean=MEAN, std=STD).float(), original)
        assert (made.form == "folded stride 4") == (
            4 * stem.out_channels * channels < 64 * channels + 576 + 192 * stem.out_channels
        )
        assert model_summary(made, (channels, 8, 8)).macs <= model_summary(layer_form, (channels, 8, 8)).macs
        assert made.form in repr(made)


class _Reads(nn.Module):
    """Reads patches of 4 x 4 from something other than the images themselves, or reads the images twice."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.other = nn.Conv2d(3, 8, 8, 8) if twice else None

    def forward(self, x: Tensor) -> Tensor:
        if self.other is None:
            return self.stem(x.square())
        return self.stem(x)[:, :, ::2, ::2] + self.other(x)


@pytest.mark.parametrize("twice", [False, True])
def test_a_stem_is_not_folded_if_it_alone_does_not_read_the_images(twice: bool) -> None:
    torch.manual_seed(0)
    original, rgb = _Reads(twice).double(), pixels()
    format = TensorFormat(6)
    made = from_rgb(original, size=64, mean=MEAN, std=STD, format=format)
    assert made.form == "layer"
    channels = coefficients(rgb)
    with torch.no_grad():
        expected = original(normalized(rgb_of(with_means(channels, format))))
        assert relative(made(in_format(channels, format)), expected) < 1e-10


def test_pixels_may_move_to_channels_before_the_first_convolution() -> None:
    torch.manual_seed(0)
    original = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, 8, 3), nn.Flatten()).double()
    channels = coefficients(pixels())
    made = from_rgb(original, size=64, mean=MEAN, std=STD)
    assert made.form == "layer"
    with torch.no_grad():
        assert relative(made(channels), original(normalized(rgb_of(channels)))) < 1e-10
    wrong = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(3, 8, 3))
    with pytest.raises(ValueError, match="takes 3 channels, but that of an RGB network takes 48"):
        from_rgb(wrong, size=64, mean=MEAN, std=STD)


class _Measures(nn.Module):
    """Uses the size of its input after the stem, either to share out the patches or in its values."""

    def __init__(self, fails: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, 4)
        self.fails = fails

    def forward(self, x: Tensor) -> Tensor:
        patches = self.stem(x)
        return patches.reshape(len(x), 8, x.shape[2] // 4, -1, 16) if self.fails else patches / x.shape[3]


@pytest.mark.parametrize("fails", [False, True])
def test_a_network_that_uses_the_size_of_its_input_is_not_folded(fails: bool) -> None:
    torch.manual_seed(0)
    original, channels, format = _Measures(fails).double(), coefficients(pixels()), TensorFormat(6)
    made = from_rgb(original, size=64, mean=MEAN, std=STD, format=format)
    assert made.form == "layer"
    with torch.no_grad():
        expected = original(normalized(rgb_of(with_means(channels, format))))
        assert relative(made(in_format(channels, format)), expected) < 1e-10


def test_frozen_layers_stay_in_evaluation_mode() -> None:
    original = network("resnet18").train()
    original.bn1.eval()
    made = from_rgb(original, size=64, mean=MEAN, std=STD)
    assert made.training
    assert made.network.layer1.training
    assert not made.network.bn1.training
    assert torch.equal(made.network.bn1.running_mean, original.bn1.running_mean)


def test_the_layer_gives_the_pixels_of_a_jpeg() -> None:
    file = io.BytesIO()
    rgb = pixels(1, 64).clamp(40, 215)[0].permute(1, 2, 0).round().byte().numpy()
    Image.fromarray(rgb).save(file, "JPEG", quality=95, subsampling=0)
    tensor = to_frequency_tensor(read_coefficients(file.getvalue()))
    layer = PixelLayer(TensorFormat(), (64, 64), mean=(0, 0, 0), std=(1 / 255,) * 3).float()
    found = layer(torch.from_numpy(tensor)[None])[0].permute(1, 2, 0).numpy()
    difference = np.abs(found - np.asarray(Image.open(file), np.float32))
    assert difference.mean() < 0.5  # what rounding to whole grey levels costs
    assert difference.max() < 2.5


def test_a_size_that_is_not_a_multiple_of_8_is_cut_from_the_blocks() -> None:
    rgb = pixels(2, 72)
    original = network("resnet18").double()
    made = from_rgb(original, size=(65, 70), mean=MEAN, std=STD)
    with torch.no_grad():
        assert relative(made(coefficients(rgb)), original(normalized(rgb[:, :, :65, :70]))) < 1e-10


@pytest.mark.parametrize("size", [(30, 30), (37, 52), (32, 24)])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_an_evaluation_view_gives_the_pixels_of_resize_and_centre_crop(size: tuple[int, int], filter: Any) -> None:
    """Compared with torchvision's transforms of the float pixels of the whole image."""
    from torchvision import transforms

    file = io.BytesIO()
    rgb = pixels(1, 120)[0, :, :101].permute(1, 2, 0).round().byte().numpy()
    Image.fromarray(rgb).save(file, "JPEG", quality=95, subsampling=0)
    view = EvaluationView(size, 60, filter)
    tensor = read_batch([file.getvalue()], size=size, boxes=[view.window(read_header(file.getvalue()))], filter=filter)
    layer = PixelLayer(TensorFormat(), size, mean=(0, 0, 0), std=(1 / 255,) * 3).float()
    whole = to_frequency_tensor(read_coefficients(file.getvalue()))
    image = rgb_of(torch.from_numpy(whole).double()[None])[0, :, :101, :120]
    mode = transforms.InterpolationMode(filter)
    theirs = transforms.Compose([transforms.Resize(60, mode, antialias=True), transforms.CenterCrop(size)])(image)
    torch.testing.assert_close(layer(torch.from_numpy(tensor))[0].double(), theirs, atol=1e-3, rtol=0)


def test_float16_tensors_and_autocast_keep_the_front_end_precise() -> None:
    channels = coefficients(pixels(2, 64)).half()
    layer = PixelLayer(TensorFormat(), (64, 64), mean=MEAN, std=STD).float()
    expected = normalized(rgb_of(channels.double()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(channels).double(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["vit", "convnext"])
def test_autocast_keeps_a_folded_convolution_precise(name: str, dtype: Any) -> None:
    made = from_rgb(network(name), size=64, mean=MEAN, std=STD, format=TensorFormat(24))
    assert made.form != "layer"
    channels = in_format(coefficients(pixels() + 100), made.format).float()  # bright: DC coefficients near their limit
    found: list[Tensor] = []
    stem = next(module for module in made.modules() if isinstance(module, nn.Conv2d))
    stem.register_forward_hook(lambda module, inputs, output: found.append(output))
    with torch.no_grad():
        expected = made(channels)
        with torch.autocast("cpu", dtype):
            answers = made(channels)
            again = made(channels.half())
    assert torch.equal(found[1], found[0])
    for each in (answers, again):
        assert each.dtype == dtype
        assert float((each.float() - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize("name", ["small", "vit", "convnext"])
def test_channels_last_changes_nothing(name: str) -> None:
    made = from_rgb(network(name), size=64, mean=MEAN, std=STD, format=TensorFormat(24, statistics=STATISTICS))
    x = in_format(coefficients(pixels()), made.format).float()
    with torch.no_grad():
        expected = made(x)
        found = made.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["small", "vit", "convnext"])
def test_training_in_bfloat16_reaches_every_weight(name: str) -> None:
    made = from_rgb(network(name), size=64, mean=MEAN, std=STD, format=TensorFormat(24)).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = made(50 * torch.randn(2, 24, 8, 8)).float().square().mean()
    loss.backward()
    for parameter, value in made.network.named_parameters():
        assert value.grad is not None, parameter
        assert torch.isfinite(value.grad).all(), parameter


@pytest.mark.parametrize(("name", "added"), [("resnet18", 0.0107e9), ("vit_b_16", 0)])
def test_it_adds_few_multiply_adds(name: str, added: float) -> None:
    original = network(name)
    made = from_rgb(original, mean=MEAN, std=STD)
    macs = model_summary(made, (192, 28, 28)).macs - model_summary(original, (3, 224, 224)).macs
    assert 0 <= macs <= added


def test_repr_names_the_form_and_the_input() -> None:
    made = from_rgb(network("resnet18"), mean=MEAN, std=STD, format=TensorFormat(24), classes=("cat", "dog"))
    assert repr(made) == (
        "FrequencyNetwork(ResNet, layer, 24 channels of images of height 224 x width 224 pixels, 2 classes)"
    )
    assert "VisionTransformer, folded patch, 192 channels" in repr(from_rgb(network("vit_b_16"), mean=MEAN, std=STD))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "mixer_s16_224", "resnet18"])
def test_timm_networks_work_too(name: str) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    original = timm.create_model(name, num_classes=10).eval()
    nn.init.normal_(original.get_classifier().weight, std=0.1)
    made = from_rgb(original, mean=MEAN, std=STD)
    assert made.form == ("layer" if name == "resnet18" else "folded patch")
    rgb = pixels(2, 224)
    with torch.no_grad():
        assert relative(made(coefficients(rgb).float()), original(normalized(rgb).float())) < 1e-5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("convnext_atto", {"depths": (1, 1, 1, 1)}),
        ("swin_tiny_patch4_window7_224", {"depths": (1, 1), "num_heads": (3, 6), "img_size": 56}),
    ],
)
def test_timms_stems_of_stride_4_are_folded(name: str, options: dict[str, Any]) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    original = timm.create_model(name, num_classes=10, **options).eval().double()
    nn.init.normal_(original.get_classifier().weight, std=0.1)
    format = TensorFormat(24, statistics=STATISTICS)
    made = from_rgb(original, size=56, mean=MEAN, std=STD, format=format)
    assert made.form == "folded stride 4"
    channels = coefficients(pixels(2, 56))
    with torch.no_grad():
        expected = original(normalized(rgb_of(with_means(channels, format))))
        assert relative(made(in_format(channels, format)), expected) < 1e-10


def test_the_original_network_is_not_changed() -> None:
    original = network("vit")
    before = {name: value.clone() for name, value in original.state_dict().items()}
    from_rgb(original, size=64, mean=MEAN, std=STD)
    assert original.image_size == 64
    assert all(torch.equal(value, before[name]) for name, value in original.state_dict().items())


@pytest.mark.parametrize("name", ["small", "vit", "convnext"])
def test_it_can_be_fine_tuned(name: str) -> None:
    made = from_rgb(network(name), size=64, mean=MEAN, std=STD, format=TensorFormat(24, statistics=STATISTICS)).train()
    made(torch.randn(2, 24, 8, 8)).square().mean().backward()
    for parameter in made.network.parameters():
        assert parameter.grad is not None
    assert all(parameter.grad is None for parameter in made.front.parameters())
    made.front.requires_grad_()
    made(torch.randn(2, 24, 8, 8)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in made.front.parameters())


@pytest.mark.filterwarnings("ignore")  # what PyTorch's exporters say about each other
@pytest.mark.parametrize("name", ["small", "vit", "convnext"])
def test_it_compiles_and_exports(name: str, tmp_path: Path) -> None:
    made = from_rgb(network(name), size=64, mean=MEAN, std=STD, format=TensorFormat(MIXED, statistics=STATISTICS))
    x = in_format(coefficients(pixels()), made.format).float()
    with torch.no_grad():
        expected = made(x)
        torch._dynamo.reset()
        compiled = torch.compile(made, backend="aot_eager", fullgraph=True)(x)
        torch.testing.assert_close(compiled, expected, rtol=1e-4, atol=1e-4)
        exported = torch.export.export(made, (x,), dynamic_shapes=({0: torch.export.Dim("n")},))
        torch.testing.assert_close(exported.module()(torch.cat([x, x]))[2:], expected, rtol=1e-4, atol=1e-4)
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    torch.onnx.export(exported, dynamo=True, verbose=False).save(tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (123.7, 116.3, 103.5)}, "mean must be three numbers, for R, G and B as values from 0 to 1"),
        ({"mean": None}, "mean must be three numbers, .* not None"),
        ({"std": (0.2, 0.2)}, "std must be three numbers"),
        ({"std": (0.2, 0.0, 0.2)}, "std must be three numbers"),
        ({"size": 0}, "size must be from 1 to 65536 pixels, not height 0 x width 0"),
        ({"size": 10**9}, "size must be from 1 to 65536 pixels, not height 1000000000"),
        ({"size": True}, "size must be a whole number of pixels, or .*, not True"),
        ({"size": (True, 8)}, "size must be a whole number of pixels, or"),
        ({"mean": 0.5}, r"mean must be three numbers, .* not 0.5 \(float\)"),
        ({"mean": "abc"}, r"mean must be three numbers, .* not 'abc' \(str\)"),
        ({"std": (None, 0.2, 0.2)}, "std must be three numbers"),
        ({"network": nn.Conv2d(3, 4, 1, device="meta")}, "the network lies on the device meta"),
        ({"size": 64.0}, r"size must be a whole number of pixels, or \(height, width\), not 64.0"),
        ({"size": (64, 64, 3)}, r"size must be a whole number of pixels, or \(height, width\), not \(64, 64, 3\)"),
        ({"network": "vit", "size": 60}, "takes images of height 64 x width 64 pixels, but size is height 60 x width"),
        ({"network": nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Conv2d(3, 8, 3))}, "does not take images of hei"),
        ({"network": nn.Conv2d(24, 8, 3)}, "first convolution, '', takes 24 channels, but that of an RGB network"),
        ({"network": "vit", "size": 224}, "takes images of height 64 x width 64 pixels, but size is height 224"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], message: str) -> None:
    arguments = {"network": "resnet18", "mean": MEAN, "std": STD, **changes}
    original = arguments.pop("network")
    with pytest.raises(ValueError, match=message):
        from_rgb(network(original) if isinstance(original, str) else original, **arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shorter_side": float("nan")}, "shorter_side must be a whole number, not nan"),
        ({"format": 24}, r"format must be a TensorFormat, not 24"),
        ({"classes": "abc"}, "classes must be a list of names, not 'abc'"),
        ({"classes": ["a", 1]}, "classes must be a list of names"),
        ({"network": None}, "network must be a Module of torch.nn, .* not None"),
        ({"network": torchvision.models.resnet18}, "network must be a Module of torch.nn"),
    ],
)
def test_arguments_of_another_kind_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        from_rgb(**{"network": nn.Conv2d(3, 4, 3), "size": 32, "mean": MEAN, "std": STD} | changes)


@pytest.mark.parametrize("mean", [torch.tensor(MEAN), np.array(MEAN), list(MEAN)])
def test_means_of_any_kind_become_numbers(mean: Any) -> None:
    made = from_rgb(nn.Conv2d(3, 4, 3), size=32, mean=mean, std=STD)
    assert made.mean == pytest.approx(MEAN)
    assert all(type(value) is float for value in made.mean)


@pytest.mark.parametrize("x", [np.zeros((1, 192, 4, 4)), [torch.zeros(1, 192, 4, 4)], None])
def test_an_input_that_is_no_tensor_is_named(x: Any) -> None:
    with pytest.raises(TypeError, match="the input must be a tensor, not"):
        from_rgb(nn.Conv2d(3, 4, 3), size=32, mean=MEAN, std=STD)(x)


def test_a_tensor_of_another_size_is_refused() -> None:
    made = from_rgb(network("resnet18"), size=(64, 32), mean=MEAN, std=STD, format=replace(TensorFormat(6)))
    with pytest.raises(ValueError, match="6 channels x height 8 x width 4, not"):
        made(torch.zeros(1, 6, 8, 8))
