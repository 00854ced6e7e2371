"""The networks: their cost is the paper's, and after the stem they are torchvision's."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.models import architectures, create_model, load_rgb_weights, model_summary  # noqa: E402
from jpegfreq.models.networks.registry import ARCHITECTURES  # noqa: E402

NATIVE = [name for name in architectures() if name != "se_resnet50"]
SMALL = [
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "mobilenet_v2",
]  # tests/test_networks.py has the other families


def grids(name: str) -> int:
    """Return a grid that the network can halve to at least 2 x 2."""
    return 32 if name == "mobilenet_v2" else 16


def gmac(architecture: str, channels: int, grid: int, **options: str) -> float:
    network = create_model(architecture, format=TensorFormat(channels), num_classes=1000, **options)
    return model_summary(network, (channels, grid, grid)).macs / 1e9


@pytest.mark.parametrize(("channels", "expected"), [(24, 3.93), (64, 3.97), (192, 4.10)])
def test_resnet50_costs_what_the_paper_says(channels: int, expected: float) -> None:
    assert gmac("resnet50", channels, 56) == pytest.approx(expected, abs=0.005)


def test_resnet50_for_rgb_costs_what_is_known() -> None:
    summary = model_summary(create_model("resnet50", format=None, num_classes=1000), (3, 224, 224))
    assert summary.macs / 1e9 == pytest.approx(4.09, abs=0.005)
    assert summary.parameters == 25_557_032
    assert summary.normalized_input_size == 1.0


def test_full_resnet50_costs_what_the_released_code_does() -> None:
    assert gmac("resnet50", 24, 56, stride="full") == pytest.approx(13.5, abs=0.05)


@pytest.mark.parametrize(("channels", "expected"), [(24, 0.5), (64, 1.3), (192, 4.0)])
def test_normalized_input_size_is_the_papers(channels: int, expected: float) -> None:
    network = create_model("resnet18", format=TensorFormat(channels), num_classes=10)
    assert model_summary(network, (channels, 56, 56)).normalized_input_size == pytest.approx(expected, abs=0.04)


def test_full_mobilenet_at_28_cells_does_the_work_of_rgb_at_112_pixels() -> None:
    rgb = model_summary(create_model("mobilenet_v2", format=None, num_classes=1000), (3, 112, 112))
    for channels in (24, 64, 192):
        network = create_model("mobilenet_v2", format=TensorFormat(channels), num_classes=1000, stride="full")
        summary = model_summary(network, (channels, 28, 28))
        assert summary.macs == pytest.approx(rgb.macs, rel=0.11)
        assert summary.normalized_input_size == channels / 48


def test_mobilenet_at_112_cells_does_the_work_of_rgb_at_224_pixels() -> None:
    assert gmac("mobilenet_v2", 64, 112) == pytest.approx(0.301, rel=0.01)


@pytest.mark.parametrize("channels", [24, 64])
@pytest.mark.parametrize("name", SMALL)
def test_output_has_one_number_per_class_for_any_grid(name: str, channels: int) -> None:
    network = create_model(name, format=TensorFormat(channels), num_classes=7).eval()
    for grid in (grids(name), 28, 56 if name == "resnet18" else 24):
        with torch.no_grad():
            assert network(torch.randn(2, channels, grid, grid)).shape == (2, 7)


def test_rgb_network_is_torchvisions() -> None:
    torch.manual_seed(0)
    ours = create_model("resnet18", format=None, num_classes=5)
    torch.manual_seed(0)
    theirs = torchvision.models.resnet18(num_classes=5)
    assert type(ours) is type(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "input_layers"),
    [
        ("resnet18", {"layer1.0.conv1.weight"}),
        ("resnet50", {"layer1.0.conv1.weight", "layer1.0.downsample.0.weight"}),
        ("mobilenet_v2", {"features.1.conv.0", "features.1.conv.1.weight"}),
    ],
)
def test_rgb_weights_load_into_every_layer_except_the_input_layers(name: str, input_layers: set[str]) -> None:
    rgb = create_model(name, format=None, num_classes=5).state_dict()
    network = create_model(name, format=TensorFormat(24), num_classes=5)
    report = load_rgb_weights(network, rgb)
    stem = ("conv1.", "bn1.", "features.0.")
    assert all(name.startswith((*stem, *input_layers)) for name in report.left)
    assert all(name.startswith((*input_layers, "layer1.0.downsample")) for name in report.fresh)
    own = network.state_dict()
    assert all(torch.equal(own[name], rgb[name]) for name in report.loaded)
    assert set(report.loaded) | set(report.fresh) == set(own)
    assert set(report.loaded) | set(report.left) == set(rgb)


def test_a_last_layer_for_another_number_of_classes_is_not_loaded() -> None:
    rgb = create_model("resnet18", format=None, num_classes=1000).state_dict()
    report = load_rgb_weights(create_model("resnet18", format=TensorFormat(24), num_classes=5), rgb)
    assert {"fc.weight", "fc.bias"} <= set(report.left) & set(report.fresh)


def test_weights_of_another_architecture_are_refused() -> None:
    rgb = create_model("mobilenet_v2", format=None, num_classes=5).state_dict()
    with pytest.raises(ValueError, match="another architecture"):
        load_rgb_weights(create_model("resnet18", format=TensorFormat(24), num_classes=5), rgb)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "resnet19"}, "no architecture 'resnet19'; choose one of resnet18"),
        ({"stride": "wide"}, "stride must be one of paper, full"),
        ({"num_classes": 0}, "num_classes must be at least 1"),
        ({"format": None, "gated": True}, "RGB network has no gate"),
        ({"format": None, "stride": "full"}, "RGB network has no stride 'full'"),
    ],
)
def test_impossible_networks_are_refused(options: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"architecture": "resnet18", "format": TensorFormat(24), "num_classes": 2}
    with pytest.raises(ValueError, match=message):
        create_model(**(arguments | options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "projection"), [(48, True), (64, False), (192, True)])
def test_resnet18_keeps_the_identity_shortcut_if_the_widths_agree(channels: int, projection: bool) -> None:
    form = TensorFormat("all" if channels == 192 else channels)
    block = create_model("resnet18", format=form, num_classes=2).get_submodule("layer1.0")
    assert (block.downsample is not None) == projection


def test_stages_can_feed_a_feature_pyramid() -> None:
    from torchvision.models._utils import IntermediateLayerGetter

    network = create_model("resnet18", format=TensorFormat(24), num_classes=2)
    stages = IntermediateLayerGetter(network, {f"layer{n}": str(n) for n in (1, 2, 3, 4)})(torch.randn(1, 24, 16, 16))
    assert [tuple(stage.shape[1:]) for stage in stages.values()] == [
        (64, 16, 16),
        (128, 8, 8),
        (256, 4, 4),
        (512, 2, 2),
    ]


def test_se_resnet_is_timms_after_the_stem() -> None:
    timm = pytest.importorskip("timm")
    network = create_model("se_resnet50", format=TensorFormat(24), num_classes=3).eval()
    report = load_rgb_weights(network, timm.create_model("seresnet50", num_classes=3).state_dict())
    assert set(report.fresh) == {"layer1.0.conv1.weight", "layer1.0.downsample.0.weight"}
    with torch.no_grad():
        assert network(torch.randn(1, 24, 16, 16)).shape == (1, 3)


def test_se_resnet_without_timm_names_the_package_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ImportError, match="pip install timm"):
        create_model("se_resnet50", format=TensorFormat(24), num_classes=3)


def test_rgb_weights_load_after_a_gate_which_adds_its_own_cost() -> None:
    rgb = create_model("resnet18", format=None, num_classes=5).state_dict()
    gated = create_model("resnet18", format=TensorFormat(24), num_classes=5, gated=True)
    plain = create_model("resnet18", format=TensorFormat(24), num_classes=5)
    assert load_rgb_weights(gated, rgb) == load_rgb_weights(plain, rgb)
    ours, theirs = (model_summary(network, (24, 28, 28)) for network in (gated, plain))
    assert ours.normalized_input_size == theirs.normalized_input_size == 0.5
    assert ours.macs - theirs.macs == 24 * 24 + 2 * 24


@pytest.mark.parametrize("name", [name for name in NATIVE if not name.endswith(("16gf", "32gf"))])  # these take seconds
def test_a_registry_entry_names_layers_of_the_rgb_network(name: str) -> None:
    with torch.device("meta"):
        entry, rgb = ARCHITECTURES[name], create_model(name, format=None, num_classes=3)
        frequency = create_model(name, format=TensorFormat(24), num_classes=3)
    assert all(parameter.is_meta for parameter in (*rgb.parameters(), *frequency.parameters()))
    for layer in entry.stem:
        assert not isinstance(rgb.get_submodule(layer), torch.nn.Identity)
        assert isinstance(frequency.get_submodule(layer), torch.nn.Identity)
    *_, last = rgb.get_submodule(entry.last_layer).modules()
    assert last.out_features == 3


def test_listing_the_architectures_does_not_import_torch() -> None:
    code = "import jpegfreq, sys; print(jpegfreq.models.architectures()); sys.exit('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(architectures())


def test_every_documented_name_is_reachable_from_the_package() -> None:
    code = """
