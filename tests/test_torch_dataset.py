"""Data sets and loader give the tensors of read_batch whatever reads them, report strays, and resume in an epoch."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import subprocess
import sys
import tarfile
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jpegfreq import JpegError, TensorFormat, UnsupportedJpegError, read_batch, read_header
from jpegfreq.statistics import ChannelStatistics
from tests.images import make_jpeg
from tests.support import unavailable

try:
    import torch
    import torchvision
    from torch.utils.data import DataLoader

    from jpegfreq.torch import (
        EvaluationView,
        FrequencyDataset,
        FrequencyLoader,
        RgbDataset,
        TrainingView,
        collate,
        file_list,
        image_folder,
        tar_shards,
    )
    from jpegfreq.torch.dataset import stray_reason
    from jpegfreq.torch.pixels import decode_rgb, read_pixels
except ImportError:
    torch = None  # type: ignore[assignment]

SIZE = (32, 24)
FORMAT = TensorFormat(24, layout="HWC")


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch or torchvision is not installed (extra train)")


def encoded(kind: str, width: int = 60, height: int = 50) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(make_jpeg(width, height))).save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven good images of two classes."""
    root = tmp_path / "images"
    for i in range(11):
        path = root / "ba"[i % 2] / f"{i:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(60 + 9 * i, 90 - 5 * i, seed=i, quality=90, subsampling=("4:2:0", "4:4:4")[i % 2]))
    return root


STRAYS = {"PNG": encoded("PNG"), "WebP": encoded("WEBP"), "CMYK": make_jpeg(50, 40, mode="CMYK")}
BROKEN = {"truncated": make_jpeg(300, 300, quality=95)[:6000], "not a JPEG": b"no image"}


@pytest.fixture
def mixed(folder: Path) -> Path:
    """The same folder with five more files that are not good images."""
    for i, data in enumerate((STRAYS | BROKEN).values()):
        (folder / "a" / f"{i:02}x.jpg").write_bytes(data)
    return folder


def test_a_folder_is_read_in_the_order_of_torchvision(folder: Path) -> None:
    (folder / "a" / "deep").mkdir()
    (folder / "a" / "deep" / "z.JPEG").write_bytes(make_jpeg())
    images, peer = image_folder(folder), torchvision.datasets.ImageFolder(folder)
    assert list(zip(images.paths, images.labels, strict=True)) == peer.samples
    assert list(images.classes) == peer.classes


def test_tar_shards_hold_what_the_folder_holds(folder: Path, tmp_path: Path) -> None:
    images = image_folder(folder)
    for shard in range(2):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as tar:
            for i in range(shard, len(images), 2):
                for name, content in ((f"{i:03}.jpg", images.read(i)), (f"{i:03}.cls", b"%d" % images.labels[i])):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    shards = tar_shards(sorted(tmp_path.glob("*.tar")))
    order = [*range(0, len(images), 2), *range(1, len(images), 2)]
    assert [shards.read(i) for i in range(len(shards))] == [images.read(i) for i in order]
    assert list(shards.labels) == [images.labels[i] for i in order]
    assert shards.name(0) == "0.tar/000.jpg"


def test_a_tar_image_without_a_label_is_an_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("7.jpg"))
    with pytest.raises(ValueError, match=r"0\.tar/7\.jpg has no label"):
        tar_shards([tmp_path / "0.tar"])


@pytest.mark.parametrize(
    ("names", "message"),
    [(("7.left.jpg", "7.cls"), "holds no image"), (("7.jpg", "7.png", "7.cls"), r"7\.png has the key of 7\.jpg")],
)
def test_a_tar_shard_that_would_lose_images_is_an_error(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"1"))
    with pytest.raises(ValueError, match=message):
        tar_shards([tmp_path / "0.tar"])


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


def test_a_file_list_needs_a_label_for_each() -> None:
    with pytest.raises(ValueError, match="2 files need as many labels"):
        file_list(["a", "b"], [1])


