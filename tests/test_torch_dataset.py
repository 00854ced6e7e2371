"""Data sets give the tensors of read_batch, whatever workers read them, and report the images that are left out."""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpegfreq import JpegError, read_batch, read_header
from jpegfreq.views import draw_crop
from tests.images import make_jpeg
from tests.support import unavailable
from tests.torch_folders import BROKEN, FORMAT, SIZE, STRAYS

try:
    import torch
    import torchvision
    from torch.utils.data import DataLoader

    from jpegfreq.torch import (
        EvaluationView,
        FrequencyDataset,
        TrainingView,
        collate,
        file_list,
        image_folder,
        tar_shards,
    )
except ImportError:
    torch = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch or torchvision is not installed (extra train)")


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


def test_the_numbers_behind_a_crop_are_uniform_and_those_of_its_seed_epoch_and_index() -> None:
    class Numbers(TrainingView):
        def crop(self, height: int, width: int, draw: Callable[[], float]) -> Any:
            return tuple(draw() for _ in range(20))  # more than one hash gives

    view = Numbers(SIZE)
    places = [(seed, epoch, index) for seed in (-3, 0, 1 << 90) for epoch in range(4) for index in range(50)]
    drawn: Any = [draw_crop(view, 9, 9, seed=seed, epoch=epoch, index=index) for seed, epoch, index in places]
    values = np.array(drawn)
    assert len(np.unique(values)) == values.size
    assert ((values >= 0) & (values < 1)).all()
    shares = np.histogram(values, 10, (0, 1))[0] / values.size
    np.testing.assert_allclose(shares, 0.1, atol=0.02)  # 1200 of 12000 each, with a standard deviation of 33
    np.testing.assert_allclose(np.corrcoef(values.T) - np.eye(20), 0, atol=0.2)
    again = draw_crop(view, 9, 9, seed=1 << 90, epoch=3, index=49)
    assert tuple(again) == tuple(values[-1])


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


def test_images_without_labels_give_batches_with_label_minus_one(folder: Path, tmp_path: Path) -> None:
    data = image_folder(folder).read(0)
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        info = tarfile.TarInfo("0.jpg")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    dataset = FrequencyDataset(tar_shards([tmp_path / "s.tar"], labels=False), EvaluationView(SIZE, 32))
    assert dataset[0][1] == -1
