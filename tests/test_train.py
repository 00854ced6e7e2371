"""Training: what it learns, that a stopped run reaches the same weights, and what is refused before it begins."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models import load_model  # noqa: E402
from jpegfreq.models.training.average import averaged  # noqa: E402
from jpegfreq.models.training.recipe import TrainConfig, preset  # noqa: E402
from jpegfreq.models.training.state import STATE, CheckpointInterval  # noqa: E402
from jpegfreq.models.training.steering import (  # noqa: E402
    TargetControl,
    indecision,
    missed_by,
    sharpened_count,
    steps_to_target,
)
from jpegfreq.models.training.train import Epoch, best_epoch, train  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two classes that differ in colour: 12 training images and 4 to validate on."""
    root = tmp_path_factory.mktemp("data")
    numbers = np.random.default_rng(0)
    for part, count in (("train", 6), ("val", 2)):
        for name, color in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                noise(color, numbers).save(root / part / name / f"{i}.jpg")
    return root / "train", root / "val"


def noise(color: tuple[int, int, int], numbers: np.random.Generator, side: int = 64) -> Image.Image:
    return Image.fromarray(np.clip(numbers.normal(color, 30, (side, side, 3)), 0, 255).astype(np.uint8))


def config(folders: tuple[Path, Path], out: Path, **changes: object) -> TrainConfig:
    base = TrainConfig(
        str(folders[0]), str(folders[1]), str(out), architecture="mobilenet_v2", size=64, epochs=2, batch_size=4,
        format=TensorFormat(6, layout="HWC"), learning_rate=0.1, schedule="cosine", average_decay=0.5,
    )  # fmt: skip
    return replace(base, **changes)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / STATE, weights_only=True)["parts"]["network"]


class Stop(Exception):
    """Raised to end a run at some step."""


class StopAt:
    """An observer that ends a run at a step, counted from 1, and keeps what it is told."""

    def __init__(self, epoch: int, step: int) -> None:
        self.where = (epoch, step)
        self.notes: list[str] = []
        self.seen: list[tuple[int, int]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, steps: int, epochs: int, done: int) -> None:
        self.done = done

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        self.seen.append((epoch, step))
        if (epoch, step) == self.where:
            raise Stop

    def end_epoch(self, line: Epoch) -> None:
        pass


@pytest.mark.parametrize(
    "changes",
    [
        {"format": None},
        {},
        {"format": TensorFormat(layout="HWC"), "gated": True, "target_channels": 24.0},
        {"mixup": 0.2, "amp": True, "label_smoothing": 0.1, "size": 128},
    ],
    ids=["rgb", "static", "gated", "mixed, in bfloat16"],
)
def test_a_stopped_run_reaches_the_same_weights(
    folders: tuple[Path, Path], tmp_path: Path, changes: dict[str, object]
) -> None:
    whole = train(config(folders, tmp_path / "whole", **changes))
    assert all(np.isfinite([epoch.loss, epoch.validation_loss]).all() for epoch in whole.epochs)
    assert all((epoch.accuracy != epoch.accuracy) == ("mixup" in changes) for epoch in whole.epochs)
    stopped = config(folders, tmp_path / "stopped", **changes)
    with pytest.raises(Stop):
        train(stopped, observer=StopAt(2, 2))
    again = train(stopped)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [epoch.top1 for epoch in whole.epochs] == [epoch.top1 for epoch in again.epochs]
    lines = list(csv.DictReader((tmp_path / "stopped" / "log.csv").open()))
    assert [line["epoch"] for line in lines] == ["1", "2"]
    if changes.get("gated"):
        assert (tmp_path / "whole" / "gate.json").read_text() == (tmp_path / "stopped" / "gate.json").read_text()