def test_tensors_equal_those_of_read_batch(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT, seed=4)
    dataset.set_epoch(3)
    files = [dataset.images.read(i) for i in range(len(dataset))]
    crops = [dataset.crop(i, read_header(f).height, read_header(f).width, 3) for i, f in enumerate(files)]
    want = read_batch(files, size=SIZE, boxes=[c.box for c in crops], flips=[c.flip for c in crops], format=FORMAT)
    batch = collate(dataset.__getitems__(range(len(dataset))))  # type: ignore[arg-type]
    assert batch.tensors.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(batch.tensors.permute(0, 2, 3, 1).numpy(), want)
    assert batch.labels.tolist() == list(dataset.images.labels)
    for i in (0, 5):
        tensor, label = dataset[i]
        assert torch.equal(tensor, batch.tensors[i])
        assert label == dataset.images.labels[i]
    assert {c.flip for c in crops} == {True, False}


def test_crops_differ_by_epoch_and_seed_and_evaluation_crops_do_not(folder: Path) -> None:
    images = image_folder(folder)
    dataset, other = (FrequencyDataset(images, TrainingView(SIZE), seed=seed) for seed in (0, 1))
    crops = {dataset.crop(0, 60, 90, epoch) for epoch in range(3)} | {other.crop(0, 60, 90, 0)}
    assert len(crops) == 4
    view = EvaluationView(SIZE, 40)
    assert len({FrequencyDataset(images, view).crop(0, 60, 90, epoch) for epoch in range(3)}) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": (0, 8)},
        {"size": (8.0, 8)},
        {"size": (8,)},
        {"scale": (0.0, 1.0)},
        {"scale": (1.0, 0.5)},
        {"scale": (0.5, 1.5)},
        {"ratio": (0.0, 1.0)},
        {"ratio": (2.0, 1.0)},
        {"ratio": (1.0, float("nan"))},
        {"flip_probability": 1.5},
        {"flip_probability": float("nan")},
    ],
)
def test_a_view_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    fault = TypeError if wrong.get("size") in ((8.0, 8), (8,)) else ValueError
    with pytest.raises(fault, match=f"{next(iter(wrong))} must"):
        TrainingView(**{"size": SIZE, **wrong})
    if "size" in wrong:
        with pytest.raises(fault, match="size must"):
            EvaluationView(wrong["size"], 40)


def test_an_evaluation_crop_larger_than_the_shorter_side_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than a shorter side"):
        EvaluationView((224, 224), 200)


@pytest.mark.parametrize("persistent", [False, True])
def test_the_number_of_workers_changes_nothing(folder: Path, persistent: bool) -> None:
    images = image_folder(folder)
    seen = []
    for workers in (0, 2):
        dataset = FrequencyDataset(images, TrainingView(SIZE), format=FORMAT)
        options: dict[str, Any] = {"persistent_workers": True} if persistent and workers else {}
        loader = DataLoader(dataset, 4, num_workers=workers, collate_fn=collate, **options)
        epochs = []
        for epoch in range(2):
            dataset.set_epoch(epoch)
            epochs.append(torch.cat([batch.tensors for batch in loader]))
        assert not torch.equal(*epochs)
        seen.append(epochs)
    assert all(torch.equal(*pair) for pair in zip(*seen, strict=True))


def test_default_collation_gives_the_same_tensors(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), EvaluationView(SIZE, 32), format=FORMAT)
    tensors, labels = next(iter(DataLoader(dataset, 11)))
    batch = next(iter(DataLoader(dataset, 11, collate_fn=collate)))
    assert torch.equal(tensors, batch.tensors)
    assert torch.equal(labels, batch.labels)


def test_a_data_set_can_be_pickled(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT)
    dataset.set_epoch(2)
    assert torch.equal(pickle.loads(pickle.dumps(dataset))[1][0], dataset[1][0])


