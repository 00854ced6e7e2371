"""Networks of torchvision and timm on frequency tensors, with their own preprocessing; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torch import nn  # noqa: E402

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.models import (  # noqa: E402
    CheckpointError,
    FrequencyNetwork,
    ModelConfig,
    create_model,
    from_rgb,
    from_timm,
    from_torchvision,
    load_model,
    save_model,
)

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = "mobilenet_v3_small"


@pytest.fixture(autouse=True)
def nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a download was begun")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def small(classes: int = 1000) -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.get_model(SMALL, num_classes=classes).eval()


def save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def assert_adapted(made: FrequencyNetwork, original: nn.Module, size: int, mean: Any, std: Any) -> None:
    """The result must equal from_rgb's of the same network with this preprocessing."""
    expected = from_rgb(original, size=size, mean=mean, std=std, format=made.format)
    x = torch.randn(2, len(made.format.selection), -(-size // 8), -(-size // 8))
    with torch.no_grad():
        torch.testing.assert_close(made(x), expected(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "size", "shorter_side", "filter"),
    [
        (SMALL, 224, 256, "bilinear"),
        ("resnet50", 224, 232, "bilinear"),
        ("efficientnet_b3", 300, 320, "bicubic"),
        ("convnext_tiny", 224, 236, "bilinear"),
        ("vit_b_16", 224, 256, "bilinear"),
    ],
)
def test_torchvisions_preprocessing_is_recorded(name: str, size: int, shorter_side: int, filter: str) -> None:
    made = from_torchvision(name, num_classes=2)
    assert (made.size, made.shorter_side, made.filter) == ((size, size), shorter_side, filter)
    assert made.classes == ()
    assert not made.training
    assert f"height {size} x width {size} pixels, shorter side {shorter_side}, {filter})" in repr(made)


@pytest.mark.parametrize(
    ("name", "size", "shorter_side", "filter"),
    [
        ("resnet10t", 176, 201, "bicubic"),
        ("vit_tiny_patch16_224", 224, 248, "bicubic"),
        ("convnext_atto", 224, 256, "bicubic"),
    ],
)
def test_timms_preprocessing_is_recorded(name: str, size: int, shorter_side: int, filter: str) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    made = from_timm(name, format=TensorFormat(24))
    assert (made.size, made.shorter_side, made.filter) == ((size, size), shorter_side, filter)
    torch.manual_seed(0)
    original = timm.create_model(name).eval()
    config = timm.data.resolve_data_config(model=original)
    resize = timm.data.create_transform(**config).transforms[0]
    assert (resize.size, resize.interpolation.value) == (shorter_side, filter)
    assert_adapted(made, original, size, config["mean"], config["std"])


def test_an_image_that_is_squeezed_before_the_crop_has_no_shorter_side() -> None:
    pytest.importorskip("timm")
    made = from_timm("vit_tiny_patch16_224", pretrained_cfg_overlay={"crop_mode": "squash"})
    assert made.shorter_side is None
    assert "shorter side" not in repr(made)


def test_a_patch_embedding_within_the_network_does_not_set_the_size() -> None:
    pytest.importorskip("timm")
    made = from_timm("visformer_tiny", format=TensorFormat(6))  # its patch embeddings take 112 pixels and fewer
    assert (made.size, made.form) == ((224, 224), "layer")


def test_the_shorter_side_follows_the_size() -> None:
    made = from_torchvision(SMALL, size=64)
    assert (made.size, made.shorter_side) == ((64, 64), 73)
    assert from_torchvision(SMALL, size=(64, 96)).shorter_side is None
    pytest.importorskip("timm")
    made = from_timm("vit_tiny_patch16_224", img_size=64)
    assert (made.size, made.shorter_side, made.form) == ((64, 64), 71, "folded patch")


def test_a_file_of_ones_own_is_loaded_whole(tmp_path: Path) -> None:
    original = small(3)
    path = save(original, tmp_path / "own.pth")
    made = from_torchvision(SMALL, weights=path, size=64, classes=("a", "b", "c"), format=TensorFormat(24))
    assert made.classes == ("a", "b", "c")
    assert_adapted(made, original, 64, *IMAGENET)
    timm = pytest.importorskip("timm")
    original = timm.create_model("resnet10t", num_classes=3).eval()
    path = save(original, tmp_path / "timm.pth")
    assert_adapted(from_timm("resnet10t", weights=path, size=64, num_classes=3), original, 64, *IMAGENET)


def test_a_file_that_torchvision_offers_brings_its_preprocessing_and_classes(tmp_path: Path) -> None:
    offered = torchvision.models.ResNet50_Weights
    assert offered.DEFAULT is not offered.IMAGENET1K_V1
    torch.manual_seed(0)
    original = torchvision.models.resnet50().eval()
    path = save(original, tmp_path / offered.IMAGENET1K_V1.url.rpartition("/")[2])
    made = from_torchvision("resnet50", weights=str(path), size=32)
    assert made.shorter_side == round(32 * 256 / 224)  # 232 for the default weights
    assert made.classes[:2] == ("tench", "goldfish")
    assert_adapted(made, original, 32, *IMAGENET)


def test_torchvision_loads_the_weights_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = small()
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *_, **__: original.state_dict())
    for weights in ("DEFAULT", torchvision.models.MobileNet_V3_Small_Weights.IMAGENET1K_V1):
        made = from_torchvision(SMALL, weights=weights, size=64)
        assert len(made.classes) == 1000
        assert_adapted(made, original, 64, *IMAGENET)


def test_densenets_older_names_are_understood(tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = torchvision.models.densenet121(num_classes=2).eval()
    older = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): tensor
        for key, tensor in original.state_dict().items()
    }
    assert older.keys() != original.state_dict().keys()
    torch.save(older, tmp_path / "older.pth")
    made = from_torchvision("densenet121", weights=tmp_path / "older.pth", size=32, num_classes=2)
    assert_adapted(made, original, 32, *IMAGENET)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_network_that_asks_for_the_version_of_its_weights_loads_them_from_a_file(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    original = torchvision.models.mnasnet0_5(num_classes=2).eval()
    if suffix == ".pth":
        path = save(original, tmp_path / "own.pth")
    else:
        path = tmp_path / "own.safetensors"
        pytest.importorskip("safetensors.torch").save_file(original.state_dict(), path)
    made = from_torchvision("mnasnet0_5", weights=path, size=32, num_classes=2)
    assert_adapted(made, original, 32, *IMAGENET)
    save_model(tmp_path / "model", made)
    assert_adapted(load_model(tmp_path / "model").network, original, 32, *IMAGENET)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mobilnet_v3_small"}, "torchvision has no network named 'mobilnet_v3_small': did you mean mobilenet"),
        (
            {"weights": "IMAGENET1K_V9"},
            "must be the path of a file, IMAGENET1K_V1, DEFAULT or None, not 'IMAGENET1K_V9'",
        ),
        ({"weights": torchvision.models.ResNet18_Weights.DEFAULT}, "are the weights of another network than mobilenet"),
        ({"size": 0}, "size must be from 1 to 65536 pixels"),
        ({"size": "64"}, "size must be a whole number of pixels"),
        ({"name": "vit_b_16", "size": 64}, "takes images of height 224 x width 224 pixels, but size is height 64"),
        ({"num_classes": 3, "classes": ("a", "b")}, "num_classes is 3, but classes has 2 names"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_torchvision(**{"name": SMALL, **arguments})


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = save(torchvision.models.shufflenet_v2_x0_5(), tmp_path / "shufflenet.pth")
    with pytest.raises(
        ValueError, match=r"shufflenet\.pth holds the weights of another network than this mobilenet_v3"
    ):
        from_torchvision(SMALL, weights=path)
    path = save(small(3), tmp_path / "three.pth")
    with pytest.raises(ValueError, match=r"classifier\.3\.weight has shape \(3, 1024\) instead of \(1000, 1024\)"):
        from_torchvision(SMALL, weights=path)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        from_torchvision(SMALL, weights=tmp_path / "none.pth")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"three\.pth is damaged"):
        from_torchvision(SMALL, weights=path)
    config = ModelConfig("resnet18", 2, TensorFormat(24), (64, 64), 64)
    save_model(tmp_path / "model", create_model("resnet18", format=config.format, num_classes=2), config)
    with pytest.raises(ValueError, match="is a checkpoint of a network on frequency tensors, which load_model reads"):
        from_torchvision(SMALL, weights=tmp_path / "model")


def test_timms_wrong_arguments_are_refused() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="timm has no network named 'resnet10x': did you mean resnet"):
        from_timm("resnet10x")
    with pytest.raises(ValueError, match="timm states no mean and std for resnet10t"):
        from_timm("resnet10t", pretrained_cfg_overlay={"mean": None})
    with pytest.raises(ValueError, match="takes 1 channel, but that of an RGB network takes 3"):
        from_timm("resnet10t", in_chans=1)
    with pytest.raises(ValueError, match="does not take images of height 60 x width 60 pixels"):
        from_timm("vit_tiny_patch16_224", size=60, dynamic_img_size=True)
