"""Rankings of channels and selections made from them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import main
from jpegfreq.cli._options import _selection
from jpegfreq.models.analysis.heatmap import HeatMap
from jpegfreq.models.analysis.ranking import Ranking, agreement, energy_ranking, save_selection, select
from jpegfreq.statistics import ChannelStatistics

RANKING = Ranking("gate", (0, 64, 9, 1, 8), (1.0, 0.9, 0.8, 0.8, 0.1), "flowers")


def test_selection_holds_the_first_channels_in_raster_order() -> None:
    chosen = select(RANKING, 3)
    assert chosen.channels == (0, 9, 64)
    assert chosen.name == "learned-3"
    assert select(RANKING, 2, name="flowers-2").name == "flowers-2"


@pytest.mark.parametrize("count", [0, 6])
def test_more_channels_than_ranked_is_an_error(count: int) -> None:
    with pytest.raises(ValueError, match="the ranking holds 5 channels"):
        select(RANKING, count)


def test_channels_that_the_gate_never_turns_on_are_not_chosen() -> None:
    ranking = Ranking("gate", (0, 64, 9, 1, 8), (1.0, 0.9, 0.2, 0.0, 0.0), "flowers")
    assert select(ranking, 3).channels == (0, 9, 64)
    with pytest.raises(
        ValueError, match="4 channels cannot be chosen: the gate ever turns on only 3 of the 5 channels"
    ):
        select(ranking, 4)
    assert select(replace(ranking, by="loss"), 4).channels == (0, 1, 9, 64)


def test_a_ranking_survives_its_dict_and_has_a_short_repr() -> None:
    assert Ranking.from_dict(json.loads(json.dumps(RANKING.to_dict()))) == RANKING
    assert repr(RANKING) == "Ranking(by gate: Y(0,0) Cb(0,0) Y(1,1) Y(0,1) Y(1,0); source='flowers')"
    assert "and 2 more" in repr(Ranking("loss", tuple(range(8)), (1.0,) * 8, ""))


def test_a_saved_selection_can_be_used_like_a_preset(tmp_path: Path) -> None:
    file = tmp_path / "learned.json"
    save_selection(file, select(RANKING, 3), RANKING)
    assert ChannelSelection.from_json(file.read_text()) == ChannelSelection((0, 9, 64))
    assert _selection(str(file)).name == "learned-3"  # as --channels of decode and convert reads it
    assert json.loads(file.read_text())["learned_from"] == {"by": "gate", "source": "flowers", "of_channels": 5}


def test_energy_is_the_variance_of_the_channels_asked_for() -> None:
    std = [1.0] * 192
    std[9], std[70] = 5.0, 3.0
    ranking = energy_ranking(ChannelStatistics((0.0,) * 192, tuple(std), "made up"), (0, 8, 9, 70))
    assert ranking.channels == (9, 70, 0, 8)
    assert ranking.scores == (25.0, 9.0, 1.0, 1.0)


def test_agreement_compares_the_channels_that_both_rankings_hold() -> None:
    other = Ranking("energy", (8, 1, 9, 0, 100), (5.0, 4.0, 3.0, 2.0, 1.0), "")
    same = agreement(RANKING, RANKING, 2)
    assert (same.spearman, same.overlap) == (1.0, 2)
    against = agreement(RANKING, other, 2)  # 0 9 1 8 against 8 1 9 0
    assert against.spearman == pytest.approx(-1)
    assert against.overlap == 0
    assert math.isnan(agreement(RANKING, Ranking("loss", (0,), (1.0,), ""), 1).spearman)


def test_command_ranks_a_heat_map_or_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heat, stats, out = tmp_path / "heat.json", tmp_path / "stats.json", tmp_path / "learned.json"
    rates = tuple((192 - channel) / 192 for channel in range(192))
    HeatMap(rates, rates, 3, "made up").save(heat)
    assert main(["select", str(heat), "-k", "3", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["channels"] == [0, 1, 2]
    assert json.loads(out.read_text())["name"] == "learned"
    assert "Y 3, Cb 0, Cr 0" in capsys.readouterr().out
    ChannelStatistics((0.0,) * 192, tuple(float(k + 1) for k in range(192)), "made up").save(stats)
    assert main(["select", str(stats), "-k", "2", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["channels"] == [190, 191]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["gone.json", "--out", "x.json"], "gone.json"),
        (["gone", "--out", "x.json"], "no checkpoint"),
        (["gone", "--out", "x.txt"], "--out x.txt: the name must end in .json"),
        (["gone"], "--out FILE is missing"),
        (["odd.json", "--out", "x.json"], "neither a heat map"),
        (["odd.json", "--by", "loss", "--out", "x.json"], "--by needs a checkpoint, but odd.json is a JSON file"),
    ],
)
def test_command_names_the_mistake(
    words: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.json").write_text("{}")
    assert main(["select", *words]) == 2
    assert error in capsys.readouterr().err
