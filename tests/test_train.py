"""Training: what it learns, that a stopped run ends in the same weights, and what is refused before it begins."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from PIL import Image  # noqa: E402

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import load_model  # noqa: E402
from jpegfreq.models.recipe import TrainConfig, preset  # noqa: E402
from jpegfreq.models.target import TargetControl, indecision, sharpened_count  # noqa: E402
from jpegfreq.models.train import Epoch, train  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two classes that differ in colour: 12 training images and 4 to validate on."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for name, color in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(random.normal(color, 30, (64, 64, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{i}.jpg")
    return root / "train", root / "val"


def config(folders: tuple[Path, Path], out: Path, **changes: object) -> TrainConfig:
    base = TrainConfig(
        str(folders[0]), str(folders[1]), str(out), format=TensorFormat(6, layout="HWC"), size=64, epochs=2,
        batch_size=4, learning_rate=1.0, schedule="cosine", average_decay=0.5,
    )  # fmt: skip
    return replace(base, **changes)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "training_state.pt", weights_only=False)["network"]


class Stop(Exception):
    """Raised to end a run at some step."""


class StopAt:
    def __init__(self, epoch: int, step: int) -> None:
        self.where = (epoch, step)

    def begin(self, config: TrainConfig, inputs: object, first_epoch: int) -> None:
        self.first_epoch = first_epoch

    def step(self, epoch: int, step: int, steps: int, loss: float, images: int) -> None:
        if (epoch, step) == self.where:
            raise Stop

    def end_epoch(self, epoch: Epoch) -> None:
        pass


@pytest.mark.parametrize(
    "changes",
    [{"format": None}, {}, {"format": TensorFormat(layout="HWC"), "gated": True, "target_channels": 24.0}],
    ids=["rgb", "static", "gated"],
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    folders: tuple[Path, Path], tmp_path: Path, changes: dict[str, object]
) -> None:
    whole = train(config(folders, tmp_path / "whole", **changes))
    stopped = config(folders, tmp_path / "stopped", **changes)
    with pytest.raises(Stop):
        train(stopped, observer=StopAt(1, 1))
    again = train(stopped)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [epoch.top1 for epoch in whole.epochs] == [epoch.top1 for epoch in again.epochs]
    lines = list(csv.DictReader((tmp_path / "stopped" / "log.csv").open()))
    assert [line["epoch"] for line in lines] == ["0", "1"]
    if changes.get("gated"):
        assert (tmp_path / "whole" / "gate.json").read_text() == (tmp_path / "stopped" / "gate.json").read_text()


def test_a_killed_run_goes_on_to_the_same_weights(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train(config(folders, tmp_path / "whole"))
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from jpegfreq.models.recipe import TrainConfig\n"
        "from jpegfreq.models.train import train\n"
        "train(TrainConfig.from_json(Path(sys.argv[1]).read_text()))\n"
    )
    killed = config(folders, tmp_path / "killed")
    (tmp_path / "config.json").write_text(killed.to_json())
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "config.json")])
    while not (tmp_path / "killed" / "training_state.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(killed)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_learns_and_its_checkpoint_predicts(folders: tuple[Path, Path], tmp_path: Path) -> None:
    result = train(config(folders, tmp_path / "run", epochs=3, learning_rate=0.3))
    assert result.epochs[-1].loss < result.epochs[0].loss
    classifier = load_model(tmp_path / "run" / "last")
    assert classifier.config.labels == ("blue", "red")
    assert classifier.config.format.statistics is not None


def test_a_gate_s_rates_are_of_the_drawn_samples_and_of_the_decisions(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    run = train(config(folders, tmp_path / "run", gated=True, gate_weight=0.0, learning_rate=0.0, average_decay=0.0))
    facts = json.loads((tmp_path / "run" / "gate.json").read_text())
    assert facts["channels"] == list(TensorFormat(6).selection.channels)
    for line, epoch in zip(facts["epochs"], run.epochs, strict=True):
        assert set(line) == {"epoch", *facts["meaning"]}
        assert line["on_rate"] == [1.0] * 6  # a new gate's p(on) is 0.87
        np.testing.assert_allclose(line["on_probability"], 0.87, atol=0.01)
        np.testing.assert_allclose(line["training_on_probability"], 0.87, atol=0.01)
        assert sum(line["training_on_probability"]) == pytest.approx(epoch.channels_expected, rel=1e-5)
        drawn = np.array(line["training_on_rate"]) * 12
        np.testing.assert_allclose(drawn, drawn.round(), atol=1e-6)
        assert 0.7 < np.mean(drawn) / 12 < 1


def test_the_statistics_of_a_run_serve_another(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first = train(config(folders, tmp_path / "first", epochs=1))
    known = ChannelStatistics.load(tmp_path / "first" / "statistics.json")
    assert first.model.format.statistics == known
    given = TensorFormat(6, layout="HWC", statistics=known)
    second = train(config(folders, tmp_path / "second", epochs=1, format=given))
    assert not (tmp_path / "second" / "statistics.json").exists()
    assert first.epochs[0].loss == second.epochs[0].loss


@pytest.mark.parametrize(("start", "target"), [(167.0, 24.0), (80.0, 96.0)], ids=["from above", "from below"])
def test_control_reaches_its_target(start: float, target: float) -> None:
    """A gate whose log-odds follow lambda against a task that wants each channel differently much."""
    control = TargetControl(192, target)
    odds = torch.full((192,), float(np.log(start / (192 - start))))
    wanted = torch.linspace(0.001, 0.06, 192)
    steps = 1000
    for step in range(steps):
        on = odds.sigmoid()
        odds = odds + 7.5 * on * (1 - on) * (wanted - control.gate_weight)
        control.step(sharpened_count(on[None]), step / steps)
    assert float(odds.sigmoid().sum()) == pytest.approx(target, rel=0.15)


def test_channels_that_are_all_unlikely_count_as_off() -> None:
    alike = torch.full((2, 192), 1 / 8)
    assert float(alike.sum(1).mean()) == 24
    assert sharpened_count(alike) < 1
    decided = torch.tensor([[0.999] * 24 + [0.001] * 168])
    assert sharpened_count(decided) == pytest.approx(24, abs=0.01)
    assert float(indecision(decided)) < 1 < float(indecision(alike))


def test_sources_that_do_not_fit_are_refused_at_once(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        train(config((tmp_path / "nowhere", folders[1]), tmp_path / "run"))
    (tmp_path / "other" / "green").mkdir(parents=True)
    Image.new("RGB", (16, 16)).save(tmp_path / "other" / "green" / "a.jpg")
    with pytest.raises(ValueError, match="different classes: blue, green, red"):
        train(config((folders[0], tmp_path / "other"), tmp_path / "run"))
    with pytest.raises(ValueError, match="fewer than one batch"):
        train(config(folders, tmp_path / "run", batch_size=64))
    with pytest.raises(ValueError, match="no architecture 'resnet19'"):
        train(config(folders, tmp_path / "run", architecture="resnet19"))
    with pytest.raises(ValueError, match="multiple of 8"):
        config(folders, tmp_path / "run", size=60)
    assert not (tmp_path / "run").exists()


def test_a_folder_of_another_run_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train(config(folders, tmp_path / "run", epochs=1))
    with pytest.raises(ValueError, match="seed=0, not 1"):
        train(config(folders, tmp_path / "run", epochs=1, seed=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        train(config(folders, tmp_path / "full"))


def test_two_processes_share_a_run(folders: tuple[Path, Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from jpegfreq.models.recipe import TrainConfig\n"
        "from jpegfreq.models.train import train\n"
        "train(TrainConfig.from_json(Path(sys.argv[1]).read_text()))\n"
    )
    (tmp_path / "config.json").write_text(config(folders, tmp_path / "run", epochs=1).to_json())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, str(program), str(tmp_path / "config.json")], check=True, timeout=240, env={**os.environ})
    assert load_model(tmp_path / "run" / "last").config.num_classes == 2


def test_presets_follow_their_schedules() -> None:
    paper = preset("paper", TrainConfig("a", "b", "c", batch_size=256))
    assert [paper.learning_rate_at(epoch) for epoch in (0, 29, 30, 60)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    modern = preset("modern", TrainConfig("a", "b", "c", batch_size=256))
    assert modern.learning_rate_at(1) == pytest.approx(0.1)
    assert modern.learning_rate_at(modern.epochs) == pytest.approx(0)
    assert TrainConfig.from_json(modern.to_json()) == modern


def test_the_command_trains_goes_on_and_refuses(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(folders[0]), str(folders[1]), "--out", str(tmp_path / "run"), "--channels", "6"]
    words += ["--size", "64", "--epochs", "1", "--batch-size", "4"]
    assert main(words) == 0
    assert "6 channels: 12 images of 2 classes" in capsys.readouterr().err
    assert main(words) == 0
    assert "going on after epoch 1" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "--seed", "1"]) == 2
    assert "seed=0, not 1" in capsys.readouterr().err


def test_a_store_trains_as_its_files_do(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for part, folder in (("train", folders[0]), ("val", folders[1])):
        words = ["convert", str(folder), "--out", str(tmp_path / part), "--format", "dct6", "--size", "64"]
        assert main(words) == 0
    stores = (tmp_path / "train", tmp_path / "val")
    with pytest.raises(ValueError, match="holds channels 6, and 24 were asked for"):
        train(config(stores, tmp_path / "run", format=TensorFormat(24)))
    result = train(config(stores, tmp_path / "run", epochs=1))
    assert result.model.format.selection == TensorFormat(6).selection
    assert result.model.labels == ("blue", "red")
    assert (result.model.size, result.model.shorter_side) == ((64, 64), 73)