def test_an_unreadable_file_raises_by_default_and_is_named(mixed: Path) -> None:
    dataset = FrequencyDataset(image_folder(mixed), TrainingView(SIZE))
    with pytest.raises(JpegError) as caught:
        dataset.__getitems__(range(len(dataset)))
    assert any("00x.jpg" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("workers", [0, 2])
def test_skipping_reads_every_good_image_once_and_counts_the_others(mixed: Path, workers: int) -> None:
    images = image_folder(mixed)
    dataset = FrequencyDataset(images, EvaluationView(SIZE, 32), format=FORMAT, errors="skip")
    batches = list(DataLoader(dataset, 4, num_workers=workers, collate_fn=collate))
    indices = torch.cat([batch.indices for batch in batches]).tolist()
    assert [images.paths[i][-5] for i in indices].count("x") == 0
    assert len(set(indices)) == len(indices) == 11
    strays = [stray for batch in batches for stray in batch.strays]
    assert sorted(stray.reason for stray in strays) == sorted(STRAYS | BROKEN)
    assert not any(stray.read for stray in strays)
    assert all(images.paths[stray.image_index] in stray.message for stray in strays)
    tensors = torch.cat([batch.tensors for batch in batches])
    alone = FrequencyDataset(images, EvaluationView(SIZE, 32), format=FORMAT)
    for place, index in enumerate(indices):
        assert torch.equal(tensors[place], alone[index][0])


def test_pixels_are_read_where_there_are_no_coefficients(mixed: Path) -> None:
    images = image_folder(mixed)
    dataset = FrequencyDataset(images, TrainingView(SIZE), errors="skip", fallback="pixels")
    batch = collate(dataset.__getitems__(range(len(images))))  # type: ignore[arg-type]
    assert sorted(stray.reason for stray in batch.strays if stray.read) == sorted(STRAYS)
    assert sorted(stray.reason for stray in batch.strays if not stray.read) == sorted(BROKEN)
    assert len(batch.labels) == 14
    assert dataset.stray_counts == dict.fromkeys(STRAYS | BROKEN, 1)


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


def loader_of(folder: Path, batch_size: int = 4, **options: Any) -> Any:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT, errors="skip")
    return FrequencyLoader(dataset, batch_size, **options)


def test_loader_reads_every_image_once_in_an_order_of_its_epoch(folder: Path) -> None:
    loader, again = loader_of(folder), loader_of(folder)
    epochs = [list(loader) for _ in range(2)]
    assert loader.epoch == 2
    orders = [torch.cat([batch.indices for batch in epoch]).tolist() for epoch in epochs]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(11))
    assert orders[0] != orders[1]
    assert [len(batch.labels) for batch in epochs[0]] == [4, 4, 3]
    assert epochs[0][0].tensors.is_contiguous(memory_format=torch.channels_last)
    again.set_epoch(1)
    for batch, same in zip(epochs[1], again, strict=True):
        assert torch.equal(batch.tensors, same.tensors)
    plain = loader_of(folder, shuffle=False, drop_last=True)
    assert [batch.indices.tolist() for batch in plain] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_batches_that_the_caller_keeps_are_not_overwritten(folder: Path) -> None:
    loader = loader_of(folder, 2)
    first = next(iter(loader))
    view, copy = first.tensors[1:], first.tensors[1:].clone()
    del first
    for _ in range(3):
        for batch in loader:
            batch.tensors.zero_()
            del batch
    assert torch.equal(view, copy)


def test_memory_of_a_batch_is_reused(folder: Path) -> None:
    loader = loader_of(folder, 2)
    for _ in range(3):
        for batch in loader:
            del batch
    assert len(loader._free) <= loader.prefetch + 1


def test_files_that_the_caller_keeps_are_not_overwritten(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE))
    whole = [dataset.images.read(index) for index in range(11)]
    kept = [
        dataset.prepare(range(start, start + 4))[1].data for start in (0, 4, 0)
    ]  # the first call learns how much memory a batch needs
    for start in (7, 3, 0):
        dataset.prepare(range(start, start + 4))
    assert [bytes(data) for data in kept] == [whole[1], whole[5], whole[1]]
    del kept
    assert 0 < len(dataset._files.free) <= 3
    assert not pickle.loads(pickle.dumps(dataset))._files.free