def killed_runs(folders: tuple[Path, Path], tmp_path: Path, runs: int, **changes: object) -> None:
    """Kill a training at random points, resuming it each time, until `runs` were killed; then let it end."""
    start = time.perf_counter()
    train(config(folders, tmp_path / "whole", **changes))
    seconds = time.perf_counter() - start
    program = (
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from jpegfreq.models.training.recipe import TrainConfig\n"
        "from jpegfreq.models.training.train import train\n"
        "print('ready', flush=True)\n"
        "train(TrainConfig.from_dict(json.loads(Path(sys.argv[1]).read_text())))\n"
    )
    killed = config(folders, tmp_path / "killed", **changes)
    (tmp_path / "config.json").write_text(json.dumps(killed.to_dict()))
    delays = random.Random(5)
    count = resumed = 0
    while count < runs:
        resumed += (tmp_path / "killed" / STATE).exists()
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "config.json")], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delays.uniform(0.1, 1.2) * seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            count += 1
        else:  # it had ended: start again
            assert process.returncode == 0
            assert same_weights(tmp_path / "whole", tmp_path / "killed")
            shutil.rmtree(tmp_path / "killed")
    print(f"{count} killed, {resumed} of them after they had resumed from a checkpoint")
    train(killed)
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    for name in ("last", "best"):
        first, second = (load_file(tmp_path / run / name / "model.safetensors") for run in ("whole", "killed"))
        assert all(torch.equal(first[key], second[key]) for key in first)


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_reaches_the_same_weights(folders: tuple[Path, Path], tmp_path: Path) -> None:
    killed_runs(folders, tmp_path, 1)


@pytest.mark.long
@pytest.mark.parametrize("gated", [False, True], ids=["static", "gated"])
def test_a_run_killed_ten_times_reaches_the_same_weights(
    folders: tuple[Path, Path], tmp_path: Path, gated: bool
) -> None:
    changes = {"gated": True, "target_channels": 3.0} if gated else {}
    killed_runs(folders, tmp_path, 10, epochs=4, **changes)


