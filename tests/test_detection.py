"""Detectors on frequencies: boxes and masks in the image's pixels, torchvision's geometry inside, losses that fall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from torchvision.models.detection.anchor_utils import AnchorGenerator  # noqa: E402
from torchvision.models.detection.image_list import ImageList  # noqa: E402
from torchvision.models.detection.transform import GeneralizedRCNNTransform  # noqa: E402

from jpegfreq import read_coefficients, resample  # noqa: E402
from jpegfreq.models.checkpoint import CheckpointError, load_model  # noqa: E402
from jpegfreq.models.dense.config import dense_heat_map, load_dense  # noqa: E402
from jpegfreq.models.dense.detection import FrequencyTransform, create_detector, evaluate_detection  # noqa: E402
from jpegfreq.models.dense.recipe import DenseTraining  # noqa: E402
from jpegfreq.models.dense.scenes import (  # noqa: E402
    COCO_THINGS,
    DetectionDataset,
    FrequencyImage,
    box_class_count,
    frame_of,
    read_boxes,
    read_frequencies,
    read_mask,
    read_scenes,
)
from jpegfreq.models.dense.training import train_dense  # noqa: E402
from tests.images import make_jpeg  # noqa: E402
from tests.scenes import FORMAT, images_of, scene_folder, tiny_scenes  # noqa: E402
from tests.support import data_files  # noqa: E402

SIDES = {"shorter_side": 64, "longer_side": 128}


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (300, 300), (200, 1000)])
def test_image_sizes_are_those_of_torchvision_for_rgb(size: tuple[int, int]) -> None:
    rgb = GeneralizedRCNNTransform(240, 400, [0.0] * 3, [1.0] * 3)
    rgb.eval()
    expected, _ = rgb([torch.zeros(3, *size)])
    frame = frame_of(*size, shorter_side=240, longer_side=400)
    image = FrequencyImage(torch.ones(6, frame[0] // 4, frame[1] // 4), size)
    found, _ = FrequencyTransform()([image])
    assert found.image_sizes == expected.image_sizes
    assert [4 * cells for cells in found.tensors.shape[-2:]] == list(expected.tensors.shape[-2:])


def test_frame_is_within_two_pixels_of_torchvision_where_it_is_no_multiple_of_four() -> None:
    rgb = GeneralizedRCNNTransform(800, 1333, [0.0] * 3, [1.0] * 3)
    rgb.eval()
    for size in ((427, 640), (333, 500), (512, 377)):
        (expected,) = rgb([torch.zeros(3, *size)])[0].image_sizes
        frame = frame_of(*size, shorter_side=800, longer_side=1333)
        assert max(abs(a - b) for a, b in zip(frame, expected, strict=True)) <= 2


def test_tensor_is_the_whole_image_at_twice_its_frame() -> None:
    data = make_jpeg(60, 44)
    image = read_frequencies(data, FORMAT, shorter_side=40, longer_side=100)
    assert image.size == (44, 60)
    assert image.frame == (40, 56)
    expected = resample(read_coefficients(data), (0, 0, 44, 60), (80, 112), format=FORMAT)
    assert torch.equal(image.tensor, torch.from_numpy(expected))


def test_padding_is_zero_and_does_not_move_the_image() -> None:
    a, b = FrequencyImage(torch.ones(6, 9, 5), (36, 20)), FrequencyImage(torch.ones(6, 4, 17), (16, 68))
    batch, _ = FrequencyTransform()([a, b])
    assert batch.tensors.shape == (2, 6, 16, 24)
    assert batch.tensors.sum() == 6 * (9 * 5 + 4 * 17)
    assert (batch.tensors[0, :, :9, :5] == 1).all()
    assert (batch.tensors[1, :, :4, :17] == 1).all()


def test_boxes_and_masks_go_to_the_frame_and_back_to_pixels_of_the_image() -> None:
    image = FrequencyImage(torch.ones(6, 16, 32), (128, 256))  # frame 64 x 128: half the image
    boxes = torch.tensor([[10.0, 20.0, 110.0, 100.0], [0.0, 0.0, 256.0, 128.0]])
    masks = torch.zeros(2, 128, 256, dtype=torch.uint8)
    masks[0, 20:100, 10:110] = 1
    transform = FrequencyTransform()
    batch, targets = transform([image], [{"boxes": boxes, "labels": torch.ones(2), "masks": masks}])
    assert targets is not None
    assert torch.equal(targets[0]["boxes"], boxes / 2)
    assert torch.equal(targets[0]["masks"], masks[:, ::2, ::2])
    transform.eval()
    found = [{"boxes": targets[0]["boxes"], "masks": torch.ones(2, 1, 28, 28)}]
    (back,) = transform.postprocess(found, batch.image_sizes, [image.shape[-2:]])
    assert torch.equal(back["boxes"], boxes)
    assert back["masks"].shape == (2, 1, 128, 256)
    assert (back["masks"][0, 0, 25:95, 15:105] > 0.5).all()
    assert back["masks"][0, 0, :15].sum() == 0


def test_feature_maps_and_anchors_are_those_of_an_rgb_detector() -> None:
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    detector = create_detector("resnet18", format=FORMAT, num_classes=3).eval()
    rgb = resnet_fpn_backbone(backbone_name="resnet18", weights=None).eval()
    with torch.no_grad():
        features = detector.backbone(torch.zeros(1, 6, 16, 32))
        expected = rgb(torch.zeros(1, 3, 64, 128))
    assert {name: x.shape for name, x in features.items()} == {name: x.shape for name, x in expected.items()}
    anchors = AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)
    wanted = anchors(ImageList(torch.zeros(1, 3, 64, 128), [(64, 128)]), list(expected.values()))
    batch, _ = FrequencyTransform()([FrequencyImage(torch.zeros(6, 16, 32), (64, 128))])
    found = detector.rpn.anchor_generator(batch, list(features.values()))
    assert torch.equal(found[0], wanted[0])


def test_a_mirrored_image_has_mirrored_boxes_and_masks(tmp_path: Path) -> None:
    scenes = tiny_scenes(tmp_path)
    plain = DetectionDataset(scenes, format=FORMAT, instances=True, **SIDES)
    mirrored = DetectionDataset(scenes, format=FORMAT, instances=True, flip=True, **SIDES)
    while True:  # flips are drawn: take one
        image, target = mirrored[0]
        if not torch.equal(target["boxes"], plain[0][1]["boxes"]):
            break
    _, expected = plain[0]
    width = image.size[1]
    assert torch.equal(target["boxes"][:, [0, 2]], width - expected["boxes"][:, [2, 0]])
    assert torch.equal(target["masks"], expected["masks"].flip(-1))
    whole = read_frequencies(scenes[0].image, FORMAT, flip=True, **SIDES)
    assert torch.equal(image.tensor, whole.tensor)


def test_boxes_are_read_in_pixels_and_cut_to_the_image(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("3 0.5 0.5 0.5 0.25\n\n7 1.0 0.5 0.5 2.0\n1 0.2 0.2 0 0.1\n")
    boxes, classes = read_boxes(path, 80, 40)
    assert boxes.tolist() == [[10, 30, 30, 50], [30, 0, 40, 80]]
    assert classes.tolist() == [3, 7]
    path.write_text("3 0.5 0.5 0.5\n")
    with pytest.raises(ValueError, match=r"a\.txt, line 1"):
        read_boxes(path, 80, 40)
    assert read_boxes(None, 80, 40)[0].shape == (0, 4)


def test_instances_are_the_pixels_of_the_class_inside_the_box(tmp_path: Path) -> None:
    dataset = DetectionDataset(tiny_scenes(tmp_path), format=FORMAT, instances=True, **SIDES)
    _, target = dataset[0]
    assert target["labels"].tolist() == [1, 3]
    assert [int(mask.sum()) for mask in target["masks"]] == [24 * 36, 24 * 36]
    left, top, right, bottom = target["boxes"][0].int().tolist()
    assert target["masks"][0, top:bottom, left:right].all()


def make_small(network: Any) -> None:
    """Few proposals and detections: a test need not wait for the heads."""
    network.rpn._post_nms_top_n = {"training": 40, "testing": 10}
    network.roi_heads.fg_bg_sampler.batch_size_per_image = 16
    network.roi_heads.detections_per_img = 5
    network.roi_heads.score_thresh = 0.0


@pytest.mark.parametrize("instances", [False, True])
def test_the_loss_of_two_images_falls_and_holds_the_gates(tmp_path: Path, instances: bool) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    dataset = DetectionDataset(tiny_scenes(tmp_path), format=FORMAT, instances=instances, **SIDES)
    network = create_detector(
        "resnet18", format=FORMAT, num_classes=box_class_count(dataset.scenes), instances=instances, gated=True
    )
    make_small(network)
    images, targets = zip(*(dataset[i] for i in range(2)), strict=True)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    history = []
    for _ in range(4):
        losses = network(images, targets)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(float(total.detach()))
    assert 0 < float(losses["loss_gate"].detach()) < 0.06
    assert ("loss_mask" in losses) == instances
    assert network.backbone.gate.pair.bias.grad.abs().sum() > 0
    assert history[-1] < 0.8 * history[0]
    scores = evaluate_detection(network, dataset)
    assert 0 <= scores.box <= scores.box_50 <= 1
    assert (scores.mask is not None) == instances
    (found,) = network(images[:1])
    assert found["boxes"][:, [0, 2]].max() <= 96
    assert found["boxes"][:, [1, 3]].max() <= 64
    if instances:
        assert found["masks"].shape == (len(found["boxes"]), 1, 64, 96)


def test_a_trained_detector_is_saved_and_finds_boxes_in_pixels(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data")
    torch.set_num_threads(1)
    training = DenseTraining(
        "detection", str(folder), str(folder), str(tmp_path / "run"), format=FORMAT, epochs=1, batch_size=2,
        gated=True, **SIDES,
    )  # fmt: skip
    model, scores = train_dense(training)
    loaded = load_dense(tmp_path / "run" / "last")
    assert loaded.config == model.config
    make_small(model.network)
    make_small(loaded.network)
    image = folder / "images" / "0.jpg"
    found, expected = loaded.predict(image), model.predict(image)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(found["boxes"]) > 0
    assert found["boxes"][:, [0, 2]].max() <= 96
    assert found["boxes"][:, [1, 3]].max() <= 64
    assert (tmp_path / "run" / "log.csv").read_text().startswith("epoch,seconds,loss,")
    heat = dense_heat_map(loaded, images_of(folder))
    assert heat.images == 2
    assert heat.channels == tuple(sorted(FORMAT.selection.channels))
    with pytest.raises(CheckpointError):
        load_model(tmp_path / "run" / "last")
    assert scores.box >= 0


def test_an_architecture_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="ResNet"):
        create_detector("mobilenet_v2", format=FORMAT, num_classes=2)


def test_yolo_classes_are_the_masks_things_in_real_photographs() -> None:
    folder = data_files("coco/val/images")[0].parents[1]
    right = total = 0
    for scene in read_scenes(folder):
        assert scene.mask is not None
        mask = read_mask(scene.mask)
        boxes, classes = read_boxes(scene.boxes, *mask.shape)
        for box, kind in zip(boxes.int().tolist(), classes.tolist(), strict=True):
            part = mask[box[1] : box[3] + 1, box[0] : box[2] + 1]
            right += bool((part == COCO_THINGS[kind]).float().mean() > 0.1)
            total += 1
    assert total > 200
    assert right / total > 0.9


def test_a_image_without_a_box_is_trained_on_as_background() -> None:
    torch.set_num_threads(1)
    network = create_detector("resnet18", format=FORMAT, num_classes=3, instances=True)
    make_small(network)
    target = {
        "boxes": torch.zeros(0, 4),
        "labels": torch.zeros(0, dtype=torch.int64),
        "masks": torch.zeros(0, 70, 70, dtype=torch.uint8),
    }
    losses = network([FrequencyImage(torch.ones(6, 16, 16), (70, 70))] * 2, [target] * 2)
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert float(losses["loss_mask"].detach()) == 0
    assert "loss_gate" not in losses
