"""Training for boxes and masks: a gate steered to a number of channels, and runs that resume after a stop."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models.analysis.heatmap import HeatMap  # noqa: E402
from jpegfreq.models.dense.config import DenseModel, gate_of  # noqa: E402
from jpegfreq.models.dense.recipe import DenseTraining  # noqa: E402
from jpegfreq.models.dense.training import train_dense  # noqa: E402
from tests.scenes import FORMAT, scene_folder  # noqa: E402


@pytest.fixture
def training(tmp_path: Path) -> DenseTraining:
    """A run of a second or two."""
    torch.set_num_threads(1)
    folder = str(scene_folder(tmp_path / "data"))
    return DenseTraining(
        "segmentation", folder, folder, str(tmp_path / "run"), format=FORMAT, shorter_side=32, longer_side=64,
        epochs=3, batch_size=2,
    )  # fmt: skip


def log_of(training: DenseTraining) -> list[dict[str, float]]:
    with (Path(training.out) / "log.csv").open(encoding="utf-8") as file:
        return [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]


def equal_weights(one: DenseModel, other: DenseModel) -> bool:
    first, second = one.network.state_dict(), other.network.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


class StopAfter:
    """An observer that ends a run after an epoch, or after a step of the next one, as a signal would."""

    def __init__(self, epoch: int, step: int = 0) -> None:
        self.last = (epoch, step)
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        self.done = done

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        if epoch > self.last[0] and step > self.last[1]:
            raise KeyboardInterrupt

    def end_epoch(self, line: dict[str, float]) -> None:
        pass


def test_a_segmentation_gate_is_steered_to_its_target(training: DenseTraining, tmp_path: Path) -> None:
    folder = str(scene_folder(tmp_path / "more", ((32, 48),) * 16))
    steered = replace(
        training, data=folder, epochs=8, gated=True, target_channels=2.0, gate_learning_rate=4.0, learning_rate=1e-4
    )
    train_dense(steered)
    log = log_of(steered)
    assert log[0]["channels_on"] > 5
    assert log[-1]["channels_on"] == pytest.approx(2, abs=1)
    assert log[-1]["loss_indecision"] > log[0]["loss_indecision"] == 0
    assert len({line["gate_weight"] for line in log}) > 3
    heat = HeatMap.load(Path(steered.out) / "heatmap.json")
    assert heat.mean_channels_on == pytest.approx(2, abs=1)


def test_a_detectors_gate_is_steered_too(training: DenseTraining, tmp_path: Path) -> None:
    folder = str(scene_folder(tmp_path / "more", ((32, 48),) * 4))
    steered = replace(training, task="detection", data=folder, gated=True, target_channels=2.0, epochs=1)
    model, _ = train_dense(steered)
    (line,) = log_of(steered)
    assert {"loss_gate", "loss_indecision", "loss_classifier", "channels_expected"} <= line.keys()
    assert line["gate_weight"] > 0  # more are on than the falling set point wants
    assert gate_of(model.network).pair.out_channels == 12


def test_a_fixed_weight_stays(training: DenseTraining) -> None:
    train_dense(replace(training, epochs=2, gated=True, gate_weight=0.5))
    for line in log_of(training):
        assert line["gate_weight"] == 0.5
        assert line["loss_gate"] == pytest.approx(0.5 * line["channels_expected"], rel=1e-4)
        assert "loss_indecision" not in line


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_a_stopped_run_reaches_the_same_weights(training: DenseTraining, tmp_path: Path, task: Any) -> None:
    gated = replace(training, task=task, gated=True, target_channels=3.0, epochs=3 if task == "segmentation" else 2)
    whole, scores = train_dense(gated)
    stopped = replace(gated, out=str(tmp_path / "stopped"))
    with pytest.raises(KeyboardInterrupt):
        train_dense(stopped, observer=StopAfter(1))
    watch = StopAfter(9)
    resumed, same_scores = train_dense(stopped, observer=watch)
    assert watch.done == 1  # the single step of the first epoch
    assert equal_weights(whole, resumed)
    assert scores == same_scores
    without_time = [
        [{name: value for name, value in line.items() if name != "seconds"} for line in log_of(run)]
        for run in (gated, stopped)
    ]
    assert without_time[0] == without_time[1]


def test_a_run_that_is_asked_to_stop_is_scored_and_resumes(training: DenseTraining, tmp_path: Path) -> None:
    whole, _ = train_dense(replace(training, epochs=2))
    asked = replace(training, epochs=2, out=str(tmp_path / "asked"))
    _, scores = train_dense(asked, stop=lambda: True)
    assert len(log_of(asked)) == 1
    assert 0 <= scores.pixel_accuracy <= 1
    assert (tmp_path / "asked" / "scores.json").is_file()
    assert equal_weights(whole, train_dense(asked)[0])


def test_a_killed_run_reaches_the_same_weights(training: DenseTraining, tmp_path: Path) -> None:
    whole, _ = train_dense(replace(training, epochs=5))
    killed = replace(training, epochs=5, out=str(tmp_path / "killed"))
    (tmp_path / "training.json").write_text(json.dumps(killed.to_dict()))
    code = (
        "import json, sys, torch; from jpegfreq.models.dense.recipe import DenseTraining;"
        "from jpegfreq.models.dense.training import train_dense;"
        "torch.set_num_threads(1); train_dense(DenseTraining.from_dict(json.load(open(sys.argv[1]))))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "training.json")])
    while not (tmp_path / "killed" / "training_state.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() != 0, "the run ended before it was killed"
    resumed, _ = train_dense(killed)
    assert equal_weights(whole, resumed)


def test_a_run_resumes_within_an_epoch_whatever_reads_its_images(training: DenseTraining, tmp_path: Path) -> None:
    folder = str(scene_folder(tmp_path / "more", ((32, 48),) * 6))
    gated = replace(training, data=folder, epochs=2, gated=True, target_channels=3.0, out=str(tmp_path / "whole"))
    whole, _ = train_dense(gated)
    stopped = replace(gated, out=str(tmp_path / "stopped"), checkpoint_every="1 step", workers=1)
    with pytest.raises(KeyboardInterrupt):
        train_dense(stopped, observer=StopAfter(1, 2))
    watch = StopAfter(9)
    resumed, _ = train_dense(replace(stopped, workers=0), observer=watch)
    assert watch.done == 5
    assert "resuming after epoch 1 and step 2 of epoch 2" in watch.notes
    assert equal_weights(whole, resumed)
    lines = [[{**line, "seconds": 0} for line in log_of(run)] for run in (gated, stopped)]
    assert lines[0] == lines[1]
    assert [line["epoch"] for line in lines[0]] == [1, 2]


def test_a_run_does_not_resume_on_other_images(training: DenseTraining) -> None:
    folder = Path(training.data)
    train_dense(replace(training, epochs=1))
    (folder / "images" / "0.jpg").rename(folder / "images" / "9.jpg")
    with pytest.raises(ValueError, match=r"there are 2 images as before, but with other names or labels.*Restore"):
        train_dense(replace(training, epochs=1))


def test_a_folder_of_another_run_is_refused(training: DenseTraining, tmp_path: Path) -> None:
    first = replace(training, epochs=1)
    train_dense(first)
    with pytest.raises(ValueError, match=r"learning_rate=0\.001, not 0\.5"):
        train_dense(replace(first, learning_rate=0.5))
    with pytest.raises(ValueError, match="holds other files"):
        train_dense(replace(first, out=str(tmp_path / "data")))
    train_dense(first)  # it is complete: it is scored again
    assert len(log_of(first)) == 1


def test_what_cannot_work_is_refused_before_anything_is_read(training: DenseTraining) -> None:
    with pytest.raises(ValueError, match="set gated too"):
        replace(training, target_channels=3.0)
    with pytest.raises(ValueError, match="at most 6"):
        replace(training, target_channels=24.0, gated=True)
    with pytest.raises(ValueError, match="at least 2"):
        replace(training, batch_size=1, gated=True)
    with pytest.raises(ValueError, match="epochs"):
        replace(training, epochs=0)
    with pytest.raises(ValueError, match="learning_rate must be 0 or more, not nan"):
        replace(training, learning_rate=math.nan)


def test_the_command_steers_a_gate_and_resumes(training: DenseTraining, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["dense", "segmentation", training.data, "--validation", training.data, "--out", training.out]
    options = ["--channels", "6", "--shorter-side", "32", "--epochs", "1", "--batch-size", "2"]
    assert main([*command, *options, "--target-channels", "3"]) == 0
    assert "channels on" in capsys.readouterr().err
    assert main([*command, *options, "--target-channels", "3"]) == 0
    assert "this run is complete" in " ".join(capsys.readouterr().err.split())
    assert main([*command, *options, "--target-channels", "4"]) == 2
    assert "target_channels=3.0, not 4.0" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(SystemExit):
        main([*command, *options, "--target-channels", "4", "--gate-weight", "0.01"])
