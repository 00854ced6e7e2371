"""Images read as pixels, beside coefficients or in their place, give the same crops and nearly the same values."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jpegfreq import TensorFormat, UnsupportedJpegError, read_batch, read_header
from jpegfreq.statistics import ChannelStatistics
from tests.images import make_jpeg
from tests.support import unavailable
from tests.torch_folders import BROKEN, SIZE, STRAYS

try:
    import torch

    from jpegfreq.torch import (
        EvaluationView,
        FrequencyDataset,
        RgbDataset,
        TrainingView,
        collate,
        file_list,
        image_folder,
    )
    from jpegfreq.torch.dataset import stray_reason
    from jpegfreq.torch.pixels import decode_rgb, read_pixels
except ImportError:
    torch = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch or torchvision is not installed (extra train)")


def test_pillow_reads_sixteen_bits_by_their_upper_eight(tmp_path: Path) -> None:
    ramp = (np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    pixels = read_pixels((tmp_path / "grey.png").read_bytes())
    np.testing.assert_array_equal(pixels.numpy(), np.stack([ramp // 256] * 3))


def test_any_failure_of_pillow_is_an_error_about_its_file() -> None:
    bomb = io.BytesIO()
    Image.new("1", (8, 8)).save(bomb, "png")
    data = bytearray(bomb.getvalue())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with pytest.raises(OSError, match="decompression bomb"):
        read_pixels(bytes(data))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_pixels_give_nearly_the_same_tensors_as_coefficients(tmp_path: Path, layout: Any) -> None:
    """A JPEG is saved as PNG, which rounds and clamps its pixels and changes nothing else."""
    smooth = np.add.outer(np.arange(50), np.arange(60))[..., None] + np.array([40, 70, 100])
    Image.fromarray(smooth.astype(np.uint8)).save(tmp_path / "a.jpg", quality=97, subsampling="4:4:4")
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    statistics = ChannelStatistics(tuple(range(192)), (2.0,) * 192, "made up")
    format = TensorFormat([0, 130, 1, 64, 9, 128], layout=layout, statistics=statistics)
    images = file_list([tmp_path / "a.jpg", tmp_path / "a.png"], [0, 0])
    dataset = FrequencyDataset(images, EvaluationView(SIZE, 40), format=format, fallback="pixels")
    torch.testing.assert_close(dataset[0][0], dataset[1][0], atol=2, rtol=0)


def test_rgb_twin_sees_the_same_boxes_and_flips(mixed: Path) -> None:
    """The luma of its tensors equals that of the frequency data set, except for rounding, clamping and chroma."""
    from jpegfreq.torch.pixels import to_frequency

    images = image_folder(mixed)
    options: dict[str, Any] = {"seed": 5, "errors": "skip", "fallback": "pixels"}
    frequency = FrequencyDataset(images, TrainingView(SIZE), format=TensorFormat(range(64)), **options)
    rgb = RgbDataset(images, TrainingView(SIZE), mean=(0, 0, 0), std=(1 / 255,) * 3, **options)
    for dataset in (frequency, rgb):
        dataset.set_epoch(1)
    for index in range(len(images)):
        if images.paths[index].endswith("x.jpg"):
            continue
        luma = to_frequency(rgb[index][0], TensorFormat(range(64)))
        assert np.abs(luma - frequency[index][0].numpy()).mean() < 2


@pytest.mark.parametrize("fallback", [None, "pixels"])
def test_rgb_twin_leaves_out_the_same_images_for_the_same_reasons(mixed: Path, fallback: Any) -> None:
    cut = make_jpeg(300, 300, quality=95, progressive=True)[:6000]
    for i, data in enumerate((make_jpeg(50, 40, keep_rgb=True), cut)):
        (mixed / "b" / f"{i:02}x.jpg").write_bytes(data)
    images = image_folder(mixed)
    found = []
    for kind in (FrequencyDataset, RgbDataset):
        dataset = kind(images, EvaluationView(SIZE, 32), errors="skip", fallback=fallback)
        batch = collate(dataset.__getitems__(range(len(images))))  # type: ignore[arg-type]
        found.append((batch.indices.tolist(), [(s.image_index, s.reason, s.read) for s in batch.strays]))
    assert found[0] == found[1]
    assert {reason for _, reason, _ in found[0][1]} == {*STRAYS, *BROKEN, "RGB"}


def test_rgb_twin_names_the_reason_for_what_torchvision_refuses() -> None:
    from jpegfreq.torch.rgb import _jpeg_error

    jpeg = b"\xff\xd8"
    for message, reason in (
        ("Image is incomplete or truncated", "truncated"),
        ("Unsupported JPEG data precision 12", "unsupported"),
        ("Bogus Huffman table definition", "malformed"),
    ):
        assert stray_reason(jpeg, _jpeg_error(message)) == reason


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fallback", [False, True])
def test_upright_images_are_the_same_in_both_data_sets(tmp_path: Path, orientation: int, fallback: bool) -> None:
    from jpegfreq.torch.pixels import to_frequency

    exif = Image.Exif()
    exif[0x0112] = orientation
    kind = "CMYK" if fallback else "RGB"
    (tmp_path / "a.jpg").write_bytes(make_jpeg(70, 50, kind, quality=95, subsampling="4:4:4", exif=exif.tobytes()))
    images = file_list([tmp_path / "a.jpg"], [0])
    format = TensorFormat(range(64))
    options: dict[str, Any] = {"seed": 3, "fallback": "pixels" if fallback else None}
    frequency = FrequencyDataset(images, TrainingView(SIZE, apply_orientation=True), format=format, **options)
    rgb = RgbDataset(images, TrainingView(SIZE, apply_orientation=True), mean=(0, 0, 0), std=(1 / 255,) * 3, **options)
    got = frequency[0][0].numpy()
    assert np.abs(to_frequency(rgb[0][0], format) - got).mean() < 2
    if not fallback:
        turned = orientation > 4
        crop = frequency.crop(0, 70 if turned else 50, 50 if turned else 70, 0)
        want = read_batch(
            [images.read(0)], size=SIZE, boxes=[crop.box], flips=[crop.flip], format=format, apply_orientation=True
        )
        np.testing.assert_array_equal(got, want[0])


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "box"])
def test_filters_equal_those_of_read_batch_and_of_the_rgb_twin(folder: Path, filter: Any, antialias: bool) -> None:
    from jpegfreq.torch.pixels import to_frequency

    images, format = image_folder(folder), TensorFormat(range(64))
    view = EvaluationView((24, 24), 40, filter)
    options: dict[str, Any] = {"antialias": antialias}
    dataset = FrequencyDataset(images, view, format=format, **options)
    got = np.stack([dataset[i][0].numpy() for i in range(3)])
    files = [images.read(i) for i in range(3)]
    boxes = [dataset.crop(i, read_header(f).height, read_header(f).width, 0).box for i, f in enumerate(files)]
    want = read_batch(files, size=view.size, boxes=boxes, format=format, filter=filter, **options)
    np.testing.assert_array_equal(got, want)
    if filter == "box":
        with pytest.raises(ValueError, match='not "box"'):
            RgbDataset(images, view, **options)
        with pytest.raises(ValueError, match='not "box"'):
            FrequencyDataset(images, view, fallback="pixels", **options)
    else:
        rgb = RgbDataset(images, view, mean=(0, 0, 0), std=(1 / 255,) * 3, **options)
        for index in range(3):
            assert np.abs(to_frequency(rgb[index][0], format) - got[index]).mean() < 2


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_an_evaluation_view_of_pixels_is_torchvisions_resize_and_centre_crop(folder: Path, filter: Any) -> None:
    from torchvision import transforms

    images, view = image_folder(folder), EvaluationView((25, 30), 37, filter)
    rgb = RgbDataset(images, view, mean=(0, 0, 0), std=(1 / 255,) * 3)
    mode = transforms.InterpolationMode(filter)
    theirs = transforms.Compose([transforms.Resize(37, mode, antialias=True), transforms.CenterCrop((25, 30))])
    for index in range(3):
        pixels = decode_rgb(images.read(index))
        torch.testing.assert_close(rgb[index][0], theirs(pixels.float()), atol=1e-3, rtol=0)


@pytest.mark.parametrize("view", [EvaluationView((25, 30), 37, "bicubic"), TrainingView((25, 30), flip_probability=1)])
def test_views_off_the_grid_have_whole_blocks_and_equal_the_pixels(folder: Path, view: Any) -> None:
    """The same pixels as PNG: read through Pillow, and through the same steps, context included."""
    from jpegfreq.torch.pixels import crop_pixels

    images = image_folder(folder)
    dataset = FrequencyDataset(images, view, format=TensorFormat(64))
    assert dataset.batch_shape(3) == (3, 64, 4, 4)
    for index in range(3):
        pixels = decode_rgb(images.read(index))
        crop = dataset.crop(index, pixels.shape[1], pixels.shape[2], 0)
        assert dataset._resized(pixels, crop).shape == (3, 25, 30)
        cut = crop_pixels(pixels, crop, (25, 30), filter=view.filter)
        whole = dataset._resized(pixels, crop, whole_blocks=True)
        torch.testing.assert_close(whole[:, :25, :30], cut)
        difference = np.abs(dataset._from_pixels(pixels, crop) - dataset[index][0].numpy())
        assert difference.mean() < 2
        luma = dataset.format.selection.channels.index(0)
        assert difference[luma, -1].mean() < 8  # the last blocks are mostly context


def test_a_long_image_is_left_out_rather_than_resized_in_memory(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "long.jpg").write_bytes(make_jpeg(16000, 1))
    images, view = image_folder(tmp_path), EvaluationView((224, 224), 256)
    with pytest.raises(UnsupportedJpegError, match="when it is resized: height 256 x width 4096000"):
        RgbDataset(images, view)[0]
    assert FrequencyDataset(images, view)[0][0].shape == (192, 28, 28)