@pytest.mark.parametrize(("threads", "prefetch"), [(1, 2), (3, 3), (2, 4), (2, 1)])
def test_batches_are_the_same_however_many_threads_fill_them(folder: Path, threads: int, prefetch: int) -> None:
    images, view = image_folder(folder), TrainingView(SIZE)
    used = []

    class Spy(FrequencyDataset):
        def fill(self, *arguments: Any, **options: Any) -> Any:
            used.append(options["threads"])
            return super().fill(*arguments, **options)

    loader = FrequencyLoader(Spy(images, view, threads=threads), 3, prefetch=prefetch)
    alone = FrequencyLoader(FrequencyDataset(images, view, threads=1), 3, prefetch=1)
    for batch, same in zip(loader, alone, strict=True):
        assert torch.equal(batch.indices, same.indices)
        assert torch.equal(batch.tensors, same.tensors)
    at_once = max(1, min(threads, prefetch - 1))
    assert at_once * sum(used) == threads * len(used)


@pytest.mark.parametrize("consumed", [0, 1, 2, 3])
def test_loader_resumes_mid_epoch(folder: Path, consumed: int) -> None:
    whole = [batch for loader in [loader_of(folder)] for _ in range(2) for batch in loader]
    stopped = loader_of(folder)
    for _, batch in zip(range(consumed), stopped, strict=False):
        assert batch.indices.numel()
        if consumed == stopped.state_dict()["step"]:
            break
    state = json.loads(json.dumps(stopped.state_dict()))
    resumed = loader_of(folder)
    resumed.load_state_dict(state)
    rest = [batch for _ in range(2) for batch in resumed][: len(whole) - consumed]
    assert len(rest) == 6 - consumed
    for batch, same in zip(whole[consumed:], rest, strict=True):
        assert torch.equal(batch.tensors, same.tensors)
    with pytest.raises(ValueError, match="global_batch_size=4"):
        loader_of(folder, 5).load_state_dict(state)


def test_setting_the_epoch_of_a_loaded_state_keeps_the_position(folder: Path) -> None:
    whole = list(loader_of(folder))
    stopped = loader_of(folder)
    next(iter(stopped))
    resumed = loader_of(folder)
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(0)
    assert resumed.state_dict() == stopped.state_dict()
    for batch, same in zip(whole[1:], resumed, strict=True):
        assert torch.equal(batch.indices, same.indices)
    resumed.set_epoch(0)  # the position is used up: this begins at the first batch
    assert torch.equal(next(iter(resumed)).indices, whole[0].indices)
    resumed.set_epoch(0)
    assert resumed.state_dict()["step"] == 0
    resumed.load_state_dict(stopped.state_dict())
    resumed.set_epoch(1)
    assert len(list(resumed)) == 3


def test_page_locked_memory_without_a_gpu_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.warns(UserWarning, match="not page-locked"):
        loader = loader_of(folder, pin_memory=True)
    for batch, same in zip(loader, loader_of(folder), strict=True):
        assert torch.equal(batch.tensors, same.tensors)


def test_loader_raises_the_errors_of_its_data_set(mixed: Path) -> None:
    loader = FrequencyLoader(FrequencyDataset(image_folder(mixed), TrainingView(SIZE)), 4)
    with pytest.raises(JpegError):
        list(loader)


def test_loader_passes_over_a_batch_of_strays(mixed: Path) -> None:
    loader = loader_of(mixed, 1)
    assert all(len(batch.labels) == 1 for batch in loader)
    assert loader.dataset.stray_counts == dict.fromkeys(STRAYS | BROKEN, 1)


