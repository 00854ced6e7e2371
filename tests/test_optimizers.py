"""What updates the weights: SGD, or AdamW for the network and SGD for a gate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.models.training.recipe import ADAMW, PRESETS, TrainConfig, preset  # noqa: E402
from jpegfreq.models.training.state import STATE  # noqa: E402
from jpegfreq.models.training.train import Epoch, train  # noqa: E402
from tests.images import make_jpeg  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of four images, which serve as training and validation images alike."""
    root = tmp_path_factory.mktemp("photos")
    for n in range(8):
        path = root / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(make_jpeg(48, 40, seed=n))
    return root


def config(photos: Path, out: Path, **changes: Any) -> TrainConfig:
    base = TrainConfig(
        str(photos), str(photos), str(out), architecture="vit_ti_16", size=32, epochs=2, batch_size=4,
        format=TensorFormat(24, layout="HWC"), schedule="cosine", **ADAMW,
    )  # fmt: skip
    return replace(base, **changes)


class StopAfterAnEpoch:
    """An observer that ends a run once its first epoch is saved."""

    def note(self, text: str) -> None:
        pass

    def begin(self, steps: int, epochs: int, done: int) -> None:
        pass

    def step(self, epoch: int, step: int, loss: float, images: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    def end_epoch(self, line: Epoch) -> None:
        pass


@pytest.mark.parametrize("gated", [False, True], ids=["fixed channels", "gated"])
def test_a_stopped_run_with_adamw_reaches_the_same_weights(photos: Path, tmp_path: Path, gated: bool) -> None:
    changes = {"gated": gated, "gate_learning_rate": 6.0, "gate_weight": 0.001}
    train(config(photos, tmp_path / "whole", **changes))
    with pytest.raises(KeyboardInterrupt):
        train(config(photos, tmp_path / "stopped", **changes), observer=StopAfterAnEpoch())
    train(config(photos, tmp_path / "stopped", **changes))
    parts, again = (torch.load(tmp_path / name / STATE, weights_only=True)["parts"] for name in ("whole", "stopped"))
    assert parts.keys() == again.keys()
    assert ("gate's optimizer" in parts) == gated
    for name, tensor in parts["network"].items():
        assert torch.equal(tensor, again["network"][name]), name
    groups = parts["optimizer"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [0.05, 0.0]
    assert all(group["betas"] == (0.9, 0.999) for group in groups)
    if gated:
        (group,) = parts["gate's optimizer"]["param_groups"]
        assert (group["momentum"], group["weight_decay"]) == (0.9, 0)
        assert group["lr"] / groups[0]["lr"] == pytest.approx(6.0 / 5e-4)


def test_every_weight_of_the_network_moves(photos: Path, tmp_path: Path) -> None:
    before = train(config(photos, tmp_path / "still", learning_rate=0.0, epochs=1))
    after = train(config(photos, tmp_path / "moved", epochs=1))
    still, moved = (torch.load(run.folder / STATE, weights_only=True)["parts"]["network"] for run in (before, after))
    assert [name for name in still if torch.equal(still[name], moved[name])] == []


def test_an_unknown_optimizer_is_refused(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='optimizer must be "sgd" or "adamw", not \'adam\''):
        config(photos, tmp_path, optimizer="adam")


def test_the_command_gives_adamw_its_own_values_unless_others_are_given(photos: Path, tmp_path: Path) -> None:
    words = ["train", str(photos), str(photos), "--architecture", "vit_ti_16", "--size", "32", "--channels", "24"]
    words += ["--epochs", "1", "--batch-size", "4", "--optimizer", "adamw"]
    for name, more, rate, decay in (
        ("a", [], 5e-4, 0.05),
        ("b", ["--learning-rate", "1e-4", "--weight-decay", "0"], 1e-4, 0),
    ):
        assert main([*words, *more, "--out", str(tmp_path / name)]) == 0
        known = json.loads((tmp_path / name / "run.json").read_text())
        assert (known["optimizer"], known["learning_rate"], known["weight_decay"]) == ("adamw", rate, decay)
        assert known["label_smoothing"] == PRESETS["modern"]["label_smoothing"]


def test_help_names_the_values_that_an_optimizer_brings(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"modern {PRESETS['modern']['learning_rate']:g}; adamw {ADAMW['learning_rate']:g}" in text
    assert f"modern 5e-5; adamw {ADAMW['weight_decay']:g}" in text
    assert preset("modern", config(Path("a"), Path("b"))).weight_decay == 5e-5
