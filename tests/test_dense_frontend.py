"""RGB detectors and segmenters on the frequencies of whole images: the same outputs as on the float pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from torch import Tensor, nn  # noqa: E402
from torchvision.models import detection, segmentation  # noqa: E402
from torchvision.transforms.functional import resize  # noqa: E402

from bench.networks import pixels, random_coefficients  # noqa: E402
from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.models.dense.frontend import WholeImage, from_rgb_dense, read_whole  # noqa: E402
from tests.images import make_jpeg  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = ((43, 60), (64, 48), (43, 60))  # two of one size, and neither side of it a multiple of 8
RNG = np.random.default_rng(0)
STATISTICS = ChannelStatistics(tuple(RNG.normal(0, 9, 192)), tuple(RNG.uniform(1, 90, 192)), "made up")
FORMATS = [TensorFormat(), TensorFormat(24, statistics=STATISTICS)]
SMALL = {
    "box_score_thresh": 0.0, "rpn_post_nms_top_n_test": 40, "box_detections_per_img": 12, "min_size": 64,
    "box_batch_size_per_image": 16, "rpn_post_nms_top_n_train": 40,
}  # fmt: skip


def from_scratch(build: Callable[..., nn.Module], **options: Any) -> nn.Module:
    return build(weights=None, weights_backbone=None, num_classes=4, **options)


def pyramid(kind: type[nn.Module], **options: Any) -> nn.Module:
    """A detector on a ResNet-18: torchvision builds its own on a ResNet-50 only."""
    backbone = detection.backbone_utils.resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    return kind(backbone, 4, **options)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fasterrcnn_mobilenet_v3_large_320_fpn": lambda: from_scratch(
        detection.fasterrcnn_mobilenet_v3_large_320_fpn, **SMALL
    ),
    "retinanet": lambda: pyramid(detection.RetinaNet, score_thresh=0.0, min_size=64, detections_per_img=20),
    "ssdlite320": lambda: from_scratch(
        detection.ssdlite320_mobilenet_v3_large, score_thresh=0.0, detections_per_img=20, nms_thresh=0.5
    ),
    "maskrcnn": lambda: pyramid(detection.MaskRCNN, **SMALL),
    "deeplabv3_mobilenet_v3_large": lambda: from_scratch(segmentation.deeplabv3_mobilenet_v3_large, aux_loss=True),
    "lraspp_mobilenet_v3_large": lambda: from_scratch(segmentation.lraspp_mobilenet_v3_large),
}
SEGMENTERS = ("deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large")


def network(name: str) -> nn.Module:
    """A network with random weights whose batch norms know the images, so that its outputs say something."""
    torch.manual_seed(0)
    made = NETWORKS[name]().double().eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
            module.momentum = None
    images = [pixels(random_coefficients(1, 64, seed))[0] / 255 for seed in (7, 8)]
    with torch.no_grad():
        for key, parameter in made.named_parameters():
            if "bbox" in key:  # keep the boxes near their anchors, else many have no area
                parameter *= 0.1
        made(torch.stack(images) if name in SEGMENTERS else images)
    return made.eval()


def images(format: TensorFormat) -> tuple[list[WholeImage], list[Tensor]]:
    """Whole images, and their pixels from 0 to 1, by an inverse DCT of its own; absent channels are at their means."""
    whole, rgb = [], []
    for seed, (height, width) in enumerate(SIZES):
        coefficients = random_coefficients(1, 64, seed)[:, :, : -(-height // 8), : -(-width // 8)]
        mean, std = torch.zeros(192).double(), torch.ones(192).double()
        if format.statistics is not None:
            mean, std = (torch.tensor(v, dtype=torch.float64) for v in (format.statistics.mean, format.statistics.std))
        places = list(format.selection.channels)
        filled = mean[None, :, None, None].expand_as(coefficients).clone()
        filled[:, places] = coefficients[:, places]
        rgb.append(pixels(filled)[0, :, :height, :width] / 255)
        normalized = (coefficients - mean[:, None, None]) / std[:, None, None]
        whole.append(WholeImage(normalized[0, places], (height, width)))
    return whole, rgb


@pytest.mark.parametrize(
    ("name", "format"),
    [(name, FORMATS[number % 2]) for number, name in enumerate(NETWORKS) if name not in SEGMENTERS],
    ids=lambda value: value if isinstance(value, str) else value.selection.name,
)
def test_a_detector_finds_what_it_finds_in_the_pixels(name: str, format: TensorFormat) -> None:
    original = network(name)
    made = from_rgb_dense(original, format=format)
    whole, rgb = images(format)
    with torch.no_grad():
        expected, found = original(rgb), made(whole)
    for ours, theirs, size in zip(found, expected, SIZES, strict=True):
        assert ours.keys() == theirs.keys() == {"boxes", "labels", "scores", *(["masks"] if name == "maskrcnn" else [])}
        assert len(theirs["boxes"]) > 6
        assert theirs["boxes"][:, 2].max() > 16  # in pixels, not in blocks
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-7, atol=1e-7)
        if name == "maskrcnn":
            assert ours["masks"].shape == (len(theirs["boxes"]), 1, *size)


@pytest.mark.parametrize("format", FORMATS, ids=["all", "24"])
@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_gives_the_maps_of_the_pixels(name: str, format: TensorFormat) -> None:
    original = network(name)
    made = from_rgb_dense(original, format=format, mean=MEAN, std=STD)
    whole, rgb = images(format)
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (MEAN, STD))
    with torch.no_grad():
        found = made(whole)
        for ours, image in zip(found, rgb, strict=True):
            expected = original(((image - mean) / std)[None])
            assert ours.keys() == expected.keys()
            for key, value in expected.items():
                torch.testing.assert_close(ours[key], value[0], rtol=1e-7, atol=1e-7)
            assert ours["out"].shape == (4, *image.shape[1:])
    assert not torch.allclose(found[0]["out"], found[2]["out"], rtol=1e-2)


def test_single_precision_stays_close() -> None:
    original = network("fasterrcnn_mobilenet_v3_large_320_fpn").float()
    made = from_rgb_dense(original)
    whole, rgb = images(FORMATS[0])
    with torch.no_grad():
        expected = original([image.float() for image in rgb])
        found = made([WholeImage(image.tensor.float(), image.size) for image in whole])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours["scores"], theirs["scores"], rtol=1e-4, atol=1e-4)


def test_a_jpeg_is_read_whole_and_close_to_its_decoded_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(make_jpeg(85, 61, subsampling="4:2:0", quality=90))
    whole = read_whole(path)
    assert whole.size == (61, 85)
    assert whole.tensor.shape == (192, 8, 11)
    channels_last = read_whole(path.read_bytes(), TensorFormat(layout="HWC"))
    torch.testing.assert_close(channels_last.tensor, whole.tensor)
    pixels = from_rgb_dense(network("ssdlite320").float()).pixels(whole)
    decoded = torchvision.io.decode_jpeg(torchvision.io.read_file(str(path)), torchvision.io.ImageReadMode.RGB)
    inside = (decoded > 20) & (decoded < 235)  # the decoder cuts at 0 and 255
    assert (255 * pixels - decoded)[inside].abs().mean() < 1


@pytest.mark.parametrize(("height", "width"), [(61, 85), (85, 61)])
def test_an_image_is_resized_as_torchvision_resizes_its_float_pixels(height: int, width: int, tmp_path: Path) -> None:
    file = make_jpeg(width, height, subsampling="4:4:4", quality=90)
    to_pixels = from_rgb_dense(network("ssdlite320").float()).pixels
    whole, resized = read_whole(file), read_whole(file, shorter_side=43)
    expected = resize(to_pixels(whole), [43], antialias=True)
    assert resized.size == tuple(expected.shape[1:]) == ((43, 59) if height < width else (59, 43))
    torch.testing.assert_close(to_pixels(resized), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["maskrcnn", "deeplabv3_mobilenet_v3_large"])
def test_weights_load_whole_and_training_reaches_them(name: str) -> None:
    original = network(name).float()
    arguments = {"mean": MEAN, "std": STD} if name in SEGMENTERS else {}
    made = from_rgb_dense(NETWORKS[name](), **arguments)
    assert made.network.load_state_dict(original.state_dict()).missing_keys == []
    made.train()
    whole = [WholeImage(image.tensor.float(), image.size) for image in images(FORMATS[0])[0]]
    if name in SEGMENTERS:
        one_size = [whole[0], whole[2]]
        loss = sum(value.square().mean() for found in made(one_size) for value in found.values())
    else:
        boxes = torch.tensor([[5.0, 10.0, 40.0, 40.0]])
        targets = [
            {"boxes": boxes, "labels": torch.tensor([1]), "masks": torch.ones(1, *size, dtype=torch.uint8)}
            for size in SIZES
        ]
        loss = sum(made(whole, targets).values())
    loss.backward()
    assert all(p.grad is not None for p in made.network.parameters() if p.requires_grad)
    assert all(p.grad is None for p in made.front.parameters())


def test_the_original_network_is_not_changed_and_repr_names_it() -> None:
    original = network("ssdlite320")
    made = from_rgb_dense(original, format=FORMATS[1])
    assert made.network is not original
    assert made.training == original.training
    assert repr(made) == "FrequencyDenseNetwork(SSD, 24 channels of whole images)"


def test_wrong_arguments_are_refused() -> None:
    segmenter, detector = network("lraspp_mobilenet_v3_large"), network("ssdlite320")
    with pytest.raises(ValueError, match=r"mean must be three numbers, .* not None"):
        from_rgb_dense(segmenter)
    with pytest.raises(ValueError, match="SSD normalizes its images itself: mean and std must be None"):
        from_rgb_dense(detector, mean=MEAN, std=STD)
    with pytest.raises(ValueError, match=r"height 43 x width 60 pixels has a tensor of \[C, 6, 8\], not \[192, 5, 8\]"):
        WholeImage(torch.zeros(192, 5, 8), (43, 60))
    image = WholeImage(torch.zeros(24, 1, 1).double(), (8, 8))
    with pytest.raises(ValueError, match="the images have 24 channels, but the network takes 192"):
        from_rgb_dense(detector)([image])
    with pytest.raises(ValueError, match="a segmenter takes no targets"):
        from_rgb_dense(segmenter, format=FORMATS[1], mean=MEAN, std=STD)([image], [])
