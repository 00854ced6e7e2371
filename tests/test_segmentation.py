"""Semantic masks from frequencies: masks follow crops and flips, grids are torchvision's, losses fall."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision.models.segmentation import fcn_resnet50  # noqa: E402

from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models.dense.config import dense_heat_map, load_dense  # noqa: E402
from jpegfreq.models.dense.recipe import DenseTraining  # noqa: E402
from jpegfreq.models.dense.scenes import (  # noqa: E402
    IGNORE,
    SegmentationDataset,
    _crop_mask,
    mask_classes,
    measure_statistics,
    read_mask,
)
from jpegfreq.models.dense.segmentation import create_segmenter, evaluate_segmentation, scores_of  # noqa: E402
from jpegfreq.models.dense.training import train_dense  # noqa: E402
from jpegfreq.models.gate import GatedNetwork, GatedOutput  # noqa: E402
from tests.scenes import FORMAT, images_of, scene_folder, tiny_scenes  # noqa: E402


def test_classes_are_counted_from_zero_and_the_rest_is_ignored(tmp_path: Path) -> None:
    scenes = tiny_scenes(tmp_path)
    assert mask_classes(scenes) == (1, 3)
    _, mask = SegmentationDataset(scenes, (1, 3), format=FORMAT, shorter_side=64)[0]
    assert mask.shape == (64, 96)
    assert sorted(mask.unique().tolist()) == [0, 1, IGNORE]
    _, mask = SegmentationDataset(scenes, (3,), format=FORMAT, shorter_side=64)[0]
    assert sorted(mask.unique().tolist()) == [0, IGNORE]


def test_a_mask_is_cropped_and_mirrored_to_the_nearest_pixel() -> None:
    mask = torch.arange(48, dtype=torch.uint8).reshape(6, 8)
    assert torch.equal(_crop_mask(mask, (1, 2, 4, 4), (4, 4), False), mask[1:5, 2:6])
    assert torch.equal(_crop_mask(mask, (1, 2, 4, 4), (4, 4), True), mask[1:5, 2:6].flip(1))
    doubled = _crop_mask(mask, (0, 0, 6, 8), (12, 16), False)
    assert torch.equal(doubled, mask.repeat_interleave(2, 0).repeat_interleave(2, 1))


def test_crops_of_image_and_mask_show_the_same_part(tmp_path: Path) -> None:
    torch.manual_seed(1)
    dataset = SegmentationDataset(tiny_scenes(tmp_path), (1, 3), format=FORMAT, crop=(64, 64))
    for index in (0, 1, 0, 1):
        tensor, mask = dataset[index]
        assert tensor.shape == (6, 16, 16)
        # Channel 0 is the block's mean: the bright thing is class 0, the dark one class 1, at the middle of each block.
        middle = mask[2::4, 2::4]
        bright, dark = tensor[0] > 6, tensor[0] < -6
        assert (middle[bright] == 0).float().mean() > 0.95
        assert (middle[dark] == 1).float().mean() > 0.95
        assert (bright | dark).any()


@pytest.mark.parametrize("head", ["fcn", "deeplabv3"])
def test_a_mask_has_the_frames_size_and_stride_8(head: str) -> None:
    network = create_segmenter("resnet18", format=FORMAT, num_classes=5, head=head).eval()  # type: ignore[arg-type]
    x = torch.zeros(2, 6, 16, 24)
    with torch.no_grad():
        assert network.backbone(x)["out"].shape == (2, 512, 8, 12)
        assert network(x).shape == (2, 5, 64, 96)


def test_dilation_and_names_are_torchvisions() -> None:
    network = create_segmenter("resnet50", format=FORMAT, num_classes=5)
    rgb = fcn_resnet50(weights=None, weights_backbone=None, num_classes=5)
    theirs = dict(rgb.named_modules())
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d) and not name.startswith("backbone.layer1.0"):
            other = theirs[name]
            assert (module.stride, module.dilation, module.padding) == (other.stride, other.dilation, other.padding)
            assert module.weight.shape == other.weight.shape


def test_scores_count_pixels_and_classes_that_occur() -> None:
    scores = scores_of(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]))
    assert scores.pixel_accuracy == 7 / 8
    assert scores.mean_iou == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_two_images_are_learned_after_a_gate(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    scenes = tiny_scenes(tmp_path)
    network = create_segmenter("resnet18", format=FORMAT, num_classes=2, gated=True)
    assert isinstance(network, GatedNetwork)
    dataset = SegmentationDataset(scenes, (1, 3), format=FORMAT, crop=(32, 32), scale=(0.8, 1.0))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    history = []
    for _ in range(10):
        tensors, masks = (torch.stack(part) for part in zip(*(dataset[i] for i in (0, 1)), strict=True))
        output = network(tensors)
        assert isinstance(output, GatedOutput)
        loss = torch.nn.functional.cross_entropy(output.logits, masks, ignore_index=IGNORE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert sum(history[-3:]) < 0.5 * sum(history[:3])
    scores = evaluate_segmentation(network, SegmentationDataset(scenes, (1, 3), format=FORMAT, shorter_side=64))
    assert 0 <= scores.mean_iou <= scores.pixel_accuracy <= 1


def test_a_run_is_saved_with_its_heat_map_and_predicts_the_masks_numbers(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data")
    torch.set_num_threads(1)
    training = DenseTraining(
        "segmentation", str(folder), str(folder), str(tmp_path / "run"), format=FORMAT, epochs=2, batch_size=2,
        gated=True, shorter_side=32, longer_side=64,
    )  # fmt: skip
    model, _ = train_dense(training)
    loaded = load_dense(tmp_path / "run" / "last")
    assert loaded.config == model.config
    mask = loaded.predict(folder / "images" / "0.jpg")["mask"]
    assert mask.shape == (64, 96)
    assert set(mask.unique().tolist()) <= {1, 3}
    assert torch.equal(mask, model.predict(folder / "images" / "0.jpg")["mask"])
    from jpegfreq.models.analysis.heatmap import HeatMap

    saved = HeatMap.load(tmp_path / "run" / "heatmap.json")
    assert saved.on_rate == dense_heat_map(loaded, images_of(folder)).on_rate


def test_training_and_its_random_crops_repeat_by_seed(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data")
    torch.set_num_threads(1)
    weights = []
    for run in ("a", "b"):
        training = DenseTraining(
            "segmentation", str(folder), str(folder), str(tmp_path / run), format=FORMAT, epochs=1, batch_size=2,
            shorter_side=32, longer_side=64,
        )  # fmt: skip
        weights.append(train_dense(training)[0].network.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_statistics_are_measured_where_the_format_has_none(tmp_path: Path) -> None:
    statistics = measure_statistics(tiny_scenes(tmp_path), shorter_side=64, longer_side=128)
    assert statistics.std[0] > 100


def test_a_mask_of_another_size_is_an_error_that_names_it(tmp_path: Path) -> None:
    from PIL import Image

    scenes = tiny_scenes(tmp_path)
    assert scenes[0].mask is not None
    Image.new("L", (9, 9)).save(scenes[0].mask)
    with pytest.raises(ValueError, match=r"0\.png"):
        SegmentationDataset(scenes, (1,), format=FORMAT, crop=(64, 64))[0]
    Image.new("RGB", (9, 9)).save(scenes[0].mask)
    with pytest.raises(ValueError, match="RGB"):
        read_mask(scenes[0].mask)


def test_the_command_trains_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = scene_folder(tmp_path / "data")
    torch.set_num_threads(1)
    arguments = ["dense", "segmentation", str(folder), "--validation", str(folder), "--out", str(tmp_path / "run")]
    options = ["--channels", "6", "--shorter-side", "32", "--epochs", "1", "--batch-size", "2", "--gate-weight", "0.01"]
    assert main([*arguments, *options]) == 0
    assert (tmp_path / "run" / "heatmap.json").is_file()
    assert "mean_iou" in (tmp_path / "run" / "scores.json").read_text()
    no_images = ["dense", "segmentation", str(tmp_path), "--validation", str(folder), "--out", str(tmp_path / "b")]
    assert main(no_images) == 2
    assert "has no JPEG files" in capsys.readouterr().err
