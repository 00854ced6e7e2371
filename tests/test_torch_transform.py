"""The transform and the collate function for pipelines of other libraries, and data sets over any indexable."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch.utils.data import DataLoader, Dataset

from jpegfreq import TensorFormat, read_batch, read_header
from jpegfreq.errors import JpegError
from jpegfreq.sources.samples import IndexedImages, image_bytes, image_key
from jpegfreq.torch import (
    BatchCollate,
    EvaluationView,
    FrequencyDataset,
    FrequencyLoader,
    FrequencyTransform,
    TrainingView,
    collate,
)
from tests.images import every_form, make_jpeg

VIEW = EvaluationView((64, 64), 72)
RANDOM = TrainingView((64, 64))
DCT24 = TensorFormat(24)
JPEGS = [make_jpeg(100 + n, 80, seed=n) for n in range(6)]


def whole(data: bytes, format: TensorFormat = DCT24) -> Any:
    """What a FrequencyDataset reads of one image."""
    return FrequencyDataset([(data, 0)], VIEW, format=format)[0][0]


# --- FrequencyTransform


def test_transform_reads_bytes_in_every_form(tmp_path: Path) -> None:
    transform = FrequencyTransform(VIEW, format=DCT24)
    expected = whole(JPEGS[0])
    assert expected.shape == (24, 8, 8)
    for name, form in every_form(JPEGS[0], tmp_path):
        if name != "array of two dimensions":
            assert torch.equal(transform(form), expected), name
    assert torch.equal(transform(torch.frombuffer(bytearray(JPEGS[0]), dtype=torch.uint8)), expected)


def test_transform_of_a_mapping_replaces_its_image_alone() -> None:
    transform = FrequencyTransform(VIEW, format=DCT24)
    sample = {"__key__": "x", "jpg": JPEGS[0], "cls": b"3"}
    found = transform(sample)
    assert torch.equal(found["jpg"], whole(JPEGS[0]))
    assert (found["__key__"], found["cls"]) == ("x", b"3")
    assert sample["jpg"] is JPEGS[0]
    assert FrequencyTransform(VIEW, format=DCT24, key="photo")({"photo": JPEGS[0], "jpg": 1})["photo"].shape == (
        24,
        8,
        8,
    )


def test_transform_reads_rows_of_hugging_face_and_batches_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEGS[1])
    transform = FrequencyTransform(VIEW, format=DCT24)
    in_memory, on_disk = {"bytes": JPEGS[0], "path": None}, {"bytes": None, "path": str(path)}
    assert torch.equal(transform(in_memory), whole(JPEGS[0]))
    assert torch.equal(transform({"image": on_disk, "label": 1})["image"], whole(JPEGS[1]))
    batch = transform({"image": [in_memory, on_disk], "label": [0, 1]})
    assert [tensor.shape for tensor in batch["image"]] == [(24, 8, 8)] * 2
    assert torch.equal(batch["image"][1], whole(JPEGS[1]))
    assert batch["label"] == [0, 1]


def test_transform_keeps_the_layout_and_the_dtype_of_the_format() -> None:
    format = TensorFormat(24, layout="HWC", dtype="float16")
    found = FrequencyTransform(VIEW, format=format)(JPEGS[0])
    assert found.shape == (24, 8, 8)
    assert found.dtype == torch.float16
    assert found.stride() == (1, 8 * 24, 24)


def test_sizes_off_the_grid_give_whole_blocks() -> None:
    assert FrequencyTransform(TrainingView((60, 59)))(make_jpeg(90, 80)).shape == (192, 8, 8)


def test_random_crops_follow_the_seed_of_torch_and_differ_from_call_to_call() -> None:
    transform = FrequencyTransform(RANDOM, format=DCT24)
    torch.manual_seed(5)
    first = [transform(JPEGS[0]) for _ in range(3)]
    assert not torch.equal(first[0], first[1])
    torch.manual_seed(5)
    assert all(torch.equal(a, transform(JPEGS[0])) for a in first)


class Pairs(Dataset[Any]):
    """A data set of someone else: encoded images and labels, and perhaps a transform."""

    def __init__(self, transform: Any = None, count: int = 6) -> None:
        self.transform, self.count = transform, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        data = JPEGS[index % 6]
        return (self.transform(data) if self.transform else data), index


class Repeated(Pairs):
    """The same image again and again."""

    def __getitem__(self, index: int) -> Any:
        return super().__getitem__(0)


def test_workers_draw_different_crops_and_the_same_ones_again() -> None:
    def epoch() -> Any:
        torch.manual_seed(3)
        loader = DataLoader(Repeated(FrequencyTransform(RANDOM, format=DCT24)), num_workers=2)
        return torch.cat([tensors for tensors, _ in loader])

    once = epoch()
    assert torch.equal(once, epoch())
    assert len({tensor.numpy().tobytes() for tensor in once}) == 6


def test_workers_that_are_spawned_get_the_transform() -> None:
    data = Pairs(FrequencyTransform(VIEW, format=DCT24), count=2)
    loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context="spawn")
    (batch,) = loader
    assert torch.equal(batch[0][1], whole(JPEGS[1]))


def test_transform_and_collate_are_pickled_without_what_they_have_read() -> None:
    transform = FrequencyTransform(VIEW, format=TensorFormat(48))
    transform(JPEGS[0])
    again = pickle.loads(pickle.dumps(transform))
    assert len(pickle.dumps(transform)) < 5000
    assert torch.equal(again(JPEGS[0]), transform(JPEGS[0]))
    assert repr(again) == repr(transform)
    assert "64" in repr(transform)
    collator = pickle.loads(pickle.dumps(BatchCollate(VIEW, format=DCT24)))
    assert collator([JPEGS[0]]).shape == (1, 24, 8, 8)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), "it is decoded already"),
        (3.5, "must be the bytes of a file, not builtins.float"),
        ({"jpg": b"", "png": b""}, "cannot be told: name it, as in key='jpg'"),
        ({"picture": JPEGS[0]}, "the keys 'picture' cannot be told"),
    ],
)
def test_what_holds_no_encoded_image_is_an_error_that_says_why(sample: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        FrequencyTransform(VIEW)(sample)


def test_decoded_images_of_pillow_are_refused_with_a_way_out() -> None:
    image = pytest.importorskip("PIL.Image").new("RGB", (8, 8))
    with pytest.raises(TypeError, match=r"not PIL.Image.Image: .*Image\(decode=False\)"):
        FrequencyTransform(VIEW)({"image": image})


def test_wrong_options_are_errors_at_once() -> None:
    with pytest.raises(ValueError, match="fallback must be"):
        FrequencyTransform(VIEW, fallback="rgb")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="errors must be"):
        BatchCollate(VIEW, errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the sample has no 'img', only 'jpg'"):
        image_key({"jpg": b""}, "img")


# --- BatchCollate


def test_collate_reads_a_batch_in_one_call_as_read_batch_does() -> None:
    loader = DataLoader(Pairs(), batch_size=3, collate_fn=BatchCollate(VIEW, format=DCT24))
    for number, (tensors, labels) in enumerate(loader):
        data = JPEGS[3 * number : 3 * number + 3]
        boxes = [VIEW.window(read_header(each)) for each in data]
        assert np.array_equal(tensors.numpy(), read_batch(data, size=(64, 64), boxes=boxes, format=DCT24))
        assert labels.tolist() == list(range(3 * number, 3 * number + 3))


def test_collate_takes_images_alone_tuples_and_mappings() -> None:
    collator = BatchCollate(VIEW, format=DCT24)
    assert collator(JPEGS).shape == (6, 24, 8, 8)
    tensors, labels, names = collator([(JPEGS[0], 1, "a"), (JPEGS[1], 2, "b")])
    assert tensors.shape == (2, 24, 8, 8)
    assert labels.tolist() == [1, 2]
    assert names == ["a", "b"] or names == ("a", "b")
    batch = collator([{"image": {"bytes": data, "path": None}, "label": n} for n, data in enumerate(JPEGS)])
    assert batch["image"].shape == (6, 24, 8, 8)
    assert batch["label"].tolist() == list(range(6))
    with pytest.raises(ValueError, match="at least one sample"):
        collator([])


def test_collate_leaves_out_what_cannot_be_read_and_counts_it() -> None:
    samples = [(JPEGS[0], 0), (JPEGS[1][:200], 1), (b"no image", 2), (JPEGS[2], 3)]
    with pytest.raises(JpegError):
        BatchCollate(VIEW, format=DCT24)(samples)
    collator = BatchCollate(VIEW, format=DCT24, errors="skip")
    with pytest.warns(UserWarning, match="left out: 2 of 4 samples, such as image 1 of the batch: "):
        tensors, labels = collator(samples)
    assert labels.tolist() == [0, 3]
    assert torch.equal(tensors[1], whole(JPEGS[2]))
    assert collator.left_out == {"truncated": 1, "not a JPEG": 1}
    with pytest.raises(ValueError, match="no image of the batch can be read"):
        collator(samples[1:3])


def test_errors_name_the_sample() -> None:
    with pytest.raises(JpegError) as found:
        BatchCollate(VIEW)([{"__key__": "00/x", "jpg": b"\xff\xd8 cut", "cls": b"1"}])
    assert "00/x" in found.value.__notes__[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"view": 224}, r"view must be a TrainingView or an EvaluationView, not 224 \(int\)"),
        ({"view": None}, "view must be a TrainingView or an EvaluationView, not None"),
        ({"view": EvaluationView}, "view must be a TrainingView or an EvaluationView, not"),
        ({"format": 24}, "format must be a TensorFormat"),
        ({"antialias": 2}, "antialias must be True or False"),
        ({"collate": None}, "collate must be a function that puts samples together, not None"),
    ],
)
def test_options_of_another_kind_are_errors_at_once(options: dict[str, Any], message: str) -> None:
    for kind in (BatchCollate,) if "collate" in options else (BatchCollate, FrequencyTransform):
        with pytest.raises(TypeError, match=message):
            kind(**{"view": VIEW} | options)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            [{"jpg": JPEGS[0]}, {"img": JPEGS[1]}],
            "must hold 'jpg' like the first, but sample 1 is one with the keys 'img'",
        ),
        ([{"jpg": JPEGS[0]}, None], "must hold 'jpg' like the first, but sample 1 is None"),
        ([(JPEGS[0], 1), JPEGS[1]], "must be tuples of 2 values like the first, but sample 1 is a bytes"),
        ([(JPEGS[0], 1), (JPEGS[1], 1, 2)], "must be tuples of 2 values like the first, but sample 1 is a tuple"),
    ],
)
def test_a_batch_of_several_kinds_of_samples_is_an_error_that_names_one(samples: list[Any], message: str) -> None:
    for errors in ("raise", "skip"):
        with pytest.raises(ValueError, match=message):
            BatchCollate(VIEW, errors=errors)(samples)


@pytest.mark.parametrize("batch", [None, "photo.jpg", JPEGS[0], {"jpg": JPEGS[0]}, (each for each in JPEGS)])
def test_what_is_no_list_of_samples_is_refused(batch: Any) -> None:
    with pytest.raises(TypeError, match="a batch must be a list of samples, not"):
        BatchCollate(VIEW)(batch)


@pytest.mark.parametrize("missing", [None, {"bytes": None, "path": None}])
def test_a_missing_image_is_left_out_as_an_unreadable_one_is(missing: Any) -> None:
    with pytest.raises(ValueError, match="the sample holds no image: it is None"):
        FrequencyTransform(VIEW)({"image": missing, "label": 1})
    samples = [{"image": JPEGS[0], "label": 0}, {"image": missing, "label": 1}]
    with pytest.warns(UserWarning, match="left out: 1 of 2 samples, such as image 1 of the batch: the sample holds no"):
        assert BatchCollate(VIEW, errors="skip")(samples)["label"].tolist() == [0]


def test_an_image_that_is_decoded_already_is_named_by_its_place() -> None:
    with pytest.raises(TypeError, match="image 1 of the batch: an image must be the bytes of a file"):
        BatchCollate(VIEW, errors="skip")([JPEGS[0], np.zeros((8, 8, 3), np.uint8)])


def test_other_images_are_read_from_their_pixels_on_request() -> None:
    pillow = pytest.importorskip("PIL.Image")
    import io

    file = io.BytesIO()
    pillow.new("RGB", (80, 80), (200, 10, 10)).save(file, "PNG")
    with pytest.raises(JpegError):
        FrequencyTransform(VIEW)(file.getvalue())
    assert FrequencyTransform(VIEW, fallback="pixels")(file.getvalue()).shape == (192, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensors, _ = BatchCollate(VIEW, fallback="pixels", errors="skip")([(file.getvalue(), 0), (JPEGS[0], 1)])
    assert tensors.shape[0] == 2


# --- data sets over any indexable


def test_data_sets_read_any_indexable_of_bytes_and_label() -> None:
    pairs = [(data, n % 2) for n, data in enumerate(JPEGS)]
    rows = [{"image": {"bytes": data, "path": None}, "label": n % 2} for n, data in enumerate(JPEGS)]
    shard = [{"__key__": f"{n}", "jpg": data, "cls": str(n % 2).encode()} for n, data in enumerate(JPEGS)]
    expected = None
    for samples in (pairs, rows, shard):
        dataset = FrequencyDataset(samples, RANDOM, format=DCT24, seed=7)
        assert len(dataset) == 6
        batches = list(FrequencyLoader(dataset, batch_size=4))
        found = torch.cat([batch.tensors for batch in batches])
        assert torch.cat([batch.labels for batch in batches]).tolist() == [
            int(index) % 2 for batch in batches for index in batch.indices
        ]
        expected = found if expected is None else expected
        assert torch.equal(found, expected)
    loader = DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=collate)
    assert sum(len(batch.labels) for batch in loader) == 6


def test_an_indexable_that_cannot_be_used_says_why() -> None:
    with pytest.raises(TypeError, match="an indexable of \\(bytes, label\\) with a length, not generator"):
        FrequencyDataset((pair for pair in []), VIEW)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sample 0 must be \\(image, label\\), not bytes"):
        FrequencyDataset([JPEGS[0]], VIEW)[0]
    with pytest.raises(ValueError, match="a label must be a class number, not 'cat'"):
        FrequencyDataset([(JPEGS[0], "cat")], VIEW)[0]
    with pytest.raises(ValueError, match="the label of a sample with the keys 'jpg' cannot be told"):
        FrequencyDataset([{"jpg": JPEGS[0]}], VIEW)[0]
    assert "6 samples of list" in repr(IndexedImages([(data, 0) for data in JPEGS]))


def test_unreadable_samples_of_an_indexable_are_strays() -> None:
    samples = [(JPEGS[0], 0), (b"\xff\xd8 cut", 1), (JPEGS[1], 2)]
    dataset = FrequencyDataset(samples, VIEW, errors="skip")
    (batch,) = FrequencyLoader(dataset, batch_size=3, shuffle=False)
    assert batch.labels.tolist() == [0, 2]
    assert batch.strays[0].message.startswith("sample 1: ")


def test_image_bytes_does_not_copy() -> None:
    data = bytearray(JPEGS[0])
    view = image_bytes(memoryview(data))
    assert view == JPEGS[0]
    data[0] = 0
    assert view[0] == 0