def test_strays_are_counted_per_epoch_and_each_image_once(mixed: Path) -> None:
    loader = loader_of(mixed)
    for _ in range(2):
        assert list(loader)
        assert loader.dataset.stray_counts == dict.fromkeys(STRAYS | BROKEN, 1)
    loader.set_epoch(1)  # once more
    assert list(loader)
    assert loader.dataset.stray_counts == dict.fromkeys(STRAYS | BROKEN, 1)
    for path in mixed.rglob("*x.jpg"):
        path.write_bytes(make_jpeg())
    assert list(loader)
    assert not loader.dataset.stray_counts


@pytest.mark.parametrize("kind", ["frequency", "RGB"])
def test_a_process_without_a_share_of_the_last_step_gets_an_empty_batch(folder: Path, kind: str) -> None:
    images, view = image_folder(folder), TrainingView(SIZE)
    dataset = FrequencyDataset(images, view, format=FORMAT) if kind == "frequency" else RgbDataset(images, view)
    ranks = [list(FrequencyLoader(dataset, 5, rank=rank, world_size=2)) for rank in range(2)]
    assert [len(batches) for batches in ranks] == [2, 2]
    assert [len(batches[-1].labels) for batches in ranks] == [1, 0]
    full, empty = (batches[-1].tensors for batches in ranks)
    assert empty.shape == (0, *full.shape[1:])
    assert empty.dtype == full.dtype


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_steps_of_one_process(folder: Path, world_size: int) -> None:
    alone = loader_of(folder, 6)
    ranks = [loader_of(folder, 6 // world_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in range(len(alone)):
        parts = np.concatenate([rank.step_indices(step) for rank in ranks])
        np.testing.assert_array_equal(parts, alone.step_indices(step))
    with pytest.raises(ValueError, match="rank must lie"):
        loader_of(folder, rank=2, world_size=2)


def packed(folder: Path, out: Path, sizes: tuple[int, ...]) -> Path:
    """Pack a folder's images into tar shards with so many images each."""
    out.mkdir()
    images = image_folder(folder)
    assert sum(sizes) == len(images)
    index = iter(range(len(images)))
    for number, size in enumerate(sizes):
        with tarfile.open(out / f"{number}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for n in itertools.islice(index, size):
                for suffix, content in (("jpg", images.read(n)), ("cls", str(images.labels[n]).encode())):
                    info = tarfile.TarInfo(f"{n:02}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    return out


@pytest.mark.parametrize("shards", [(), (7, 1, 3)], ids=["folder", "unequal tar shards"])
def test_two_processes_of_torchrun_see_disjoint_shards(folder: Path, tmp_path: Path, shards: tuple[int, ...]) -> None:
    script = Path(__file__).with_name("torch_shards.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    source = packed(folder, tmp_path / "shards", shards) if shards else folder
    run = subprocess.run([*command, str(source), str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    alone = loader_of(folder, 6)
    for epoch in range(2):
        alone.set_epoch(epoch)
        for step in range(len(alone)):
            assert first[epoch][step] + second[epoch][step] == alone.step_indices(step).tolist()


def spoil(folder: Path, names: set[str]) -> None:
    for path in folder.rglob("*.jpg"):
        if path.name in names:
            path.write_bytes(b"no image")


@pytest.mark.parametrize(
    "spoiled", [[0], [0, 1, 2], [5, 6, 7], [8, 9, 10], [0, 4, 5, 9, 10], [*range(10)], [*range(11)]]
)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_every_image_of_an_epoch_is_in_a_row_or_among_the_strays(
    folder: Path, spoiled: list[int], batch_size: int
) -> None:
    paths = list(image_folder(folder).paths)
    spoil(folder, {Path(paths[n]).name for n in spoiled})
    loader = loader_of(folder, batch_size, shuffle=False)
    batches = list(loader)
    assert loader.state_dict()["epoch"] == 1
    assert all(len(batch.labels) for batch in batches) == (len(spoiled) < 11)
    assert [n for batch in batches for n in batch.indices.tolist()] == [n for n in range(11) if n not in spoiled]
    assert [stray.image_index for batch in batches for stray in batch.strays] == spoiled
    # Nothing is lost or read twice either by resuming after any batch.
    for count in range(1, len(batches)):
        stopped = loader_of(folder, batch_size, shuffle=False)
        first = [batch for _, batch in zip(range(count), stopped, strict=False)]
        resumed = loader_of(folder, batch_size, shuffle=False)
        resumed.load_state_dict(stopped.state_dict())
        for batch, same in zip(batches, [*first, *resumed], strict=True):
            assert torch.equal(batch.indices, same.indices)
            assert batch.strays == same.strays


def test_a_rank_without_a_readable_image_takes_part_with_an_empty_batch(folder: Path) -> None:
    spoil(folder, {Path(path).name for path in list(image_folder(folder).paths)[:3]})
    ranks = [loader_of(folder, 3, shuffle=False, rank=rank, world_size=2) for rank in range(2)]
    batches = [list(rank) for rank in ranks]
    assert [[len(batch.labels) for batch in rank] for rank in batches] == [[0, 3], [3, 2]]
    assert len(batches[0][0].strays) == 3
    assert batches[0][0].tensors.shape == (0, *batches[0][1].tensors.shape[1:])


def test_passes_that_run_side_by_side_do_not_disturb_each_other(folder: Path) -> None:
    whole = [batch.indices.tolist() for batch in loader_of(folder)]
    loader = loader_of(folder)
    pairs = [(first.indices.tolist(), second.indices.tolist()) for first, second in zip(loader, loader, strict=False)]
    assert pairs == [(order, order) for order in whole]
    loader.set_epoch(0)
    running = iter(loader)
    seen = [next(running).indices.tolist()]
    assert next(iter(loader)).indices.tolist() == whole[0]  # a peek
    seen += [batch.indices.tolist() for batch in running]
    assert seen == whole
    assert loader.epoch == 1


def test_a_pass_that_was_left_begins_again_unless_its_state_is_loaded(folder: Path) -> None:
    whole = [batch.indices.tolist() for batch in loader_of(folder)]
    loader = loader_of(folder)
    for _ in loader:
        break
    assert [batch.indices.tolist() for batch in loader] == whole
    loader.set_epoch(0)
    for _ in loader:
        break
    loader.load_state_dict(loader.state_dict())
    assert next(iter(loader)).indices.tolist() == whole[1]  # a peek does not use the position up
    assert [batch.indices.tolist() for batch in loader] == whole[1:]


def test_an_error_comes_after_the_batches_before_it(folder: Path) -> None:
    paths = list(image_folder(folder).paths)
    spoil(folder, {Path(paths[5]).name})
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT)
    batches = iter(FrequencyLoader(dataset, 2, shuffle=False))
    assert [next(batches).indices.tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(JpegError):
        next(batches)


def test_a_data_set_that_cannot_fill_batches_is_refused_by_name(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT)
    for other in (torch.utils.data.Subset(dataset, [0]), torch.utils.data.ConcatDataset([dataset]), [1, 2]):
        with pytest.raises(TypeError, match=f"not {type(other).__name__}: .*DataLoader"):
            FrequencyLoader(other, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [0, 2])
def test_concatenated_data_sets_are_collated_as_subsets_are(folder: Path, workers: int) -> None:
    images = image_folder(folder)
    parts = [FrequencyDataset(images.select(range(*ends)), EvaluationView(SIZE, 32), format=FORMAT)
             for ends in ((0, 6), (6, 11))]  # fmt: skip
    whole = FrequencyDataset(images, EvaluationView(SIZE, 32), format=FORMAT)
    joined = list(DataLoader(torch.utils.data.ConcatDataset(parts), 4, num_workers=workers, collate_fn=collate))
    subset = list(DataLoader(torch.utils.data.Subset(whole, range(11)), 4, num_workers=workers, collate_fn=collate))
    for batch, same in zip(joined, subset, strict=True):
        assert torch.equal(batch.tensors, same.tensors)
        assert batch.tensors.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(batch.labels, same.labels)
        assert not batch.strays
    assert torch.cat([batch.indices for batch in joined]).tolist() == [*range(6), *range(5)]
    with pytest.raises(TypeError, match="also through Subset and ConcatDataset, not tuple"):
        collate([(torch.zeros(1), 0)])


def test_strays_read_from_pixels_are_reported_through_concatenated_data_sets(mixed: Path) -> None:
    images = image_folder(mixed)
    png = next(n for n, path in enumerate(images.paths) if path.endswith("00x.jpg"))
    dataset = FrequencyDataset(images, EvaluationView(SIZE, 32), fallback="pixels")
    joined = torch.utils.data.ConcatDataset([dataset])
    (batch,) = DataLoader(torch.utils.data.Subset(joined, [len(images) - 1, png]), 2, collate_fn=collate)
    assert [(stray.image_index, stray.reason) for stray in batch.strays] == [(png, "PNG")]


def warnings_are_errors(worker: int) -> None:
    warnings.simplefilter("error")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_second_pass_without_set_epoch_is_a_warning(folder: Path, workers: int) -> None:
    dataset = FrequencyDataset(image_folder(folder), TrainingView(SIZE), format=FORMAT)
    loader = DataLoader(
        dataset, 2, shuffle=True, num_workers=workers, collate_fn=collate, worker_init_fn=warnings_are_errors
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(iter(DataLoader(dataset, 2, collate_fn=collate)))  # a look at the first batch
        for epoch in range(3):
            dataset.set_epoch(epoch)
            assert list(loader)
        with pytest.raises(UserWarning, match=r"being read again in epoch 2.*set_epoch"):
            list(loader)
        assert list(loader)  # it is given once


def test_evaluation_may_be_repeated_without_a_warning(folder: Path) -> None:
    dataset = FrequencyDataset(image_folder(folder), EvaluationView(SIZE, 32), format=FORMAT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            dataset.__getitems__(range(11))


def test_data_sets_loaders_and_batches_are_described_in_a_line(folder: Path) -> None:
    images = image_folder(folder)
    assert repr(images) == f"Images(11 images of 2 classes, from {folder}/a/01.jpg)"
    assert repr(TrainingView(SIZE)) == (
        "TrainingView(height 32 x width 24, scale 0.08 to 1, ratio 0.75 to 1.33, flip 0.5)"
    )
    assert repr(EvaluationView(SIZE, 40)) == "EvaluationView(height 32 x width 24, shorter side 40)"
    loader = loader_of(folder)
    assert repr(loader.dataset).startswith(f"FrequencyDataset({images!r}, {loader.dataset.view!r}, seed 0, ")
    assert repr(loader).endswith(", batches of 4, epoch 0, step 0 of 3)")
    assert repr(RgbDataset(images, EvaluationView(SIZE, 40))).endswith("shorter side 40), seed 0)")
    assert repr(next(iter(loader))) == (
        "Batch(4 images, tensors 4 x 24 x 4 x 3 (N x C x height x width) float32, 0 strays)"
    )


def test_images_without_labels_give_batches_with_label_minus_one(folder: Path, tmp_path: Path) -> None:
    data = image_folder(folder).read(0)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo("0.jpg")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    dataset = FrequencyDataset(tar_shards([tmp_path / "s.tar"], labels=False), EvaluationView(SIZE, 32))
    assert dataset[0][1] == -1


@pytest.mark.parametrize("options", [{"batch_size": "4"}, {"batch_size": 2.5}, {"prefetch": "3"}, {"prefetch": None}])
def test_what_is_no_number_of_images_is_named(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be a whole number, not"):
        loader_of(folder, **options)


def test_a_loader_that_reads_nothing_is_refused(folder: Path) -> None:
    for name in ("batch_size", "prefetch"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
            loader_of(folder, **{name: 0})