def test_tar_shards_and_lists_train_as_their_files_do(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """The same images in the same order give the same weights, wherever they are stored."""
    for part, folder in (("train", folders[0]), ("val", folders[1])):
        files = [
            (file, label) for label, name in enumerate(("blue", "red")) for file in sorted((folder / name).iterdir())
        ]
        (tmp_path / f"{part}.txt").write_text("".join(f"{file} {label}\n" for file, label in files))
        (tmp_path / part).mkdir()
        for number in range(2):
            half = len(files) // 2
            with tarfile.open(tmp_path / part / f"{number}.tar", "w") as tar:
                for index, (file, label) in enumerate(files[number * half : (number + 1) * half]):
                    tar.add(file, f"{index}.jpg")
                    text = tarfile.TarInfo(f"{index}.cls")
                    text.size = 1
                    tar.addfile(text, io.BytesIO(str(label).encode()))
    for name, data in (("shards", ("train", "val")), ("lists", ("train.txt", "val.txt"))):
        sources = (tmp_path / data[0], tmp_path / data[1])
        assert train(config(sources, tmp_path / name, epochs=1)).model.labels == ("0", "1")
    train(config(folders, tmp_path / "folders", epochs=1))
    assert same_weights(tmp_path / "folders", tmp_path / "shards")
    assert same_weights(tmp_path / "folders", tmp_path / "lists")


@pytest.mark.parametrize("format", [None, TensorFormat(6, layout="HWC")], ids=["rgb", "frequencies"])
def test_unreadable_images_are_left_out_and_counted(
    folders: tuple[Path, Path], tmp_path: Path, format: TensorFormat | None
) -> None:
    """Two of 14 and one of 5 are unreadable; a PNG is read from its pixels."""
    for part, folder in (("train", folders[0]), ("val", folders[1])):
        shutil.copytree(folder, tmp_path / part)
    whole = (folders[0] / "red" / "0.jpg").read_bytes()
    (tmp_path / "train" / "red" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train" / "blue" / "text.jpg").write_text("no image")
    (tmp_path / "val" / "red" / "text.jpg").write_text("no image")
    (tmp_path / "val" / "red" / "._0.jpg").write_text("a hidden file is no image")
    with Image.open(folders[1] / "red" / "0.jpg") as image:
        image.save(tmp_path / "val" / "red" / "other.png")
    sources = (tmp_path / "train", tmp_path / "val")
    told = StopAt(-1, -1)
    epochs = train(config(sources, tmp_path / "run", format=format, batch_size=7), observer=told).epochs
    assert [epoch.left_out for epoch in epochs] == [3, 3]
    left_out = [note for note in told.notes if note.startswith("left out: ")]
    assert len(left_out) == len(set(left_out)) == 3
    assert sum("text.jpg: " in note for note in left_out) == 2
    assert f"left out of {sources[1]}: 1 hidden entry" in told.notes
    assert all(0 <= epoch.top1 <= 1 for epoch in epochs)
    assert [round(epoch.top1 * 5, 6) % 1 for epoch in epochs] == [0, 0]  # of five: four files and the PNG


def small_images(tmp_path: Path, count: int) -> tuple[Path, Path]:
    """Make training images of two classes, `count` of each, and 8 of each to validate on."""
    numbers = np.random.default_rng(0)
    for part, images in (("train", count), ("val", 8)):
        for name, color in (("blue", (40, 60, 200)), ("red", (200, 60, 40))):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(images):
                noise(color, numbers, 32).save(tmp_path / part / name / f"{i}.jpg")
    return tmp_path / "train", tmp_path / "val"


def test_a_gate_closes_channels_towards_its_target(tmp_path: Path) -> None:
    sources = small_images(tmp_path, 120)
    wanted = config(
        sources, tmp_path / "run", format=TensorFormat(24, layout="HWC"), size=32,
        epochs=4, batch_size=8, learning_rate=0.5, average_decay=0.0, gated=True, target_channels=8.0,
        gate_learning_rate=60.0,
    )  # fmt: skip
    epochs = train(wanted).epochs
    new = 24 * 0.87
    assert abs(epochs[-1].channels_on - 8) < (new - 8) / 2
    assert abs(epochs[-1].channels_expected - 8) < (new - 8) / 2


def test_training_learns_and_its_checkpoint_predicts(folders: tuple[Path, Path], tmp_path: Path) -> None:
    # With this network and rate the loss fell by a third and more for each of five seeds: the crops do not decide.
    result = train(config(folders, tmp_path / "run", architecture="resnet18", epochs=8, learning_rate=0.02))
    assert result.epochs[-1].loss < result.epochs[0].loss
    classifier = load_model(tmp_path / "run" / "last")
    assert classifier.config.labels == ("blue", "red")
    assert classifier.config.format.statistics is not None


def test_gate_rates_tell_training_samples_from_evaluation_decisions(folders: tuple[Path, Path], tmp_path: Path) -> None:
    run = train(config(folders, tmp_path / "run", gated=True, gate_weight=0.0, learning_rate=0.0, average_decay=0.0))
    facts = json.loads((tmp_path / "run" / "gate.json").read_text())
    assert facts["channels"] == list(TensorFormat(6).selection.channels)
    for line, epoch in zip(facts["epochs"], run.epochs, strict=True):
        assert set(line) == {"epoch", *facts["meaning"]}
        assert line["epoch"] == epoch.epoch
        assert line["on_rate"] == [1.0] * 6  # a new gate's p(on) is 0.87
        np.testing.assert_allclose(line["on_probability"], 0.87, atol=0.01)
        np.testing.assert_allclose(line["training_on_probability"], 0.87, atol=0.01)
        assert sum(line["training_on_probability"]) == pytest.approx(epoch.channels_expected, rel=1e-5)
        drawn = np.array(line["training_on_rate"]) * 12
        np.testing.assert_allclose(drawn, drawn.round(), atol=1e-6)
        assert 0.7 < np.mean(drawn) / 12 < 1


def test_statistics_measured_by_a_run_can_be_given_to_another(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first = train(config(folders, tmp_path / "first", epochs=1))
    known = ChannelStatistics.load(tmp_path / "first" / "statistics.json")
    assert first.model.format.statistics == known
    given = TensorFormat(6, layout="HWC", statistics=known)
    second = train(config(folders, tmp_path / "second", epochs=1, format=given))
    assert not (tmp_path / "second" / "statistics.json").exists()
    assert first.epochs[0].loss == second.epochs[0].loss


@pytest.mark.parametrize(("start", "target"), [(167.0, 24.0), (80.0, 96.0)], ids=["from above", "from below"])
def test_control_reaches_its_target(start: float, target: float) -> None:
    """The gate's log-odds follow lambda, against a task to which each channel is worth something else."""
    control = TargetControl(192, target)
    odds = torch.full((192,), float(np.log(start / (192 - start))))
    wanted = torch.linspace(0.001, 0.06, 192)
    steps = 1000
    for step in range(steps):
        on = odds.sigmoid()
        odds = odds + 7.5 * on * (1 - on) * (wanted - control.gate_weight)
        control.step(sharpened_count(on[None]), step / steps)
    assert float(odds.sigmoid().sum()) == pytest.approx(target, rel=0.15)


def epochs(*facts: tuple[float, float]) -> list[Epoch]:
    """Make epochs of (top-1, channels on)."""
    return [Epoch(n, 0, 0, 0, 0, top1, 1, 0, on, 0, 1, 1, 0, 1, 0) for n, (top1, on) in enumerate(facts, 1)]


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04 cut"])
def test_a_damaged_state_is_an_error_that_says_what_to_do(
    folders: tuple[Path, Path], tmp_path: Path, content: bytes
) -> None:
    wanted = config(folders, tmp_path / "run", epochs=1)
    train(wanted)
    (tmp_path / "run" / STATE).write_bytes(content)
    with pytest.raises(ValueError, match=r"training_state\.pt is damaged.*: delete it to start the run again"):
        train(wanted)


def test_the_best_epoch_is_near_the_target_if_any_is() -> None:
    history = epochs((0.9, 192), (0.8, 60), (0.5, 27), (0.6, 24), (0.6, 23), (0.7, 12))
    assert best_epoch(history, None).epoch == 1
    assert best_epoch(history, 24).epoch == 5
    assert best_epoch(history[:2], 24).epoch == 2
    assert missed_by(27.5, 24) == missed_by(20.5, 24) == missed_by(3, 2) == 0
    assert missed_by(30, 24) == pytest.approx(2.4)


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
    with pytest.raises(ValueError, match="different classes: only one of them has blue, green, red"):
        train(config((folders[0], tmp_path / "other"), tmp_path / "run"))
    with pytest.raises(ValueError, match="12 images, fewer than batch_size 64"):
        train(config(folders, tmp_path / "run", batch_size=64))
    with pytest.raises(ValueError, match="no architecture 'resnet19'"):
        train(config(folders, tmp_path / "run", architecture="resnet19"))
    with pytest.raises(ValueError, match="multiple of 8"):
        config(folders, tmp_path / "run", size=60)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("gated", [False, True])
def test_a_run_starts_from_the_weights_it_is_given(
    folders: tuple[Path, Path], tmp_path: Path, gated: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(folders, tmp_path / "first", gated=gated))
    first = tmp_path / "first" / "last"
    words = [
        "train", *map(str, folders), "--out", str(tmp_path / "second"), "--architecture", "mobilenet_v2",
        "--size", "64", "--channels", "6", "--epochs", "1", "--batch-size", "4", "--learning-rate", "0",
        "--average-decay", "0", "--weights", str(first), *(["--gate"] if gated else []),
    ]  # fmt: skip
    assert main([*words, *(["--gate-learning-rate", "0"] if gated else [])]) == 0
    assert "tensors loaded\n" in capsys.readouterr().err
    old, new = load_file(first / "model.safetensors"), load_file(tmp_path / "second" / "last" / "model.safetensors")
    assert all(torch.equal(old[name], new[name]) for name in old if "running" not in name and "batches" not in name)
    shutil.move(first, tmp_path / "moved")
    words[words.index("--weights") + 1] = str(tmp_path / "moved")
    assert main([*words, *(["--gate-learning-rate", "0"] if gated else [])]) == 0  # resumes without reading them again
    first = tmp_path / "moved"
    known, taken = (load_model(folder).config.format for folder in (first, tmp_path / "second" / "last"))
    assert known == taken  # the statistics too


def test_a_run_killed_while_its_first_file_was_written_starts_again(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.part").write_text("{")
    train(config(folders, tmp_path / "run", epochs=1))


@pytest.mark.parametrize(("batch_size", "loss"), [(4, "the loss"), (12, "the validation loss")])
def test_a_run_that_diverges_stops(folders: tuple[Path, Path], tmp_path: Path, batch_size: int, loss: str) -> None:
    with pytest.raises(ValueError, match=f"{loss} of epoch 1.*: lower the learning rate"):
        train(config(folders, tmp_path / "run", learning_rate=1e30, batch_size=batch_size))


def test_a_folder_of_another_run_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    train(config(folders, tmp_path / "run", epochs=1))
    with pytest.raises(ValueError, match="seed=0, not 1"):
        train(config(folders, tmp_path / "run", epochs=1, seed=1))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        train(config(folders, tmp_path / "full"))


def run_in_two_processes(tmp_path: Path, run: TrainConfig) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from jpegfreq.models.training.recipe import TrainConfig\n"
        "from jpegfreq.models.training.train import train\n"
        "train(TrainConfig.from_dict(json.loads(Path(sys.argv[1]).read_text())))\n"
    )
    (tmp_path / "config.json").write_text(json.dumps(run.to_dict()))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run([*command, str(program), str(tmp_path / "config.json")], check=True, timeout=240, env={**os.environ})


def test_two_processes_share_a_run_though_one_has_no_readable_image(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """Nine of 12 images are unreadable, so in most steps a process has none, and in some steps both have none."""
    shutil.copytree(folders[0], tmp_path / "train")
    for file in sorted((tmp_path / "train").rglob("*.jpg"))[1:]:
        file.write_bytes(b"\xff\xd8 no image")
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        shutil.copy(folders[0] / "blue" / name, tmp_path / "train" / "blue" / name)
    sources = (tmp_path / "train", folders[1])
    run = config(sources, tmp_path / "run", architecture="resnet18", size=128, epochs=2, batch_size=2)
    run_in_two_processes(tmp_path, run)
    assert load_model(tmp_path / "run" / "last").config.num_classes == 2
    lines = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [line["left_out"] for line in lines] == ["9", "9"]
    assert all(np.isfinite(float(line["loss"])) for line in lines)


def test_two_processes_take_the_mean_over_images(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """One process and two see the same batches; without batch norms they would take the same steps."""
    shutil.copytree(folders[0], tmp_path / "train")
    for file in sorted((tmp_path / "train").rglob("*.jpg"))[1::3]:
        file.write_bytes(b"\xff\xd8 no image")
    sources = (tmp_path / "train", folders[1])
    shared = config(
        sources, tmp_path / "shared", architecture="resnet18", epochs=1, learning_rate=0.0, average_decay=0.0,
        scale=1.0,
    )  # fmt: skip
    run_in_two_processes(tmp_path, shared)
    alone = replace(shared, out=str(tmp_path / "alone"))
    train(alone)
    two, one = (next(csv.DictReader((tmp_path / name / "log.csv").open())) for name in ("shared", "alone"))
    assert two["left_out"] == one["left_out"] == "4"
    assert float(two["loss"]) == pytest.approx(float(one["loss"]), rel=0.3)  # batch norms differ


def test_presets_follow_their_schedules() -> None:
    paper = preset("paper", TrainConfig("a", "b", "c", batch_size=256))
    assert [paper.learning_rate_at(epoch) for epoch in (0, 29, 30, 60)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    modern = preset("modern", TrainConfig("a", "b", "c", batch_size=256))
    assert modern.learning_rate_at(1) == pytest.approx(0.1)
    assert modern.learning_rate_at(modern.epochs) == pytest.approx(0)
    assert TrainConfig.from_dict(json.loads(json.dumps(modern.to_dict()))) == modern


def test_warm_up_takes_at_most_a_quarter_of_a_short_run() -> None:
    whole = preset("modern", TrainConfig("a", "b", "c", batch_size=256))
    short = replace(whole, epochs=2)
    assert short.learning_rate_at(0.25) == pytest.approx(0.1)
    assert short.learning_rate_at(0.5) == pytest.approx(0.2)
    eight = replace(whole, epochs=8)  # the length of the accuracy tables: two epochs of warm-up, as in the preset
    assert [eight.learning_rate_at(epoch) for epoch in (1, 2)] == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("steps", [228, 1000])
def test_averaged_weights_keep_their_decay_in_runs_as_long_as_the_tables(steps: int) -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = averaged(network, 0.99, steps)
    for value in (1.0, 0.0, 0.0):
        network.weight.data.fill_(value)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(0.99**2)


def test_averaged_weights_forget_the_untrained_network_in_short_runs() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    average = averaged(network, 0.99, 62)
    for step in range(62):
        network.weight.data.fill_(float(step >= 5))
        average.update_parameters(network)
    assert average.module.weight.item() > 0.98


def test_a_run_of_two_epochs_validates_as_well_as_it_trains(tmp_path: Path) -> None:
    sources = small_images(tmp_path, 200)
    short = preset("modern", config(sources, tmp_path / "run", architecture="resnet18", size=32, batch_size=8))
    run = train(replace(short, epochs=2))
    assert run.epochs[-1].accuracy > 0.9
    assert run.epochs[-1].top1 > 0.9


def test_the_command_trains_resumes_and_refuses(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(folders[0]), str(folders[1]), "--out", str(tmp_path / "run"), "--channels", "6"]
    words += ["--size", "64", "--epochs", "1", "--batch-size", "4"]
    assert main(words) == 0
    assert "6 channels: 12 images of 2 classes" in capsys.readouterr().err
    assert main(words) == 0
    assert "this run is complete" in " ".join(capsys.readouterr().err.split())
    assert main([*words, "--seed", "1"]) == 2
    assert "seed=0, not 1" in capsys.readouterr().err


def test_a_complete_run_is_extended_only_on_request(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(folders, tmp_path / "run", epochs=1))
    longer = config(folders, tmp_path / "run", epochs=2, compute_threads=1)
    with pytest.raises(ValueError, match=r"epochs=1, not 2.*--extend makes it longer"):
        train(longer)
    assert [epoch.epoch for epoch in train(longer, extend=True).epochs] == [1, 2]
    with pytest.raises(ValueError, match=r"epochs=2, not 1[^;]*name a new folder$"):
        train(replace(longer, epochs=1), extend=True)
    assert len(train(longer).epochs) == 2  # the folder's run is the longer one now
    words = ["train", *map(str, folders), "--out", str(tmp_path / "cli"), "--channels", "6", "--size", "64"]
    words += ["--batch-size", "4", "--compute-threads", "1"]
    assert main([*words, "--epochs", "1"]) == 0
    assert main([*words, "--epochs", "3", "--extend"]) == 0
    printed = capsys.readouterr().err
    assert re.search(r"epoch +2 .*  training \d.*%  validation \d.*% .* to go\n", printed)
    assert "top-5" not in printed  # of two classes
    assert main(["plot", str(tmp_path / "cli"), "--out", str(tmp_path / "run.svg")]) == 0


def test_a_store_trains_as_its_files_do(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for part, folder in (("train", folders[0]), ("val", folders[1])):
        words = ["convert", str(folder), "--out", str(tmp_path / part), "--channels", "6", "--size", "64"]
        assert main([*words, "--statistics", "dctnet"]) == 0
    stores = (tmp_path / "train", tmp_path / "val")
    with pytest.raises(ValueError, match="holds the channels 6, but 24 were asked for"):
        train(config(stores, tmp_path / "run", format=TensorFormat(24)))
    result = train(config(stores, tmp_path / "run", epochs=1))
    assert result.model.format.selection == TensorFormat(6).selection
    assert result.model.labels == ("blue", "red")
    assert (result.model.size, result.model.shorter_side) == ((64, 64), 73)


@pytest.mark.parametrize("gated", [False, True], ids=["static", "gated"])
def test_a_run_resumes_within_an_epoch(folders: tuple[Path, Path], tmp_path: Path, gated: bool) -> None:
    changes = {"gated": True, "target_channels": 3.0, "mixup": 0.2} if gated else {}
    train(config(folders, tmp_path / "whole", **changes))
    stopped = config(folders, tmp_path / "stopped", checkpoint_every="2 steps", **changes)
    with pytest.raises(Stop):
        train(stopped, observer=StopAt(2, 3))
    watch = StopAt(0, 0)
    train(replace(stopped, checkpoint_every="1 minute"), observer=watch)
    assert watch.done == 5
    assert watch.seen == [(2, 3)]
    assert any("resuming after epoch 1 and step 2 of epoch 2" in note for note in watch.notes)
    assert same_weights(tmp_path / "whole", tmp_path / "stopped")
    one, other = (list(csv.DictReader((tmp_path / name / "log.csv").open())) for name in ("whole", "stopped"))
    for first, second in zip(one, other, strict=True):
        assert {name: value for name, value in first.items() if "second" not in name} == {
            name: value for name, value in second.items() if "second" not in name
        }
    if gated:
        assert (tmp_path / "whole" / "gate.json").read_text() == (tmp_path / "stopped" / "gate.json").read_text()


@pytest.mark.parametrize("text", ["", "10", "0 steps", "2.5 steps", "5 hours", "-1 minutes", "steps 5"])
def test_a_checkpoint_interval_that_makes_no_sense_is_refused(
    folders: tuple[Path, Path], tmp_path: Path, text: str
) -> None:
    with pytest.raises(ValueError, match='checkpoint_every must be like "500 steps" or "10 minutes"'):
        config(folders, tmp_path / "run", checkpoint_every=text)


def test_a_checkpoint_interval_in_minutes_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("jpegfreq.models.training.state.time.monotonic", lambda: now)
    interval = CheckpointInterval("0.5 minutes")
    due = []
    for step in range(1, 8):
        now += 10
        due.append(interval.is_due(step))
    assert due == [False, False, True, False, False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rename", "classes were renamed or replaced: red became green"),
        ("add", "classes were added: green; there were 12 images and there are 18 now"),
        ("remove", "classes were removed: red; there were 12 images and there are 6 now"),
        ("fewer", "there were 12 images and there are 11 now"),
        ("other", "there are 12 images as before, but with other names or labels"),
        ("validation", "val has changed since .*: there were 4 images and there are 3 now"),
    ],
)
def test_a_run_does_not_resume_on_other_images(
    folders: tuple[Path, Path], tmp_path: Path, change: str, message: str
) -> None:
    for name, folder in (("train", folders[0]), ("val", folders[1])):
        shutil.copytree(folder, tmp_path / name)
    wanted = config((tmp_path / "train", tmp_path / "val"), tmp_path / "run")
    with pytest.raises(Stop):
        train(wanted, observer=StopAt(2, 1))
    state = (tmp_path / "run" / STATE).read_bytes()
    for part in ("train", "val"):
        red = tmp_path / part / "red"
        if change == "rename":
            red.rename(red.with_name("green"))
        elif change == "add":
            shutil.copytree(red, red.with_name("green"))
        elif change == "remove":
            shutil.rmtree(red)
    if change == "fewer":
        (tmp_path / "train" / "red" / "0.jpg").unlink()
    elif change == "other":
        (tmp_path / "train" / "red" / "0.jpg").rename(tmp_path / "train" / "red" / "new.jpg")
    elif change == "validation":
        (tmp_path / "val" / "red" / "0.jpg").unlink()
    with pytest.raises(ValueError, match=message):
        train(wanted)
    assert (tmp_path / "run" / STATE).read_bytes() == state


def test_a_gated_run_skips_a_batch_with_a_single_readable_image(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[0], tmp_path / "train")
    for file in sorted((tmp_path / "train").rglob("*.jpg"))[::2]:
        file.write_bytes(b"\xff\xd8 no image")
    sources = (tmp_path / "train", folders[1])
    # Batch norms over two images have gradients that explode on some processors: the weights stay as they are.
    run = train(config(sources, tmp_path / "run", gated=True, batch_size=2, epochs=3, learning_rate=0.0))
    assert all(np.isfinite(epoch.loss) for epoch in run.epochs)
    assert [epoch.left_out for epoch in run.epochs] == [6, 6, 6]


def test_a_run_too_short_for_its_target_prints_a_warning(folders: tuple[Path, Path], tmp_path: Path) -> None:
    told = StopAt(1, 1)
    with pytest.raises(Stop):
        train(config(folders, tmp_path / "run", gated=True, target_channels=3.0), observer=told)
    assert any(note.startswith("warning: 6 steps are probably too few for the gate to reach 3") for note in told.notes)
    modern = preset("modern", TrainConfig("a", "b", "c", batch_size=16))
    needed = steps_to_target(modern.gate_learning_rate * modern.batch_size / 256, modern.momentum)
    assert 228 < needed < 600  # the tables: 228 steps missed the target, 600 and 1000 reached it


def test_a_full_disk_is_one_line_with_the_path(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(folders[0]), str(folders[1]), "--out", str(tmp_path / "run"), "--channels", "dct6"]
    words += ["--size", "64", "--epochs", "1", "--batch-size", "4"]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        assert main(words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("jpegfreq train: ")
    assert "model.safetensors: cannot write: File too large" in error
    left = [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert sorted(left) == ["run.json", "statistics.json"]
    assert main(words) == 0