import jpegfreq
for name in (*jpegfreq.models.__all__, *jpegfreq.models._LAZY_MODULES):
    assert name in dir(jpegfreq.models)
    getattr(jpegfreq.models, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match=r"'jpegfreq\.models' has no attribute 'nothing'"):
        import_module("jpegfreq.models").nothing  # noqa: B018


@pytest.mark.parametrize(
    "statement", ["from jpegfreq.models import create_model", "import jpegfreq; jpegfreq.models.gate"]
)
def test_without_torch_the_error_names_the_extra(statement: str) -> None:
    code = f"import sys; sys.modules['torch'] = None; {statement}"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "needs torch, which is not installed: pip install 'jpegfreq[train]'" in found.stderr.splitlines()[-1]


def test_reports_are_short() -> None:
    network = create_model("resnet50", format=TensorFormat(24), num_classes=10)
    summary = model_summary(network, (24, 28, 56))
    assert "input of 24 channels x height 28 x width 56" in repr(summary)
    assert json.loads(json.dumps(summary.to_dict()))["input_shape"] == [24, 28, 56]
    rgb = create_model("resnet50", format=None, num_classes=10).state_dict()
    assert repr(load_rgb_weights(network, rgb)) == "LoadedWeights(312 loaded, 8 left, 2 fresh)"
