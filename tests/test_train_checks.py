"""What training refuses before it measures or trains anything, and what it says."""

from __future__ import annotations

import json
import math
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
from PIL import Image  # noqa: E402

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models.training import inputs  # noqa: E402
from jpegfreq.models.training.inputs import open_inputs  # noqa: E402
from jpegfreq.models.training.recipe import TrainConfig  # noqa: E402
from jpegfreq.models.training.train import train  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders train and val, of two images in each of two classes, and a store of each."""
    root = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("blue", "red"):
            (root / part / name).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8)).save(root / part / name / f"{i}.jpg")
        words = ["convert", str(root / part), "--channels", "6", "--size", "32"]
        assert main([*words, "--statistics", "dctnet", "--out", str(root / f"{part}-store")]) == 0
    return root


@pytest.fixture(autouse=True)
def _nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*_: object) -> None:
        pytest.fail("the statistics are measured before the mistake is noticed")

    monkeypatch.setattr(inputs, "measure_statistics", measured)


def config(root: Path, out: Path, /, **changes: object) -> TrainConfig:
    base = TrainConfig(
        str(root / "train"), str(root / "val"), str(out), format=TensorFormat(6, layout="HWC"), size=32, epochs=1,
        batch_size=4,
    )  # fmt: skip
    return replace(base, **changes)


def refusal(config: TrainConfig, *, leaves: bool = False) -> str:
    """What the error says; nothing is written."""
    with pytest.raises((ValueError, OSError)) as error:
        train(config)
    assert leaves or not Path(config.out).exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet19"}, "no architecture 'resnet19'; choose one of resnet18"),
        ({"stride": "wide"}, "stride must be one of paper, full, not 'wide'"),
        ({"format": None, "stride": "full"}, "an RGB network has no stride 'full'"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"device": "gpu"}, "device 'gpu' cannot be used"),
        ({"architecture": "mobilenet_v2", "amp": True}, "has stride 2 on a grid of 1 x 1"),
        ({"device": "meta", "amp": True}, "device 'meta' with bfloat16 cannot be used"),
        ({"gated": True, "batch_size": 1}, "resnet18 cannot be trained on batches of 1 x 6 x 4 x 4"),
        ({"batch_size": 5}, "4 images, fewer than batch_size 5"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    assert message in refusal(config(data, tmp_path / "run", **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 60}, "size must be a multiple of 8"),
        ({"shorter_side": 24}, "a crop of size 32 is larger than a shorter_side of 24"),
        ({"format": None, "gated": True}, "an RGB network has no frequency channels to gate"),
        ({"gated": True, "target_channels": 7.0}, "target_channels must be above 0 and at most 6"),
        ({"target_channels": 3.0}, "target_channels needs a gate: set gated too"),
        ({"schedule": "linear"}, "schedule must be"),
        ({"label_smoothing": 1.5}, "label_smoothing must be from 0 to below 1, not 1.5"),
        ({"average_decay": 1.0}, "average_decay must be from 0 to below 1"),
        ({"mixup": -0.2}, "mixup must be 0 or more"),
        ({"mixup": math.nan}, "mixup must be 0 or more, not nan"),
        ({"gated": True, "gate_weight": -0.1}, "gate_weight must be 0 or more"),
        ({"gated": True, "temperature": math.nan}, "temperature must be above 0, not nan"),
        ({"shorter_side": 0}, "a crop of size 32 is larger than a shorter_side of 0"),
        ({"size": 0}, "size must be at least 1"),
        ({"learning_rate": -0.1}, "learning_rate must be 0 or more"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_a_config_that_makes_no_sense_cannot_be_made(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        config(data, tmp_path / "run", **changes)


def test_a_folder_with_an_empty_or_another_class_is_refused(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data / "val", tmp_path / "val")
    (tmp_path / "val" / "green").mkdir()
    changed = config(data, tmp_path / "run", validation=str(tmp_path / "val"))
    assert f"class folder {tmp_path / 'val' / 'green'} has no image" in refusal(changed)
    Image.new("RGB", (16, 16)).save(tmp_path / "val" / "green" / "a.jpg")
    assert "have different classes: only one of them has green" in refusal(changed)
    (tmp_path / "empty").mkdir()
    assert "has no class folders" in refusal(replace(changed, data=str(tmp_path / "empty")))


def test_a_source_that_is_none_is_refused(data: Path, tmp_path: Path) -> None:
    assert "nowhere: no such folder" in refusal(config(data, tmp_path / "run", validation=str(tmp_path / "nowhere")))
    (tmp_path / "notes.md").write_text("mine")
    assert "neither a folder" in refusal(config(data, tmp_path / "run", data=str(tmp_path / "notes.md")))
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "shard.tar", "w:gz") as tar:
        tar.add(data / "train" / "red" / "0.jpg", "0.jpg")
    assert "shard.tar is compressed (gzip): images are read from uncompressed tar files" in refusal(
        config(data, tmp_path / "run", data=str(tmp_path / "packed"))
    )


def test_a_list_of_missing_files_or_unknown_classes_is_refused(data: Path, tmp_path: Path) -> None:
    lines = [
        f"{data / 'train' / name / f'{i}.jpg'} {label}" for label, name in enumerate(("blue", "red")) for i in (0, 1)
    ]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "val.txt").write_text("\n".join([lines[0], "", "gone.jpg 0", "lost.jpg 1"]))
    changed = config(data, tmp_path / "run", data=str(tmp_path / "train.txt"), validation=str(tmp_path / "val.txt"))
    message = refusal(changed)
    assert f"val.txt, line 3: there is no file {tmp_path / 'gone.jpg'} (1 more of its files are missing)" in message
    (tmp_path / "val.txt").write_text(lines[0].removesuffix("0") + "red")
    assert "val.txt, line 1: 'red' is not a class number" in refusal(changed)
    (tmp_path / "val.txt").write_text(lines[0].removesuffix("0") + "7")
    assert "has images of class 7, but" in refusal(changed)
    (tmp_path / "val.txt").write_text("\n")
    assert "val.txt lists no image" in refusal(changed)


def test_a_source_of_which_nothing_can_be_read_is_refused(data: Path, tmp_path: Path) -> None:
    for name in ("blue", "red"):
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "a.jpg").write_bytes(b"\xff\xd8 no image")
    message = refusal(config(data, tmp_path / "run", validation=str(tmp_path / "val")))
    assert f"none of the 2 images of {tmp_path / 'val'} that were tried can be read: " in message


def test_stores_that_do_not_fit_are_refused(data: Path, tmp_path: Path) -> None:
    stores = config(data, tmp_path / "run", data=str(data / "train-store"), validation=str(data / "val-store"))
    assert "val is not a store, but the other source is" in refusal(replace(stores, validation=str(data / "val")))
    assert "an RGB baseline needs images" in refusal(replace(stores, format=None))
    assert "holds the channels 6, but 24 were asked for" in refusal(replace(stores, format=TensorFormat(24)))
    others = ChannelStatistics((0.0,) * 192, (1.0,) * 192, "made up")
    assert "converted with other statistics" in refusal(replace(stores, format=TensorFormat(6, statistics=others)))
    gated = replace(stores, format=TensorFormat(), gated=True, target_channels=24.0)
    assert "target_channels is 24, but the input has only 6 channels" in refusal(gated)
    words = ["convert", str(data / "val"), "--channels", "6"]
    assert main([*words, "--size", "40", "--statistics", "dctnet", "--out", str(tmp_path / "larger")]) == 0
    assert "the two stores hold tensors of" in refusal(replace(stores, validation=str(tmp_path / "larger")))
    assert main([*words, "--size", "32", "--out", str(tmp_path / "raw")]) == 0
    raw = replace(stores, data=str(tmp_path / "raw"), validation=str(tmp_path / "raw"))
    assert "raw was converted without --statistics" in refusal(raw)
    shutil.copytree(data / "val-store", tmp_path / "torn")
    next((tmp_path / "torn" / "shards").glob("*.npy")).unlink()
    assert "torn is not a complete store" in refusal(replace(stores, validation=str(tmp_path / "torn")))
    (tmp_path / "torn" / "manifest.json").write_text(json.dumps({"store_version": 1}))
    assert "torn is not a complete store" in refusal(replace(stores, validation=str(tmp_path / "torn")))
    (tmp_path / "torn" / "manifest.json").unlink()
    begun = config(data, tmp_path / "run", validation=str(tmp_path / "torn"))
    assert "is a store that is not finished" in refusal(begun)


def test_a_run_folder_that_cannot_be_written_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").write_text("mine")
    assert "notes is not a folder" in refusal(config(data, tmp_path / "notes"), leaves=True)
    assert "notes is not a folder" in refusal(config(data, tmp_path / "notes" / "run"))
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode & os.W_OK))
    assert f"{tmp_path} is not writable" in refusal(config(data, tmp_path / "some" / "run"))


def test_a_size_that_a_store_does_not_have_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(data / "train-store"), str(data / "val-store"), "--out", str(tmp_path / "run")]
    assert main([*words, "--size", "64"]) == 2
    assert "holds tensors of 32 px, but --size is 64" in " ".join(capsys.readouterr().err.split())


def test_processes_that_cannot_share_a_batch_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size 4 is not a multiple of 3 processes"):
        open_inputs(config(data, tmp_path / "run"), rank=0, world_size=3, device=torch.device("cpu"))


def test_the_command_says_a_mistake_in_one_line(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(data / "train"), str(data / "val"), "--out", str(tmp_path / "run"), "--size", "32"]
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    measured = tmp_path / "measured.json"
    assert main(["stats", str(data / "train"), "--size", "64", "--out", str(measured)]) == 0
    for more, message in (
        (["--stride", "wide"], "stride must be one of paper, full"),
        (["--device", "gpu"], "device 'gpu' cannot be used"),
        (["--channels", "7"], "7"),
        (["--statistics", str(tmp_path / "none.json")], "none.json"),
        (["--channels", str(broken)], "broken.json: "),
        (["--statistics", str(broken)], "broken.json: "),
        (["--statistics", str(measured)], "add --any-statistics to use it nevertheless"),
        (["--statistics", str(measured), "--any-statistics", "--gate", "--gate-weight", "-1"], "gate_weight"),
        (["--weights", str(broken)], "broken.json"),
        (["--size", "0"], "size must be at least 1"),
        (["--temperature", "2"], "--temperature is an option of the gate: add --gate"),
        (["--target-channels", "3"], "--target-channels is an option of the gate: add --gate"),
        (["--gate", "--gate-weight", "1", "--target-channels", "3"], "choose one"),
        (["--rgb", "--channels", "24"], "--channels is for frequencies, but --rgb trains on pixels"),
        (["--rgb", "--statistics", "dctnet"], "--statistics is for frequencies"),
    ):
        assert main([*words, *more]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert lines[-1].startswith("jpegfreq train: ")
        assert "[Errno" not in lines[-1]
        assert message in lines[-1]
