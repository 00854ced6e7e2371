"""Finding the channels that a trained network needs: on networks whose needs are known, and from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from jpegfreq.channels import ChannelSelection  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.format import TensorFormat  # noqa: E402
from jpegfreq.models import ModelConfig, save_model  # noqa: E402
from jpegfreq.models.analysis.exchange import compared, exchange_work, exchanged  # noqa: E402
from jpegfreq.models.analysis.frozen import FrozenNetwork  # noqa: E402
from jpegfreq.models.analysis.needs import (  # noqa: E402
    CURVE,
    Needs,
    fewest_images,
    find_needs,
    held_out,
    needs_work,
)
from jpegfreq.models.analysis.ranking import Ranking  # noqa: E402
from jpegfreq.models.frontend import from_rgb  # noqa: E402
from jpegfreq.models.training.steering import Descent  # noqa: E402
from jpegfreq.report.needs import needs_page  # noqa: E402
from jpegfreq.statistics import ChannelStatistics  # noqa: E402
from tests.browser import page_faults  # noqa: E402
from tests.images import make_jpeg  # noqa: E402

NEEDED = (0, 1, 8, 64, 128)


class Reader(nn.Module):
    """A network that reads the means of some channels of its input, each as much as another, and ignores the rest."""

    def __init__(self, places: tuple[int, ...] = NEEDED) -> None:
        super().__init__()
        self.places = list(places)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        levels = x[:, self.places].mean((2, 3)) - torch.tensor([40.0 * (place == 0) for place in self.places])
        return torch.cat([levels, -levels], 1) * self.scale  # [N, classes]: which channel is farthest from its mean


def images(count: int = 80, channels: int = 192) -> Tensor:
    """Tensors without statistics: the first channel has a mean far from zero."""
    x = torch.randn(count, channels, 2, 2, generator=torch.Generator().manual_seed(0)) * 3
    x[:, 0] += 40
    return x


def found(**options: Any) -> Needs:
    return find_needs(Reader(), images(), (5, 12), **{"steps": 120, "batch": 10} | options)


def test_the_gate_finds_the_channels_that_the_network_reads() -> None:
    needs = found()
    assert set(needs.of("gate", 5).selection) == set(NEEDED)
    assert set(needs.of("gate", 12).selection) > set(NEEDED)
    assert needs.of("gate", 5).agreement == needs.of("gate", 12).agreement == 1
    assert needs.of("energy", 5).agreement < 1
    assert [len(m.selection) for m in needs.measured if m.by == "gate"] == [128, 96, 64, 48, 32, 24, 16, 12, 6, 5, 192]
    assert [len(m.selection) for m in needs.measured if m.by == "preset"] == [6, 24, 32, 48, 64, 192]
    assert needs.full_accuracy is None
    assert (needs.images, needs.held_out) == (60, 20)


def test_both_rates_of_a_static_gate_are_its_probabilities() -> None:
    heat = found().heat[5]
    assert heat.on_rate == heat.on_probability
    assert heat.mean_channels_on == pytest.approx(5, rel=0.2)
    assert sum(heat.on_probability[channel] for channel in NEEDED) > 3.5  # the others share the rest


def test_labels_replace_the_networks_own_answers() -> None:
    labels = Reader((1, 8))(images()).argmax(1)
    needs = find_needs(Reader((1, 8)), images(), (2,), labels, steps=80, batch=10)
    assert set(needs.of("gate", 2).selection) == {1, 8}
    assert needs.full_accuracy == needs.of("gate", 2).accuracy == 1
    assert needs.to_dict()["measured"][0]["accuracy"] is not None


def test_a_gate_per_image_is_measured_on_the_held_out_images() -> None:
    needs = found(per_image=True)
    assert set(needs.ranking(5).channels[:5]) & set(NEEDED)
    assert needs.heat[5].images == needs.held_out
    assert needs.gated_agreement is not None
    assert needs.gated_agreement >= 0.5
    assert found().gated_agreement is None


def test_missing_channels_stand_at_their_mean_with_and_without_statistics() -> None:
    """The first channel is the same for all images, so at its mean it is as good as read."""
    x = images(40)
    x[:, 0] = 41
    kept = (1, 8)
    raw = find_needs(Reader((0, *kept)), x, (2,), steps=60, batch=10)
    assert set(raw.of("gate", 2).selection) == set(kept)
    assert raw.of("gate", 2).agreement == 1
    mean = tuple(x.mean((0, 2, 3)).tolist())
    format = TensorFormat(statistics=ChannelStatistics(mean, (3.0,) * 192, "made up"))
    normalized = (x - torch.tensor(mean)[:, None, None]) / 3

    class Undone(Reader):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x * 3 + torch.tensor(mean)[:, None, None])

    needs = find_needs(Undone((0, *kept)), normalized, (2,), format=format, steps=60, batch=10)
    assert needs.of("gate", 2).agreement == 1


def test_the_networks_own_format_names_the_channels() -> None:
    rgb = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    network = from_rgb(rgb, size=16, mean=(0.5,) * 3, std=(0.5,) * 3, format=TensorFormat((5, 0, 64, 128, 70)))
    needs = find_needs(network, images(40, 5), (3,), steps=80, batch=10)
    assert needs.of("gate", 3).selection.channels == (0, 64, 128)  # an average needs DC alone
    assert not [m for m in needs.measured if m.by == "preset" and len(m.selection) < 5]


def test_the_network_and_the_random_numbers_stay_as_they_are() -> None:
    network = Reader().train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    find_needs(network, images(), (5,), steps=40, batch=10)
    assert torch.equal(torch.rand(3), expected)
    assert network.training
    assert network.scale.requires_grad
    assert network.scale.grad is None


def test_the_same_seed_gives_the_same_result_and_another_seed_another_one() -> None:
    first, again, other = (found(steps=40, seed=seed).heat[5] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_every_fourth_image_is_held_out() -> None:
    assert held_out(9) == ([0, 1, 2, 4, 5, 6, 8], [3, 7])
    assert fewest_images(1) == 4
    for batch in (7, 8, 20):
        assert len(held_out(fewest_images(batch))[0]) >= batch > len(held_out(fewest_images(batch) - 1)[0])


@pytest.mark.parametrize("worth", [0.003, 0.03, 0.3])
@pytest.mark.parametrize("target", [5, 24, 64])
def test_the_number_of_channels_falls_as_planned_whatever_a_channel_is_worth(worth: float, target: int) -> None:
    """Channels whose worth to the answers falls by five orders of magnitude, and is seen with as much noise again."""
    random = torch.Generator().manual_seed(0)
    worths = worth * torch.logspace(0, -5, 192)
    log_odds = torch.full((192,), 5 / 6).logit()
    velocity = torch.zeros(192)
    control = Descent(160, target)
    for step in range(1, 161):
        p = log_odds.sigmoid()
        slope = control.gate_weight - worths * (1 + torch.randn(192, generator=random))
        velocity = 0.7 * velocity + slope * p * (1 - p)
        log_odds = (log_odds - 15 * velocity).clamp(-6, 6)
        count = float(log_odds.sigmoid().sum())
        control.step(count, step / 160)
        assert 0.75 < count / (160 * (target / 160) ** min(step / 120, 1)) < 1.35
    assert count == pytest.approx(target, rel=0.2)
    chosen = log_odds.topk(target).indices
    assert int((chosen < target).sum()) >= target - 2


def ranked(*first: int) -> Ranking:
    """Rank these channels first, then all others by their numbers."""
    rest = [channel for channel in range(192) if channel not in first]
    return Ranking("gate", (*first, *rest), tuple(1 - place / 200 for place in range(192)), "made up")


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        ((0, 1, 8, 70, 71, 64, 128), 5, set(NEEDED)),  # two of the chosen are useless, and the next two are needed
        ((0, 1, 8, 64, 128, 70, 71), 5, set(NEEDED)),  # nothing is better
        ((70, 0), 1, {70}),  # the first one always stays
    ],
)
def test_channels_near_the_cut_are_exchanged_while_that_keeps_more_answers(
    first: tuple[int, ...], count: int, expected: set[int]
) -> None:
    done: list[int] = []
    frozen = FrozenNetwork(Reader(), images(), None, TensorFormat(), range(60), done.append)
    done.clear()
    ranking = ranked(*first)
    found = exchanged(frozen, ranking, count, 30)
    assert sum(done) == exchange_work(192, count, 30)
    assert set(found) == expected
    assert found.name == f"learned-{count}"


def test_short_runs_compare_on_few_images() -> None:
    assert [compared(300, seen) for seen in (1, 40 * 4, 160 * 20, 10**6)] == [1, 10, 200, 200]
    assert compared(30, 3200) == 30


@pytest.mark.parametrize("per_image", [False, True])
def test_progress_adds_up_to_the_work(per_image: bool) -> None:
    done: list[int] = []
    found(steps=40, per_image=per_image, progress=done.append)
    assert sum(done) == needs_work(80, (5, 12), steps=40, batch=10, per_image=per_image)


def test_the_files_are_selections_and_numbers(tmp_path: Path) -> None:
    needs = found(steps=40, source="reader on noise")
    paths = needs.save(tmp_path)
    assert [path.name for path in paths] == ["learned5.json", "learned12.json", "needs.json"]
    selection = ChannelSelection.from_json((tmp_path / "learned12.json").read_text())
    assert selection == needs.of("gate", 12).selection
    assert json.loads((tmp_path / "learned5.json").read_text())["learned_from"]["source"] == "reader on noise"
    facts = json.loads((tmp_path / "needs.json").read_text())
    assert (facts["images"], facts["held_out"]) == (60, 20)
    curve = {row["count"]: row["agreement"] for row in facts["measured"] if row["by"] == "gate"}
    assert set(CURVE) <= set(curve)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": images(25)}, "there are 25 images, but steps of 20 need at least 26"),
        ({"counts": (161,)}, "each of counts must be from 1 to 160, not 161"),
        ({"counts": (0,)}, "each of counts must be from 1 to 160, not 0"),
        ({"counts": ()}, "at least one number of channels"),
        ({"steps": 39}, "steps must be at least 40, not 39"),
        ({"inputs": images(30, 64)}, r"inputs must be floating-point numbers \[N, 192, H, W\], not \[30, 64, 2, 2\]"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"labels must be \[40\], one for each image, not \[3\]"),
        ({"labels": torch.full((40,), 10)}, "class numbers from 0 to 9, but they go from 10 to 10"),
        ({"network": nn.Conv2d(192, 4, 1)}, r"must give \[N, classes\], but it gives \[40, 4, 2, 2\]"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(change: dict[str, Any], message: str) -> None:
    arguments = {"network": Reader(), "inputs": images(40), "counts": (5,)} | change
    with pytest.raises(ValueError, match=message):
        find_needs(**{"steps": 40} | arguments)


# --- the command


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    format = TensorFormat(6, statistics=ChannelStatistics((0.0,) * 192, (50.0,) * 192, "made up"))
    config = ModelConfig("resnet18", 2, format, (32, 32), 32, labels=("class0", "class1"))
    save_model(tmp_path / "model", config.create(), config)
    return tmp_path / "model"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for n in range(8):
        path = tmp_path / "photos" / f"class{n % 2}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(48, 40, seed=n))
    return tmp_path / "photos"


SHORT = ["--channels", "4,2", "--steps", "40", "--batch-size", "4"]


def test_command_writes_selections_figures_and_a_page(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "deep" / "needs"
    assert main(["needs", str(model), str(photos), *SHORT, "--out", str(out)]) == 0
    names = ["curve.png", "heatmap.png", "learned2.json", "learned4.json", "needs.html", "needs.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    printed = capsys.readouterr()
    assert "2 held-out images (every fourth)" in printed.out
    assert "the gate learned from 6 others" in printed.out
    assert "most energy" in printed.out
    assert "one image is 50.0%" in printed.out
    assert f"--weights {model} --channels {out / 'learned2.json'} --out RUN`" in printed.out
    page = (out / "needs.html").read_text()
    assert "model on photos" in page
    assert page.count("<img") == 2
    learned = out / "learned2.json"
    assert main(["decode", str(photos), "--channels", str(learned), "--out", str(tmp_path / "tensors")]) == 0
    assert main(["needs", str(model), str(photos), *SHORT, "--out", str(out)]) == 0  # the same folder again


def test_command_learns_from_labels_and_image_by_image(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    words = ["needs", str(model), str(photos), *SHORT, "--labels", "--per-image", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "accuracy (%)" in out
    assert "image by image: " in out
    assert json.loads((tmp_path / "out" / "needs.json").read_text())["full_accuracy"] in (0, 0.5, 1)


def test_command_counts_unreadable_images(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (photos / "class0" / "bad.jpg").write_bytes(b"no picture")
    assert main(["needs", str(model), str(photos), *SHORT, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "unreadable images left out: 1" in error
    assert "bad.jpg" in error


def test_command_names_unreadable_images_before_it_says_that_there_are_too_few(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    (photos / "class0" / "bad.jpg").write_bytes(b"no picture")
    words = ["--channels", "2", "--batch-size", "7", "--out", str(tmp_path / "out")]
    assert main(["needs", str(model), str(photos), *words]) == 2
    error = capsys.readouterr().err
    assert 0 < error.index("bad.jpg") < error.index("there are 8 images, but steps of 7 need at least 9")


def test_command_refuses_a_folder_with_other_results(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    words = ["needs", str(model), str(photos), "--out", str(out)]
    assert main([*words, *SHORT]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for change, message in (
        (["--channels", "3"], "made with --channels 4,2 (now 3): name a new folder"),
        (["--seed", "1", "--amp"], "made with --amp False (now True), --seed 0 (now 1): name a new folder"),
    ):
        assert main([*words, *SHORT, *change]) == 2
        assert message in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    for name, content in (("notes.txt", "mine"), ("needs.json", "{}"), ("needs.json", "[1]")):
        other = tmp_path / f"other{len(content)}"
        other.mkdir()
        (other / name).write_text(content)
        assert main(["needs", str(model), str(photos), *SHORT, "--out", str(other)]) == 2
        assert "name a new folder" in capsys.readouterr().err
        assert [path.name for path in other.iterdir()] == [name]


def test_command_checks_its_numbers_before_it_reads(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    assert (
        main(["needs", str(model), str(photos), "--channels", "2", "--steps", "9", "--out", str(tmp_path / "o")]) == 2
    )
    error = capsys.readouterr().err
    assert "--steps must be at least 40, not 9" in error
    assert "reading" not in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--channels", "2", "--batch-size", "7"], "there are 8 images, but steps of 7 need at least 9"),
        (
            ["--channels", "6", "--batch-size", "4"],
            "takes 6 channels, and --channels asks for 6: each of counts must be ",
        ),
        (["--channels", "6", "--batch-size", "4"], "each of counts must be from 1 to 5, not 6"),
        (["--channels", "0"], "must be whole numbers of at least 1, such as 24,48, not '0'"),
        (["--channels", "two"], "must be whole numbers of at least 1, such as 24,48, not 'two'"),
    ],
)
def test_command_refuses_what_cannot_be_learned(
    words: list[str], message: str, model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    try:
        code: Any = main(["needs", str(model), str(photos), *words, "--out", str(tmp_path / "out")])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_command_refuses_other_models_and_outputs_that_cannot_be_written(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "file"
    file.write_text("")
    assert main(["needs", str(model), str(photos), *SHORT, "--out", str(file)]) == 2
    assert f"--out {file} is a file, but the results go into a folder" in capsys.readouterr().err
    assert main(["needs", str(model), str(photos), *SHORT, "--out", str(file / "below")]) == 2
    assert f"{file / 'below'}: Not a directory" in capsys.readouterr().err
    for name, format, gated in (("rgb", None, False), ("gated", TensorFormat(6), True)):
        config = ModelConfig("resnet18", 2, format, (32, 32), 32, gated=gated)
        save_model(tmp_path / name, config.create(), config)
    assert main(["needs", str(tmp_path / "rgb"), str(photos), *SHORT, "--out", str(tmp_path / "out")]) == 2
    assert "the model takes RGB pixels" in capsys.readouterr().err
    assert main(["needs", str(tmp_path / "gated"), str(photos), *SHORT, "--out", str(tmp_path / "out")]) == 2
    assert "the model has a gate already; `jpegfreq heatmap` shows" in capsys.readouterr().err


@pytest.mark.parametrize("labels", [False, True], ids=["answers", "labels"])
def test_the_page_fits_phones_and_desks(tmp_path: Path, labels: bool) -> None:
    needs = found(labels=torch.arange(80) % 4 if labels else None)
    for dark in (False, True):
        faults = page_faults(needs_page(needs), tmp_path, dark=dark)
        assert [faults[width] for width in ("390", "768", "1280")] == [[], [], []]
