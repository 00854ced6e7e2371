"""Unreadable images and masks: reported before a run, left out and counted in it, and an error if all are."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from jpegfreq.models.dense.recipe import DenseTraining  # noqa: E402
from jpegfreq.models.dense.scenes import SegmentationDataset, read_mask, read_scenes  # noqa: E402
from jpegfreq.models.dense.training import train_dense  # noqa: E402
from jpegfreq.models.readable import Readable, Unread, check_readable, sound_scenes  # noqa: E402
from tests.scenes import FORMAT, scene_folder  # noqa: E402


class Notes:
    """An observer that keeps every note."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.before_training = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        self.before_training = len(self.notes)

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        pass

    def end_epoch(self, line: dict[str, float]) -> None:
        pass


def cut(path: Path, keep: float) -> None:
    """Cut a file to its first part."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def run_in(tmp_path: Path, folder: Path, **changes: Any) -> DenseTraining:
    torch.set_num_threads(1)
    training = DenseTraining(
        "segmentation", str(folder), str(folder), str(tmp_path / "run"), format=FORMAT, shorter_side=32, longer_side=64,
        epochs=2, batch_size=2,
    )  # fmt: skip
    return replace(training, **changes)


def test_headers_are_checked_before_a_run(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data", ((32, 48),) * 4)
    (folder / "images" / "0.jpg").write_bytes(b"no JPEG")
    (folder / "masks" / "1.png").write_bytes(b"no PNG")
    cut(folder / "images" / "2.jpg", 0.7)  # the header is still whole
    sound, problems = sound_scenes(read_scenes(folder), masks=True)
    assert [scene.image.name for scene in sound] == ["2.jpg", "3.jpg"]
    assert [Path(problem.split(":")[0]).name for problem in problems] == ["0.jpg", "1.png"]
    sound, problems = sound_scenes(read_scenes(folder), masks=False)
    assert len(problems) == 1
    from PIL import Image

    Image.new("L", (9, 9)).save(folder / "masks" / "3.png")
    with pytest.raises(
        ValueError, match=r"3\.png: the mask has height 9 x width 9, but its image has height 32 x width 48"
    ):
        sound_scenes(read_scenes(folder), masks=True)


def test_an_unreadable_sample_names_the_file(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data", ((32, 48),) * 3)
    cut(folder / "images" / "0.jpg", 0.7)
    cut(folder / "masks" / "1.png", 0.7)
    dataset = Readable(SegmentationDataset(read_scenes(folder), (1, 3), format=FORMAT, shorter_side=32))
    first, second, third = (dataset[index] for index in range(len(dataset)))
    assert isinstance(first, Unread)
    assert "0.jpg" in first.message
    assert isinstance(second, Unread)
    assert "1.png" in second.message
    assert third[0].shape == (6, 8, 12)
    check_readable(dataset.dataset, "the folder")
    with pytest.raises(OSError, match=r"1\.png"):
        read_mask(folder / "masks" / "1.png")


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_a_run_leaves_unreadable_samples_out_and_counts_them(tmp_path: Path, task: Any) -> None:
    folder = scene_folder(tmp_path / "data", ((32, 48),) * 6)
    (folder / "images" / "0.jpg").write_bytes(b"no JPEG")
    cut(folder / "images" / "1.jpg", 0.7)
    cut(folder / "masks" / "2.png", 0.7)
    observer = Notes()
    training = run_in(tmp_path, folder, task=task, batch_size=5, epochs=2 if task == "segmentation" else 1)
    _, scores = train_dense(training, observer=observer)
    assert observer.before_training == 2  # 0.jpg, of training and of validation
    unread = {"segmentation": ["1.jpg", "2.png"], "detection": ["1.jpg"]}[task]
    later = observer.notes[observer.before_training :]
    assert len(later) == len(unread)  # reported once, not in every epoch
    assert [sum(name in note for note in later) for name in unread] == [1] * len(unread)  # in the epoch's order
    with (tmp_path / "run" / "log.csv").open() as file:
        assert [line["left_out"] for line in csv.DictReader(file)] == [str(len(unread))] * training.epochs
    assert scores.left_out == len(unread)
    assert json.loads((tmp_path / "run" / "scores.json").read_text())["left_out"] == len(unread)


def test_a_run_without_a_readable_sample_is_an_error_before_it_starts(tmp_path: Path) -> None:
    folder, broken, header = (tmp_path / name for name in ("data", "broken", "header"))
    for each in (folder, broken, header):
        scene_folder(each)
    for number in (0, 1):
        cut(broken / "images" / f"{number}.jpg", 0.7)
        (header / "images" / f"{number}.jpg").write_bytes(b"no JPEG")
    for data, validation in ((broken, folder), (folder, broken), (header, folder), (folder, header)):
        training = run_in(tmp_path, data, validation=str(validation))
        with pytest.raises(ValueError, match=r"no image of .*(broken|header) can be read: .*0\.jpg"):
            train_dense(training)
    assert not (tmp_path / "run").exists()


def test_a_gate_skips_a_step_with_a_single_image_left(tmp_path: Path) -> None:
    folder = scene_folder(tmp_path / "data", ((32, 48),) * 5)
    cut(folder / "images" / "0.jpg", 0.7)
    train_dense(run_in(tmp_path, folder, gated=True, epochs=3))
    with (tmp_path / "run" / "log.csv").open() as file:
        assert [float(line["loss"]) > 0 for line in csv.DictReader(file)] == [True] * 3
    lonely = scene_folder(tmp_path / "lonely")
    cut(lonely / "images" / "0.jpg", 0.7)
    with pytest.raises(ValueError, match="had 2 readable images"):
        train_dense(run_in(tmp_path, lonely, gated=True, out=str(tmp_path / "other")))
