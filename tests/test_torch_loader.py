"""The loader reads every image once, in any number of threads and processes, and resumes within an epoch."""

from __future__ import annotations

import io
import itertools
import json
import pickle
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpegfreq import JpegError
from tests.images import make_jpeg
from tests.support import unavailable
from tests.torch_folders import BROKEN, FORMAT, SIZE, STRAYS

try:
    import torch

    from jpegfreq.torch import (
        EvaluationView,
        FrequencyDataset,
        FrequencyLoader,
        RgbDataset,
        TrainingView,
        image_folder,
    )
except ImportError:
    torch = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    if torch is None:
        unavailable("torch or torchvision is not installed (extra train)")


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


def test_files_are_read_further_ahead_than_batches_are_filled(folder: Path) -> None:
    """Two threads that end their batches together both find the next files read."""
    read: list[list[int]] = []
    enough = threading.Event()
    most = 3 + 2 + 1  # one more, since a batch is handed out when the next one is there

    class Spy(FrequencyDataset):
        def prepare(self, indices: Any, **options: Any) -> Any:
            read.append(list(indices))
            if len(read) == most:
                enough.set()
            return super().prepare(indices, **options)

    loader = FrequencyLoader(Spy(image_folder(folder), TrainingView(SIZE), threads=2), 1, prefetch=3)
    batches = iter(loader)
    first = next(batches)
    assert enough.wait(60)
    assert len(read) == most
    rest = [index for batch in batches for index in batch.indices.tolist()]
    assert [[index] for index in (*first.indices.tolist(), *rest)] == read


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


@pytest.mark.parametrize("options", [{"batch_size": "4"}, {"batch_size": 2.5}, {"prefetch": "3"}, {"prefetch": None}])
def test_what_is_no_number_of_images_is_named(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{next(iter(options))} must be a whole number, not"):
        loader_of(folder, **options)


def test_a_loader_that_reads_nothing_is_refused(folder: Path) -> None:
    for name in ("batch_size", "prefetch"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
            loader_of(folder, **{name: 0})
